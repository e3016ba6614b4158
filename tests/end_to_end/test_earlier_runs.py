"""A run that an earlier version made is verified, read, and gone on with, to the same bytes.

tests/data/run-0.1.1: the miniature audit of `tests/support/small_world.py`, made by version 0.1.1.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from distributed.runtime.versions import version_fields
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from tests.support.small_world import SmallWorld, file_bytes

KEPT = Path(__file__).resolve().parents[1] / "data" / "run-0.1.1"

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture
def continued(small_world: SmallWorld) -> SmallWorld:
    """The world of the kept run, with the run in its place."""
    made_with = json.loads((KEPT / "run.json").read_text(encoding="utf-8"))["fingerprint"]
    here = version_fields()
    others = [f"{name} {made_with[name]}" for name in here if made_with[name] != here[name]]
    if others:
        pytest.skip(f"the kept run was made with other packages: {', '.join(others)}")
    shutil.copytree(KEPT, small_world.run)
    return small_world


def test_it_is_verified_and_read(continued: SmallWorld) -> None:
    for words in (["verify"], ["status"], ["report"], ["reveal"]):
        assert main([*words, str(continued.run)]) == ExitCode.OK


def test_a_finished_one_is_not_done_again(continued: SmallWorld) -> None:
    before = file_bytes(continued.run)
    assert main(["audit", str(continued.spec_path())]) == ExitCode.OK
    assert file_bytes(continued.run) == before


def test_what_is_missing_is_made_to_the_same_bytes(continued: SmallWorld) -> None:
    before = file_bytes(continued.run)
    results = json.loads((continued.run / "results.json").read_text(encoding="utf-8"))
    for path in ("samples/shard-000003.parquet", "samples.json", "scores.parquet", "results.json"):
        (continued.run / path).unlink()
    assert main(["audit", str(continued.spec_path())]) == ExitCode.OK
    assert file_bytes(continued.run) == before
    again = json.loads((continued.run / "results.json").read_text(encoding="utf-8"))
    changing = {"created", "seconds", "machine", "samples", "spec", "paths_as_written"}
    assert {key: again[key] for key in results.keys() - changing} == {
        key: results[key] for key in results.keys() - changing
    }
