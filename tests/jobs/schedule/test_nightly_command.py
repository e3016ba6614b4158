"""`idleak nightly`: dry runs, bad commands, and nights that are stopped or killed."""

from __future__ import annotations

import signal
from datetime import date, timedelta

import pytest
import yaml

from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from jobs.nightly import run_fleet
from jobs.schedule.state import NightState
from schemas.spec.fleet import load_fleet
from tests.end_to_end.test_resume import wait_for
from tests.support.nights import (
    FIRST,
    MORE,
    hook_calls,
    shards,
    state,
    write_fleet,
)
from tests.support.processes import finish, start_job
from tests.support.small_world import SmallWorld, file_bytes

pytestmark = pytest.mark.usefixtures("in_process")


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
