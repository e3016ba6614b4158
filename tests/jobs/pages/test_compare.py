"""`idleak compare`: two runs of one gallery, side by side."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distributed.storage.store import RunStore
from distributed.storage.trail import entries
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from jobs.compare import print_comparison, write_comparison
from jobs.pages.comparison.run_comparison import PersonPair, compare_runs
from jobs.pages.finished_run import FinishedRun, read_finished
from jobs.pages.report.people import people_at_risk
from schemas.errors import WrongRunError
from schemas.run.artefacts import (
    COMPARISON_FIGURES_PREFIX,
    COMPARISON_FILE,
    COMPARISON_RESULT_FILE,
    OVER_REPRESENTATION_FILE,
    RESULTS_FILE,
    SCORES_FILE,
)
from schemas.run.comparison import ComparedPerson, ComparisonResult
from schemas.run.tables import Verdict
from tests.jobs.pages.test_people_shown import replace_p_values
from tests.support.pages import HOSTILE, require_safe
from tests.support.people import pseudonym
from tests.support.small_world import CANDIDATES, MEMBERS, SmallWorld

OTHER_SAMPLES = 60
"""So few that nothing can be concluded of anybody."""


@pytest.fixture(scope="module")
def two_runs(
    finished_template: SmallWorld, tmp_path_factory: pytest.TempPathFactory
) -> tuple[SmallWorld, Path]:
    """The finished world, and its gallery audited with other and more samples. Never to be changed."""
    world = finished_template.copy(tmp_path_factory.mktemp("two") / "world")
    other = world.spec("other", seed=9, samples=OTHER_SAMPLES)
    assert main(["audit", str(world.folder / "other.yaml")]) == ExitCode.OK
    return world, Path(other.output)


def finished(folder: Path) -> FinishedRun:
    return read_finished(RunStore(str(folder)))


def changed_copy(run: Path, folder: Path, change: dict[str, Any]) -> FinishedRun:
    """A copy of the run whose `results.json` has other values, by dotted name."""
    shutil.copytree(run, folder)
    results = json.loads((folder / RESULTS_FILE).read_text(encoding="utf-8"))
    for name, value in change.items():
        *path, last = name.split("/")
        place = results
        for part in path:
            place = place[int(part) if part.isdigit() else part]
        place[last] = value
    (folder / RESULTS_FILE).write_text(json.dumps(results), encoding="utf-8")
    return finished(folder)


def test_two_runs_are_put_side_by_side(
    two_runs: tuple[SmallWorld, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world, other = two_runs
    capsys.readouterr()
    assert main(["compare", str(world.run), str(other), "--output", str(tmp_path / "out")]) == ExitCode.OK
    printed = capsys.readouterr().out
    page = require_safe((tmp_path / "out" / COMPARISON_FILE).read_text(encoding="utf-8"))
    first, second = finished(world.run), finished(other)
    flagged = len(second.headline.flagged)
    # The second run's own report says that nothing could be concluded.
    assert second.headline.verdicts[Verdict.INCONCLUSIVE] == CANDIDATES and not flagged
    sentence = (
        f"Of {CANDIDATES} people, A flags {MEMBERS}, with no verdict on 15; B reaches no verdict on anybody"
    )
    assert sentence in printed and sentence in page.text
    for name in first.headline.flagged:
        assert name[:12] in printed and name not in printed
        rates, other_rates = first.rates_by_identity()[name], second.rates_by_identity()[name]
        for hits in (rates, other_rates):
            assert f"{hits['per_million']:,.0f} ({hits['per_million_low']:,.0f} to" in page.text
    assert f"A drew 600 samples, B {OTHER_SAMPLES}" in page.text
    assert "warning: A drew 600 samples" in printed
    assert "seed 7 9" in page.text
    assert len(page.images) == 2


def test_what_it_writes_goes_to_the_current_folder(
    two_runs: tuple[SmallWorld, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, other = two_runs
    before = {path.name for path in world.run.iterdir()}
    monkeypatch.chdir(tmp_path)
    assert main(["compare", str(world.run), str(other)]) == ExitCode.OK
    names = {COMPARISON_FILE, COMPARISON_RESULT_FILE, COMPARISON_FIGURES_PREFIX}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert {path.name for path in world.run.iterdir()} == before


def test_a_program_finds_everybody_in_the_result_file_and_the_figures_beside_it(
    two_runs: tuple[SmallWorld, Path], tmp_path: Path
) -> None:
    world, other = two_runs
    assert main(["compare", str(world.run), str(other), "--reveal", "--output", str(tmp_path)]) == ExitCode.OK
    result = ComparisonResult.model_validate_json((tmp_path / COMPARISON_RESULT_FILE).read_bytes())
    assert (result.first.samples, result.second.samples) == (600, OTHER_SAMPLES) and len(result.warnings) >= 1
    assert len(result.people) == CANDIDATES
    for run, side in ((world.run, "first"), (other, "second")):
        _require_same_numbers(run, result.people, side, f"{result.score_name} of {result.recognizer}")
    page = require_safe((tmp_path / COMPARISON_FILE).read_text(encoding="utf-8"))
    embedded = {base64.b64decode(image.partition(",")[2]) for image in page.images}
    folder = tmp_path / COMPARISON_FIGURES_PREFIX
    assert embedded == {path.read_bytes() for path in folder.glob("*.svg")}
    assert {path.stem for path in folder.glob("*.png")} == {path.stem for path in folder.glob("*.svg")}


def _require_same_numbers(run: Path, people: list[ComparedPerson], side: str, score: str) -> None:
    """The result file's numbers are those of the run's tables, read without our code."""
    rows = {
        row["identity"]: row
        for row in pq.read_table(run / SCORES_FILE).to_pylist()
        if row["role"] == "candidate" and f"{row['score_name']} of {row['recognizer']}" == score
    }
    assert {person.identity for person in people} == rows.keys()
    for person in people:
        judgement, row = getattr(person, side), rows[person.identity]
        numbers = (judgement.verdict, judgement.score, judgement.p_value, judgement.q_value)
        assert numbers == tuple(row[name] for name in ("verdict", "score", "p_value", "q_value"))
        assert judgement.per_million_low <= judgement.per_million <= judgement.per_million_high


def test_everybody_is_in_one_group_and_the_flagged_come_first(two_runs: tuple[SmallWorld, Path]) -> None:
    world, other = two_runs
    comparison = compare_runs(finished(world.run), finished(other))
    sides = [(a, b) for a in (True, False) for b in (True, False)]
    names = [pair.identity for side in sides for pair in comparison.leaked(*side)]
    assert sorted(names) == sorted(pair.identity for pair in comparison.pairs) and len(names) == CANDIDATES
    flags = [sum(pair.is_leaked) for pair in comparison.pairs]
    assert flags == sorted(flags, reverse=True) and flags[MEMBERS - 1] >= 1 > flags[MEMBERS]
    for pair in comparison.pairs:
        assert pair.first["identity"] == pair.second["identity"] == pair.hits_first["identity"]


def test_nobody_is_named_without_a_reason(
    two_runs: tuple[SmallWorld, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the report's rule, of either run; both access logs keep that names were shown."""
    world, other = two_runs
    names = {pseudonym(name): name for name in (f"person-{index:03d}" for index in range(CANDIDATES))}
    shown = {names[row["identity"]] for run in (world.run, other) for row in people_at_risk(finished(run))}
    assert MEMBERS <= len(shown) < CANDIDATES
    command = ["compare", str(world.run), str(other), "--output", str(tmp_path), "--reveal"]
    capsys.readouterr()
    assert main(command) == ExitCode.OK
    page = (tmp_path / COMPARISON_FILE).read_text(encoding="utf-8")
    for text in (capsys.readouterr().out, require_safe(page).text):
        assert {name for name in names.values() if name in text} == shown
        assert f"{len(shown)} people whom at least one run flags" in text
    for run in (world.run, other):
        *_, last = entries(RunStore(str(run)))
        assert (last.action, last.what["revealed"]) == ("compare", True)


def test_nobody_is_shown_where_there_is_no_reason(
    two_runs: tuple[SmallWorld, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = two_runs[1]
    above = f"scores/{finished(other).results.headline}/at_floor"
    silent = replace_p_values(changed_copy(other, tmp_path / "other", {above: []}), 0.93)
    comparison = compare_runs(silent, silent)
    assert len(comparison.pairs) == CANDIDATES and not comparison.shown
    write_comparison(comparison, RunStore(str(tmp_path)))
    capsys.readouterr()
    print_comparison(comparison)
    page = require_safe((tmp_path / COMPARISON_FILE).read_text(encoding="utf-8")).text
    for text in (capsys.readouterr().out, page):
        assert "Nobody is shown, as nobody has a p-value of 0.05 or less in either run." in text
        assert not [row for row in comparison.pairs if row.identity[:12] in text]


def test_a_run_compared_with_itself_has_no_difference(two_runs: tuple[SmallWorld, Path]) -> None:
    world, _ = two_runs
    comparison = compare_runs(finished(world.run), finished(world.run))
    assert not any(pair.has_changed or pair.more_often for pair in comparison.pairs)
    assert comparison.warnings == [
        "Both runs drew the same samples as far as both go: they are not independent."
    ]
    assert len(comparison.leaked(True, True)) == MEMBERS


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"gallery_fingerprint/gallery.photos": "0" * 64}, "gallery.photos differs"),
        ({"gallery_fingerprint/faces.recognizers.tiny.sha256": "0" * 64}, "recognizers.tiny.sha256 differs"),
        ({"headline": 1}, "the first is judged by max of tiny, the second by topk_mean of tiny"),
        ({"spec/membership/fdr": 0.1}, "membership.fdr is 0.05 in the first, 0.1 in the second"),
        ({"spec/membership/topk": 8}, "membership.topk is 4 in the first, 8 in the second"),
        ({"power/groups/0/photos": 1}, "people are calibrated in other groups"),
    ],
)
def test_runs_whose_numbers_mean_other_things_are_refused(
    two_runs: tuple[SmallWorld, Path], tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    world, _ = two_runs
    other = changed_copy(world.run, tmp_path / "other", change)
    with pytest.raises(WrongRunError, match="cannot be compared") as caught:
        compare_runs(finished(world.run), other)
    assert reason in str(caught.value)


def test_a_refusal_is_one_line_and_writes_nothing(
    two_runs: tuple[SmallWorld, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world, _ = two_runs
    other = changed_copy(world.run, tmp_path / "other", {"spec/membership/topk": 8})
    capsys.readouterr()
    code = main(["compare", str(world.run), other.store.location, "--output", str(tmp_path / "out")])
    printed = capsys.readouterr()
    assert code == ExitCode.REFUSED and printed.err.count("\n") == 1 and not printed.out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"gallery_fingerprint/version.onnxruntime": "1.0"}, "Other versions were at work, of onnxruntime."),
        ({"fingerprint/faces.landmarks": "elsewhere"}, "found otherwise: faces.landmarks differ."),
    ],
)
def test_what_a_reader_must_know_is_told(
    two_runs: tuple[SmallWorld, Path], tmp_path: Path, change: dict[str, Any], sentence: str
) -> None:
    world, _ = two_runs
    other = changed_copy(world.run, tmp_path / "other", change)
    assert any(sentence in warning for warning in compare_runs(finished(world.run), other).warnings)


def test_another_detection_rate_is_told_of_other_samples_only(
    two_runs: tuple[SmallWorld, Path], tmp_path: Path
) -> None:
    world, other = two_runs
    with_faces = {"samples/detection_rate": 1.0}
    half = {
        "samples/outcomes": {"ok": OTHER_SAMPLES // 2, "no_face": OTHER_SAMPLES // 2},
        "samples/detection_rate": 0.5,
    }
    first = changed_copy(world.run, tmp_path / "first", with_faces)
    second = changed_copy(other, tmp_path / "second", half)
    sentence = "The share of samples with a face differs"
    assert any(sentence in warning for warning in compare_runs(first, second).warnings)
    same = changed_copy(world.run, tmp_path / "same", half | {"samples/rows": OTHER_SAMPLES})
    assert not any(sentence in warning for warning in compare_runs(first, same).warnings)


def pair_with(
    first: tuple[float, float], second: tuple[float, float], margins: tuple[float, float] = (0.2, 0.2)
) -> PersonPair:
    sides = [
        {"per_million_low": low, "per_million_high": high, "least_margin": margin}
        for (low, high), margin in zip((first, second), margins, strict=True)
    ]
    return PersonPair("anna", {}, {}, *sides)


def test_who_is_hit_more_often_is_said_only_if_the_intervals_are_apart() -> None:
    assert pair_with((5, 9), (1, 4)).more_often == "A"
    assert pair_with((1, 4), (5, 9)).more_often == "B"
    assert pair_with((1, 5), (5, 9)).more_often == ""
    assert pair_with((5, 9), (1, 4), (0.2, 0.25)).more_often == "", "a hit is not the same in both"


def test_hits_of_other_margins_are_not_compared(two_runs: tuple[SmallWorld, Path], tmp_path: Path) -> None:
    world, _ = two_runs
    first = finished(world.run)
    shutil.copytree(world.run, tmp_path / "other")
    assert first.least_margin is not None
    other = with_least_margin(tmp_path / "other", first.least_margin + 0.125)
    (warning,) = (line for line in compare_runs(first, other).warnings if "rates of hits" in line)
    assert f"by {first.least_margin:g} or more in A, by {other.least_margin:g} or more in B" in warning
    with pytest.raises(WrongRunError, match="the second is judged by version"):
        compare_runs(first, with_least_margin(tmp_path / "other", None))


def with_least_margin(run: Path, margin: float | None) -> FinishedRun:
    """The run with another margin of a hit, or with none, as version 0.1 has left it."""
    store = RunStore(str(run))
    table = store.read_table(OVER_REPRESENTATION_FILE).drop_columns("least_margin")
    if margin is not None:
        table = table.append_column("least_margin", pa.array([margin] * len(table)))
    store.write_table(OVER_REPRESENTATION_FILE, table, store.read_footer(OVER_REPRESENTATION_FILE))
    return finished(run)


def test_hostile_names_are_only_text(
    two_runs: tuple[SmallWorld, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world, other = two_runs
    names: dict[str, str] = {}

    def shown(identity: str) -> str:
        return names.setdefault(identity, HOSTILE[len(names) % len(HOSTILE)])

    second = changed_copy(other, tmp_path / "other", {"name": HOSTILE[0], "fingerprint/seed": HOSTILE[4]})
    comparison = compare_runs(finished(world.run), second)
    write_comparison(comparison, RunStore(str(tmp_path)), shown=shown)
    source = (tmp_path / COMPARISON_FILE).read_text(encoding="utf-8")
    page = require_safe(source)
    assert "onerror=alert(1)" in page.text and "=cmd()" in page.text
    assert "\u202e" not in source and "\\u202egpj" in page.text
    capsys.readouterr()
    print_comparison(comparison, shown=lambda identity: "[bold]\x1b[2J\u202e" if shown(identity) else "")
    printed = capsys.readouterr().out
    assert "\x1b[2J" not in printed and "\u202e" not in printed and "[bold]" in printed
