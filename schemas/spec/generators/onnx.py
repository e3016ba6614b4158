"""An ONNX file."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.spec.generators.network import NetworkGenerator


class OnnxGenerator(NetworkGenerator):
    """An ONNX file that turns latents into images."""

    kind: Literal["onnx"] = Field(description="the generator is an ONNX file")
    path: str = Field(min_length=1, description="the ONNX file; its weights may lie in its folder")
