"""Pipelines of diffusers."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from schemas.spec.generators.base import FactorValue, FactorValues, Generator
from schemas.spec.locations import Location

NUMBERS = ("label", "steps", "guidance")


class DiffusersGenerator(Generator):
    """A folder that a pipeline of diffusers was saved in, with safetensors and without code of its own."""

    kind: Literal["diffusers"] = Field(description="the generator is a pipeline of diffusers")
    path: Location = Field(min_length=1, description="the pipeline's folder, the one with model_index.json")
    prompt: str | None = Field(None, description="for pipelines that take one")
    negative_prompt: str | None = Field(None, description="for pipelines that take one")
    label: int | None = Field(None, ge=0, description="class, for pipelines that take class labels")
    steps: PositiveInt | None = Field(None, description="denoising steps; null: the pipeline's default")
    guidance: float | None = Field(None, description="guidance scale; null: the pipeline's default")
    height: PositiveInt | None = Field(None, description="of the images; null: the pipeline's default")
    width: PositiveInt | None = Field(None, description="of the images; null: the pipeline's default")
    dtype: Literal["float32", "float16", "bfloat16"] = Field("float32", description="of the weights")
    factors: dict[Literal["prompt", "negative_prompt", "label", "steps", "guidance"], FactorValues] = Field(
        default_factory=dict, description="values of these fields that are all tried"
    )

    @model_validator(mode="after")
    def _factors_fit(self) -> Self:
        for name, values in self.factors.items():
            if any(isinstance(value, str) == (name in NUMBERS) for value in values):
                raise ValueError(f"factors.{name} must be {'numbers' if name in NUMBERS else 'texts'}")
        return self

    def call(self, setting: dict[str, FactorValue]) -> dict[str, FactorValue]:
        """What the pipeline is given under one setting of the factors, by our names."""
        names = ("prompt", "negative_prompt", "label", "steps", "guidance", "height", "width")
        given = {name: getattr(self, name) for name in names} | setting
        return {name: value for name, value in given.items() if value is not None}
