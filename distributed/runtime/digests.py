"""Digests of files and of what they name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from distributed.runtime.onnx_weights import weights_files
from distributed.runtime.pointers import MOST_BYTES, pointer_problem
from schemas.errors import ModelError

SOURCES = frozenset({".py", ".pyc", ".pyd", ".so", ".pth", ".c", ".cpp", ".cu", ".cuh", ".h"})


def digest_model(path: Path) -> str:
    """Sha256 of an ONNX file and of the files beside it that hold its weights, if any.

    Raises ModelError if a file is missing or lies outside the folder, or the file is no ONNX.
    """
    digest = digest_file(path)
    try:
        model = onnx.load(str(path), load_external_data=False)
    except DecodeError as error:
        raise ModelError(
            f"{path} is not a readable ONNX file (truncated?): fetch it again and compare its sha256"
        ) from error
    files = weights_files(path, model)
    if not files:
        return digest
    return digest_lines([digest, *(f"{name}\0{digest_file(file)}" for name, file in files.items())])


def digest_file(path: Path) -> str:
    """Hexadecimal sha256 of a file. Raises ModelError if it cannot be read, or is a pointer to another."""
    try:
        with path.open("rb") as file:
            if problem := pointer_problem(path, file.read(MOST_BYTES)):
                raise ModelError(problem)
            file.seek(0)
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}; correct the path in the spec") from error


def digest_files(root: Path, files: Iterable[Path]) -> str:
    """One sha256 over the names, relative to `root`, and the digests of files, in their order."""
    return digest_lines(f"{path.relative_to(root).as_posix()}\0{digest_file(path)}" for path in files)


def digest_code(root: Path) -> str:
    """One sha256 over every file below `root` that Python could import or compile, sorted by name.

    Hidden files and `__pycache__` do not count. Raises ModelError if there is none.
    """
    files = sorted(path for path in root.rglob("*") if path.suffix in SOURCES and path.is_file())
    files = [path for path in files if not _hidden(path.relative_to(root))]
    if not files:
        raise ModelError(f"{root} holds no Python files; give the folder of the code")
    return digest_files(root, files)


def torch_version() -> dict[str, str]:
    """The field of a fingerprint that tells torch's version, without importing it."""
    return {"version.torch": version("torch")}


def _hidden(relative: Path) -> bool:
    return any(part.startswith(".") or part == "__pycache__" for part in relative.parts)


def digest_lines(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()
