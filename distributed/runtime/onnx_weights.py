"""Files beside an ONNX file that hold weights of it. They must lie in its folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath

import onnx
from google.protobuf.message import Message
from onnx.external_data_helper import uses_external_data

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
    files = {name: path.parent / name for name in weights_names(model)}
    for name, file in files.items():
        if leads_out(name) or _behind_link(path.parent, name):
            raise ModelError(
                f"{path} keeps weights at {name!r}, outside its folder or behind a symbolic link: put the "
                "weights themselves beside the model, and save it anew"
            )
        if not file.is_file():
            raise ModelError(
                f"{path} keeps weights in {name!r}, which is missing: fetch it into the same folder"
            )
    return files


def leads_out(name: str) -> bool:
    """Whether a place, by any platform's reading, is none below the folder."""
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    return not posix.parts or bool(posix.anchor or windows.anchor) or ".." in windows.parts


def _behind_link(folder: Path, name: str) -> bool:
    places = [folder / name, *(folder / parent for parent in PurePosixPath(name).parents)]
    return any(place.is_symlink() for place in places if place != folder)


def _tensors(message: Message) -> Iterator[onnx.TensorProto]:
    """All tensors of a model: weights, attributes of nodes, subgraphs, functions, sparse ones."""
    for field, value in message.ListFields():
        if field.message_type is not None:
            for nested in value if field.is_repeated else (value,):
                if isinstance(nested, onnx.TensorProto):
                    yield nested
                yield from _tensors(nested)
