"""Crossing the values of factors with samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from schemas.spec.generators.base import FactorValue, Setting


class Sweep:
    """All combinations of the factors' values, the last factor changing fastest.

    Sample i has setting `i mod len(settings)` and draw `i div len(settings)`: samples with one draw share
    latents and seeds and differ by their settings alone, and a prefix of the samples is balanced.
    """

    def __init__(self, factors: Mapping[str, Sequence[FactorValue]]) -> None:
        self.settings: tuple[Setting, ...] = tuple(
            dict(zip(factors, values, strict=True)) for values in product(*factors.values())
        )

    def draws(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """What each sample draws its latent, or its seed, by."""
        draws: NDArray[np.int64] = ids // len(self.settings)
        return draws

    def settings_of(self, ids: NDArray[np.int64]) -> list[Setting]:
        """The setting of each sample."""
        return [self.settings[index] for index in ids % len(self.settings)]

    def column(self, factor: str, ids: NDArray[np.int64]) -> list[FactorValue]:
        """The factor's value for each sample."""
        return [setting[factor] for setting in self.settings_of(ids)]
