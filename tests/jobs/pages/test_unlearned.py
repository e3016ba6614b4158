"""`idleak compare --unlearned`: whether people who were to be removed are."""

from __future__ import annotations

from fractions import Fraction
from math import comb
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from distributed.storage.store import RunStore
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from jobs.pages.comparison.run_comparison import RunComparison, compare_runs
from jobs.pages.comparison.unlearned import forgotten_people, ks_of, leak_at_k, with_unlearned
from jobs.pages.finished_run import read_finished
from schemas.errors import UsageError
from schemas.run.artefacts import COMPARISON_FILE, COMPARISON_RESULT_FILE, SCORES_FILE
from schemas.run.comparison import ComparisonResult, Removal, UnlearnedResult
from tests.support.in_process import tasks_in_process
from tests.support.pages import require_safe
from tests.support.people import pseudonym
from tests.support.small_world import CANDIDATES, MEMBERS, SmallWorld

REMOVED = [pseudonym(f"person-{index:03d}") for index in range(MEMBERS)]
"""Each is one sample of the first run."""


@pytest.fixture(scope="module")
def without_them(
    finished_template: SmallWorld, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """The finished run, and one of as many samples of which none shows the members."""
    world = finished_template.copy(tmp_path_factory.mktemp("unlearned") / "world")
    other = world.spec("other", seed=9)
    with tasks_in_process():
        assert main(["audit", str(world.folder / "other.yaml")]) == ExitCode.OK
    return world.run, Path(other.output)


def compared(first: Path, second: Path) -> RunComparison:
    return compare_runs(*(read_finished(RunStore(str(folder))) for folder in (first, second)))


def unlearned(first: Path, second: Path, people: list[str]) -> UnlearnedResult:
    result = with_unlearned(compared(first, second), people).unlearned
    assert result is not None
    return result


def headline(run: Path) -> dict[str, dict[str, object]]:
    """Rows of the candidates by the score that decides, read without our code."""
    rows = pq.read_table(run / SCORES_FILE).to_pylist()
    return {row["identity"]: row for row in rows if row["role"] == "candidate" and row["score_name"] == "max"}


@pytest.mark.parametrize(
    ("hits", "samples", "k"), [(0, 600, 10), (2, 600, 100), (590, 600, 11), (1, 10**6, 10**5)]
)
def test_leak_at_k_is_the_chance_of_a_hit_among_k(hits: int, samples: int, k: int) -> None:
    exact = (
        1 - Fraction(comb(samples - hits, k), comb(samples, k)) if samples < 10**4 else Fraction(k, samples)
    )
    assert leak_at_k(np.array([hits]), samples, k)[0] == pytest.approx(float(exact), rel=1e-9, abs=1e-15)


def test_k_is_no_more_than_a_tenth_of_the_samples() -> None:
    assert [ks_of(samples) for samples in (5, 600, 10**6)] == [[1], [10], [10**3, 10**4, 10**5]]


def test_who_is_still_shown_is_not_removed(without_them: tuple[Path, Path]) -> None:
    run, _ = without_them
    result = unlearned(run, run, REMOVED[:2])
    assert [person.removal for person in result.people] == [Removal.STILL_THERE] * 2
    assert result.forgotten_after.flagged == 2 and result.retained_after.flagged == MEMBERS - 2
    assert result.forgotten_before == result.forgotten_after


def test_who_is_not_shown_any_more_is_cleared_or_unknown(without_them: tuple[Path, Path]) -> None:
    before, after = without_them
    result, rows = unlearned(before, after, REMOVED), headline(after)
    assert {person.identity for person in result.people} == set(REMOVED)
    for person in result.people:
        assert person.was_flagged and rows[person.identity]["verdict"] != "leaked"
        assert person.cleared_after == rows[person.identity]["cleared_at"]
        assert person.removal == (Removal.UNKNOWN if person.cleared_after is None else Removal.CLEARED)
    assert result.forgotten_before.flagged == MEMBERS and result.forgotten_after.flagged == 0
    assert result.forgotten_before.score is not None and result.forgotten_after.score is not None
    assert result.forgotten_before.score.low > result.forgotten_after.score.high
    mean = np.mean([rows[identity]["score"] for identity in REMOVED])
    assert result.forgotten_after.score.value == pytest.approx(mean)
    # The smallest of 9,999 permutations: five people who score above all 120 of the cohort.
    assert result.forgotten_before.set_p_value == 0.0001
    assert result.retained_after.people == CANDIDATES - MEMBERS


def test_somebody_who_scores_low_is_cleared(without_them: tuple[Path, Path]) -> None:
    before, after = without_them
    rows = headline(after)
    lowest = min(rows, key=lambda identity: float(str(rows[identity]["score"])))
    (person,) = unlearned(before, after, [lowest]).people
    assert person.removal == Removal.CLEARED and person.cleared_after == rows[lowest]["cleared_at"]
    assert not person.was_flagged


def test_the_page_the_file_and_the_terminal_say_it(
    without_them: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = map(str, without_them)
    words = [word for identity in REMOVED for word in ("--unlearned", identity[:12])]
    assert main(["compare", before, after, "--output", str(tmp_path), *words]) == ExitCode.OK
    printed = capsys.readouterr().out
    page = require_safe((tmp_path / COMPARISON_FILE).read_text(encoding="utf-8"))
    for text in (printed, page.text):
        assert f"Of {MEMBERS} people who were to be removed, B flags none" in text
    assert "Were they removed?" in page.text and "leak at 10" in page.text
    written = ComparisonResult.model_validate_json((tmp_path / COMPARISON_RESULT_FILE).read_bytes())
    assert written.unlearned == unlearned(Path(before), Path(after), REMOVED)


@pytest.mark.parametrize("given", ["anna", "0" * 12, "abc", "A" * 12])
def test_a_pseudonym_that_means_nobody_is_refused(without_them: tuple[Path, Path], given: str) -> None:
    comparison = compared(*without_them)
    with pytest.raises(UsageError, match=f"--unlearned {given}"):
        forgotten_people(comparison, [REMOVED[0], given])
    assert forgotten_people(comparison, [REMOVED[0][:12], REMOVED[0]]) == REMOVED[:1]
