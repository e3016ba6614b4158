"""An ONNX file."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.spec.generators.network import ImageOutput, NetworkGenerator
from schemas.spec.locations import Location


class OnnxOutput(ImageOutput):
    """The output that is the image, and how it is to be read."""

    name: str | None = Field(None, description="its name; null: the only one that has an image's shape")


class OnnxGenerator(NetworkGenerator):
    """An ONNX file that turns latents into images."""

    kind: Literal["onnx"] = Field(description="the generator is an ONNX file")
    path: Location = Field(min_length=1, description="the ONNX file; its weights may lie in its folder")
    output: OnnxOutput = Field(default_factory=OnnxOutput, description="the generator's output")
