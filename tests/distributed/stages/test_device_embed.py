"""Shards whose images stay on a device are those that the host makes."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from distributed.sampling.device.shared_images import SharedImages
from distributed.stages.making.device_embedder import DeviceEmbedder, open_device_embedder
from distributed.stages.making.embedder import EmbeddedShard, ShardEmbedder
from distributed.stages.making.maker import ShardJob, ShardMaker
from schemas.run.shard import Shard
from schemas.spec.load import load_spec
from tests.support.assets import MODELS, needs_assets
from tests.support.networks import Plain, torchscript, trusted_generator
from tests.support.small_world import SmallWorld

SHARD = Shard(0, 5, 45)


def require_same(ours: EmbeddedShard, expected: EmbeddedShard, least: float = 0.9999) -> None:
    assert ours.faces.outcome == expected.faces.outcome
    np.testing.assert_array_equal(ours.faces.faces, expected.faces.faces)
    np.testing.assert_allclose(ours.faces.detection_score, expected.faces.detection_score, atol=0.01)
    for name, templates in expected.faces.templates.items():
        embedded = np.isfinite(templates[:, 0])
        given = ours.faces.templates[name]
        np.testing.assert_array_equal(np.isfinite(given[:, 0]), embedded)
        rows = given[embedded].astype(np.float64)
        cosine = (rows * templates[embedded]).sum(axis=1) / np.linalg.norm(rows, axis=1)
        assert cosine.min() >= least


def opened(
    world: SmallWorld, batch: int = 8, **changes: Any
) -> tuple[DeviceEmbedder, ShardEmbedder, ShardJob]:
    job = ShardJob(load_spec(world.spec_path(**changes)), "cpu", 1, fingerprint={}, prefix="samples")
    host = ShardEmbedder(job)
    return DeviceEmbedder(job, host, batch), host, job


def test_a_shard_is_that_of_the_host(small_world: SmallWorld) -> None:
    device, host, _ = opened(small_world)
    require_same(device.embed(SHARD), host.embed(SHARD))
    assert device.precisions == dict.fromkeys(device.batches, "float32")


def test_a_shard_is_written_and_has_its_sums(small_world: SmallWorld, tmp_path: Path) -> None:
    device, _, job = opened(small_world, output=str(tmp_path / "run"), protection={"encrypt": False})
    report = ShardMaker(job, device).make(SHARD)
    assert report.rows == SHARD.rows and report.outcomes == {"ok": SHARD.rows}
    assert report.images_at_once == 8 and set(report.seconds) == {"device", "write"}


def test_a_shard_of_code_in_its_own_process_is_that_of_the_host(
    small_world: SmallWorld, tmp_path: Path
) -> None:
    path = torchscript(tmp_path / "net.pt", Plain())
    spec = trusted_generator(kind="torchscript", path=str(path))
    device, host, _ = opened(small_world, generator=spec.model_dump(mode="json"))
    assert isinstance(device.source, SharedImages)
    require_same(device.embed(SHARD), host.embed(SHARD))


def test_less_memory_makes_smaller_batches_and_the_same_shard(
    small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, host, _ = opened(small_world)
    extract = device._extractors[0].extract
    monkeypatch.setattr(device._extractors[0], "extract", lambda images: _only(4, images, extract))

    ours = device.embed(SHARD)

    assert device.images_at_once == 4
    require_same(ours, host.embed(SHARD))


def _only(most: int, images: torch.Tensor, extract: Any) -> Any:
    if len(images) > most:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
    return extract(images)


def test_what_torch_cannot_run_is_left_to_the_host_and_said(
    small_world: SmallWorld, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ShardJob(load_spec(small_world.spec_path()), "cpu", 1, fingerprint={}, prefix="samples")
    monkeypatch.delitem(_operators(), "AveragePool")
    host = ShardEmbedder(job)
    with caplog.at_level(logging.WARNING):
        assert open_device_embedder(job, host) is host
    assert "AveragePool" in caplog.text


def _operators() -> Any:
    from distributed.runtime import torch_ops

    return torch_ops.OPERATORS


@needs_assets
@pytest.mark.parametrize("search", ["first", "all"])
def test_real_samples_and_models(small_world: SmallWorld, search: str) -> None:
    model = {
        "name": "mobilefacenet",
        "path": str(MODELS / "mobilefacenet_foamliu.onnx"),
        "input": {"channels": "rgb", "mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]},
    }
    detector = {"path": str(MODELS / "det_500m.onnx"), "sizes": [64, 128], "threshold": 0.5, "search": search}
    generator = {"kind": "onnx", "path": str(MODELS / "leaky_faces64.onnx"), "latent": {"dim": 128}}
    device, host, _ = opened(
        small_world,
        generator=generator | {"output": {"layout": "nchw", "range": [-1, 1], "channels": "rgb"}},
        faces={"detector": detector, "recognizers": [model]},
    )
    if search == "first":
        outcomes = host.embed(SHARD).faces.outcome
        assert len(device._extractors) == 2 and "ok" in outcomes
    require_same(device.embed(SHARD), host.embed(SHARD), least=0.999)
