"""What only a GPU can show: the CPU's verdicts, the same bytes after a restart, and a lack of memory."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from distributed.sampling.device.shared_images import SharedImages
from distributed.stages.making.device_embedder import DeviceEmbedder, open_device_embedder
from distributed.stages.making.embedder import EmbeddedShard, ShardEmbedder
from distributed.stages.making.maker import ShardJob
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from schemas.run.shard import Shard
from schemas.spec.load import load_spec
from tests.support.networks import Plain, torchscript, trusted_generator
from tests.support.small_world import SmallWorld, file_bytes

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.filterwarnings("default"),
]
RESOURCES = {"workers": 1, "threads_per_worker": 1}
SHARD = Shard(0, 0, 600)


def audited(world: SmallWorld, name: str, device: str, **changes: Any) -> Path:
    spec = world.spec_path(name, resources=RESOURCES | {"device": device}, **changes)
    assert main(["audit", str(spec)]) == ExitCode.OK
    return world.folder / "runs" / name


def job_of(world: SmallWorld, device: str, **changes: Any) -> ShardJob:
    spec = load_spec(world.spec_path(resources=RESOURCES | {"device": device}, **changes))
    return ShardJob(spec, device, 1, fingerprint={}, prefix="samples")


def least_cosine(ours: EmbeddedShard, expected: EmbeddedShard) -> float:
    assert ours.faces.outcome == expected.faces.outcome
    least = 1.0
    for name, templates in expected.faces.templates.items():
        embedded = np.isfinite(templates[:, 0])
        given = ours.faces.templates[name][embedded].astype(np.float64)
        cosine = (given * templates[embedded]).sum(axis=1) / np.linalg.norm(given, axis=1)
        least = min(least, float(cosine.min()))
    return least


def test_an_audit_has_the_verdicts_of_the_cpu(small_world: SmallWorld, on_ray: None) -> None:
    runs = {device: audited(small_world, device, device) for device in ("cpu", "cuda")}
    on_cpu, on_cuda = (json.loads((run / "results.json").read_text()) for run in runs.values())
    for ours, expected in zip(on_cuda["scores"], on_cpu["scores"], strict=True):
        assert ours["flagged"] == expected["flagged"] and ours["verdicts"] == expected["verdicts"]


def test_a_restart_makes_the_same_bytes(small_world: SmallWorld) -> None:
    run = audited(small_world, "again", "cuda")
    before = file_bytes(run / "samples")
    for shard in sorted((run / "samples").glob("shard-*.parquet"))[::2]:
        shard.unlink()
    assert main(["audit", str(small_world.folder / "again.yaml")]) == ExitCode.OK
    assert file_bytes(run / "samples") == before


def test_every_sample_has_the_template_of_the_cpu(small_world: SmallWorld) -> None:
    job = job_of(small_world, "cuda")
    device = DeviceEmbedder(job, ShardEmbedder(job))
    expected = ShardEmbedder(job_of(small_world, "cpu")).embed(SHARD)
    assert least_cosine(device.embed(SHARD), expected) >= 0.999
    assert set(device.precisions.values()) == {"float16"}


def test_less_memory_makes_smaller_batches(small_world: SmallWorld) -> None:
    job = job_of(small_world, "cuda")
    host = ShardEmbedder(job)
    device = DeviceEmbedder(job, host)
    extract = device._extractors[0].extract

    def refusing(images: torch.Tensor) -> Any:
        # A real failure of the card's own memory, of which no card has this much.
        torch.empty(1 << 45, dtype=torch.uint8, device="cuda")
        return extract(images)

    device._extractors[0].extract = refusing  # type: ignore[method-assign]
    made = device.embed(SHARD)
    assert device.images_at_once == 128
    assert least_cosine(made, host.embed(SHARD)) >= 0.999


def test_code_runs_confined_and_its_images_stay_on_the_card(small_world: SmallWorld, tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = torchscript(tmp_path / "net.pt", Plain())
    spec = {"generator": trusted_generator(kind="torchscript", path=str(path)).model_dump(mode="json")}
    job = job_of(small_world, "cuda", **spec)
    embedder = open_device_embedder(job, ShardEmbedder(job))
    assert isinstance(embedder, DeviceEmbedder) and isinstance(embedder.source, SharedImages)
    assert embedder.source.on_device
    expected = ShardEmbedder(job_of(small_world, "cpu", **spec)).embed(SHARD)
    assert least_cosine(embedder.embed(SHARD), expected) >= 0.99


def test_two_processes_share_a_card(small_world: SmallWorld) -> None:
    path = small_world.spec_path(resources=RESOURCES | {"device": "cuda"})
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        first, second = pool.map(templates_of, [str(path)] * 2)
    assert first == second


def templates_of(spec: str) -> bytes:
    job = ShardJob(load_spec(Path(spec)), "cuda", 1, fingerprint={}, prefix="samples")
    made = DeviceEmbedder(job, ShardEmbedder(job)).embed(SHARD)
    return b"".join(templates.tobytes() for templates in made.faces.templates.values())
