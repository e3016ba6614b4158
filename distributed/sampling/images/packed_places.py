"""Places as a job carries them to workers: records of one file as their offsets alone."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import overload

import numpy as np
from numpy.typing import NDArray

from distributed.sampling.images.places import Place, record_path
from distributed.sampling.images.recordio import Record


@dataclass(frozen=True, eq=False)
class _Records:
    """Records of one `.rec`; offset: int64 (n,)."""

    path: str
    offset: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offset)

    def __getitem__(self, index: int) -> Record:
        return Record(self.path, int(self.offset[index]))


class PackedPlaces(Sequence[Place]):
    """The places, in their order. 5.8 million records are 46 MB, where the objects take minutes to cross."""

    def __init__(self, places: Iterable[Place]) -> None:
        self._runs = [_run(path, list(run)) for path, run in groupby(places, record_path)]
        self._stops = np.cumsum([len(run) for run in self._runs], dtype=np.int64).tolist()

    def __len__(self) -> int:
        return self._stops[-1] if self._stops else 0

    @overload
    def __getitem__(self, index: int) -> Place: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Place, ...]: ...

    def __getitem__(self, index: int | slice) -> Place | tuple[Place, ...]:
        if isinstance(index, slice):
            return tuple(self[row] for row in range(*index.indices(len(self))))
        row = range(len(self))[index]
        run = bisect_right(self._stops, row)
        return self._runs[run][row - self._stops[run] + len(self._runs[run])]


def _run(path: str | None, places: Sequence[Place]) -> _Records | Sequence[Place]:
    if path is None:
        return places
    return _Records(path, np.array([place.offset for place in places if isinstance(place, Record)], np.int64))
