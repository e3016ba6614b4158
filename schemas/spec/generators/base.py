"""What all kinds of generators share, and how their factors are crossed with samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    model_validator,
)

from schemas.frozen import Frozen

NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_.]*$"
DIGEST_PATTERN = r"^sha256:[0-9a-f]{64}$"

MOST_SETTINGS = 100_000

FactorValue = bool | int | float | str
Setting = Mapping[str, FactorValue]
"""The value of every factor, for one sample."""


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _different(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len({(type(value), value) for value in values}) < len(values):
        raise ValueError("every value must be given once")
    if len({isinstance(value, str) for value in values}) > 1:
        raise ValueError("the values must be all text or all numbers")
    return values


FactorName = Annotated[str, Field(pattern=NAME_PATTERN)]
FactorValues = Annotated[
    tuple[StrictBool | StrictInt | StrictFloat | StrictStr, ...],
    Field(min_length=1),
    AfterValidator(_different),
]
Digest = Annotated[str, Field(pattern=DIGEST_PATTERN)]
Trust = Annotated[
    tuple[Digest, ...], BeforeValidator(_listed, json_schema_input_type=Digest | tuple[Digest, ...])
]
"""Digests of code that may be run. One may be given without a list."""


class Generator(Frozen):
    """One kind of source of images."""

    kind: str
    license: str | None = Field(None, description="the generator's licence or terms, for the record")

    seeded: ClassVar[bool] = True
    """Can sample i be made again from its id?"""

    repeatable: ClassVar[bool] = True
    """May a sample be asked for again, after the run?"""

    one_worker: ClassVar[bool] = False
    """Must one worker make all samples, so that limits hold for the whole run?"""

    is_code: ClassVar[bool] = False
    """Does loading it run code that came with it?"""

    has_images: ClassVar[bool] = True
    """Does it give images? Else it gives templates."""

    @property
    def sweep(self) -> Mapping[str, tuple[FactorValue, ...]]:
        """The factors that are crossed with the samples; none for most kinds."""
        return getattr(self, "factors", {})

    def least_seconds(self, samples: int) -> float:
        """What so many samples take at the least by the spec alone; 0 for most kinds."""
        return 0.0

    @model_validator(mode="after")
    def _few_settings(self) -> Self:
        if math.prod(len(values) for values in self.sweep.values()) > MOST_SETTINGS:
            raise ValueError(f"factors have more than {MOST_SETTINGS:,} combinations: name fewer values")
        return self


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
