"""Nights of a real, miniature fleet. Most tests have a copy of a world whose first night is done."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from distributed.storage.results import read_results
from distributed.storage.store import RunStore
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from jobs.nightly import Auditor, accept_night, run_fleet
from jobs.schedule.night import do_night
from jobs.schedule.state import NightState
from schemas.fingerprint import Fingerprint
from schemas.run.nights import Comparison, FleetReport, NightRecord, ReportEntry
from schemas.run.tables import Verdict
from schemas.spec.audit import AuditSpec
from schemas.spec.fleet import Fleet, load_fleet
from tests.distributed.storage.test_lock import hold
from tests.end_to_end.test_resume import wait_for
from tests.support.in_process import tasks_in_process
from tests.support.models import tiny_generator
from tests.support.people import pseudonym, pseudonyms
from tests.support.processes import finish, start_job
from tests.support.recognisable_world import make_recognisable, reencode
from tests.support.small_world import COHORT, DIM, MEMBERS, SmallWorld, file_bytes

pytestmark = pytest.mark.usefixtures("in_process")

ROOT = Path(__file__).resolve().parents[3]
FIRST = date(2026, 11, 1)
SAMPLES, MORE = 600, 200
PEOPLE = set(pseudonyms(f"person-{index:03d}" for index in range(MEMBERS)))
# It writes its input to a new file for each call.
HOOK = """
import json, pathlib, sys
calls = len(list(pathlib.Path(".").glob("told-*.json")))
call = {"arguments": sys.argv[1:], "report": json.load(sys.stdin)}
pathlib.Path(f"told-{calls}.json").write_text(json.dumps(call))
"""
# At this rate a cohort of 120 is enough to flag five of twenty on the first nights of a ledger.
MEMBERSHIP = {"scores": ["max"], "topk": 4, "fdr": 0.2}


def night(number: int) -> date:
    return FIRST + timedelta(days=number - 1)


def write_fleet(world: SmallWorld, hook: str = "hook.py", **changes: Any) -> Fleet:
    """The fleet of one audit; changes: of the audit's keys."""
    world.spec_path(membership=MEMBERSHIP)
    audit = {"key": "gan", "spec": "audit.yaml"} | changes
    fleet = {"name": "ours", "state": "nightly", "hook": [sys.executable, hook], "audits": [audit]}
    (world.folder / "fleet.yaml").write_text(yaml.safe_dump(fleet), encoding="utf-8")
    (world.folder / "hook.py").write_text(HOOK, encoding="utf-8")
    return load_fleet(world.folder / "fleet.yaml")


@pytest.fixture(scope="module")
def first_template(world_template: SmallWorld, tmp_path_factory: pytest.TempPathFactory) -> SmallWorld:
    """A world whose first night is done. Never to be changed."""
    world = world_template.copy(tmp_path_factory.mktemp("nightly") / "world")
    with tasks_in_process():
        assert run_fleet(write_fleet(world), FIRST) == ExitCode.NEW_FINDINGS
    return world


@pytest.fixture
def world(first_template: SmallWorld, tmp_path: Path) -> SmallWorld:
    """A copy of the world whose first night is done."""
    return first_template.copy(tmp_path / "world")


def state(world: SmallWorld) -> Path:
    return world.folder / "nightly" / "gan"


def record(world: SmallWorld, number: int) -> NightRecord:
    path = state(world) / "nights" / f"{night(number)}.json"
    return NightRecord.model_validate_json(path.read_bytes())


def compared(night_record: NightRecord) -> Comparison:
    assert night_record.comparison is not None, night_record.failure
    return night_record.comparison


def report(world: SmallWorld) -> ReportEntry:
    return FleetReport.model_validate_json((world.folder / "nightly" / "nightly.json").read_bytes()).audits[0]


def hook_calls(world: SmallWorld) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(world.folder.glob("told-*.json"))]


def shards(world: SmallWorld) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in state(world).glob("runs/*/samples/*.parquet")}


def settle(world: SmallWorld, **changes: Any) -> Fleet:
    """Night 2: the copied files are looked into, as their stamps are others; then a person accepts it."""
    fleet = write_fleet(world, **changes)
    assert run_fleet(fleet, night(2)) == ExitCode.NEW_FINDINGS
    assert accept_night(fleet, "gan", night(2)) == ExitCode.OK
    return fleet


def test_the_first_night_finds_whom_the_generator_leaks_and_tells_the_hook(world: SmallWorld) -> None:
    first = record(world, 1)
    assert first.outcome == "audited" and first.evidence is not None
    assert set(first.evidence.findings) >= PEOPLE
    assert {finding.identity for finding in compared(first).new} == set(first.evidence.findings)
    assert (first.evidence.samples, first.evidence.fresh, first.evidence.ledger_night) == (
        SAMPLES,
        SAMPLES,
        1,
    )
    summary = (world.folder / "nightly" / "summary.txt").read_text(encoding="utf-8")
    assert first.evidence.verdicts[Verdict.INCONCLUSIVE] == 0 and "no verdict" not in summary
    (call,) = hook_calls(world)
    assert Path(call["arguments"][0]).parts[-2:] == ("nightly", "nightly.json")
    assert set(call["report"]["audits"][0]["untold"]) == set(first.evidence.findings)
    assert "person-" not in " ".join(call["arguments"])


def test_an_unchanged_night_is_skipped_without_ray_and_told_to_nobody(world: SmallWorld) -> None:
    write_fleet(world)
    run_fleet(load_fleet(world.folder / "fleet.yaml"), night(2))
    before = file_bytes(state(world) / "runs", "**/*.*")
    code = (
        "import sys; from datetime import date; from pathlib import Path\n"
        "from jobs.nightly import run_fleet; from schemas.spec.fleet import load_fleet\n"
        "code = run_fleet(load_fleet(Path(sys.argv[1])), date.fromisoformat(sys.argv[2]))\n"
        "assert not {'ray', 'torch', 'faiss'} & sys.modules.keys()\n"
        "sys.exit(code)"
    )
    arguments = [sys.executable, "-c", code, str(world.folder / "fleet.yaml"), str(night(3))]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == ExitCode.NEW_FINDINGS, done.stderr
    assert "skipped, as nothing has changed" in done.stdout and "person-" not in done.stdout + done.stderr
    assert record(world, 3).outcome == "skipped"
    assert file_bytes(state(world) / "runs", "**/*.*") == before
    assert len(hook_calls(world)) == 1


def test_findings_that_a_person_accepts_are_new_no_longer(world: SmallWorld) -> None:
    fleet = settle(world)
    assert run_fleet(fleet, night(3)) == ExitCode.OK
    third = compared(record(world, 3))
    assert not third.new and {finding.identity for finding in third.known} >= PEOPLE
    assert third.accepted == night(2) and len(hook_calls(world)) == 1


def test_a_night_adds_samples_and_makes_no_shard_again(world: SmallWorld) -> None:
    before = shards(world)
    assert (
        run_fleet(write_fleet(world, per_night=MORE, maximum=SAMPLES + MORE), night(2))
        == ExitCode.NEW_FINDINGS
    )
    after = shards(world)
    assert len(after) == len(before) + 2 and before.items() <= after.items()
    second = record(world, 2)
    assert second.evidence is not None and not second.changed
    assert (second.evidence.samples, second.evidence.fresh, second.evidence.ledger_night) == (800, MORE, 2)
    assert set(second.evidence.findings) >= PEOPLE
    # It is full now.
    assert run_fleet(load_fleet(world.folder / "fleet.yaml"), night(3)) == ExitCode.NEW_FINDINGS
    assert record(world, 3).outcome == "skipped" and shards(world) == after
    assert len(hook_calls(world)) == 1


def test_a_night_that_crashed_at_its_end_grows_no_further_and_spends_no_more(world: SmallWorld) -> None:
    fleet = write_fleet(world, per_night=MORE, maximum=1200)
    with ExitStack() as stack:
        auditor = Auditor(stack)

        def crash(spec: AuditSpec, store: RunStore, gallery: Fingerprint) -> None:
            auditor.audit(spec, store, gallery)
            raise OSError(28, "No space left on device")

        entry = do_night(fleet, fleet.entries[0], night(2), crash)
    assert entry.record is not None and entry.record.failure is not None
    assert "No space left" in entry.record.failure.detail
    after = shards(world)
    assert run_fleet(fleet, night(3)) == ExitCode.NEW_FINDINGS
    third = record(world, 3)
    assert third.missed == [] and third.evidence is not None
    assert (third.evidence.samples, third.evidence.fresh, third.evidence.ledger_night) == (800, MORE, 2)
    assert shards(world) == after


def resemble_themselves(world: SmallWorld) -> None:
    """Both photos of everybody in the cohort are alike, so that it is known how often a person is matched."""
    for folder in (world.folder / "cohort").iterdir():
        first, second = (Image.open(folder / name).convert("RGB") for name in ("0.png", "1.png"))
        Image.blend(first, second, 0.05).save(folder / "1.png")


def test_a_generator_that_begins_to_leak_is_told_of_once_and_its_repair_seen(small_world: SmallWorld) -> None:
    resemble_themselves(small_world)
    generator = small_world.folder / "generator.onnx"
    shutil.copy(generator, small_world.folder / "leaky.onnx")
    tiny_generator(generator, dim=DIM, seed=1)
    fleet = write_fleet(small_world)
    assert run_fleet(fleet, night(1)) == ExitCode.OK
    assert record(small_world, 1).accepted and not hook_calls(small_world)

    shutil.copy(small_world.folder / "leaky.onnx", generator)
    assert run_fleet(fleet, night(2)) == ExitCode.NEW_FINDINGS
    second = record(small_world, 2)
    assert second.changed == ["generator.sha256"]
    assert {finding.identity for finding in compared(second).new} >= PEOPLE and not second.accepted
    drift = {change.property for change in compared(second).drift}
    scores = {"p-values of candidates", "scores of candidates", "scores of the cohort"}
    assert drift == {"samples with a template"} | scores
    assert len(hook_calls(small_world)) == 1
    assert accept_night(fleet, "gan", night(2)) == ExitCode.OK

    tiny_generator(generator, dim=DIM, seed=1)
    assert run_fleet(fleet, night(3)) == ExitCode.OK
    third = record(small_world, 3)
    assert third.evidence is not None and third.evidence.fresh == 0
    assert {finding.identity for finding in compared(third).resolved} >= PEOPLE
    assert len(hook_calls(small_world)) == 1


@pytest.mark.slow
def test_a_person_who_leaves_the_gallery_is_gone_and_no_sample_is_made_again(world: SmallWorld) -> None:
    fleet = settle(world)
    before = shards(world)
    shutil.rmtree(world.folder / "candidates" / "person-001")
    (world.folder / "labels.csv").write_text(
        "identity,member\nperson-000,1\nperson-009,0\n", encoding="utf-8"
    )
    assert run_fleet(fleet, night(3)) in (ExitCode.OK, ExitCode.NEW_FINDINGS)
    third = record(world, 3)
    assert {"gallery.sha256", "labels.sha256"} == set(third.changed)
    assert [finding.identity for finding in compared(third).gone] == [pseudonym("person-001")]
    assert shards(world) == before
    (run,) = (state(world) / "runs").iterdir()
    assert pseudonym("person-001").encode() not in (run / "gallery.parquet").read_bytes()


def test_the_same_night_is_done_once(world: SmallWorld, capsys: pytest.CaptureFixture[str]) -> None:
    before = record(world, 1)
    fleet = write_fleet(world, per_night=MORE, maximum=SAMPLES + MORE)
    assert run_fleet(fleet, FIRST) == ExitCode.NEW_FINDINGS
    assert record(world, 1) == before and report(world).status == "done"
    assert "audited already" in capsys.readouterr().out


def test_a_night_under_way_is_not_begun_by_another_process(
    world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet = write_fleet(world)
    holder = hold(state(world))
    before = file_bytes(world.folder / "nightly", "**/*.*")
    assert run_fleet(fleet, night(2)) == ExitCode.REFUSED
    assert f"process {holder.pid} on" in capsys.readouterr().out
    assert file_bytes(world.folder / "nightly", "**/*.*") == before
    holder.communicate("", timeout=30)


def test_missed_nights_are_told_once_and_not_made_up_for(
    world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet = write_fleet(world)
    run_fleet(fleet, night(5))
    assert record(world, 5).missed == [night(2), night(3), night(4)]
    assert f"3 nights were missed, {night(2)} to {night(4)}" in capsys.readouterr().out
    run_fleet(fleet, night(6))
    assert record(world, 6).missed == [] and "were missed" not in capsys.readouterr().out
    nights = sorted(path.stem for path in (state(world) / "nights").glob("*.json"))
    assert nights == [str(night(number)) for number in (1, 5, 6)]


def test_a_clock_that_was_set_back_is_noticed(world: SmallWorld) -> None:
    assert run_fleet(write_fleet(world), night(0)) == ExitCode.REFUSED
    failure = record(world, 0).failure
    assert failure is not None and "set the clock" in failure.detail


def test_a_failed_night_names_nobody_in_the_log_and_is_tried_again(
    world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet = write_fleet(world)
    twin = world.folder / "cohort" / "person-003"
    shutil.copytree(world.folder / "candidates" / "person-003", twin)
    capsys.readouterr()
    assert run_fleet(fleet, night(2)) == ExitCode.BAD_SPEC
    printed = capsys.readouterr()
    assert f"failed: SpecError: its `failure` in {state(world)}/nights/{night(2)}.json" in printed.out
    assert "person-" not in printed.out + printed.err
    failure = record(world, 2).failure
    assert failure is not None and "person-003" in failure.detail
    shutil.rmtree(twin)
    assert run_fleet(fleet, night(2)) == ExitCode.NEW_FINDINGS
    assert record(world, 2).outcome == "audited"


@pytest.mark.slow
def test_one_audit_that_fails_costs_the_others_nothing(world: SmallWorld) -> None:
    fleet = write_fleet(world)
    broken = {"key": "broken", "spec": "audit.yaml", "overrides": {"generator": {"path": "nowhere.onnx"}}}
    raw = yaml.safe_load((world.folder / "fleet.yaml").read_text())
    raw["audits"].insert(0, broken)
    (world.folder / "fleet.yaml").write_text(yaml.safe_dump(raw))
    fleet = load_fleet(world.folder / "fleet.yaml")
    assert run_fleet(fleet, night(2)) == ExitCode.BAD_SPEC
    assert record(world, 2).outcome == "audited"
    failed = NightState(str(world.folder / "nightly" / "broken")).record_of(night(2))
    assert failed is not None and failed.failure is not None and "nowhere.onnx" in failed.failure.detail


def test_a_night_without_authorisation_is_refused_and_kept(world: SmallWorld) -> None:
    write_fleet(world, per_night=MORE, maximum=SAMPLES + MORE)
    world.spec_path(membership=MEMBERSHIP, authorisation=None)
    before = file_bytes(world.run)
    assert run_fleet(load_fleet(world.folder / "fleet.yaml"), night(2)) == ExitCode.BAD_SPEC
    failure = record(world, 2).failure
    assert failure is not None and failure.kind == "AuthorisationError"
    assert "the spec has no authorisation" in failure.detail
    assert file_bytes(world.run) == before


def test_a_hook_that_fails_is_told_again(world: SmallWorld, capsys: pytest.CaptureFixture[str]) -> None:
    (state(world) / "told.json").unlink()
    (world.folder / "fails.py").write_text("print('no mail server'); raise SystemExit(7)", encoding="utf-8")
    assert run_fleet(write_fleet(world, hook="fails.py"), night(2)) == ExitCode.FAILED
    assert "the hook ended with 7" in capsys.readouterr().err
    assert "no mail server" in (world.folder / "nightly" / "hook.txt").read_text()
    assert run_fleet(write_fleet(world), night(2)) == ExitCode.NEW_FINDINGS
    calls = hook_calls(world)
    assert len(calls) == 2 and set(calls[1]["report"]["audits"][0]["untold"]) >= PEOPLE


def test_a_hook_that_is_no_program_is_refused_before_any_work(small_world: SmallWorld) -> None:
    write_fleet(small_world)
    raw = yaml.safe_load((small_world.folder / "fleet.yaml").read_text())
    (small_world.folder / "fleet.yaml").write_text(yaml.safe_dump(raw | {"hook": ["./nowhere.sh"]}))
    assert main(["nightly", str(small_world.folder / "fleet.yaml")]) == ExitCode.BAD_SPEC
    assert not (small_world.folder / "nightly").exists()


def test_a_dry_run_tells_the_work_and_writes_nothing(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    write_fleet(small_world)
    before = sorted(small_world.folder.rglob("*"))
    assert main(["nightly", "--dry-run", str(small_world.folder / "fleet.yaml")]) == ExitCode.OK
    printed = capsys.readouterr().out
    assert "it is the first night" in printed and "600 of them fresh" in printed and "one worker" in printed
    assert sorted(small_world.folder.rglob("*")) == before


def test_a_dry_run_of_a_grown_audit_counts_what_is_fresh(
    world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    write_fleet(world, per_night=MORE, maximum=1200)
    before = file_bytes(world.folder, "**/*.*")
    assert main(["nightly", "--dry-run", str(world.folder / "fleet.yaml")]) == ExitCode.OK
    printed = capsys.readouterr().out
    assert "it has to grow" in printed and "800, 200 of them fresh" in printed and "missed" in printed
    assert file_bytes(world.folder, "**/*.*") == before


def test_a_dry_run_asks_no_api_and_counts_the_bill_of_all_nights(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    # Nobody listens there.
    api = {"kind": "http", "url": "http://127.0.0.1:9/image", "method": "GET", "budget": {"requests": 700}}
    write_fleet(small_world, overrides={"generator": api})
    assert main(["nightly", "--dry-run", str(small_world.folder / "fleet.yaml")]) == ExitCode.OK
    printed = capsys.readouterr().out
    assert "600 requests without retries, of a budget of 700" in printed and "is not probed" in printed


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["fleet.yaml", "--accept", "gan"], ExitCode.REFUSED, "gan has no night to accept"),
        (
            ["fleet.yaml", "--accept", "nobody"],
            ExitCode.BAD_SPEC,
            "no audit of the fleet has the key 'nobody'",
        ),
        (["fleet.yaml", "--only", "nobody"], ExitCode.BAD_SPEC, "they are gan"),
        (["audit.yaml"], ExitCode.BAD_SPEC, "audits: missing"),
    ],
)
def test_bad_commands_get_one_line(
    small_world: SmallWorld,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: ExitCode,
    line: str,
) -> None:
    write_fleet(small_world)
    path, *rest = arguments
    assert main(["nightly", str(small_world.folder / path), *rest]) == code
    (printed,) = capsys.readouterr().err.splitlines()
    assert line in printed
    assert not (small_world.folder / "nightly").exists()


@pytest.mark.slow
def test_a_fleet_is_kept_in_a_bucket_and_started_as_a_command(small_world: SmallWorld, bucket: str) -> None:
    write_fleet(small_world)
    path = small_world.folder / "fleet.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"state": bucket}), encoding="utf-8")
    code, printed = finish(start_job("nightly", path))
    assert code == ExitCode.NEW_FINDINGS, printed
    assert "person-" not in printed
    (call,) = hook_calls(small_world)
    assert call["arguments"] == [f"{bucket}/nightly.json"]
    tonight = date.fromisoformat(call["report"]["night"])
    assert run_fleet(load_fleet(path), tonight) == ExitCode.NEW_FINDINGS
    assert run_fleet(load_fleet(path), tonight + timedelta(days=1)) == ExitCode.NEW_FINDINGS
    latest = NightState(f"{bucket}/gan").latest()
    assert latest is not None and latest.outcome == "skipped"
    assert not (small_world.folder / "nightly").exists() and len(hook_calls(small_world)) == 1


@pytest.mark.slow
def test_a_killed_night_is_gone_on_with_and_meanwhile_refused_to_others(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet = write_fleet(small_world, samples=3000)
    process = start_job("nightly", small_world.folder / "fleet.yaml")
    wait_for(lambda: len(shards(small_world)) >= 3, process)
    assert run_fleet(fleet, FIRST) == ExitCode.REFUSED
    assert f"process {process.pid} on" in capsys.readouterr().out
    process.kill()
    finish(process)
    before = shards(small_world)
    assert len(before) < 30, "the night was killed too late to show anything"
    assert not list(state(small_world).glob("nights/*"))
    assert run_fleet(fleet, FIRST) == ExitCode.NEW_FINDINGS
    after = shards(small_world)
    assert len(after) == 30 and before.items() <= after.items()


@pytest.mark.slow
def test_a_night_that_is_told_to_stop_begins_no_other_audit_and_goes_on_later(
    small_world: SmallWorld,
) -> None:
    write_fleet(small_world, samples=3000)
    path = small_world.folder / "fleet.yaml"
    raw = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(raw | {"audits": [*raw["audits"], raw["audits"][0] | {"key": "other"}]}))
    process = start_job("nightly", path)
    wait_for(lambda: len(shards(small_world)) >= 3, process)
    process.send_signal(signal.SIGTERM)
    code, printed = finish(process)
    assert code == ExitCode.RETRY, printed
    before = shards(small_world)
    assert len(before) < 30 and not list(state(small_world).glob("nights/*"))
    assert not (small_world.folder / "nightly" / "other").exists()
    assert run_fleet(load_fleet(path).only("gan"), FIRST) == ExitCode.NEW_FINDINGS
    assert before.items() <= shards(small_world).items()


def test_a_night_leaves_out_who_is_a_candidates_double(small_world: SmallWorld) -> None:
    make_recognisable(small_world)
    reencode(small_world.folder / "candidates" / "person-002", small_world.folder / "cohort" / "stranger")
    assert run_fleet(write_fleet(small_world), FIRST) == ExitCode.NEW_FINDINGS
    (run,) = state(small_world).glob("runs/*")
    results = read_results(RunStore(str(run)))
    assert results.overlap is not None and results.overlap.left_out == [pseudonym("stranger")]
    assert results.cohort.identities == results.power.cohort == COHORT
