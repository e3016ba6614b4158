"""LMDB of images: a value is an image, perhaps a feature, and a label, packed by msgpack, as HSFace's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from schemas.errors import SpecError

ABOUT_ALL = b"__"
"""Keys such as `__keys__` and `__len__`, which tell of the whole, begin like this."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A value of an LMDB."""

    path: str
    key: bytes


def read_entry(entry: Entry) -> bytes:
    """The encoded image. Raises SpecError if it is not there."""
    with _opened(entry.path).begin() as reading:
        value = reading.get(entry.key)
    if value is None:
        raise SpecError(f"{entry.path} has no key {_shown(entry.key)}: fetch it again")
    return _image_and_label(entry.path, entry.key, value)[0]


def entries(path: str) -> Iterator[tuple[bytes, int | str]]:
    """Key and label of each image, in the order of keys. Raises SpecError for a file that is none, or whose
    values are of another form."""
    with _opened(path).begin() as reading:
        for key, value in reading.cursor():
            if not key.startswith(ABOUT_ALL):
                yield key, _image_and_label(path, key, value)[1]


def _image_and_label(path: str, key: bytes, value: bytes) -> tuple[bytes, int | str]:
    msgpack = import_module("msgpack")
    try:
        fields = msgpack.unpackb(value)
    except (ValueError, msgpack.exceptions.UnpackException) as error:
        raise _other_form(path, key) from error
    if not isinstance(fields, list) or len(fields) < 2:
        raise _other_form(path, key)
    image, label = fields[0], fields[-1]
    if not isinstance(image, bytes) or isinstance(label, bool) or not isinstance(label, int | str):
        raise _other_form(path, key)
    return image, label


def _other_form(path: str, key: bytes) -> SpecError:
    return SpecError(
        f"{path}, key {_shown(key)}: no image and label packed by msgpack; values of pickle or pyarrow are "
        "not read, as they may run code: write it anew, or as tar files or Parquet"
    )


def _shown(key: bytes) -> str:
    return key.decode("ascii", "backslashreplace")


def _opened(path: str) -> Any:
    if find_spec("lmdb") is None or find_spec("msgpack") is None:
        raise SpecError(f"{path} needs lmdb: pip install lmdb msgpack")
    file = Path(path) / "data.mdb" if Path(path).is_dir() else Path(path)
    try:
        stamp = file.stat().st_mtime_ns
    except OSError as error:
        raise SpecError(f"cannot read {file}: {error.strerror}; correct the path in the spec") from error
    return _environment(path, stamp)


@lru_cache(maxsize=4)
def _environment(path: str, stamp: int) -> Any:
    """Open once in a process. stamp: so that a changed file is opened again."""
    lmdb = import_module("lmdb")
    try:
        return lmdb.open(path, subdir=Path(path).is_dir(), readonly=True, lock=False, readahead=False)
    except lmdb.Error as error:
        raise SpecError(f"{path} is no LMDB ({error}): fetch it again") from error
