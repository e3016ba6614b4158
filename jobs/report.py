"""`idleak report RUN`: what a run found, as one page for people, with its figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import click

from distributed.storage.receipt import require_writable
from distributed.storage.run_record import read_record
from distributed.storage.store import RunStore
from distributed.storage.store_faults import store_error
from distributed.storage.trail import digests, record
from jobs.cli.arguments import FILE, reveal_option, run_argument
from jobs.cli.command import guarded
from jobs.cli.display import Shown, as_stored, displayed
from jobs.cli.exit_codes import ExitCode
from jobs.cli.reading import open_to_read
from jobs.cli.say import say
from jobs.cli.strict_command import StrictCommand
from jobs.pages.figure_files import FigureFile, files_of
from jobs.pages.finished_run import FinishedRun, Row, read_finished
from jobs.pages.looking import device_to_look_with
from jobs.pages.page import Face, render
from jobs.pages.report.annex import annex_markdown, annex_section
from jobs.pages.report.figures import draw_figures
from jobs.pages.report.people import nearest_of, people_at_risk, people_section
from jobs.pages.report.provenance import provenance_section
from jobs.pages.report.sections import sections_of
from jobs.pages.report.summary import summary_of
from schemas.printable import printable
from schemas.run.artefacts import FIGURES_PREFIX, REPORT_FILE

TEMPLATE = "report.html"
Nearest = dict[str, list[Row]]
FaceMaker = Callable[[FinishedRun, Nearest], dict[str, list[Face]]]


@click.command("report", cls=StrictCommand, help=__doc__)
@run_argument
@click.option(
    "--with-faces",
    is_flag=True,
    help="show a photo of each person most at risk beside the nearest samples, made again",
)
@reveal_option
@click.option(
    "--annex",
    type=FILE,
    metavar="FILE.md",
    help="write the evidence annex as Markdown too, with a block for a model card; nobody is named in it",
)
def command(run: str, *, with_faces: bool, reveal: bool, annex: Path | None) -> int:
    return guarded(lambda: _run(run, annex, with_faces=with_faces, reveal=reveal))


def _run(location: str, annex: Path | None, *, with_faces: bool, reveal: bool) -> ExitCode:
    require_writable(annex, "--annex")
    store, shown = open_to_read(location, "report", reveal=reveal, faces=with_faces)
    deleted = write_report(store, with_faces=with_faces, shown=shown)
    wrote = digests(store, REPORT_FILE, *store.sizes(FIGURES_PREFIX))
    record(store, "reported", wrote=wrote, deleted=deleted)
    say(f"{store.location}/{REPORT_FILE}: {'with' if with_faces else 'without'} faces, figures beside it")
    if annex is not None:
        try:
            annex.write_text(annex_markdown(read_finished(store)), encoding="utf-8")
        except OSError as error:
            raise store_error("write", str(annex), error) from error
        say(f"{annex}: the evidence annex")
    return ExitCode.OK


def write_report(store: RunStore, *, with_faces: bool = False, shown: Shown = as_stored) -> list[str]:
    """Write `report.html` and the figures of a finished run, delete those that it no longer has, say which.

    shown: identity as stored -> as shown. Raises SpecError if the run is not over, StoreError or DamagedError
    if a file cannot be read, and, with faces, what opening photos and generator raises.
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
        sections=[
            people_section(run, rows, nearest, show, faces),
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
    photos = photos_to_show(run.results.evidence, run.photos)
    return draw_faces(spec, nearest, photos, device, photo_places)


def _write_figures(store: RunStore, figures: Iterable[FigureFile]) -> list[str]:
    files = files_of(figures, FIGURES_PREFIX)
    for path, data in files.items():
        store.write(path, data)
    deleted = sorted(store.sizes(FIGURES_PREFIX).keys() - files.keys())
    for path in deleted:
        store.delete(path)
    return deleted
