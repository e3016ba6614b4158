"""The token of a Ray session that idleak starts, where HOME cannot hold a token file."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from distributed.execution.ray_token import TOKEN_FILE, own_token
from jobs.cli.exit_codes import ExitCode
from tests.support.processes import finish, run_apart, start_job
from tests.support.small_world import SmallWorld


@pytest.mark.slow
def test_a_home_that_cannot_be_written_is_none_of_an_audits_business(small_world: SmallWorld) -> None:
    """Nor one below a file: that is the home of `TWICE`."""
    code, output = finish(start_job("audit", small_world.spec_path(), HOME="/proc/nobody", RAY_ADDRESS=""))
    assert code == ExitCode.OK, output
    assert "5 leaked" in output


@pytest.mark.parametrize("mode", [None, "token", "disabled"])
def test_the_token_is_private_and_the_environment_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str | None
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "of another cluster")
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    if mode is None:
        monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    else:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
    before = dict(os.environ)
    with own_token(tmp_path):
        path = tmp_path / TOKEN_FILE
        assert os.environ["RAY_AUTH_TOKEN_PATH"] == str(path) and "RAY_AUTH_TOKEN" not in os.environ
        assert path.stat().st_mode & 0o777 == 0o600 and len(path.read_text(encoding="ascii")) == 64
        assert os.environ.get("RAY_AUTH_MODE") == mode
        os.environ["RAY_AUTH_MODE"] = "token"  # As Ray does.
    assert dict(os.environ) == before


TWICE = """
import os
from distributed.execution.cluster import RayExecutor
from schemas.spec.resources import ResourcesSpec
for _ in range(2):
    with RayExecutor() as cluster:
        cluster.capacity(ResourcesSpec())
        assert os.environ["RAY_AUTH_MODE"] == "token"
        print(open(os.environ["RAY_AUTH_TOKEN_PATH"]).read())
    assert not [name for name in os.environ if name.startswith("RAY_AUTH")]
"""


@pytest.mark.slow
def test_each_ray_of_a_process_has_a_token_of_its_own() -> None:
    """Like the audits of one night: the token that Ray cached for the first is not valid for the second."""
    with TemporaryDirectory(prefix="r", dir="/tmp") as short:
        done = run_apart(
            sys.executable, "-c", TWICE, environment={"RAY_TMPDIR": short, "HOME": "/dev/null/nowhere"}
        )
        assert done.returncode == 0, done.stderr
        first, second = done.stdout.split()
        assert first != second
        assert list(Path(short).iterdir()) == []
