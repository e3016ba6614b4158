"""Nights that are missed, repeated, refused or failed: one does not harm another."""

from __future__ import annotations

import shutil

import pytest
import yaml

from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from jobs.nightly import run_fleet
from jobs.schedule.state import NightState
from schemas.run.nights import FleetReport
from schemas.spec.fleet import load_fleet
from tests.distributed.storage.test_lock import hold
from tests.support.nights import (
    FIRST,
    MEMBERSHIP,
    MORE,
    PEOPLE,
    SAMPLES,
    hook_calls,
    night,
    record,
    report,
    settle,
    state,
    write_fleet,
)
from tests.support.small_world import SmallWorld, file_bytes

pytestmark = pytest.mark.usefixtures("in_process")


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


def test_a_night_of_a_clock_that_was_wrong_is_taken_back(world: SmallWorld) -> None:
    fleet = settle(world)
    wrong = night(1000)
    assert run_fleet(fleet, wrong) == run_fleet(write_fleet(world, per_night=MORE, maximum=3000), wrong)
    assert run_fleet(fleet, night(3)) == ExitCode.REFUSED
    failure = record(world, 3).failure
    assert failure is not None and f"delete nights/{wrong}.json there, and that alone" in failure.detail
    (state(world) / "nights" / f"{wrong}.json").unlink()
    assert run_fleet(fleet, night(3)) == ExitCode.OK
    assert record(world, 3).outcome == "skipped"


@pytest.mark.parametrize("damaged", ["accepted.json", f"nights/{night(2)}.json", ""])
def test_a_state_that_cannot_be_read_costs_the_other_audits_nothing(
    world: SmallWorld, damaged: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The empty path is the key's folder itself, which is a file."""
    settle(world)
    raw = yaml.safe_load((world.folder / "fleet.yaml").read_text())
    raw["audits"].insert(0, {"key": "broken", "spec": "audit.yaml"})
    (world.folder / "fleet.yaml").write_text(yaml.safe_dump(raw))
    path = world.folder / "nightly" / "broken" / damaged
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{", encoding="utf-8")
    capsys.readouterr()
    expected = ExitCode.DAMAGED if damaged else ExitCode.BAD_SPEC
    assert run_fleet(load_fleet(world.folder / "fleet.yaml"), night(2)) == expected
    printed = capsys.readouterr().out
    assert "broken: failed: " in printed and f"gan: this night was {record(world, 2).outcome}" in printed
    report_json = (world.folder / "nightly" / "nightly.json").read_text()
    entry = FleetReport.model_validate_json(report_json).audits[0]
    assert entry.status == "failed" and entry.cause is not None and str(path) in entry.cause.detail


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
