"""The report of a run, written from Python or by `idleak report`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from distributed.storage.results_file import Row
from distributed.storage.run_record import read_record
from distributed.storage.store import RunStore
from distributed.storage.trail import digests, record
from jobs.cli.display import Shown, as_stored, displayed
from jobs.pages.figure_files import FigureFile, files_of
from jobs.pages.finished_run import FinishedRun, read_finished
from jobs.pages.looking import device_to_look_with
from jobs.pages.page import Face, render
from jobs.pages.report.annex import annex_section
from jobs.pages.report.figures import draw_figures
from jobs.pages.report.people import nearest_of, people_at_risk, people_sections
from jobs.pages.report.provenance import provenance_section
from jobs.pages.report.sections import sections_of
from jobs.pages.report.summary import summary_of
from schemas.printable import printable
from schemas.run.artefacts import FIGURES_PREFIX, REPORT_FILE
from schemas.wording import share

TEMPLATE = "report.html"
Nearest = dict[str, list[Row]]
FaceMaker = Callable[[FinishedRun, Nearest], dict[str, list[Face]]]


def record_report(store: RunStore, *, with_faces: bool = False, shown: Shown = as_stored) -> str:
    """Write the report, which the run's audit log then vouches for; where the page is.

    Raises as `write_report`.
    """
    deleted = write_report(store, with_faces=with_faces, shown=shown)
    wrote = digests(store, REPORT_FILE, *store.sizes(FIGURES_PREFIX))
    record(store, "reported", wrote=wrote, deleted=deleted)
    return f"{store.location}/{REPORT_FILE}"


def write_report(store: RunStore, *, with_faces: bool = False, shown: Shown = as_stored) -> list[str]:
    """Write `report.html` and the figures of a finished run, delete those that it no longer has, say which.

    shown: identity as stored -> as shown. Raises UsageError if the run is not over, StoreError or
    DamagedError if a file cannot be read, and, with faces, what opening photos and generator raises.
    """
    run = read_finished(store)
    figures = list(draw_figures(run))
    page = report_page(run, figures, shown, faces_of if with_faces else None)
    deleted = _write_figures(store, figures)
    store.write(REPORT_FILE, page)
    return deleted


def report_page(
    run: FinishedRun, figures: Sequence[FigureFile], shown: Shown, face_maker: FaceMaker | None
) -> bytes:
    """The page; without a face maker, nobody's face is on it."""
    show, rows = displayed(shown), people_at_risk(run)
    nearest = nearest_of(run, rows)
    faces = {} if face_maker is None else face_maker(run, nearest)
    return render(
        TEMPLATE,
        name=printable(run.results.name),
        created=run.results.created[:10],
        summary=summary_of(run, with_faces=face_maker is not None),
        chance=share(run.headline.detectable_chance),
        sections=[
            *people_sections(run, rows, nearest, show, faces),
            *sections_of(run, figures, show),
            annex_section(run),
        ],
        provenance=provenance_section(run),
    )


def faces_of(run: FinishedRun, nearest: Nearest) -> dict[str, list[Face]]:
    """Photos and samples made again, by what the run says it was made from."""
    # What generators need takes seconds to import.
    from distributed.gallery.source import photo_places
    from jobs.pages.report.faces import draw_faces, photos_to_show

    spec = read_record(run.store).spec
    device = device_to_look_with(spec)
    photos = photos_to_show(run)
    return draw_faces(spec, nearest, photos, device, photo_places)


def _write_figures(store: RunStore, figures: Iterable[FigureFile]) -> list[str]:
    files = files_of(figures, FIGURES_PREFIX)
    for path, data in files.items():
        store.write(path, data)
    deleted = sorted(store.sizes(FIGURES_PREFIX).keys() - files.keys())
    for path in deleted:
        store.delete(path)
    return deleted
