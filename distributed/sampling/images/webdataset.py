"""Images in tar files, which are never unpacked: one pass finds where each image lies."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from distributed.runtime.digests import digest_lines
from distributed.sampling.generator import Image, ImageSource, InvalidImage, Loading
from distributed.sampling.images.decode import decode
from distributed.sampling.images.object_files import ObjectFiles
from schemas.errors import SpecError
from schemas.run.tables import Outcome
from schemas.spec.generators.webdataset import WebdatasetGenerator

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
MOST_MEMBERS = 10_000_000
MOST_BYTES = 1 << 28
BYTES_AT_ONCE = 1 << 26
END = bytes(1024)


@dataclass(frozen=True, eq=False)
class TarIndex:
    """Where the images of sorted tar files lie: int64 (n,) each, and each file's name and sha256."""

    names: Sequence[str]
    sha256: Sequence[str]
    file: NDArray[np.int64]
    offset: NDArray[np.int64]
    size: NDArray[np.int64]


def open_source(spec: WebdatasetGenerator, seed: int, loading: Loading) -> ImageSource:
    index = loading.prepared if loading.prepared is not None else prepare(spec)
    return TarImages(ObjectFiles(spec.path, ".tar"), index, loading.pixels)


def fingerprint_fields(spec: WebdatasetGenerator) -> dict[str, str]:
    index = prepare(spec)
    pairs = zip(index.names, index.sha256, strict=True)
    return {"sha256": digest_lines(f"{name}\0{digest}" for name, digest in pairs)}


def prepare(spec: WebdatasetGenerator) -> TarIndex:
    """The index of all images, by one pass over every byte. Raises SpecError for a tar that is damaged."""
    files = ObjectFiles(spec.path, ".tar")
    return _indexed(spec.path, files.stamps())


def count(spec: WebdatasetGenerator) -> int:
    return len(prepare(spec).file)


@lru_cache(maxsize=4)
def _indexed(location: str, stamps: tuple[str, ...]) -> TarIndex:
    """stamps: so that a changed file is read again."""
    files = ObjectFiles(location, ".tar")
    rows: list[tuple[int, int, int]] = []
    digests = []
    for number, name in enumerate(files.names):
        stream = TarStream(files.chunks(name))
        rows += [(number, offset, size) for offset, size in _members(files, name, stream)]
        digests.append(stream.finish())
    if not rows:
        raise SpecError(f"{location} holds no images: its tar files need members such as 000000.jpg")
    file, offset, size = np.array(rows, np.int64).T
    return TarIndex(files.names, digests, file, offset, size)


class TarStream:
    """What tarfile reads from, and the digest of all of it."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest, self.tail = chunks, b"", b""
        self._digest = hashlib.sha256()

    def read(self, count: int) -> bytes:
        while len(self._rest) < count and (chunk := next(self._chunks, b"")):
            self._digest.update(chunk)
            self.tail = (self.tail + chunk[-len(END) :])[-len(END) :]
            self._rest += chunk
        data, self._rest = self._rest[:count], self._rest[count:]
        return data

    def finish(self) -> str:
        """Read to the end; the hexadecimal sha256."""
        while self.read(1 << 20):
            pass
        return self._digest.hexdigest()


def _members(files: ObjectFiles, name: str, stream: TarStream) -> Iterator[tuple[int, int]]:
    """Offset and size of each image; files of other names do not count."""
    for _, member in regular_members(files, name, stream):
        if is_image(member.name):
            yield member.offset_data, member.size


def regular_members(
    files: ObjectFiles, name: str, stream: TarStream
) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """The tar, which can be read at this member now, and each of its files; links, devices and folders do not
    count. Raises SpecError for a tar that is damaged, or is not whole."""
    members = 0
    try:
        # The stubs ask for all of a file; tarfile, told to stream, calls `read` alone, which is all there is.
        with tarfile.open(fileobj=stream, mode="r|") as tar:  # type: ignore[call-overload]
            for member in tar:
                # tarfile keeps all it has seen, which a pass does not need.
                tar.members = []
                if member.isreg() and not member.issparse():
                    members += 1
                    yield tar, member
                if members > MOST_MEMBERS:
                    raise SpecError(f"{name} has more than {MOST_MEMBERS:,} files: split it")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise SpecError(
            f"{name} of {files.location} is no whole tar file ({error}): fetch it again"
        ) from error
    stream.finish()
    if stream.tail.strip(b"\0"):
        raise SpecError(f"{name} of {files.location} lacks the end of a tar file: fetch it again")


def is_image(name: str) -> bool:
    last = name.rpartition("/")[2]
    return last.lower().endswith(SUFFIXES) and not last.startswith(".")


class TarImages:
    """An image source whose id i is the i-th image of sorted tar files."""

    def __init__(self, files: ObjectFiles, index: TarIndex, pixels: int) -> None:
        self._files, self._index, self._pixels = files, index, pixels

    def sample(self, ids: NDArray[np.int64]) -> list[Image | InvalidImage]:
        """Decoded members; those of a run of neighbours are read at once."""
        runs = self._runs(ids)
        return [image for first, stop in runs for image in self._decoded(ids[first:stop])]

    def _runs(self, ids: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
        """Places in `ids` to cut at, so that each part is rising, in one file, and not too large to read."""
        file, offset = self._index.file[ids], self._index.offset[ids]
        end = offset + self._index.size[ids]
        cuts, start = [0], 0
        for place in range(1, len(ids)):
            apart = file[place] != file[place - 1] or offset[place] < end[place - 1]
            if apart or end[place] - offset[start] > BYTES_AT_ONCE:
                cuts.append(place)
                start = place
        return pairwise([*cuts, len(ids)])

    def _decoded(self, ids: NDArray[np.int64]) -> Iterator[Image | InvalidImage]:
        if len(ids) == 0:
            return
        name = self._index.names[self._index.file[ids[0]]]
        first, size = self._index.offset[ids], self._index.size[ids]
        if size[0] > MOST_BYTES:
            # Too large to be read at once, so alone.
            yield InvalidImage(f"a file of {size[0]:,} bytes", Outcome.TOO_LARGE)
            return
        block = self._files.part(name, int(first[0]), int(first[-1] + size[-1]))
        for offset, length in zip(first - first[0], size, strict=True):
            yield decode(bytes(block[offset : offset + length]), self._pixels)
