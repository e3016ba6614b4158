"""Files of weights: the names and shapes of their tensors, read without running what a pickle asks for."""

from __future__ import annotations

import io
import json
import pickle
import struct
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from distributed.sampling.factories import PLACEHOLDER, code_beside, likely_factory
from distributed.sampling.inert import INERT, Inert
from distributed.sampling.inspected import Inspection, of_file, shape_text
from schemas.errors import ModelError

LEGACY_HEAD = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""The magic number that torch.save wrote first until 1.6, and still does where it is asked to."""

LEGACY_PREAMBLE = 3
"""Pickles before the one of the object: the magic number, the protocol, facts about the machine."""

MOST_HEADER = 1 << 27
MOST_DEPTH = 4
SHOWN = 5
REBUILT_WITH_STORAGE = ("_rebuild_tensor", "_rebuild_tensor_v2")
PLAIN = frozenset(
    {
        *(f"{module}.{name}" for module in ("__builtin__", "builtins") for name in ("complex", "set")),
        *("collections.Counter", "torch.device"),
    }
)
"""What torch itself makes of a file that it reads with `weights_only`, beside tensors."""
DTYPES = frozenset(
    {"bfloat16", "bool", "float16", "float32", "float64", "int16", "int32", "int64", "int8", "uint8"}
)


@dataclass(frozen=True)
class TensorForm:
    """What is known of a tensor without its values."""

    dtype: str
    shape: tuple[int, ...]


class CodeFoundError(Exception):
    """The pickle needs something that is neither a tensor nor a plain value."""


# Its stubs know nothing of its inner parts.
_PythonUnpickler: Any = pickle._Unpickler


# Its base is Any by the line above, and strict mypy refuses a subclass of Any.
class _Storages(_PythonUnpickler):  # type: ignore[misc]
    """Unpickles plain values and tensors without their values; all else that a pickle may name is refused.

    In Python, since the one in C takes memory for the largest number that the pickle mentions.
    """

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch._utils" and name in REBUILT_WITH_STORAGE:
            return _form
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _first
        if (module, name) == ("torch", "Size"):
            return tuple
        if module == "torch" and name.endswith("Storage"):
            return name.removesuffix("Storage").lower()
        if f"{module}.{name}" in INERT | PLAIN or (module == "torch" and name in DTYPES):
            return Inert
        raise CodeFoundError(f"{module}.{name}")

    def _ignore_state(self) -> None:
        # No value that is read has a state worth having; what is read must not be changed by a file.
        self.stack.pop()

    dispatch = _PythonUnpickler.dispatch | {pickle.BUILD[0]: _ignore_state}

    def persistent_load(self, pid: Any) -> Any:
        return pid[1]


def _form(storage: str, offset: int, size: Sequence[int], *rest: object) -> TensorForm:
    return TensorForm(str(storage), tuple(int(length) for length in size))


def _first(value: object, *rest: object) -> object:
    return value


def inspect_legacy(path: Path) -> Inspection | None:
    """As `inspect_state`, of a file that begins with LEGACY_HEAD."""
    with path.open("rb") as file:
        return _state(path, file, LEGACY_PREAMBLE)


def inspect_zipped(path: Path, content: bytes) -> Inspection | None:
    """What is in a zip of torch.save, whose pickle is `content`; None if it holds more than tensors."""
    return _state(path, io.BytesIO(content), 0)


def _state(path: Path, file: IO[bytes], preamble: int) -> Inspection | None:
    try:
        for _ in range(preamble):
            _Storages(file).load()
        held = _Storages(file).load()
    except CodeFoundError:
        return None
    except Exception as error:
        # The unpickler promises no kinds of errors for bytes that may be made to break it.
        raise ModelError(f"{path} is damaged ({type(error).__name__}): fetch it again") from error
    groups = {key: tensors for key, tensors in _groups(held, "", 0) if tensors}
    if not groups:
        return None
    key = max(groups, key=lambda name: len(groups[name]))
    facts = [("tensors", f"{sum(map(len, groups.values())):,}")]
    if key:
        facts += [(f"state dict {name!r}", f"{len(tensors):,} tensors") for name, tensors in groups.items()]
    return _weights(path, "weights (a torch state dict)", groups[key], facts, key)


def _groups(held: object, key: str, depth: int) -> Iterator[tuple[str, dict[str, TensorForm]]]:
    """State dicts: by their dotted key in the file, mappings of names to tensors."""
    if not isinstance(held, dict) or depth > MOST_DEPTH:
        return
    named = {str(name): value for name, value in held.items()}
    yield key, {name: value for name, value in named.items() if isinstance(value, TensorForm)}
    for name, value in named.items():
        yield from _groups(value, f"{key}.{name}" if key else name, depth + 1)


class _ScriptStorages(_Storages):
    """The same of TorchScript, whose modules are put aside; forms: of all tensors, in their order."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self.forms: list[TensorForm] = []

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("__torch__") or module == "torch.jit._pickle":
            return Inert
        given = super().find_class(module, name)
        return self._kept if given is _form else given

    def _kept(self, *arguments: Any) -> TensorForm:
        self.forms.append(_form(*arguments))
        return self.forms[-1]


def script_latent_dim(content: bytes) -> int | None:
    """What the first layer of a TorchScript module takes. content: of its data.pkl, which runs nothing."""
    unpickler = _ScriptStorages(io.BytesIO(content))
    try:
        unpickler.load()
    except Exception:
        # A pickle that may be made to break its reader raises errors of any kind. They cost no more than a
        # proposal of the latent's length: whoever opens the module refuses a damaged file.
        return None
    return _latent_dim({str(number): form for number, form in enumerate(unpickler.forms)})


def inspect_safetensors(path: Path) -> Inspection:
    """Raises ModelError for a header that is no safetensors file's; what json and struct raise."""
    with path.open("rb") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        if length > MOST_HEADER:
            raise ModelError(f"{path} claims a header of {length:,} bytes: it is not looked into")
        header = json.loads(file.read(length))
    tensors = {
        name: TensorForm(str(tensor["dtype"]), tuple(tensor["shape"]))
        for name, tensor in header.items()
        if name != "__metadata__"
    }
    return _weights(path, "weights (safetensors)", tensors, [("tensors", f"{len(tensors):,}")], "")


def _weights(
    path: Path, what: str, tensors: Mapping[str, TensorForm], facts: list[tuple[str, str]], key: str
) -> Inspection:
    facts = [
        *facts,
        *((name, f"{form.dtype} {shape_text(form.shape)}") for name, form in list(tensors.items())[:SHOWN]),
        ("then", "with the code that makes the module, `idleak convert SPEC --to onnx OUT.onnx`"),
    ]
    code = code_beside(path)
    factory = None if code is None else likely_factory(code)
    block: dict[str, Any] = {"kind": "module", "code": str(code or "code"), "factory": factory or PLACEHOLDER}
    block |= {"weights": str(path)} | ({"weights_key": key} if key else {})
    block |= {"trust": "sha256:" + "0" * 64}
    block |= {"latent": {"dim": _latent_dim(tensors) or 512, "distribution": "normal"}}
    known = {"code": code, "factory": factory}
    decide = [*(name for name, value in known.items() if value is None), "trust (of the folder `code`)"]
    decide += ["weights_key"] if key else []
    decide += ["latent.dim", "latent.distribution"]
    return Inspection(what, False, of_file(path), facts, (), block, decide)


def _latent_dim(tensors: Mapping[str, TensorForm]) -> int | None:
    """What the first layer takes: a transposed convolution (in, out, k, k), or a linear one (out, in)."""
    shapes = (form.shape for form in tensors.values() if len(form.shape) in (2, 4))
    first = next(shapes, None)
    return None if first is None else first[0] if len(first) == 4 else first[1]


def is_legacy(head: bytes) -> bool:
    return head.startswith(LEGACY_HEAD)
