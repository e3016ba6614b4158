"""A generator's process writes its images where both can read them: the same as it sends one by one."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from distributed.sampling.adapters import CheckedSource
from distributed.sampling.device.batches import STATES, DeviceBatch, UnevenImagesError
from distributed.sampling.device.shared_images import SharedImages, shared_memory
from distributed.sampling.device.shared_memory import CudaMemory, HostMemory, opened
from distributed.sampling.generator import InvalidImage
from distributed.sampling.sandbox.parent import GeneratorCrashedError, SandboxedSource
from distributed.sampling.sandbox.trust import code_digests
from schemas.errors import DeviceError
from schemas.run.tables import Outcome
from schemas.spec.generators import GeneratorSpec
from tests.support.networks import DIM, SOURCE, package, trusted_generator
from tests.support.stand_in import checkout, network

SEED, BATCH = 3, 6
IDS = np.array([0, 5, 2, 10**9, 7, 1], np.int64)
LATER = IDS + 100
MOODY = (
    SOURCE
    + """
import os

class Moody(Tiny):
    def forward(self, z):
        if os.path.exists("FLAG/crash") and len(z) > 1:
            os._exit(3)
        images = super().forward(z)
        if len(z) > 1:
            images[1] = float("nan")
            images[2] = 0.5
        return images[:, :, :8] if os.path.exists("FLAG/small") and len(z) > 1 else images

def moody(dim, size, flags):
    torch.manual_seed(0)
    return Moody(dim, size)
"""
)


@pytest.fixture(scope="module")
def flags(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("flags")


@pytest.fixture(scope="module")
def moody(tmp_path_factory: pytest.TempPathFactory, flags: Path) -> Iterator[SandboxedSource]:
    code = package(tmp_path_factory.mktemp("code"), MOODY.replace("FLAG", str(flags)))
    spec = trusted_generator(
        kind="module",
        code=str(code),
        factory="tiny_faces.net:moody",
        arguments={"dim": DIM, "size": 16, "flags": str(flags)},
    )
    source = SandboxedSource(spec, SEED, device="cpu", threads=1)
    yield source
    source.close()


def assert_same(batch: DeviceBatch, source: Any, ids: Any) -> None:
    for place, expected in enumerate(CheckedSource(source).sample(ids)):
        if isinstance(expected, InvalidImage):
            assert STATES[batch.state[place]] == expected.outcome
        else:
            assert STATES[batch.state[place]] == Outcome.OK
            np.testing.assert_array_equal(batch.images[place].permute(1, 2, 0).numpy(), expected)


def test_the_images_are_those_that_are_sent(moody: SandboxedSource) -> None:
    images = SharedImages(moody, BATCH, "cpu")
    batch = images.sample(IDS)
    assert images.shape == (16, 16)
    assert [STATES[state] for state in batch.state[:4]] == [
        Outcome.OK,
        Outcome.NOT_FINITE,
        Outcome.CONSTANT,
        Outcome.OK,
    ]
    assert_same(batch, moody, IDS)


def test_a_batch_made_ahead_leaves_the_one_in_use(moody: SandboxedSource) -> None:
    images = SharedImages(moody, BATCH, "cpu")
    first = images.sample(IDS)
    before = first.images.clone()
    images.expect(LATER)
    second = images.sample(LATER)
    assert torch.equal(first.images, before) and not torch.equal(second.images, before)
    assert_same(second, moody, LATER)


def test_what_was_made_ahead_may_be_forgotten(moody: SandboxedSource) -> None:
    images = SharedImages(moody, BATCH, "cpu")
    images.expect(LATER)
    # The host asks the same process for single images.
    assert len(moody.sample(IDS[:1])) == 1
    images.expect(LATER)
    assert_same(images.sample(IDS), moody, IDS)


def test_a_crash_costs_one_batch(moody: SandboxedSource, flags: Path) -> None:
    images = SharedImages(moody, BATCH, "cpu")
    (flags / "crash").touch()
    with pytest.raises(GeneratorCrashedError, match="exit code 3"):
        images.sample(IDS)
    (flags / "crash").unlink()
    assert_same(images.sample(IDS), moody, IDS)


def test_images_of_another_shape_are_left_to_the_host(moody: SandboxedSource, flags: Path) -> None:
    images = SharedImages(moody, BATCH, "cpu")
    (flags / "small").touch()
    with pytest.raises(UnevenImagesError):
        images.sample(IDS)
    (flags / "small").unlink()


def test_smaller_batches_use_the_same_memory(moody: SandboxedSource) -> None:
    memory = shared_memory(moody, 1 << 16, "cpu")
    assert shared_memory(moody, 1 << 12, "cpu") is memory
    assert shared_memory(moody, 1 << 17, "cpu") is not memory


@pytest.mark.parametrize("answer", [{}, {"state": [0], "reasons": {}}, {"state": [0, 99], "reasons": {}}])
def test_what_is_no_answer_ends_the_process(
    moody: SandboxedSource, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any]
) -> None:
    monkeypatch.setattr(moody, "_answered", lambda seconds: (answer, memoryview(b"")))
    with pytest.raises(GeneratorCrashedError, match="no answer"):
        moody.end_batch(2)


@pytest.mark.slow
def test_a_stylegan_quantises_as_nvlabs_do(tmp_path: Path) -> None:
    code = checkout(tmp_path / "checkout")
    path = network(code, classes=3)
    fields = {"kind": "stylegan", "path": str(path), "code": str(code), "factors": {"truncation": [0.5, 1.0]}}
    spec: Any = TypeAdapter(GeneratorSpec).validate_python(fields)
    spec = spec.model_copy(update={"trust": tuple(code_digests(spec).values())})
    source = SandboxedSource(spec, SEED, device="cpu", threads=1)
    assert_same(SharedImages(source, BATCH, "cpu").sample(IDS), source, IDS)
    source.close()


@pytest.mark.skipif(not hasattr(fcntl, "F_ADD_SEALS"), reason="only Linux has seals")
def test_nobody_can_cut_the_memory_short() -> None:
    memory = HostMemory(4096)
    with pytest.raises(PermissionError):
        os.ftruncate(memory.descriptor, 10)
    opened(memory.description)[5] = 9
    assert memory.bytes[5] == 9


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_without_cuda_the_log_says_that_the_host_is_used(
    moody: SandboxedSource, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(DeviceError, match="no CUDA driver"):
        CudaMemory(1 << 20)
    with caplog.at_level(logging.WARNING):
        assert isinstance(shared_memory(moody, 1 << 20, "cuda"), HostMemory)
    assert "through the host's memory" in caplog.text
