"""A torch module as ONNX, and its weights as safetensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
import torch
from google.protobuf.message import Message
from safetensors.torch import save

from schemas.errors import ModelError, first_line

OPSET = 20
OUTPUT = "image"
Call = Callable[..., Any]
"""Takes the module and its inputs in their order, and gives the images."""


def to_onnx(module: Any, call: Call, inputs: Mapping[str, torch.Tensor], name: str) -> bytes:
    """An ONNX model in one piece whose inputs have the names of `inputs`.

    Their first axis is free, or 1 where the module's code fixes the batch. inputs: an example of each, of two
    rows or more. name: of the generator, for errors. TorchScript goes through torch's older exporter: the
    newer one does not take it.

    Raises ModelError for a module that ONNX cannot express.
    """
    export = _of_script if isinstance(module, torch.jit.ScriptModule) else _of_module
    try:
        with torch.no_grad():
            model = export(_Positional(module, call), inputs)
        _make_bare(model)
        return model.SerializeToString()
    except Exception as error:
        raise ModelError(
            f"{name} cannot be turned into ONNX ({_root(error)}): audit it as it is, with generator.trust"
        ) from error


def to_safetensors(module: torch.nn.Module) -> bytes:
    """All parameters and persistent buffers, under the names that `load_state_dict` wants."""
    # Tensors that share memory are written twice: the format refuses them otherwise.
    return save(
        {name: tensor.detach().cpu().contiguous().clone() for name, tensor in module.state_dict().items()}
    )


class _Positional(torch.nn.Module):
    """The module with all its inputs in their order."""

    def __init__(self, module: Any, call: Call) -> None:
        super().__init__()
        self.module, self._call = module, call
        # `eval()` would go to the module, too, and an exported program refuses it.
        self.training = False

    def forward(self, latent: torch.Tensor, *others: torch.Tensor) -> Any:
        return self._call(self.module, latent, *others)


def _of_module(module: torch.nn.Module, inputs: Mapping[str, torch.Tensor]) -> onnx.ModelProto:
    made = torch.onnx.export(
        _program(module, tuple(inputs.values())),
        input_names=list(inputs),
        output_names=[OUTPUT],
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    assert made is not None
    return made.model_proto


def _program(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> torch.export.ExportedProgram:
    """The module with a free batch: as its Python runs, or else as its bytecode reads; or for a batch of one.

    None of the three takes all code: a `len` of the batch stops the first, a call of numpy the second, and
    what counts on a free batch is wrong in the third.
    """
    batch = {0: torch.export.Dim.DYNAMIC}
    others = tuple(batch for _ in inputs[1:])
    free: dict[str, Any] = {"latent": batch} | ({"others": others} if others else {})
    for strict in (False, True):
        with suppress(Exception):
            return torch.export.export(module, inputs, dynamic_shapes=free, strict=strict)
    return torch.export.export(module, tuple(example[:1] for example in inputs), strict=False)


def _of_script(module: torch.nn.Module, inputs: Mapping[str, torch.Tensor]) -> onnx.ModelProto:
    """The wrapper is traced; what is TorchScript in it keeps its branches and loops."""
    trace: Any = torch.jit.trace
    traced = trace(module, tuple(inputs.values()), check_trace=False)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        torch.onnx.export(
            traced,
            tuple(inputs.values()),
            path,
            input_names=list(inputs),
            output_names=[OUTPUT],
            opset_version=OPSET,
            dynamic_axes={name: {0: "batch"} for name in [*inputs, OUTPUT]},
            dynamo=False,
            external_data=False,
        )
        return onnx.load(str(path))


def _make_bare(message: Message) -> None:
    """Take out what the exporter noted about its machine: paths of sources, lines of code."""
    for field, value in message.ListFields():
        if field.name in ("doc_string", "metadata_props"):
            message.ClearField(field.name)
        elif field.message_type is not None:
            for nested in value if field.is_repeated else (value,):
                _make_bare(nested)


def _root(error: BaseException) -> str:
    """The first line of the error that all others came from."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {first_line(error)}"
