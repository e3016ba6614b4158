"""What every generator adapter offers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""H × W × 3, uint8, RGB."""


@dataclass(frozen=True)
class InvalidImage:
    """In place of an image that the source could not give."""

    reason: str


class ImageSource(Protocol):
    """Sample id -> image. Image i is a function of the source and i, and of nothing else."""

    def sample(self, ids: NDArray[np.int64]) -> Sequence[Image | InvalidImage]:
        """One image, or the reason why there is none, for each of `ids` (any order, repeats allowed)."""
        ...
