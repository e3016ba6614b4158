"""No sentence that is printed says more than is known."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from distributed.storage.results_file import read_results
from distributed.storage.store import RunStore
from jobs.__main__ import main
from jobs.api.reporting import write_report
from jobs.cli.exit_codes import ExitCode
from jobs.cli.findings import summary_lines
from jobs.pages.comparison.content import measures_table
from jobs.pages.comparison.content import summary_of as comparison_of
from jobs.pages.comparison.run_comparison import RunComparison, compare_runs
from jobs.pages.finished_run import FinishedRun, read_finished
from jobs.pages.page import GOOD, OPEN, Summary
from jobs.pages.report.summary import summary_of
from jobs.schedule.summary import summary as night_lines
from schemas.run.artefacts import REPORT_FILE, RESULTS_FILE, SCORES_FILE
from schemas.run.checks import RoleTestResult
from schemas.run.nights import FleetReport
from schemas.run.results import (
    AuditResults,
    CeilingResult,
    OverRepresentedResult,
    PopulationResult,
)
from schemas.run.tables import Verdict
from schemas.wording import plain
from tests.jobs.pages.test_report import change_results, counts, headline_with
from tests.support.nights import write_fleet
from tests.support.pages import Page
from tests.support.people import pseudonym
from tests.support.small_world import CANDIDATES, MEMBERS, SmallWorld

SHARE = 7.28e-5
OF_FLAGS = ("by chance", "Of all whom", "who is flagged", "Lookalikes", "says which people", "of the flagged")
COUNTED: dict[str, Any] = {
    "recognizer": "tiny",
    "samples": 8192,
    "collisions": 7_702_765,
    "estimate": 4.16,
    "low": 3.69,
    "high": 4.43,
    "closure": 0.97,
    "least_closure": 0.82,
    "crowds": [{"sample_id": 7, "samples": 300, "share": 0.04}],
}
MIXED = COUNTED | {"low": None, "high": None, "closure": 0.656}


def run_of(world: SmallWorld) -> FinishedRun:
    return read_finished(RunStore(str(world.run)))


def terminal(world: SmallWorld) -> str:
    results = read_results(RunStore(str(world.run)))
    return "\n".join(summary_lines(results, results.scores[results.headline]))


def first_screen(world: SmallWorld) -> str:
    summary = summary_of(run_of(world), with_faces=False)
    return plain(
        "\n".join([summary.verdict, summary.counts, *said(summary), *summary.open_questions, summary.warning])
    )


def said(summary: Summary) -> list[str]:
    """Each statement with what it holds for."""
    return [f"{statement.label}: {statement.whole}" for statement in summary.certainty]


def page_of(world: SmallWorld) -> str:
    write_report(RunStore(str(world.run)))
    return plain(Page((world.run / REPORT_FILE).read_text(encoding="utf-8")).text)


def with_nobody_flagged(world: SmallWorld, leaked: int, silent: int, missing: int) -> AuditResults:
    """In `results.json`; in the tables everybody has the most frequent of the verdicts."""
    verdict = max(Verdict, key=lambda kind: counts(leaked, silent, missing)[kind])
    store = RunStore(str(world.run))
    table = store.read_table(SCORES_FILE)
    for name, value in (("verdict", str(verdict)), ("reason", "too few")):
        place = table.schema.get_field_index(name)
        column = [value if role == "candidate" else None for role in table["role"].to_pylist()]
        table = table.set_column(place, table.schema.field(place), [column])
    store.write_table(SCORES_FILE, table, store.read_footer(SCORES_FILE))
    change_results(world, evidence=[])
    return headline_with(
        world,
        verdicts=counts(leaked, silent, missing),
        flagged=[],
        flagged_fdp_bound=None,
        least_members=0,
        inconclusive_reasons={"too few": missing} if missing else {},
        detectable_share=SHARE if silent else None,
    )


def test_who_resembles_a_flagged_person_is_remarked_on_and_judged_as_before(
    finished_world: SmallWorld,
) -> None:
    headline = read_results(RunStore(str(finished_world.run))).scores[0]
    other, name = headline.flagged[0], pseudonym("person-010")
    results = headline_with(finished_world, resembles={name: other})
    counted = f"{headline.verdicts[Verdict.INCONCLUSIVE]} inconclusive"
    remark = f"nearest to {name[:12]}, who is not flagged, fit {other[:12]}, who is flagged, better"
    (line,) = (line for line in terminal(finished_world).splitlines() if name[:12] in line)
    assert line.startswith("remark: ") and remark in line and counted in terminal(finished_world)
    unnamed = "\n".join(summary_lines(results, results.scores[0], named=False))
    assert "as their nearest samples fit a flagged person better: 1" in unnamed
    assert name[:12] not in unnamed and other[:12] not in unnamed


def test_how_many_leaked_at_least_is_said_also_where_nobody_is_flagged(finished_world: SmallWorld) -> None:
    headline = read_results(RunStore(str(finished_world.run))).scores[0]
    assert headline.least_members is not None and 1 <= headline.least_members <= MEMBERS
    least = f"at least {headline.least_members} of {CANDIDATES}"
    assert f"{least} people leaked, whether flagged or not, if" in first_screen(finished_world)
    assert f"{least} people leaked, whether flagged or not [1]" in terminal(finished_world)
    with_nobody_flagged(finished_world, 0, 0, CANDIDATES)
    assert "people leaked" not in first_screen(finished_world)
    headline_with(finished_world, least_members=2, flagged=[])
    text = terminal(finished_world) + first_screen(finished_world)
    assert "at least 2 of 20 people leaked, although this audit cannot say who, if" in text
    assert text.count("at least 2 of 20 people leaked, although this audit cannot say who") == 2
    assert "flagged or not" not in text


def test_what_a_hit_is_stands_once_beside_who_is_over_represented(finished_world: SmallWorld) -> None:
    of_hits = {
        "recognizer": "tiny",
        "hits": 7,
        "per_million": {"value": 7.0, "low": 5.0, "high": 9.0},
        "expected_per_million": 1.0,
        "ratio": 7.0,
        "model_p_value": 0.001,
        "least_margin": 0.15,
    }
    people = [of_hits | {"identity": pseudonym(f"person-00{index}")} for index in range(2)]
    change_results(
        finished_world, over_represented=[OverRepresentedResult.model_validate(person) for person in people]
    )
    text = terminal(finished_world)
    assert text.count("over-represented: ") == 2 and text.count("hit by 7 per million samples") == 2
    assert text.count("fits the person better than anybody else by 0.15 or more") == 1


@pytest.mark.parametrize(
    ("among_flagged", "whom"),
    [(True, "4 others flagged or with more hits than any non-member"), (False, "as nobody else is flagged")],
)
def test_whom_the_over_represented_are_held_against(
    finished_world: SmallWorld, among_flagged: bool, whom: str
) -> None:
    name = pseudonym("person-001")
    person = {
        "identity": name,
        "recognizer": "tiny",
        "hits": 70,
        "per_million": {"value": 7.0, "low": 5.0, "high": 9.0},
        "expected_per_million": 1.0,
        "ratio": 7.0,
        "model_p_value": 0.001,
        "least_margin": 0.15,
        "least_times": 5.29,
        "others": 4,
        "among_flagged": among_flagged,
    }
    change_results(
        finished_world,
        over_represented=[OverRepresentedResult.model_validate(person)],
        more_than_cohort=[name],
    )
    text = terminal(finished_world)
    assert "with 95 % confidence at least 5.2 times as often as the median of 4 others" in text
    assert whom in text
    assert f"more hits than any non-member, by a model of the cohort's tail: {name[:12]}" in text


def with_power(world: SmallWorld, **changes: Any) -> None:
    power = read_results(RunStore(str(world.run))).power
    change_results(world, power=power.model_copy(update=changes))


@pytest.mark.parametrize("verdicts", [(0, 0, 20), (0, 20, 0), (0, 17, 3)])
def test_no_sentence_is_about_flags_where_nobody_is_flagged(
    finished_world: SmallWorld, verdicts: tuple[int, int, int]
) -> None:
    with_nobody_flagged(finished_world, *verdicts)
    text = terminal(finished_world) + first_screen(finished_world)
    assert not [flag for flag in OF_FLAGS if flag in text]
    assert "This report flags nobody" in text
    assert "People flagged as leaked" not in page_of(finished_world)


def test_not_detected_names_a_share_and_its_condition_wherever_it_is_said(finished_world: SmallWorld) -> None:
    with_nobody_flagged(finished_world, 0, CANDIDATES, 0)
    assert summary_of(run_of(finished_world), with_faces=False).tone == GOOD
    for text in (terminal(finished_world), first_screen(finished_world)):
        assert "in 72.8 or more of a million compared samples" in text
        assert "by the score max and if samples resemble people as their photos do" in text
    assert "had the power" not in page_of(finished_world)


CEILING: dict[str, Any] = {
    "recognizer": "tiny",
    "people": CANDIDATES,
    "share": 1 / 1003.9,
    "reason": None,
    "recognised": 0.95,
    "match_rate": 0.9,
    "likeness": 0.8,
    "likeness_source": "assumed",
}


def test_what_nobody_exceeds_is_said_with_its_condition_or_why_not(finished_world: SmallWorld) -> None:
    change_results(finished_world, ceiling=CeilingResult.model_validate(CEILING))
    whom = f"none of the {CANDIDATES} people who are not flagged"
    for text in (terminal(finished_world), first_screen(finished_world)):
        assert f"{whom} is in more than 1 of 1,003 compared samples, unless the recogniser matches" in text
        assert "if samples show at least 80 %" in text
    unknown = CEILING | {"share": None, "reason": "3 have two photos"}
    change_results(finished_world, ceiling=CeilingResult.model_validate(unknown))
    for text in (terminal(finished_world), first_screen(finished_world)):
        assert "among the samples at most: 3 have two photos" in text


def test_sides_that_templates_tell_apart_are_told_of(
    finished_world: SmallWorld,
) -> None:
    sentence = (
        "told apart by their templates alone, by a linear classifier (AUC 0.63 where 0.50 is chance, p 0.002)"
    )
    with_nobody_flagged(finished_world, 0, CANDIDATES, 0)
    for warns in (False, True):
        test = RoleTestResult(auc=0.631, p_value=0.002, warns=warns)
        change_results(finished_world, roles=test)
        for text in (terminal(finished_world), first_screen(finished_world)):
            assert (sentence in text) is warns
        tone = summary_of(run_of(finished_world), with_faces=False).tone
        assert tone == (OPEN if warns else GOOD)
        assert "templates, by a linear classifier of roles AUC 0.63" in page_of(finished_world)


def test_an_error_rate_has_its_condition(finished_world: SmallWorld) -> None:
    condition = "if candidates who did not leak are exchangeable with the cohort"
    labels = ("False flags, on average over such audits", "False flags here", "How many at least")
    *marked, last = [line for line in terminal(finished_world).splitlines() if "[1]" in line]
    assert [line.split(":")[0].lower() for line in marked] == [label.lower() for label in labels]
    assert last == f"[1] {condition}"
    conditional = [statement for statement in said(summary_of(run_of(finished_world), with_faces=False))]
    assert sum(condition in statement for statement in conditional) == len(labels)
    assert page_of(finished_world).count(condition[3:]) >= 1


def test_of_power_no_more_is_said_than_the_cohort_gives(finished_world: SmallWorld) -> None:
    """Here the cohort is too small to flag one alone; and then it is large enough, but has no two photos."""
    power = read_results(RunStore(str(finished_world.run))).power
    assert power.flaggable_from == 4 and power.match_rate == 0.0
    assert [share.power for share in power.shares] == [0.0] * len(power.shares)
    assert set(power.share_for_power.values()) == {None}
    assert "would be flagged alone" not in terminal(finished_world)
    assert "cannot flag fewer than 4 people" in first_screen(finished_world)
    storeys = "Storey's, which was used, may flag fewer people together"
    assert storeys in first_screen(finished_world)
    headline_with(finished_world, correction="bh")
    assert storeys not in first_screen(finished_world)
    with_power(finished_world, flaggable_from=None)
    assert "cannot flag anybody, however strong" in first_screen(finished_world)
    unknown = [share.model_copy(update={"power": None}) for share in power.shares]
    with_power(finished_world, flaggable_from=1, match_rate=None, shares=unknown)
    assert "is not known" in first_screen(finished_world)
    assert "1,000 per million unknown" in page_of(finished_world)
    with_power(finished_world, match_rate=0.9, share_for_power={"0.95": 1.2345e-4})
    for text in (terminal(finished_world), first_screen(finished_world)):
        assert "124 of a million compared samples" in text
        assert "if samples show at least 60 % of what a photo shows of a person, which is assumed" in text


@pytest.mark.parametrize(("counted", "interval"), [(COUNTED, True), (MIXED, False)])
def test_people_are_counted_with_an_interval_only_where_matches_tell_them_apart(
    finished_world: SmallWorld, counted: dict[str, Any], interval: bool
) -> None:
    change_results(finished_world, population=PopulationResult.model_validate(counted))
    compared = measures_table(compare_runs(run_of(finished_world), run_of(finished_world)))
    for text in (
        terminal(finished_world),
        page_of(finished_world),
        plain(" ".join(cell for row in compared.rows for cell in row)),
    ):
        assert "about 4.2 of what tiny takes for different people" in text
        assert "different people (95" not in text, "of people nothing is known"
        assert ("(95 %: 3.7 to 4.4, if samples match as photos do)" in text) == interval
        assert ("65.6 % match each other, where of people at least 82 % would" in text) != interval


def compared(world: SmallWorld, folder: Path, verdicts: tuple[int, int, int]) -> RunComparison:
    """The finished world, and itself with nobody flagged, and these verdicts."""
    other = world.copy(folder / "other")
    with_nobody_flagged(other, *verdicts)
    return compare_runs(run_of(world), run_of(other))


@pytest.mark.parametrize(
    ("verdicts", "sentence"),
    [
        ((0, 0, 20), "B reaches no verdict on anybody."),
        ((0, 17, 3), "B flags nobody, with no verdict on 3."),
        ((0, 20, 0), "B detects nobody."),
    ],
)
def test_a_comparison_says_no_more_than_the_runs_do(
    finished_world: SmallWorld, tmp_path: Path, verdicts: tuple[int, int, int], sentence: str
) -> None:
    comparison = comparison_of(compared(finished_world, tmp_path, verdicts))
    assert comparison.verdict == f"Of {CANDIDATES} people, A flags 5, with no verdict on 15; {sentence}"
    statements = " ".join([*said(comparison), *comparison.open_questions])
    assert "if candidates who did not leak are exchangeable with the cohort" in statements
    assert ("Not detected by B: had this person been in 72.8" in statements) == (verdicts[1] > 0)


def test_a_comparison_without_a_flag_says_nothing_of_flags(
    finished_world: SmallWorld, tmp_path: Path
) -> None:
    silent = compared(finished_world, tmp_path, (0, 0, 20)).second
    comparison = comparison_of(compare_runs(silent, silent))
    sides = "A reaches no verdict on anybody; B reaches no verdict on anybody"
    assert comparison.verdict == f"Of {CANDIDATES} people, {sides}."
    statements = " ".join([*said(comparison), *comparison.open_questions, comparison.warning])
    assert "Flagged in one run only" not in statements and "Neither run flags anybody" in statements


def test_plan_and_results_agree_on_what_the_cohort_allows(
    finished_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    """No photo was refused, so plan knows as much as the run of all but the match rate."""
    power = read_results(RunStore(str(finished_world.run))).power
    assert main(["plan", str(finished_world.spec_path())]) == ExitCode.OK
    printed = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert printed.split("Next: ")[1].startswith("idleak audit ")
    assert f"unless {power.flaggable_from} or more of the {power.candidates} candidates" in printed
    lacking = f"{power.cohort_needed_for_one - power.cohort} more than the {power.cohort} there"
    assert f"a cohort of {power.cohort_needed_for_one} identities: {lacking}" in printed
    assert "flagged alone, at most never: the cohort is too small" in printed
    assert "counted by Benjamini-Hochberg; Storey's, where it is valid, may flag fewer" in printed
    assert {share.power for share in power.shares} == {0.0}


def test_plan_allows_for_the_correction(small_world: SmallWorld, capsys: pytest.CaptureFixture[str]) -> None:
    membership = {"scores": ["max"], "topk": 4, "fdr": 0.2, "correction": "by"}
    assert main(["plan", str(small_world.spec_path(membership=membership))]) == ExitCode.OK
    printed = " ".join(capsys.readouterr().out.replace("│", " ").split())
    # 20 · (1 + 1/2 + … + 1/20) / 0.2 − 1
    assert "a cohort of 359 identities" in printed and "unless 3 or more of the 20" in printed
    assert "Storey" not in printed


def test_a_night_that_did_not_take_place_is_no_night_without_findings(small_world: SmallWorld) -> None:
    fleet = write_fleet(small_world)
    refused = {"key": "gan", "status": "refused", "message": "another process is at work"}
    report = FleetReport.model_validate(
        {
            "fleet": "ours",
            "night": date(2026, 11, 1),
            "started": "now",
            "seconds": 1.0,
            "exit_code": 5,
            "audits": [refused],
        }
    )
    assert night_lines(fleet, report)[0].endswith("no new finding; 1 of 1 audits failed or were refused")


def test_results_of_another_version_are_called_that(
    finished_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    path = finished_world.run / RESULTS_FILE
    path.write_text(path.read_text().replace('"detectable_share"', '"other"'))
    assert main(["report", str(finished_world.run)]) == ExitCode.DAMAGED
    assert "is damaged, or of another version of idleak" in capsys.readouterr().err
