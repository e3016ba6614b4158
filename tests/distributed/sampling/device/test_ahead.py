"""Latents that a thread draws ahead are those of the host."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from numpy.typing import NDArray

from distributed.sampling.device.ahead import Ahead
from distributed.sampling.device.onnx_images import OnnxImages
from distributed.sampling.networks.latents import standard_normal
from schemas.spec.generators.onnx import OnnxGenerator
from tests.support.small_world import DIM, SEED, SmallWorld


def test_what_is_expected_is_made_by_a_thread_and_all_else_here() -> None:
    threads: list[str] = []

    def make(ids: NDArray[np.int64]) -> NDArray[np.float32]:
        threads.append(threading.current_thread().name)
        return standard_normal(SEED, ids, DIM)

    ahead, here = Ahead(make), threading.current_thread().name
    first, second = np.arange(8), np.arange(8, 16)
    ahead.expect(first)
    np.testing.assert_array_equal(ahead.take(first), standard_normal(SEED, first, DIM))
    ahead.expect(first)
    np.testing.assert_array_equal(ahead.take(second), standard_normal(SEED, second, DIM))
    np.testing.assert_array_equal(ahead.take(first), standard_normal(SEED, first, DIM))
    assert threads[0] != here and threads.count(here) == 2


def test_an_error_of_the_thread_is_raised_where_the_ids_are_asked_for() -> None:
    def make(ids: NDArray[np.int64]) -> None:
        raise MemoryError("no room")

    ahead = Ahead(make)
    ahead.expect(np.arange(3))
    with pytest.raises(MemoryError, match="no room"):
        ahead.take(np.arange(3))


def test_images_of_expected_ids_are_the_same_to_the_bit(small_world: SmallWorld) -> None:
    spec = small_world.spec()
    assert isinstance(spec.generator, OnnxGenerator)
    images = OnnxImages(spec.generator, spec.seed, 8, device="cpu", threads=1)
    batches = [np.arange(start, start + 8) for start in (0, 8, 1000)]
    plain = [images.sample(ids).images.clone() for ids in batches]
    for ids, expected in zip(batches, plain, strict=True):
        images.expect(ids)
        assert images.sample(ids).images.equal(expected)
