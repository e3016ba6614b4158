"""Workers that are killed at each point of a commit, once or always, and shards that are damaged later."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from tests.support.processes import ROOT, finish, start_job
from tests.support.small_world import SmallWorld, file_bytes

PLAN: dict[str, Any] = {"resources": {"device": "cpu", "workers": 2, "threads_per_worker": 1}}
VICTIM = "shard-000003.parquet"
POINTS = [
    pytest.param("before_sync", marks=pytest.mark.slow),
    pytest.param("after_sync", marks=pytest.mark.slow),
    "before_folder_sync",
    pytest.param("after_folder_sync", marks=pytest.mark.slow),
]


def faulty(kill: str, mark: Path | None = None) -> dict[str, str]:
    """The environment in which the process that commits the file is killed."""
    named = {} if mark is None else {"IDLEAK_TEST_MARK": str(mark)}
    return {"PYTHONPATH": str(ROOT / "tests" / "faulty"), "IDLEAK_TEST_KILL": kill} | named


@pytest.fixture(scope="module")
def clean_bytes(finished_template: SmallWorld) -> dict[str, bytes]:
    return dict(file_bytes(finished_template.run))


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_killed_in_a_commit_leaves_all_rows_once_and_people_are_told(
    small_world: SmallWorld,
    tmp_path: Path,
    clean_bytes: dict[str, bytes],
    capsys: pytest.CaptureFixture[str],
    point: str,
) -> None:
    mark = tmp_path / "killed"
    code, output = finish(
        start_job("audit", small_world.spec_path(**PLAN), **faulty(f"{point} {VICTIM}", mark))
    )
    assert code == ExitCode.OK, output
    assert mark.exists(), "nobody was killed"
    assert file_bytes(small_world.run) == clean_bytes
    assert "sampling: shard 3 failed (ActorDiedError), attempt 1; it is tried again" in output
    last = next(line for line in output.splitlines() if line.startswith("sampling: 600 of 600 images, "))
    assert re.search(r"; \w+ \d+%, \w+ \d+%, \w+ \d+%; [12] attempts failed$", last)
    assert main(["status", str(small_world.run)]) == ExitCode.OK
    assert "reducing: 600 of 600 samples" in output
    assert re.search(r"  judging: (\d+) of \1 steps done, as of ", capsys.readouterr().out)


@pytest.mark.slow
@pytest.mark.usefixtures("in_process")
def test_a_shard_that_kills_workers_fails_and_is_retried_alone(
    small_world: SmallWorld, clean_bytes: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    poison = faulty(f"before_sync {VICTIM}")
    code, output = finish(start_job("audit", small_world.spec_path(**PLAN), **poison))
    assert code == ExitCode.SHARDS_LOST and "3 after 3 attempts" in output
    made = set(file_bytes(small_world.run / "samples"))
    assert len(made) == 5 and VICTIM not in made
    lost = json.loads((small_world.run / "samples.lost.json").read_bytes())
    assert [(shard["index"], shard["attempts"]) for shard in lost] == [(3, 3)]
    assert main(["status", str(small_world.run)]) == ExitCode.OK
    said = capsys.readouterr().out
    assert "shard 3 failed 3 attempts" in said
    # Whatever else its worker was making or writing at each of the three deaths is charged too.
    assert re.search(r"attempts that failed: [3-6]; failed shards: 1", said)

    assert main(["retry", str(small_world.run)]) == ExitCode.OK
    said = capsys.readouterr().out
    assert "1 shards made" in said and "\nNext: idleak audit SPEC" in said
    assert main(["retry", str(small_world.run)]) == ExitCode.BAD_SPEC
    assert main(["audit", str(small_world.spec_path(**PLAN))]) == ExitCode.OK
    assert file_bytes(small_world.run) == clean_bytes


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def flipped_digit(content: bytes) -> bytes:
    """Of a sum of templates, in the footer: no page has it, and the scores rest on it."""
    end_of_a_number = content.index(b",", content.index(b'"sum":['))
    return flipped(content, end_of_a_number - 1)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "a flipped bit": lambda content: flipped(content, len(content) // 3),
    "a flipped bit of the footer": flipped_digit,
    "half a file": lambda content: content[: len(content) // 2],
    "an empty file": lambda content: b"",
    "no footer": lambda content: content[:-8] + bytes(8),
}


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_found_before_scoring_named_and_repaired(
    finished_world: SmallWorld, capsys: pytest.CaptureFixture[str], damage: Callable[[bytes], bytes]
) -> None:
    run, spec = finished_world.run, str(finished_world.spec_path())
    clean, victim = file_bytes(run), run / "samples" / VICTIM
    victim.write_bytes(damage(victim.read_bytes()))
    assert main(["verify", str(run)]) == ExitCode.DAMAGED
    out = capsys.readouterr().out
    assert out.count("shard-") == 1 and VICTIM in out
    # Or there would be nothing to score.
    (run / "results.json").unlink()
    assert main(["audit", spec]) == ExitCode.DAMAGED and VICTIM in capsys.readouterr().err
    assert main(["repair", str(run)]) == ExitCode.OK
    assert "1 shards made again" in capsys.readouterr().out
    assert file_bytes(run / "samples") == {
        name.removeprefix("samples/"): content
        for name, content in clean.items()
        if name.startswith("samples/")
    }
    assert main(["audit", spec]) == ExitCode.OK
    assert file_bytes(run) == clean


def test_a_column_of_another_name_is_damage(
    finished_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = finished_world.run / "samples" / VICTIM
    content = victim.read_bytes()
    victim.write_bytes(flipped(content, content.index(b"sample_id", content.index(b"schema"))))
    assert main(["verify", str(finished_world.run)]) == ExitCode.DAMAGED
    assert f"{VICTIM}: damaged" in capsys.readouterr().out


def test_a_shard_of_another_run_is_named_and_never_deleted(
    finished_world: SmallWorld, in_process: None, capsys: pytest.CaptureFixture[str]
) -> None:
    run = finished_world.run
    assert main(["sample", str(finished_world.spec_path("other", seed=5))]) == ExitCode.OK
    foreign = (finished_world.folder / "runs" / "other" / "samples" / VICTIM).read_bytes()
    (run / "samples" / VICTIM).write_bytes(foreign)
    capsys.readouterr()
    assert main(["repair", str(run)]) == ExitCode.DAMAGED
    assert f"{VICTIM}: of another spec: seed" in capsys.readouterr().out
    assert (run / "samples" / VICTIM).read_bytes() == foreign
