"""`idleak explore --judge`: reviewers compare faces without knowing verdicts, and the report counts it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from distributed.storage.store import RunStore
from distributed.storage.trail import entries, replay
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from jobs.cli.runs import existing_run
from jobs.pages.explorer.faces import Faces
from jobs.pages.explorer.gate import Gate
from jobs.pages.explorer.pairs import draw_pairs
from jobs.pages.explorer.tables import Explorer
from jobs.pages.judgements import keep_judgement, read_judgements
from jobs.pages.report.judgements import judgements_section
from schemas.judgements import Decision, Group, JudgedPair, Judgement, Judgements
from schemas.run.artefacts import NEIGHBOURS_FILE
from tests.support.exploring import PAIRS, served, visitor
from tests.support.pages import Page
from tests.support.small_world import MEMBERS, SmallWorld


def drawn(run: Path, count: int = PAIRS) -> list[JudgedPair]:
    explorer = Explorer(RunStore(str(run)))
    try:
        return list(draw_pairs(explorer, count))
    finally:
        explorer.close()


def form_of(client: httpx.Client, pair: int) -> dict[str, str]:
    """The hidden fields of a pair's form."""
    inputs = [
        attributes
        for tag, attributes in Page(client.get("/", params={"pair": pair}).text).tags
        if tag == "input"
    ]
    return {str(each["name"]): str(each["value"]) for each in inputs}


def send(
    client: httpx.Client, gate: Gate, form: Mapping[str, str], origin: str | None = None
) -> httpx.Response:
    headers = {"Origin": origin or f"http://127.0.0.1:{gate.port}"}
    return client.post("/", data=dict(form), headers=headers, follow_redirects=False)


def test_pairs_mix_the_groups_in_an_order_that_is_always_the_same(finished_template: SmallWorld) -> None:
    pairs = drawn(finished_template.run)
    assert pairs == drawn(finished_template.run)
    assert Counter(pair.group for pair in pairs) == dict.fromkeys(Group, MEMBERS)
    assert [pair.group for pair in pairs] != sorted(pair.group for pair in pairs)
    assert len({pair.identity for pair in drawn(finished_template.run, 1000)}) == 140
    rows = RunStore(str(finished_template.run)).read_table(NEIGHBOURS_FILE).to_pylist()
    for pair in pairs:
        of_person = [row for row in rows if row["identity"] == pair.identity]
        best = min(of_person, key=lambda row: (-row["similarity"], row["sample_id"]))
        assert pair.sample_id == best["sample_id"]


def test_a_reviewer_sees_no_name_side_or_verdict(finished_world: SmallWorld) -> None:
    store = RunStore(str(finished_world.run))
    with (
        served(finished_world.run, faces=Faces(store), judge="anna") as gate,
        visitor(gate) as client,
    ):
        for pair in drawn(finished_world.run):
            page = client.get("/", params={"pair": pair.number})
            assert page.status_code == 200 and pair.identity[:12] not in page.text
            images = Page(page.text).images
            assert len(images) == 3 and not any(str(pair.sample_id) == part for part in images)
            shown = page.text.split('<p class="quiet">Keys')[0]
            assert not any(
                word in shown for word in ("leaked", "cohort", "candidate", "similarity", "q_value")
            )
        for path in ("/pair/photo.png?pair=1&photo=1", "/pair/sample.png?pair=1"):
            assert client.get(path).content[:4] == b"\x89PNG"
        person = pair.identity
        for path in (f"/identity?id={person}", "/sample?id=0", "/sample.png?id=0", "/?role=cohort"):
            assert client.get(path).status_code in (400, 404)
        assert client.get("/pair/photo.png?pair=1&photo=2").status_code == 404
        assert client.get("/?pair=16").status_code == 400


def test_decisions_are_kept_in_the_run_and_its_audit_log(finished_world: SmallWorld) -> None:
    store = RunStore(str(finished_world.run))
    with (
        served(finished_world.run, faces=Faces(store), judge="anna") as gate,
        visitor(gate) as client,
    ):
        answer = send(client, gate, form_of(client, 1) | {"decision": "same"})
        assert answer.status_code == 303 and answer.headers["Location"] == "/?pair=2"
        assert send(client, gate, form_of(client, 1) | {"decision": "unsure"}).status_code == 303
        assert "Pair 2:" in client.get("/").text
    (anna,) = read_judgements(store)
    assert anna.reviewer == "anna"
    assert [(each.pair, each.decision) for each in anna.judgements] == [
        (drawn(finished_world.run)[0], Decision.UNSURE)
    ]
    logged = [entry for entry in entries(store) if entry.action == "reviewed"]
    assert [(entry.what["pair"], entry.what["decision"]) for entry in logged] == [(1, "same"), (1, "unsure")]
    assert anna.judgements[0].pair.identity not in json.dumps([entry.what for entry in logged])
    assert list(replay(store)) == []


def test_nothing_is_kept_that_another_page_sends(finished_world: SmallWorld) -> None:
    store = RunStore(str(finished_world.run))
    with (
        served(finished_world.run, faces=Faces(store), judge="anna") as gate,
        visitor(gate) as client,
        httpx.Client(base_url=f"http://127.0.0.1:{gate.port}") as stranger,
    ):
        form = form_of(client, 1) | {"decision": "same"}
        assert send(client, gate, form, origin="http://attacker.example").status_code == 403
        assert send(client, gate, form, origin="null").status_code == 403
        assert client.post("/", data=form).status_code == 403
        assert send(client, gate, form | {"token": "guessed"}).status_code == 403
        assert send(client, gate, form | {"decision": "maybe"}).status_code == 400
        assert send(client, gate, form | {"pair": "16"}).status_code == 400
        assert send(client, gate, form | {"token": "x" * 5000}).status_code in (400, 413)
        assert send(stranger, gate, form).status_code == 403
        assert client.put("/").status_code == 405
        assert client.post("/pair/sample.png", data=form).status_code in (403, 405)
    assert read_judgements(store) == []


def judged(reviewer: str, *decisions: tuple[Group, str]) -> Judgements:
    pairs = [
        JudgedPair(number=number, identity=f"{number:032x}", sample_id=number, group=group)
        for number, (group, _) in enumerate(decisions, start=1)
    ]
    kept = [
        Judgement(pair=pair, decision=Decision(decision), when="2030-01-01")
        for pair, (_, decision) in zip(pairs, decisions, strict=True)
    ]
    return Judgements(reviewer=reviewer, judgements=kept)


def test_the_report_counts_by_group_and_says_how_well_reviewers_agree() -> None:
    groups = [Group.FLAGGED] * 4 + [Group.COHORT] * 4
    anna = judged("anna", *zip(groups, ["same"] * 4 + ["different"] * 4, strict=True))
    ben = judged("ben", *zip(groups, ["same"] * 3 + ["different"] * 5, strict=True))
    section = judgements_section([anna, ben])
    rows = {tuple(row[:2]): row[2:] for row in section.tables[0].rows}
    # By the exact binomial distribution, the lower bound of 4 of 4 is 0.025 ** (1 / 4).
    assert rows["anna", "flagged candidates"] == [
        "4",
        "4",
        "0",
        "0",
        "100\u00a0% (39.8\u00a0% to 100\u00a0%)",
    ]
    assert rows["anna", "other candidates"] == ["0", "0", "0", "0", ""]
    assert rows["ben", "flagged candidates"][:4] == ["4", "3", "1", "0"]
    # Observed 7/8; expected (4 * 3 + 4 * 5) / 64 = 1/2; so (7/8 - 1/2) / (1/2) = 0.75.
    assert "87.5\u00a0%, Cohen's κ 0.75" in section.text[1]
    alike = judgements_section([judged("a", (Group.COHORT, "same")), judged("b", (Group.COHORT, "same"))])
    assert "undefined" in alike.text[1]


def test_the_report_shows_it_and_an_erasure_deletes_it(finished_world: SmallWorld) -> None:
    store = existing_run(str(finished_world.run))
    for pair in drawn(finished_world.run)[:3]:
        keep_judgement(store, "anna", pair, Decision.SAME)
    assert main(["report", str(finished_world.run)]) == ExitCode.OK
    assert "What reviewers saw" in (finished_world.run / "report.html").read_text(encoding="utf-8")
    assert main(["verify", str(finished_world.run)]) == ExitCode.OK
    assert main(["purge", str(finished_world.run), "--identity", "person-019", "--yes"]) == ExitCode.OK
    assert read_judgements(store) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--judge", " "], "reviewer's name"), (["--judge", "anna", "--reveal"], "--reveal")],
)
def test_who_judges_is_named_and_blind(
    finished_template: SmallWorld, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explore", str(finished_template.run), *options]) == ExitCode.BAD_SPEC
    assert said in capsys.readouterr().err


def test_a_reviewer_judges_in_a_browser_by_keys(
    finished_world: SmallWorld, browser: webdriver.Chrome
) -> None:
    store, decisions = RunStore(str(finished_world.run)), list(Decision)
    wait = WebDriverWait(browser, 20, ignored_exceptions=[StaleElementReferenceException])

    def wait_for(text: str) -> None:
        wait.until(lambda _: text in browser.find_element(By.TAG_NAME, "main").text)

    with served(finished_world.run, faces=Faces(store), judge="anna", pairs=len(decisions)) as gate:
        browser.get(gate.url)
        for number, decision in enumerate(decisions, start=1):
            wait_for(f"Pair {number}:")
            browser.find_element(By.CSS_SELECTOR, f"button[accesskey='{decision[0]}']").send_keys("\n")
        wait_for("All pairs are judged")
    (anna,) = read_judgements(store)
    assert [each.decision for each in anna.judgements] == decisions
