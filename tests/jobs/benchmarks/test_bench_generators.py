"""The bench of the kinds of generators, on a few images. Never how fast it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.bench import main
from jobs.cli.exit_codes import ExitCode
from tests.jobs.benchmarks.test_bench_reduce import numbers_of, rows_of

# What torch deprecates of itself does not matter here.
pytestmark = pytest.mark.filterwarnings("ignore")
NETWORKS = ["onnx", "torchscript", "torch_export", "module", "diffusers"]
KINDS = [*NETWORKS, "images", "webdataset", "parquet", "http"]


@pytest.mark.slow
def test_every_kind_is_timed_beside_its_own_model(tmp_path: Path) -> None:
    output = tmp_path / "generators.md"
    code = main(["generators", "--images", "40", "--repeats", "1", "--output", str(output)])
    rows = rows_of(output.read_text(encoding="utf-8"))
    assert [row[0] for row in rows[: len(KINDS)]] == KINDS
    for row in rows[: len(KINDS)]:
        ours, *_ = numbers_of(row[1])
        ratio, *_ = numbers_of(row[3])
        assert 0 < ours < 1e6 and 0.01 < ratio < 10
    bars = rows[len(KINDS) :]
    assert len(bars) == len(KINDS) and code == int(any(row[-1] == "FAILS" for row in bars))


@pytest.mark.slow
def test_a_checkout_that_is_none_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["generators", "--images", "4", "--repeats", "1", "--stylegan-code", str(tmp_path)])
    assert code == ExitCode.BAD_SPEC and "--stylegan-code" in capsys.readouterr().err
