"""Images in tar files, which are never unpacked: one pass finds where each image lies."""

from __future__ import annotations

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
from distributed.sampling.images.tar_members import TarStream, is_image, regular_members, split_name
from schemas.errors import SpecError
from schemas.run.tables import Outcome
from schemas.spec.generators.images import WebdatasetGenerator

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""Of the images that idleak 0.1 found."""

MOST_BYTES = 1 << 28
BYTES_AT_ONCE = 1 << 26
ALL = "*"


@dataclass(frozen=True, eq=False)
class TarIndex:
    """Where the images of sorted tar files lie: int64 (n,) each, and each file's name and sha256.

    notices: what was left out. beyond: whether idleak 0.1 would have found fewer.
    """

    names: Sequence[str]
    sha256: Sequence[str]
    file: NDArray[np.int64]
    offset: NDArray[np.int64]
    size: NDArray[np.int64]
    notices: Sequence[str] = ()
    beyond: bool = False


def open_source(spec: WebdatasetGenerator, seed: int, loading: Loading) -> ImageSource:
    return TarImages(ObjectFiles(spec.path, ".tar"), loading.prepared, loading.pixels)


def fingerprint_fields(spec: WebdatasetGenerator) -> dict[str, str]:
    index = prepare(spec)
    pairs = zip(index.names, index.sha256, strict=True)
    fields = {"sha256": digest_lines(f"{name}\0{digest}" for name, digest in pairs)}
    if spec.member is not None:
        fields["member"] = spec.member
    # The ids of 0.1 went by fewer images.
    return fields | ({"images": str(len(index.file))} if index.beyond else {})


def prepare(spec: WebdatasetGenerator) -> TarIndex:
    """The index of all images, by one pass over every byte. Raises SpecError for a tar that is damaged."""
    files = ObjectFiles(spec.path, ".tar")
    return _indexed(spec.path, spec.member, files.stamps())


def count(spec: WebdatasetGenerator) -> int:
    return len(prepare(spec).file)


def notices(spec: WebdatasetGenerator) -> Sequence[str]:
    """What of the tars is no sample."""
    return prepare(spec).notices


@lru_cache(maxsize=4)
def _indexed(location: str, member: str | None, stamps: tuple[str, ...]) -> TarIndex:
    """stamps: so that a changed file is read again."""
    files = ObjectFiles(location, ".tar")
    tally, rows, digests = _Tally(location, member), [], []
    for number, name in enumerate(files.names):
        stream = TarStream(files.chunks(name))
        rows += [(number, offset, size) for offset, size in tally.samples(files, name, stream)]
        digests.append(stream.finish())
    if not rows:
        what = "images" if member in (None, ALL) else f"members with the suffix {member}"
        raise SpecError(f"{location} holds no {what}: its tar files need members such as 000000.jpg")
    file, offset, size = np.array(rows, np.int64).T
    return TarIndex(files.names, digests, file, offset, size, tally.notices(), tally.beyond)


class _Tally:
    """Which members are samples, and how many are not. beyond: whether there are samples that idleak 0.1
    passed over: of other formats, or after the end of a first tar."""

    def __init__(self, location: str, member: str | None) -> None:
        self._location, self._member, self.beyond = location, member, False
        self._images, self._others = 0, 0

    def samples(self, files: ObjectFiles, name: str, stream: TarStream) -> Iterator[tuple[int, int]]:
        """Offset and size of each image that is a sample."""
        before = ("", "")
        first_tar = None
        for tar, member in regular_members(files, name, stream):
            first_tar = first_tar or tar
            if not is_image(member.name):
                self._others += 1
                continue
            key, suffix = split_name(member.name)
            if self._member not in (None, ALL, suffix):
                self._images += 1
                continue
            if self._member is None and key == before[0] and suffix != before[1]:
                raise SpecError(
                    f"{key} of {name} of {self._location} has several images, {before[1]} and {suffix}: set "
                    f"generator.member to the suffix of the sample, or to {ALL!r} if each image is one"
                )
            before = (key, suffix)
            self.beyond |= tar is not first_tar or not member.name.lower().endswith(SUFFIXES)
            yield member.offset_data, member.size

    def notices(self) -> tuple[str, ...]:
        lines = []
        if self._images:
            lines.append(f"left out: {self._images:,} images of other suffixes than {self._member}")
        if self._others:
            lines.append(f"left out: {self._others:,} files that are no images by their names")
        return tuple(lines)


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
