"""Networks that turn latents into images, whatever the format of their file."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.frozen import Frozen
from schemas.spec.generators.base import FactorName, FactorValues, Generator

MOST_NUMBERS = 1_000_000
"""Of one input of one sample."""


class Distribution(Frozen):
    """What latents are drawn from."""

    distribution: Literal["normal", "uniform", "sphere", "truncated"] = Field(
        "normal",
        description="as in training: independent normals; uniform in ±`scale`; a direction, of length "
        "`scale`; normals cut at ±2, times `scale`, as BigGAN's truncation",
        repr=False,
    )
    scale: float = Field(1.0, gt=0, le=1e6, description="factor, bound or length", repr=False)

    @property
    def is_standard(self) -> bool:
        """Standard normals."""
        return self.distribution == "normal" and self.scale == 1


class Latent(Distribution):
    """The generator's input: random numbers, drawn for each sample."""

    dim: int = Field(ge=1, le=MOST_NUMBERS, description="length of one latent vector")


class ImageOutput(Frozen):
    """How the generator's output tensor is to be read."""

    layout: Literal["nchw", "nhwc"] = Field("nchw", description="order of the output's axes")
    range: tuple[float, float] = Field((-1.0, 1.0), description="the values of black and white; clipped")
    channels: Literal["rgb", "bgr", "grey"] = Field(
        "rgb", description="order of the colour channels; grey: one, repeated to three"
    )

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.range[0] >= self.range[1]:
            raise ValueError("range must be [low, high] with low < high")
        return self


class LatentInput(Distribution):
    """A further latent, drawn apart from the first."""

    kind: Literal["latent"] = Field(description="a further latent")
    dim: int = Field(ge=1, le=MOST_NUMBERS, description="its length")


class ClassInput(Frozen):
    """A class label."""

    kind: Literal["class"] = Field(description="a class label")
    classes: int = Field(ge=1, le=MOST_NUMBERS, description="how many classes there are")
    encoding: Literal["index", "one_hot"] = Field(
        "index", description="one number for each sample, or `classes` numbers, of which one is 1"
    )
    value: int | None = Field(None, ge=0, description="the class; null: drawn uniformly for each sample")

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.value is not None and self.value >= self.classes:
            raise ValueError(f"value must be below classes, {self.classes}")
        return self


class NumberInput(Frozen):
    """A number, such as a truncation."""

    kind: Literal["number"] = Field(description="a number")
    value: float = Field(description="its value")


NetworkInput = Annotated[LatentInput | ClassInput | NumberInput, Field(discriminator="kind")]


class NetworkGenerator(Generator):
    """A network: latents, and whatever else it takes, to images."""

    latent: Latent = Field(description="the generator's input")
    inputs: dict[FactorName, NetworkInput] = Field(
        default_factory=dict, description="further inputs, by their names in the model"
    )
    factors: dict[FactorName, FactorValues] = Field(
        default_factory=dict, description="values of `class` and `number` inputs that are all tried"
    )
    output: ImageOutput = Field(default_factory=ImageOutput, description="the generator's output")

    @model_validator(mode="after")
    def _factors_are_inputs(self) -> Self:
        for name, values in self.factors.items():
            taken = self.inputs.get(name)
            if isinstance(taken, ClassInput):
                if not all(type(value) is int and 0 <= value < taken.classes for value in values):
                    raise ValueError(f"factors.{name} must be whole numbers from 0 to {taken.classes - 1}")
            elif not isinstance(taken, NumberInput):
                raise ValueError(f"factors.{name} must be the name of a class or number in `inputs`")
            elif any(isinstance(value, str) for value in values):
                raise ValueError(f"factors.{name} must be numbers")
        return self
