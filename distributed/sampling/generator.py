"""What every generator adapter offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from schemas.run.tables import Outcome

Image = NDArray[np.uint8]
"""H × W × 3, uint8, RGB."""


DEFAULT_PIXELS = 64_000_000


@dataclass(frozen=True)
class Loading:
    """How a generator is to be loaded.

    pixels: of a decoded image; a larger one is not decoded. prepared: what `prepare` gave in another process,
    None if it is still to be found out. run: folder or prefix of the run, for what must outlive a process.
    """

    device: str
    threads: int
    pixels: int = DEFAULT_PIXELS
    prepared: Any = None
    run: str = ""


@dataclass(frozen=True)
class InvalidImage:
    """In place of an image that the source could not give; `reason` is one line."""

    reason: str
    outcome: Outcome = Outcome.INVALID_IMAGE


class ImageSource(Protocol):
    """Sample id -> image. Image i is a function of the source and i, and of nothing else."""

    def sample(self, ids: NDArray[np.int64]) -> Sequence[Image | InvalidImage]:
        """One image, or the reason why there is none, for each of `ids` (any order, repeats allowed)."""
        ...


class AnsweringSource(ABC):
    """A source whose images cannot be had again: it is told what will be needed, and what is done with."""

    @abstractmethod
    def expect(self, ids: NDArray[np.int64]) -> None:
        """These will be sampled, in this order."""

    @abstractmethod
    def sample(self, ids: NDArray[np.int64]) -> Sequence[Image | InvalidImage]:
        """As of an ImageSource."""

    @abstractmethod
    def digests(self, ids: NDArray[np.int64]) -> list[str | None]:
        """The sha256 of each sampled image's bytes, hexadecimal; None where there are none."""

    @abstractmethod
    def release(self, ids: NDArray[np.int64]) -> None:
        """What was made of these is committed."""


class Adapter(Protocol):
    """What the file of a kind of generator holds, under these names.

    Where it has something to tell, also functions of the spec that raise SpecError: `prepare`, what is found
    out once for all processes, to be pickled, such as an index of images; `count`, how many images there are,
    if there is an end to them; `notices`, what of the source is no sample, in lines.
    """

    def open_source(self, spec: Any, seed: int, loading: Loading) -> ImageSource:
        """The generator, loaded. Raises ModelError, SpecError or DeviceError if that cannot be."""

    def fingerprint_fields(self, spec: Any) -> dict[str, str]:
        """All that changes an image, names without `generator.`; digests of files, never their paths.

        Raises ModelError or SpecError for a file that is missing.
        """
