"""A fleet of one audit of the small world, and what its nights leave."""

from __future__ import annotations

import json
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from jobs.cli.exit_codes import ExitCode
from jobs.nightly import accept_night, run_fleet
from schemas.run.nights import Comparison, FleetReport, NightRecord, ReportEntry
from schemas.spec.fleet import Fleet, load_fleet
from tests.support.people import pseudonyms
from tests.support.small_world import MEMBERS, SmallWorld

ROOT = Path(__file__).resolve().parents[2]
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
MEMBERSHIP = {"scores": ["max"], "topk": 4, "fdr": 0.2, "likeness": 1.0}


def resemble_themselves(world: SmallWorld) -> None:
    """Both photos of everybody in the cohort are alike, so that it is known how often a person is matched."""
    for folder in (world.folder / "cohort").iterdir():
        first, second = (Image.open(folder / name).convert("RGB") for name in ("0.png", "1.png"))
        Image.blend(first, second, 0.05).save(folder / "1.png")


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
