"""What lies where in a run's folder or bucket prefix, and what may become of it: `ARTEFACTS`."""

from __future__ import annotations

from dataclasses import dataclass

RECORD_FILE = "run.json"
LOCK_FILE = "run.lock"
PROGRESS_FILE = "progress.json"
SAMPLES_PREFIX = "samples"
LOST_SUFFIX = ".lost.json"
INDEX_FILE = "samples.json"
ENROLLING_PREFIX = "enrolling"
PLACEBO_PREFIX = "placebo"
PARTIALS_PREFIX = "partials"
GALLERY_FILE = "gallery.parquet"
NEIGHBOURS_FILE = "neighbours.parquet"
SCORES_FILE = "scores.parquet"
OVER_REPRESENTATION_FILE = "over_representation.parquet"
SETTINGS_FILE = "settings.parquet"
ERROR_FILE = "error.txt"
RESULTS_FILE = "results.json"
NAMES_FILE = "names.sealed"
ERASURES_FILE = "erasures.json"
TRAIL_PREFIX = "trail"
TOMBSTONE_FILE = "tombstone.json"
RECEIPTS_PREFIX = "receipts"
REPORT_FILE = "report.html"
COMPARISON_FILE = "comparison.html"
COMPARISON_RESULT_FILE = "comparison.json"
COMPARISON_FIGURES_PREFIX = "comparison_figures"
FIGURES_PREFIX = "figures"
JUDGEMENTS_PREFIX = "judgements"
ANSWERS_PREFIX = "answers"
SPENDING_PREFIX = "spending"


@dataclass(frozen=True)
class Artefact:
    """A file of a run, or all files under a prefix, which ends in a slash.

    personal: it is about people, if under pseudonyms. derived: it follows from the gallery and the samples,
    so that erasing a person deletes it and it is made again. transient: it comes and goes while a run is at
    work. kept_after_purge: it records that the run existed and what was done to it, without personal data.
    """

    path: str
    personal: bool = False
    derived: bool = False
    transient: bool = False
    kept_after_purge: bool = False


ARTEFACTS = (
    Artefact(RECORD_FILE),
    Artefact(LOCK_FILE, transient=True, kept_after_purge=True),
    Artefact(PROGRESS_FILE),
    Artefact(f"{SAMPLES_PREFIX}/"),
    Artefact(f"{SAMPLES_PREFIX}{LOST_SUFFIX}"),
    Artefact(INDEX_FILE),
    Artefact(f"{ENROLLING_PREFIX}/", personal=True, derived=True, transient=True),
    Artefact(f"{ENROLLING_PREFIX}{LOST_SUFFIX}"),
    Artefact(f"{PARTIALS_PREFIX}/", personal=True, derived=True, transient=True),
    Artefact(f"{PLACEBO_PREFIX}/{PARTIALS_PREFIX}/", personal=True, derived=True, transient=True),
    Artefact(f"{PLACEBO_PREFIX}/"),
    Artefact(GALLERY_FILE, personal=True),
    Artefact(NAMES_FILE, personal=True),
    Artefact(NEIGHBOURS_FILE, personal=True, derived=True),
    Artefact(SCORES_FILE, personal=True, derived=True),
    Artefact(OVER_REPRESENTATION_FILE, personal=True, derived=True),
    Artefact(SETTINGS_FILE, personal=True, derived=True),
    Artefact(RESULTS_FILE, personal=True, derived=True),
    Artefact(ERROR_FILE, personal=True, derived=True, transient=True),
    Artefact(REPORT_FILE, personal=True, derived=True),
    Artefact(f"{FIGURES_PREFIX}/", personal=True, derived=True),
    # The pairs that were judged follow from verdicts, which an erasure makes anew.
    Artefact(f"{JUDGEMENTS_PREFIX}/", personal=True, derived=True),
    Artefact(COMPARISON_FILE, personal=True),
    Artefact(COMPARISON_RESULT_FILE, personal=True),
    Artefact(f"{COMPARISON_FIGURES_PREFIX}/", personal=True),
    Artefact(f"{ANSWERS_PREFIX}/"),
    Artefact(f"{SPENDING_PREFIX}/"),
    Artefact(ERASURES_FILE),
    Artefact(f"{TRAIL_PREFIX}/", kept_after_purge=True),
    Artefact(f"{RECEIPTS_PREFIX}/", kept_after_purge=True),
    Artefact(TOMBSTONE_FILE, kept_after_purge=True),
)

TRANSIENT = tuple(artefact.path for artefact in ARTEFACTS if artefact.transient)
DERIVED = tuple(artefact.path for artefact in ARTEFACTS if artefact.derived)
KEPT_AFTER_PURGE = tuple(artefact.path for artefact in ARTEFACTS if artefact.kept_after_purge)


def artefact_of(path: str) -> Artefact | None:
    """What a file of a run is; None if no run leaves such a file."""
    for artefact in ARTEFACTS:
        if path == artefact.path or (artefact.path.endswith("/") and path.startswith(artefact.path)):
            return artefact
    return None
