"""What the spec's `generator` may be: kinds of sources of images."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from schemas.spec.generators.base import Generator
from schemas.spec.generators.diffusers import DiffusersGenerator
from schemas.spec.generators.http import HttpGenerator
from schemas.spec.generators.images import (
    ImagesGenerator,
    ParquetGenerator,
    RecordioGenerator,
    WebdatasetGenerator,
)
from schemas.spec.generators.onnx import OnnxGenerator
from schemas.spec.generators.stylegan import StyleganGenerator
from schemas.spec.generators.templates import TemplatesGenerator
from schemas.spec.generators.torch import ModuleGenerator, TorchExportGenerator, TorchscriptGenerator

GeneratorSpec = Annotated[
    OnnxGenerator
    | TorchscriptGenerator
    | TorchExportGenerator
    | ModuleGenerator
    | StyleganGenerator
    | DiffusersGenerator
    | ImagesGenerator
    | WebdatasetGenerator
    | ParquetGenerator
    | RecordioGenerator
    | TemplatesGenerator
    | HttpGenerator,
    Field(discriminator="kind"),
]
KINDS: tuple[type[Generator], ...] = (
    OnnxGenerator,
    TorchscriptGenerator,
    TorchExportGenerator,
    ModuleGenerator,
    StyleganGenerator,
    DiffusersGenerator,
    ImagesGenerator,
    WebdatasetGenerator,
    ParquetGenerator,
    RecordioGenerator,
    TemplatesGenerator,
    HttpGenerator,
)
"""In the order of docs/generators.md."""
