"""Networks that turn latents into images, whatever the format of their file."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.frozen import Frozen
from schemas.spec.generators.base import FactorName, FactorValues, Generator

MOST_NUMBERS = 1_000_000
"""Of one input of one sample."""


class Latent(Frozen):
    """The generator's input: independent standard normals."""

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


class LatentInput(Frozen):
    """A further input of independent standard normals, drawn apart from the first."""

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
