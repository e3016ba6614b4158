"""Network pickles of NVlabs' StyleGAN2-ada-pytorch and StyleGAN3."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from schemas.spec.generators.base import FactorValues
from schemas.spec.generators.code import CodeGenerator
from schemas.spec.locations import Location


class StyleganGenerator(CodeGenerator):
    """A network pickle, which is code, read with NVlabs' own sources."""

    code_paths: ClassVar[tuple[str, ...]] = ("path", "code")

    kind: Literal["stylegan"] = Field(description="the generator is a network pickle of NVlabs' StyleGANs")
    path: Location = Field(min_length=1, description="the pickle")
    code: Location = Field(min_length=1, description="your checkout of NVlabs' repository; idleak ships none")
    seeds: Literal["idleak", "nvlabs"] = Field(
        "idleak",
        description="nvlabs: sample i is what their seed `seed` + i draws; idleak: as in all kinds",
    )
    truncation: float = Field(1.0, description="truncation ψ")
    label: int | None = Field(None, ge=0, description="the class; null: drawn uniformly, if there are any")
    rotate: float = Field(0.0, description="degrees; StyleGAN3 only")
    translate: tuple[float, float] = Field((0.0, 0.0), description="x and y; StyleGAN3 only")
    factors: dict[Literal["truncation", "label"], FactorValues] = Field(
        default_factory=dict, description="values of truncation and label that are all tried"
    )

    @model_validator(mode="after")
    def _factors_fit(self) -> Self:
        for label in self.factors.get("label", ()):
            if type(label) is not int or label < 0:
                raise ValueError("factors.label must be whole numbers from 0 on")
        if any(isinstance(truncation, str) for truncation in self.factors.get("truncation", ())):
            raise ValueError("factors.truncation must be numbers")
        return self
