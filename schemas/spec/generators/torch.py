"""Formats of torch: a TorchScript file, an exported program, and the user's own Python with safetensors."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from schemas.spec.generators.base import FactorValue
from schemas.spec.generators.code import CodeGenerator
from schemas.spec.generators.network import NetworkGenerator


class TorchscriptGenerator(CodeGenerator, NetworkGenerator):
    """A TorchScript file, which is code."""

    kind: Literal["torchscript"] = Field(description="the generator is a TorchScript file")
    path: str = Field(min_length=1, description="the file that `torch.jit.save` wrote")


class TorchExportGenerator(CodeGenerator, NetworkGenerator):
    """An exported program, which is code: loading one can run what its maker wants."""

    kind: Literal["torch_export"] = Field(description="the generator is an exported program")
    path: str = Field(min_length=1, description="the .pt2 file that `torch.export.save` wrote")


class ModuleGenerator(CodeGenerator, NetworkGenerator):
    """A network in the user's own Python; its weights are data."""

    code_paths: ClassVar[tuple[str, ...]] = ("code",)
    paths: ClassVar[tuple[str, ...]] = ("code", "weights")

    kind: Literal["module"] = Field(description="the generator is Python code")
    code: str = Field(min_length=1, description="the folder that the code is imported from")
    factory: str = Field(
        pattern=r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_.]*$",
        description="`package.module:callable`, which gives a torch.nn.Module",
    )
    arguments: dict[str, FactorValue] = Field(
        default_factory=dict, description="what the factory is called with"
    )
    weights: str | None = Field(None, description="a safetensors file, loaded into the module by its names")
