"""Models of images in torch, in batches of one length, give what onnxruntime gives."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from distributed.runtime import torch_batches, torch_ops
from distributed.runtime.onnx_graph import read_model
from distributed.runtime.onnx_session import BatchedModel
from distributed.runtime.torch_batches import TorchBatches, open_images_model, smooth_probe
from tests.support.models import tiny_recognizer

SHAPE, RANGE = (3, 112, 112), (-1.0, 1.0)


def opened(path: Path) -> tuple[BatchedModel, TorchBatches]:
    model = read_model(tiny_recognizer(path))
    reference = BatchedModel(path, model, probe=SHAPE, value_range=RANGE, device="cpu", threads=1)
    in_torch = TorchBatches(path, model, reference, probe=SHAPE, value_range=RANGE, device="cpu", batch=4)
    return reference, in_torch


@pytest.mark.parametrize("count", [0, 1, 4, 7])
def test_any_number_of_images(tmp_path: Path, count: int) -> None:
    reference, in_torch = opened(tmp_path / "r.onnx")
    batch = np.random.default_rng(0).uniform(-1, 1, (count, *SHAPE)).astype(np.float32)
    (output,) = in_torch.run(batch)
    assert output.shape == (count, 16)
    if count:
        np.testing.assert_allclose(output, reference.run(batch)[0], rtol=1e-4, atol=1e-4)


def test_what_torch_has_not_runs_in_onnxruntime_and_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(torch_ops.OPERATORS, "AveragePool")
    asked: list[str] = []

    def on_cpu(*args: object, device: str, **kwargs: object) -> BatchedModel:
        asked.append(device)
        return BatchedModel(*args, device="cpu", **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(torch_batches, "BatchedModel", on_cpu)
    path = tiny_recognizer(tmp_path / "r.onnx")
    with caplog.at_level(logging.WARNING):
        model = open_images_model(
            path, read_model(path), probe=SHAPE, value_range=RANGE, device="cuda", threads=1
        )
    assert isinstance(model, BatchedModel) and asked == ["cpu", "cuda"]
    assert "AveragePool" in caplog.text and "onnxruntime" in caplog.text


@pytest.mark.parametrize("shape", [(3, 112, 112), (112, 96, 3), (3, 112, 96), (3, 640, 640)])
def test_probes_are_smooth_images_of_the_models_shape(shape: tuple[int, ...]) -> None:
    probe = smooth_probe(shape, RANGE)
    assert probe.shape == (8, *shape) and probe.dtype == np.float32
    assert -1 <= probe.min() < -0.5 < 0.5 < probe.max() <= 1
