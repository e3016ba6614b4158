"""What the spec's `generator` may be: one kind of source of images per file."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from schemas.generators.base import Generator
from schemas.generators.diffusers import DiffusersGenerator
from schemas.generators.http import HttpGenerator
from schemas.generators.images import ImagesGenerator
from schemas.generators.onnx import OnnxGenerator
from schemas.generators.parquet import ParquetGenerator
from schemas.generators.stylegan import StyleganGenerator
from schemas.generators.torch import ModuleGenerator, TorchExportGenerator, TorchscriptGenerator
from schemas.generators.webdataset import WebdatasetGenerator

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
    HttpGenerator,
)
"""In the order of docs/generators.md."""
