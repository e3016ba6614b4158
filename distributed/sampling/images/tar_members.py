"""The files in a tar, by one pass over a stream, whose digest is taken on the way."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from typing import Any

from distributed.sampling.images.decode import IMAGE_SUFFIXES
from distributed.sampling.images.object_files import ObjectFiles
from schemas.errors import SpecError

MOST_MEMBERS = 10_000_000
BLOCK = tarfile.BLOCKSIZE
END = bytes(2 * BLOCK)
GZIP = b"\x1f\x8b"


class TarStream:
    """What tarfile reads from, forwards only, and the digest of all of it."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest, self._used, self._place = chunks, b"", 0, 0
        self._digest = hashlib.sha256()
        self.tail = self.last = b""

    def read(self, count: int) -> bytes:
        parts = []
        while count > 0 and self._refill(1):
            part = self._rest[self._used : self._used + count]
            self._used += len(part)
            self._place += len(part)
            count -= len(part)
            parts.append(part)
        self.last = b"".join(parts)
        return self.last

    def tell(self) -> int:
        return self._place

    def seek(self, place: int) -> int:
        """Forwards. Raises StreamError for a place that was passed."""
        if place < self._place:
            raise tarfile.StreamError("a stream cannot be read backwards")
        while self._place < place and self._refill(1):
            step = min(place - self._place, len(self._rest) - self._used)
            self._used += step
            self._place += step
        return self._place

    def skip_zeros(self) -> bool:
        """Go on to the next block that is not zero; whether there is one."""
        while self._refill(BLOCK):
            if self._rest[self._used : self._used + BLOCK].strip(b"\0"):
                return True
            self._used += BLOCK
            self._place += BLOCK
        return bool(self._rest[self._used :].strip(b"\0"))

    def finish(self) -> str:
        """Read to the end; the hexadecimal sha256."""
        while self.read(1 << 20):
            pass
        return self._digest.hexdigest()

    def begins_with(self, head: bytes) -> bool:
        return self._refill(len(head)) and self._rest[self._used :].startswith(head)

    def _refill(self, count: int) -> bool:
        """Whether so many bytes are there to be read at once."""
        while len(self._rest) - self._used < count:
            chunk = next(self._chunks, b"")
            if not chunk:
                return False
            self._digest.update(chunk)
            self.tail = (self.tail + chunk[-len(END) :])[-len(END) :]
            self._rest, self._used = self._rest[self._used :] + chunk, 0
        return True


def regular_members(
    files: ObjectFiles, name: str, stream: TarStream
) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """The tar, which can be read at this member now, and each of its files; links, devices and folders do not
    count. What follows the end of a tar, as where several were written one after the other, is read too.

    Raises SpecError for a tar that is damaged, compressed, or not whole.
    """
    if stream.begins_with(GZIP):
        raise SpecError(f"{name} of {files.location} is compressed by gzip: unpack it with gunzip, to a .tar")
    count = 0
    while True:
        for tar, member in _one_tar(files, name, stream):
            count += 1
            if count > MOST_MEMBERS:
                raise SpecError(f"{name} has more than {MOST_MEMBERS:,} files: split it")
            yield tar, member
        if stream.last.strip(b"\0"):
            raise SpecError(
                f"{name} of {files.location} is no whole tar file (no header before byte {stream.tell():,}): "
                "fetch it again"
            )
        if not stream.skip_zeros():
            break
    stream.finish()
    if stream.tail.strip(b"\0"):
        raise SpecError(f"{name} of {files.location} lacks the end of a tar file: fetch it again")


def _one_tar(
    files: ObjectFiles, name: str, stream: TarStream
) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    try:
        # The stubs ask for all of a file, of which tarfile uses `read`, `tell` and `seek`.
        opened: Any = tarfile.TarFile(fileobj=stream, mode="r")  # type: ignore[arg-type]
        with opened as tar:
            for member in tar:
                # tarfile keeps all it has seen, which a pass does not need.
                tar.members = []
                if member.isreg() and not member.issparse():
                    yield tar, member
    except (tarfile.TarError, EOFError, OSError) as error:
        raise SpecError(
            f"{name} of {files.location} is no whole tar file ({error}): fetch it again"
        ) from error


def is_image(name: str) -> bool:
    """By the name; a file that begins with a dot is none."""
    last = name.rpartition("/")[2].lower()
    return not last.startswith(".") and f".{last.rpartition('.')[2]}" in IMAGE_SUFFIXES


def split_name(name: str) -> tuple[str, str]:
    """Of a member: its name up to the first dot of the file's name, and what follows, in lower case."""
    folder, slash, last = name.removeprefix("./").rpartition("/")
    stem, _, suffix = last.partition(".")
    return f"{folder}{slash}{stem}", suffix.lower()
