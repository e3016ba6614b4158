"""What the spec's `generator` may be: one kind of source of images per file."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from schemas.generators.base import Generator
from schemas.generators.http import HttpGenerator
from schemas.generators.images import ImagesGenerator
from schemas.generators.onnx import OnnxGenerator
from schemas.generators.torch import ModuleGenerator, TorchExportGenerator, TorchscriptGenerator

GeneratorSpec = Annotated[
    OnnxGenerator
    | TorchscriptGenerator
    | TorchExportGenerator
    | ModuleGenerator
    | ImagesGenerator
    | HttpGenerator,
    Field(discriminator="kind"),
]
KINDS: tuple[type[Generator], ...] = (
    OnnxGenerator,
    TorchscriptGenerator,
    TorchExportGenerator,
    ModuleGenerator,
    ImagesGenerator,
    HttpGenerator,
)
"""In the order of docs/generators.md."""
