"""A world whose first night is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.cli.exit_codes import ExitCode
from jobs.nightly import run_fleet
from tests.support.in_process import tasks_in_process
from tests.support.nights import (
    FIRST,
    resemble_themselves,
    write_fleet,
)
from tests.support.small_world import SmallWorld


@pytest.fixture(scope="session")
def first_template(world_template: SmallWorld, tmp_path_factory: pytest.TempPathFactory) -> SmallWorld:
    """A world whose first night is done. Never to be changed."""
    world = world_template.copy(tmp_path_factory.mktemp("nightly") / "world")
    resemble_themselves(world)
    with tasks_in_process():
        assert run_fleet(write_fleet(world), FIRST) == ExitCode.NEW_FINDINGS
    return world


@pytest.fixture
def world(first_template: SmallWorld, tmp_path: Path) -> SmallWorld:
    """A copy of the world whose first night is done."""
    return first_template.copy(tmp_path / "world")
