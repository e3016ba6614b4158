"""The bench of finished audits that are started again, on a small audit. Never how fast it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from tests.jobs.benchmarks.test_bench_reduce import numbers_of, rows_of
from tests.support.small_world import SmallWorld


@pytest.mark.slow
def test_finished_audits_of_few_and_many_shards_are_timed(small_world: SmallWorld, tmp_path: Path) -> None:
    output = tmp_path / "restart.md"
    spec = str(small_world.spec_path())
    code = main(["bench", "restart", spec, "--shards", "60", "40", "--repeats", "1", "--output", str(output)])
    rows = rows_of(output.read_text(encoding="utf-8"))
    names = [row[0] for row in rows[:3]]
    few, many = (f"finished audit of {count} shards" for count in (40, 60))
    assert names == [few, many, "Ray's own start and stop"]
    for row in rows[:3]:
        seconds, megabytes = (numbers_of(cell) for cell in row[1:])
        assert all(0.05 < second < 120 for second in seconds) and all(
            10 < megabyte < 5000 for megabyte in megabytes
        )
    bars = rows[3:]
    assert len(bars) == 3 and code == int(any(row[-1] == "FAILS" for row in bars))
    assert not small_world.run.exists(), "the spec's own output stays as it is"


@pytest.mark.slow
def test_an_audit_that_cannot_be_carried_out_is_told(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    (small_world.folder / "generator.onnx").write_bytes(b"no model")
    assert main(["bench", "restart", str(small_world.spec_path()), "--shards", "40"]) == ExitCode.FAILED
    assert "an audit could not be timed: " in capsys.readouterr().err
