"""Which batch size a recogniser takes."""

from __future__ import annotations

from time import sleep

import numpy as np
from numpy.typing import NDArray

from distributed.embedding.batch_probe import fastest_batch

INPUTS = np.random.default_rng(0).random((8, 5)).astype(np.float32)


def test_the_fastest_is_taken() -> None:
    def run(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        sleep(0.002 if len(batch) == 4 else 0.004 * len(batch))
        return batch * 2

    assert fastest_batch(run, INPUTS) == 4


def test_a_faster_one_that_changes_a_bit_is_not_taken() -> None:
    def run(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        sleep(0.004 if len(batch) < 4 else 0.0)
        return np.nextafter(batch, np.float32(2)) if len(batch) == 8 else batch

    assert fastest_batch(run, INPUTS) == 4


def test_one_is_taken_where_all_others_change_bits() -> None:
    def run(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        return batch + np.float32(len(batch))

    assert fastest_batch(run, INPUTS) == 1
