"""Network pickles of NVlabs' StyleGAN2-ada-pytorch and StyleGAN3."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from schemas.spec.generators.base import FactorValues
from schemas.spec.generators.code import CodeGenerator


class StyleganGenerator(CodeGenerator):
    """A network pickle, which is code, read with NVlabs' own sources."""

    paths: ClassVar[tuple[str, ...]] = ("path", "code")
    code_paths: ClassVar[tuple[str, ...]] = ("path", "code")

    kind: Literal["stylegan"] = Field(description="the generator is a network pickle of NVlabs' StyleGANs")
    path: str = Field(min_length=1, description="the pickle")
    code: str = Field(min_length=1, description="your checkout of NVlabs' repository; idleak ships none")
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
        for one in self.factors.get("label", ()):
            if type(one) is not int or one < 0:
                raise ValueError("factors.label must be whole numbers from 0 on")
        if any(isinstance(one, str) for one in self.factors.get("truncation", ())):
            raise ValueError("factors.truncation must be numbers")
        return self
