"""The memory of a shared card: arithmetic, and the options that the libraries are given."""

from __future__ import annotations

from collections.abc import Iterator

import onnxruntime
import pytest
import torch
from pydantic import ValidationError

from distributed.runtime import device_memory, onnx_session
from distributed.runtime.device_memory import (
    ARENAS,
    CONTEXT_BYTES,
    DeviceMemory,
    budget_of,
    limit_device_memory,
)
from schemas.errors import DeviceError
from schemas.spec.resources import ResourcesSpec

CARD = 80 << 30


@pytest.fixture
def fractions(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """What torch is told, on a card of 80 GB; no process here has one."""
    given: list[float] = []
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (CARD, CARD))
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", given.append)
    yield given
    limit_device_memory("cpu", ResourcesSpec())


@pytest.mark.parametrize(("total", "share"), [(CARD, 0.25), (CARD, 0.0625), (10 << 30, 0.5), (CARD, 0.9)])
def test_the_workers_of_a_card_do_not_take_more_than_it_has(total: int, share: float) -> None:
    memory = DeviceMemory.of_budget(budget_of(ResourcesSpec(gpus_per_worker=share), total))
    assert int(1 / share) * most_of(memory) <= total
    assert min(memory.torch, memory.onnxruntime, memory.faiss) > 0


@pytest.mark.parametrize(("gigabytes", "share"), [(40, 1), (79.5, 1), (20, 0.25), (3, 0.3)])
def test_a_budget_is_what_the_libraries_have_together(gigabytes: float, share: float) -> None:
    resources = ResourcesSpec(gpus_per_worker=share, gpu_gigabytes=gigabytes)
    budget = budget_of(resources, CARD)
    assert budget == int(gigabytes * 2**30) and most_of(DeviceMemory.of_budget(budget)) <= budget


def most_of(memory: DeviceMemory) -> int:
    """Bytes of a worker that samples, or that searches, whichever takes more."""
    sampling = CONTEXT_BYTES + memory.torch + ARENAS * memory.onnxruntime
    return max(sampling, CONTEXT_BYTES + memory.torch + memory.faiss)


def test_a_share_that_is_too_small_is_refused() -> None:
    with pytest.raises(DeviceError, match=r"would have 0\.0 GB of its GPU .* raise resources\.gpu_gigabytes"):
        DeviceMemory.of_budget(1 << 30)


def test_a_budget_that_the_card_has_not_is_refused() -> None:
    with pytest.raises(DeviceError, match=r"gpu_gigabytes, 30, is more than the 20\.0 GB that each of 4"):
        budget_of(ResourcesSpec(gpus_per_worker=0.25, gpu_gigabytes=30), CARD)
    with pytest.raises(ValidationError, match="gpu_gigabytes is of CUDA"):
        ResourcesSpec(device="cpu", gpu_gigabytes=30)


@pytest.mark.parametrize(
    ("settings", "budget"), [({"gpus_per_worker": 0.25}, CARD // 4), ({"gpu_gigabytes": 12.0}, 12 << 30)]
)
def test_the_libraries_of_a_worker_with_a_budget_are_told(
    fractions: list[float], monkeypatch: pytest.MonkeyPatch, settings: dict[str, float], budget: int
) -> None:
    limit_device_memory("cuda", ResourcesSpec.model_validate(settings))
    memory = DeviceMemory.of_budget(budget)
    assert fractions == [memory.torch / CARD] and device_memory.faiss_bytes() == memory.faiss
    assert device_memory.torch_bytes(CARD) == memory.torch and device_memory.torch_bytes(5) == 5
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [onnx_session.CUDA])
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None, raising=False)
    options = onnx_session._providers("cuda", None)[0][1]
    assert options["gpu_mem_limit"] == str(memory.onnxruntime) and options["use_tf32"] == "0"


@pytest.mark.parametrize(("device", "share"), [("cuda", 1), ("cpu", 0.25)])
def test_a_card_for_one_is_not_limited(fractions: list[float], device: str, share: float) -> None:
    limit_device_memory(device, ResourcesSpec(gpus_per_worker=share))
    assert fractions == [] and device_memory.onnxruntime_options() == {}
    assert device_memory.torch_bytes(CARD) == CARD
