"""Formats of torch: a TorchScript file, an exported program, and the user's own Python with its weights."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from schemas.spec.generators.base import FactorValue
from schemas.spec.generators.code import CodeGenerator
from schemas.spec.generators.network import NetworkGenerator
from schemas.spec.locations import Location


class TorchscriptGenerator(CodeGenerator, NetworkGenerator):
    """A TorchScript file, which is code."""

    kind: Literal["torchscript"] = Field(description="the generator is a TorchScript file")
    path: Location = Field(min_length=1, description="the file that `torch.jit.save` wrote")


class TorchExportGenerator(CodeGenerator, NetworkGenerator):
    """An exported program, which is code: loading one can run what its maker wants."""

    kind: Literal["torch_export"] = Field(description="the generator is an exported program")
    path: Location = Field(min_length=1, description="the .pt2 file that `torch.export.save` wrote")


class ModuleGenerator(CodeGenerator, NetworkGenerator):
    """A network in the user's own Python; its weights are data."""

    code_paths: ClassVar[tuple[str, ...]] = ("code",)
    kind: Literal["module"] = Field(description="the generator is Python code")
    code: Location = Field(min_length=1, description="the folder that the code is imported from")
    factory: str = Field(
        pattern=r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_.]*$",
        description="`package.module:callable`, which gives a torch.nn.Module",
    )
    arguments: dict[str, FactorValue] = Field(
        default_factory=dict, description="what the factory is called with"
    )
    weights: Location | None = Field(
        None,
        description="a safetensors file, or a state dict of torch.save; loaded by its names",
    )
    weights_key: str | None = Field(
        None, min_length=1, description="dotted key of the state dict in a checkpoint, such as `g_ema`"
    )
