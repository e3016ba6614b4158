"""The memory of a shared card: arithmetic, and the options that the libraries are given."""

from __future__ import annotations

from collections.abc import Iterator

import onnxruntime
import pytest
import torch

from distributed.runtime import device_memory, onnx_session
from distributed.runtime.device_memory import ARENAS, CONTEXT_BYTES, DeviceMemory, limit_device_memory
from schemas.errors import DeviceError

CARD = 80 << 30


@pytest.fixture
def fractions(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """What torch is told, on a card of 80 GB; no process here has one."""
    given: list[float] = []
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (CARD, CARD))
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", given.append)
    yield given
    limit_device_memory("cpu", 1)


@pytest.mark.parametrize(("total", "share"), [(CARD, 0.25), (CARD, 0.0625), (10 << 30, 0.5), (CARD, 0.9)])
def test_the_workers_of_a_card_do_not_take_more_than_it_has(total: int, share: float) -> None:
    memory = DeviceMemory.of_share(total, share)
    sampling = CONTEXT_BYTES + memory.torch + ARENAS * memory.onnxruntime
    searching = CONTEXT_BYTES + memory.torch + memory.faiss
    assert int(1 / share) * max(sampling, searching) <= total
    assert min(memory.torch, memory.onnxruntime, memory.faiss) > 0


def test_a_share_that_is_too_small_is_refused() -> None:
    with pytest.raises(DeviceError, match=r"0\.1, leaves a worker 0\.0 GB of this card's 10\.0 GB"):
        DeviceMemory.of_share(10 << 30, 0.1)


def test_the_libraries_of_a_shared_card_are_told(
    fractions: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    limit_device_memory("cuda", 0.25)
    memory = DeviceMemory.of_share(CARD, 0.25)
    assert fractions == [memory.torch / CARD] and device_memory.faiss_bytes() == memory.faiss
    assert device_memory.torch_bytes(CARD) == memory.torch and device_memory.torch_bytes(5) == 5
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [onnx_session.CUDA])
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None, raising=False)
    options = onnx_session._providers("cuda", None)[0][1]
    assert options["gpu_mem_limit"] == str(memory.onnxruntime) and options["use_tf32"] == "0"


@pytest.mark.parametrize(("device", "share"), [("cuda", 1), ("cpu", 0.25)])
def test_a_card_for_one_is_not_limited(fractions: list[float], device: str, share: float) -> None:
    limit_device_memory(device, share)
    assert fractions == [] and device_memory.onnxruntime_options() == {}
    assert device_memory.torch_bytes(CARD) == CARD
