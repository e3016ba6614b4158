"""What is made of sample ids by a thread, while the device is at the batch before."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")


class Ahead(Generic[T]):
    """A function of ids, begun before it is asked for."""

    def __init__(self, make: Callable[[NDArray[np.int64]], T]) -> None:
        """make: may be called from any thread, and gives the same for the same ids."""
        self._make = make
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ahead")
        self._expected: tuple[NDArray[np.int64], Future[T]] | None = None

    def expect(self, ids: NDArray[np.int64]) -> None:
        """These will be asked for next. What was expected before is forgotten."""
        self._expected = ids, self._thread.submit(self._make, ids)

    def take(self, ids: NDArray[np.int64]) -> T:
        """Of these ids, expected or not. Raises what `make` raises."""
        expected, self._expected = self._expected, None
        if expected is not None and np.array_equal(expected[0], ids):
            return expected[1].result()
        return self._make(ids)
