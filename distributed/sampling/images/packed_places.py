"""Places and texts by the million: columns, from which each is made when it is asked for."""

from __future__ import annotations

import os
from abc import abstractmethod
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from distributed.sampling.images.places import Cell, Part, Place, Span
from distributed.sampling.images.recordio import Record

ElementT = TypeVar("ElementT", covariant=True)


class Packed(Sequence[ElementT]):
    """What a list does, by `element` and `__len__` alone."""

    @abstractmethod
    def element(self, row: int) -> ElementT:
        """row: from 0 to below the length."""

    @overload
    def __getitem__(self, index: int) -> ElementT: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[ElementT, ...]: ...

    def __getitem__(self, index: int | slice) -> ElementT | tuple[ElementT, ...]:
        if isinstance(index, slice):
            return tuple(self.element(row) for row in range(*index.indices(len(self))))
        return self.element(range(len(self))[index])


class Texts(Packed[str]):
    """Texts of any characters, lone surrogates of file names too, at 8 bytes more than they are long."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._letters, self._stops = bytearray(), array("q", [0])
        for text in texts:
            self.append(text)

    def append(self, text: str) -> None:
        self._letters += text.encode("utf-8", "surrogatepass")
        self._stops.append(len(self._letters))

    def __len__(self) -> int:
        return len(self._stops) - 1

    def element(self, row: int) -> str:
        return self._letters[self._stops[row] : self._stops[row + 1]].decode("utf-8", "surrogatepass")


class Digests(Packed[str]):
    """Hexadecimal texts of one even length, at half a byte a letter."""

    def __init__(self, digests: Iterable[str] = ()) -> None:
        self._bytes, self._size = bytearray(), 1
        for digest in digests:
            self._size = len(digest) // 2
            self._bytes += bytes.fromhex(digest)

    def __len__(self) -> int:
        return len(self._bytes) // self._size

    def element(self, row: int) -> str:
        return self._bytes[row * self._size : (row + 1) * self._size].hex()

    def may_be_repeated(self) -> NDArray[np.int64]:
        """Rows of all digests that are there more than once, rising, and hardly any other."""
        if not len(self):
            return np.empty(0, np.int64)
        letters = np.frombuffer(self._bytes, np.uint8).reshape(len(self), self._size)
        beginnings = np.ascontiguousarray(letters[:, :8]).view(np.uint64)[:, 0]
        _, group, count = np.unique(beginnings, return_inverse=True, return_counts=True)
        return np.flatnonzero(count[group] > 1)


class _Run(Protocol):
    """Places that follow one another and are packed in one way."""

    def append(self, place: Place) -> bool:
        """False if this place needs another run."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Place: ...


class _Files:
    """Files, each as its name and its folder, whose path stands once while it stays the same."""

    def __init__(self) -> None:
        self._folders, self._folder, self._names = Texts(), array("i"), Texts()
        self._last: str | None = None
        self._read = -1, Path()

    def append(self, place: Place) -> bool:
        if not isinstance(place, Path):
            return False
        folder, name = os.path.split(place)
        if folder != self._last:
            self._folders.append(folder)
            self._last = folder
        self._folder.append(len(self._folders) - 1)
        self._names.append(name)
        return True

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> Path:
        number, folder = self._read
        if number != self._folder[index]:
            # Neighbours are mostly in one folder, whose path takes longer to make than the file's name.
            number, folder = self._read = self._folder[index], Path(self._folders[self._folder[index]])
        return folder / self._names[index]


class _Numbered:
    """Places of one file, or column of one: those of `kind` whose last fields are whole numbers."""

    def __init__(self, kind: Callable[..., Place], texts: tuple[str, ...], numbers: int) -> None:
        self._kind, self._texts = kind, texts
        self._numbers = [array("q") for _ in range(numbers)]

    def append(self, place: Place) -> bool:
        fields = _fields(place)
        if fields is None or (type(place), fields[0]) != (self._kind, self._texts):
            return False
        for column, number in zip(self._numbers, fields[1], strict=True):
            column.append(number)
        return True

    def __len__(self) -> int:
        return len(self._numbers[0])

    def __getitem__(self, index: int) -> Place:
        return self._kind(*self._texts, *(column[index] for column in self._numbers))


class _Others:
    """Places as they are."""

    def __init__(self) -> None:
        self._places: list[Place] = []

    def append(self, place: Place) -> bool:
        if isinstance(place, Path) or _fields(place) is not None:
            return False
        self._places.append(place)
        return True

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Place:
        return self._places[index]


def _fields(place: Place) -> tuple[tuple[str, ...], tuple[int, ...]] | None:
    """Texts and then numbers that make the place anew; None for one that has others."""
    match place:
        case Record():
            return (place.path,), (place.offset,)
        case Span():
            return (place.path,), (place.offset, place.size)
        case Part():
            return (place.location, place.name), (place.offset, place.size)
        case Cell():
            return (place.location, place.name, place.column), (place.group, place.row)
        case _:
            return None


def _run_for(place: Place) -> _Run:
    if isinstance(place, Path):
        return _Files()
    fields = _fields(place)
    return _Others() if fields is None else _Numbered(type(place), fields[0], len(fields[1]))


class PackedPlaces(Packed[Place]):
    """The places, in their order. 5.8 million records are 46 MB, where the objects take minutes to cross."""

    def __init__(self, places: Iterable[Place] = ()) -> None:
        self._runs: list[_Run] = []
        self._stops: list[int] = []
        for place in places:
            self.append(place)

    def append(self, place: Place) -> None:
        if not (self._runs and self._runs[-1].append(place)):
            self._runs.append(_run_for(place))
            self._runs[-1].append(place)
            self._stops.append(len(self))
        self._stops[-1] += 1

    def __len__(self) -> int:
        return self._stops[-1] if self._stops else 0

    def __iter__(self) -> Iterator[Place]:
        return (run[row] for run in self._runs for row in range(len(run)))

    def element(self, row: int) -> Place:
        run = bisect_right(self._stops, row)
        return self._runs[run][row - self._stops[run] + len(self._runs[run])]
