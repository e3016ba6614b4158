"""Files that hold weights of an ONNX file: in its folder, or in its repository in a Hugging Face cache."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath

import onnx
from google.protobuf.message import Message
from onnx.external_data_helper import load_external_data_for_tensor, uses_external_data

from distributed.runtime.pointers import in_hub, stand_in_problem
from schemas.errors import ModelError


def weights_names(model: onnx.ModelProto) -> list[str]:
    """The places that the model names, as it names them, sorted: relative to its folder, if it is honest."""
    external = (tensor for tensor in _tensors(model) if uses_external_data(tensor))
    return sorted(
        {entry.value for tensor in external for entry in tensor.external_data if entry.key == "location"}
    )


def weights_files(path: Path, model: onnx.ModelProto) -> Mapping[str, Path]:
    """Name -> file, sorted by name, for the model that was read from `path`.

    Raises ModelError for a place that leads out of the folder of `path` or through a symbolic link, and for a
    file that is missing.
    """
    return {name: _weights_file(path, name) for name in weights_names(model)}


def _weights_file(path: Path, name: str) -> Path:
    file = path.parent / name
    if leads_out(name) or _behind_link(path.parent, name):
        raise ModelError(
            f"{path} keeps weights at {name!r}, outside its folder or behind a symbolic link: put the "
            "weights themselves beside the model, and save it anew"
        )
    if not file.is_file():
        raise ModelError(f"{path} keeps weights in {name!r}, which is missing: fetch it into the same folder")
    if problem := stand_in_problem(file):
        raise ModelError(problem)
    return file.resolve() if file.is_symlink() else file


def load_weights(path: Path, model: onnx.ModelProto) -> None:
    """Read them into the model that was read from `path`. Raises ModelError as above; ValueError, OSError or
    onnx's ValidationError for files that are too short."""
    files = weights_files(path, model)
    if all(file.parent == path.parent / PurePosixPath(name).parent for name, file in files.items()):
        return onnx.load_external_data_for_model(model, str(path.parent))
    for tensor in _tensors(model):
        # onnx follows no links: it is given the files that they lead to.
        places = [entry for entry in tensor.external_data if entry.key == "location"]
        for entry in places:
            file = files[entry.value]
            entry.value = file.name
            load_external_data_for_tensor(tensor, str(file.parent))


def leads_out(name: str) -> bool:
    """Whether a place, by any platform's reading, is none below the folder."""
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    return not posix.parts or bool(posix.anchor or windows.anchor) or ".." in windows.parts


def _behind_link(folder: Path, name: str) -> bool:
    file = folder / name
    above = [folder / parent for parent in PurePosixPath(name).parents]
    if any(place.is_symlink() for place in above if place != folder):
        return True
    return file.is_symlink() and in_hub(file) is None


def _tensors(message: Message) -> Iterator[onnx.TensorProto]:
    """All tensors of a model: weights, attributes of nodes, subgraphs, functions, sparse ones."""
    for field, value in message.ListFields():
        if field.message_type is not None:
            for nested in value if field.is_repeated else (value,):
                if isinstance(nested, onnx.TensorProto):
                    yield nested
                yield from _tensors(nested)
