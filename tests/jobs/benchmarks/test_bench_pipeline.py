"""The bench of the pipeline on tiny models: that all is measured and does the same work, never how fast."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from distributed.stages.making.embedder import ShardEmbedder
from distributed.stages.making.maker import ShardJob
from jobs.__main__ import main
from jobs.benchmarks.pipeline.bench import PLAIN, RAY_DATA, STOCK, WHOLE, draw
from jobs.benchmarks.pipeline.peers import Peer, PlainOnnxruntime, open_stock
from jobs.benchmarks.pipeline.ray_data import stints_of
from jobs.benchmarks.pipeline.workers import Meeting, Stint, bench_shards, steady_rate
from jobs.cli.exit_codes import ExitCode
from schemas.errors import DeviceError
from schemas.run.shard import Shard
from schemas.spec.audit import AuditSpec
from schemas.spec.load import load_spec
from tests.jobs.benchmarks.test_bench_reduce import numbers_of, rows_of
from tests.support.assets import needs_assets
from tests.support.small_world import SmallWorld
from tests.support.tiny_detectors import centre_detector
from tests.support.tiny_models import save

SIDE = 64
STAGES = [
    f"{stage}, batches of {batch}" for batch in (1, 32) for stage in ("generate", "detect", "align and embed")
]
RAY_ROWS = ["whole, Ray, 1 × 1 thread", "whole, Ray, 2 × 1 thread"]


@pytest.fixture
def detected(small_world: SmallWorld) -> Path:
    """A spec whose samples go through a detector."""
    save(centre_detector(SIDE), small_world.folder / "detector.onnx")
    faces = {
        "detector": {"path": "detector.onnx", "sizes": [SIDE], "threshold": 0.5},
        "recognizers": [{"name": "tiny", "path": "recognizer.onnx"}],
    }
    return small_world.spec_path("detected", faces=faces)


def check_report(path: Path, code: int, expected: list[str], bars: int) -> str:
    """All rows are there with rates; the bars say what the exit code says."""
    report = path.read_text(encoding="utf-8")
    rows = {row[0]: row for row in rows_of(report)}
    for name in expected:
        for cell in rows[name][1:3]:
            assert all(math.isfinite(rate) and rate > 0 for rate in numbers_of(cell)), name
    for stage in ("generate", "detect", "align", "embed", "write", "all"):
        assert stage in rows
    verdicts = [row[-1] for row in rows.values() if row[-1] in ("holds", "FAILS")]
    assert len(verdicts) == bars and code == int("FAILS" in verdicts)
    for part in ("processor: ", "ray ", "command: `idleak bench pipeline", "GFLOP/s", "GB/s"):
        assert part in report
    return report


@pytest.mark.usefixtures("ray_session")
@pytest.mark.slow
def test_every_contender_is_measured(
    detected: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "pipeline.md"
    code = main(
        ["bench", "pipeline", str(detected), "--images", "40", "--repeats", "2", "--output", str(output)]
    )
    expected = [*STAGES, WHOLE, *RAY_ROWS, STOCK, PLAIN, RAY_DATA, f"{RAY_DATA}, with starting up"]
    report = check_report(output, code, expected, bars=6)
    assert capsys.readouterr().out == report
    assert "| detection, share " in report
    assert f"of the first 40: idleak 40, {STOCK} 40, {PLAIN} 40." in report
    assert "cosine of idleak's templates with those of plain onnxruntime: 1.00000." in report
    assert not list(detected.parent.glob("**/.bench-*")) and not (detected.parent / "runs").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_without_a_detector_the_peers_that_need_one_are_left_out(
    small_world: SmallWorld, tmp_path: Path
) -> None:
    output = tmp_path / "pipeline.md"
    spec = str(small_world.spec_path())
    code = main(["bench", "pipeline", spec, "--images", "6", "--repeats", "1", "--output", str(output)])
    report = check_report(output, code, [WHOLE, *RAY_ROWS, RAY_DATA], bars=4)
    assert f"No {STOCK} and no {PLAIN}:" in report and f"÷ {STOCK}" not in report
    assert "detection, share" not in report


def templates_of(spec: AuditSpec, peer: Peer, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Ours and theirs, of the first samples, of unit length."""
    job = ShardJob(spec, "cpu", 1, fingerprint={}, prefix="samples")
    ours = next(iter(ShardEmbedder(job).embed(Shard(0, 0, count)).faces.templates.values()))
    given = [template for template in peer(draw(job, count)) if template is not None]
    theirs = np.stack(given)
    assert len(given) == count
    return ours, theirs / np.linalg.norm(theirs, axis=1, keepdims=True)


@pytest.mark.parametrize("name", [STOCK, PLAIN])
def test_peers_give_the_same_templates(detected: Path, name: str) -> None:
    spec = load_spec(detected)
    assert spec.faces.detector is not None
    stock = name == STOCK
    peer = (
        open_stock(spec, spec.faces.detector) if stock else PlainOnnxruntime(spec, spec.faces.detector).embed
    )
    ours, theirs = templates_of(spec, peer, 10)
    assert (ours * theirs).sum(axis=1).min() > 0.999
    assert np.abs(ours @ ours.T)[np.triu_indices(10, 1)].min() < 0.99


@pytest.mark.assets
@needs_assets
def test_plain_onnxruntime_gives_the_same_templates_of_real_models() -> None:
    root = Path(__file__).resolve().parents[3]
    spec = load_spec(root / "examples" / "research" / "leaky-faces64-detected.yaml")
    assert spec.faces.detector is not None
    ours, theirs = templates_of(spec, PlainOnnxruntime(spec, spec.faces.detector).embed, 6)
    assert (ours * theirs).sum(axis=1).min() > 0.999
    templates = open_stock(spec, spec.faces.detector)(draw_few(spec))
    assert sum(template is not None for template in templates) == 6


def draw_few(spec: AuditSpec) -> list[np.ndarray]:
    return list(draw(ShardJob(spec, "cpu", 1, fingerprint={}, prefix="samples"), 6))


def test_a_folder_of_images_is_refused(small_world: SmallWorld, capsys: pytest.CaptureFixture[str]) -> None:
    spec = small_world.spec_path(generator={"kind": "images", "path": "candidates"})
    assert main(["bench", "pipeline", str(spec)]) == ExitCode.BAD_SPEC
    assert "give a spec with an onnx generator" in capsys.readouterr().err


def test_a_ray_elsewhere_is_refused(
    small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "elsewhere:6379")
    assert main(["bench", "pipeline", str(small_world.spec_path())]) == ExitCode.FAILED
    assert "unset RAY_ADDRESS" in capsys.readouterr().err


def test_the_rate_is_taken_while_all_have_work() -> None:
    alone = [Stint(1, 0.0, 1.0, 10), Stint(1, 1.5, 2.5, 10)]
    assert steady_rate(alone) == pytest.approx(20 / 2.5)
    # From 1 to 3: half of the first worker's first stint, all of its second, two thirds of the other's.
    both = [Stint(1, 0.0, 2.0, 20), Stint(1, 2.0, 3.0, 10), Stint(2, 1.0, 4.0, 30)]
    assert steady_rate(both) == pytest.approx((10 + 10 + 20) / 2)


def test_stints_are_read_off_the_rows_of_their_images() -> None:
    rows = np.array([[7, 1.0, 2.0]] * 3 + [[8, 1.0, 3.0]] * 2)
    assert stints_of(rows) == [Stint(7, 1.0, 2.0, 3), Stint(8, 1.0, 3.0, 2)]


def test_a_worker_does_not_wait_for_ever_for_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.benchmarks.pipeline.workers.MEET_SECONDS", 0.05)
    Meeting(tmp_path, 1).wait()
    with pytest.raises(DeviceError, match="free some cores"):
        Meeting(tmp_path, 2).wait()


def test_workers_have_equal_shares() -> None:
    assert [shard.rows for shard in bench_shards(256)] == [64] * 4
    assert [shard.rows for shard in bench_shards(10, 2)] == [3] * 6 + [2]
