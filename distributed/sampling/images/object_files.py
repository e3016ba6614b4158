"""Files in a folder or below a bucket prefix, read as streams and in ranges."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from obstore.exceptions import BaseError
from obstore.store import LocalStore, from_url

from distributed.runtime.pointers import MOST_BYTES, pointer_problem
from schemas.errors import SpecError, first_line
from schemas.spec.locations import is_remote


class ObjectFiles:
    """All files with one suffix at a location: a file, a folder, or an s3://, gs:// or az:// prefix."""

    def __init__(self, location: str, suffix: str, key: str = "generator.path") -> None:
        """key: of the spec, which names the location. Raises SpecError if there is none, or the location
        cannot be listed."""
        self.location, self.suffix = location, suffix
        try:
            self._store, prefix = _open(location)
            listed = [] if prefix.endswith(suffix) else self._store.list(prefix or None).collect()
        except (BaseError, OSError, ValueError) as error:
            said = first_line(error) or type(error).__name__
            raise SpecError(f"cannot list {location}: {said}; correct {key}") from error
        paths = [entry["path"] for entry in listed] or [prefix]
        # macOS leaves files `._name` beside those that it copies.
        shown = (path for path in paths if not path.rpartition("/")[2].startswith("._"))
        self.names = sorted(path for path in shown if path.endswith(suffix))
        if not self.names:
            raise SpecError(_none_found(location, suffix, key, paths))

    def chunks(self, name: str) -> Iterator[bytes]:
        """The file's bytes, from its beginning to its end. Raises SpecError."""
        try:
            for place, chunk in enumerate(self._store.get(name).stream(min_chunk_size=1 << 20)):
                if place == 0:
                    self._require_no_pointer(name, bytes(chunk[:MOST_BYTES]))
                yield bytes(chunk)
        except (BaseError, OSError) as error:
            raise self._unreadable(name, error) from error

    def part(self, name: str, start: int, stop: int) -> memoryview:
        """The bytes from `start` on, before `stop`. Raises SpecError."""
        try:
            return memoryview(self._store.get_range(name, start=start, end=stop))
        except (BaseError, OSError) as error:
            raise self._unreadable(name, error) from error

    def open(self, name: str) -> pa.PythonFile:
        """The file for pyarrow, which reads what it needs. Raises SpecError."""
        try:
            ranges = _Ranges(self._store, name)
            self._require_no_pointer(name, ranges.read(MOST_BYTES))
            ranges.seek(0)
            return pa.PythonFile(ranges, mode="r")
        except (BaseError, OSError) as error:
            raise self._unreadable(name, error) from error

    def stamps(self) -> tuple[str, ...]:
        """What changes when a file is replaced."""
        return tuple(self._stamp(name) for name in self.names)

    def digest(self, name: str) -> str:
        """The hexadecimal sha256 of the file."""
        digest = hashlib.sha256()
        for chunk in self.chunks(name):
            digest.update(chunk)
        return digest.hexdigest()

    def _stamp(self, name: str) -> str:
        meta = self._store.head(name)
        return f"{name} {meta['size']} {meta['last_modified'].isoformat()} {meta['e_tag']}"

    def _require_no_pointer(self, name: str, head: bytes) -> None:
        if problem := pointer_problem(f"{name} of {self.location}", head):
            raise SpecError(problem)

    def _unreadable(self, name: str, error: Exception) -> SpecError:
        said = first_line(error) or type(error).__name__
        return SpecError(f"cannot read {name} of {self.location}: {said}; fetch it again")


def _none_found(location: str, suffix: str, key: str, paths: Sequence[str]) -> str:
    packed = next((path for path in paths if path.endswith((f"{suffix}.gz", ".tgz"))), None)
    if packed is not None:
        return f"{location} holds {packed}, which is compressed: unpack it with gunzip, to a {suffix} file"
    return f"{location} holds no {suffix} files; correct {key}"


class _Ranges(io.RawIOBase):
    """A file of a store as Python and pyarrow read files; every read is one range."""

    def __init__(self, store: Any, name: str) -> None:
        super().__init__()
        self._store, self._name, self._place = store, name, 0
        self._size = int(store.head(name)["size"])

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, start + offset)
        return self._place

    def read(self, count: int | None = -1) -> bytes:
        left = max(0, self._size - self._place)
        wanted = left if count is None or count < 0 else min(count, left)
        if wanted == 0:
            return b""
        data = bytes(self._store.get_range(self._name, start=self._place, end=self._place + wanted))
        self._place += len(data)
        return data


def _open(location: str) -> tuple[Any, str]:
    """A store, and the prefix or object in it that the location names."""
    if is_remote(location):
        scheme, _, rest = location.partition("://")
        bucket, _, prefix = rest.partition("/")
        return from_url(f"{scheme}://{bucket}"), prefix.rstrip("/")
    path = Path(location)
    if path.is_file():
        return LocalStore(path.parent), path.name
    if not path.is_dir():
        raise OSError("there is no such file or folder")
    return LocalStore(path), ""
