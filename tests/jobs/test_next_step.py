"""After a command that went well a line says what comes next; programs that read stdout get none of it."""

from __future__ import annotations

import json
import sys

import pytest

from jobs.__main__ import JOBS, main
from jobs.cli.exit_codes import ExitCode
from tests.support.nights import write_fleet
from tests.support.small_world import SmallWorld

pytestmark = pytest.mark.usefixtures("in_process")

COMMANDS = {
    "audit": "audit {spec}",
    "sample": "sample {spec}",
    "enroll": "enroll {spec}",
    "reduce": "reduce {spec}",
    "nightly": "nightly --dry-run {fleet}",
    "status": "status {run}",
    "compare": "compare {run} {run} --output {folder}/compared",
    "verify": "verify {run}",
    "repair": "repair {run}",
    "purge": "purge --dry-run {run}",
    "purge of one person": "purge --dry-run {run} --identity person-001",
    "doctor": "doctor",
}
BESIDE_DATA = {
    "reveal": "reveal {run}",
    "inspect": "inspect {folder}/generator.onnx",
    "spec": "spec",
    "spec as a schema": "spec --schema spec",
}
ELSEWHERE = {"init", "plan", "submit", "report", "explore", "retry", "convert"}
"""They take seconds, and their own tests look at it."""
MEASURES = {"bench"}


def ended(world: SmallWorld, words: str) -> int:
    write_fleet(world)
    places = {"spec": world.spec_path(), "run": world.run, "folder": world.folder}
    return main(words.format(fleet=world.folder / "fleet.yaml", **places).split())


def test_every_command_is_looked_at() -> None:
    commands = {words.split()[0] for words in (*COMMANDS.values(), *BESIDE_DATA.values())}
    assert commands | ELSEWHERE | MEASURES == set(JOBS)


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS.keys())
def test_the_last_line_says_what_comes_next(
    finished_world: SmallWorld, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(finished_world, words) == ExitCode.OK
    assert capsys.readouterr().out.splitlines()[-1].startswith("Next: ")


@pytest.mark.parametrize("words", BESIDE_DATA.values(), ids=BESIDE_DATA.keys())
def test_beside_data_a_person_at_a_terminal_alone_is_told(
    finished_world: SmallWorld,
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert ended(finished_world, words) == ExitCode.OK
    piped = capsys.readouterr()
    assert "Next: " not in piped.out + piped.err
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert ended(finished_world, words) == ExitCode.OK
    shown = capsys.readouterr()
    assert shown.out == piped.out and shown.err.splitlines()[-1].startswith("Next: ")
    if "--schema" in words:
        json.loads(shown.out)
