"""A generator whose samples were made and embedded elsewhere: there are templates, and no images."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from distributed.runtime.digests import digest_lines
from distributed.sampling.generator import ImageSource, InvalidImage, Loading
from distributed.sampling.templates.image_names import image_names, listed_rows
from distributed.sampling.templates.vectors import UNIT, VectorFiles, VectorIndex, Vectors, unit_rows
from schemas.errors import SpecError
from schemas.run.tables import Outcome
from schemas.spec.generators.templates import TemplatesGenerator

ROWS_LOOKED_AT = 1000


def open_source(spec: TemplatesGenerator, seed: int, loading: Loading) -> ImageSource:
    return Unpictured(spec, loading.prepared)


def fingerprint_fields(spec: TemplatesGenerator) -> dict[str, str]:
    files = VectorFiles(spec.path, spec.template)
    fields = {"sha256": _digest(spec.path, spec.template, files.stamps())}
    return fields if files.is_array else fields | {"template": spec.template}


def prepare(spec: TemplatesGenerator) -> VectorIndex:
    """By headers and footers alone. Raises SpecError for a file that holds no templates."""
    return _index(spec.path, spec.template, VectorFiles(spec.path, spec.template).stamps())


def count(spec: TemplatesGenerator) -> int:
    rows = prepare(spec).stop
    if spec.list is not None and (listed := listed_rows(spec.list)) != rows:
        raise SpecError(f"{spec.path} has {rows:,} rows, and {spec.list} {listed:,}: they do not fit")
    return rows


def notices(spec: TemplatesGenerator) -> list[str]:
    """What is not known of the samples."""
    unknown = "" if spec.recognizer else ", and nothing tells which recogniser made them"
    lines = [f"samples were given as templates: none can be shown or searched for faces{unknown}"]
    index = prepare(spec)
    lengths = unit_rows(Templates(spec, index).read(0, min(index.stop, ROWS_LOOKED_AT)))[1]
    if (np.abs(lengths[lengths > 0] - 1) > UNIT).any():
        lines.append("templates of another length than 1 are scaled to it")
    return lines


@lru_cache(maxsize=4)
def _digest(location: str, column: str, stamps: tuple[str, ...]) -> str:
    """stamps: so that a changed file is read again."""
    return digest_lines(VectorFiles(location, column).digests())


@lru_cache(maxsize=4)
def _index(location: str, column: str, stamps: tuple[str, ...]) -> VectorIndex:
    return VectorFiles(location, column).index()


class Templates:
    """The templates of samples, as they were given. dimension: numbers in each."""

    def __init__(self, spec: TemplatesGenerator, index: VectorIndex | None = None) -> None:
        """index: of the files, if it is known. Raises SpecError."""
        self._files = VectorFiles(spec.path, spec.template)
        self._index = prepare(spec) if index is None else index

    @property
    def dimension(self) -> int:
        return self._index.dimension

    def read(self, first: int, stop: int) -> Vectors:
        """Of samples `first` to `stop`: float32 (stop - first, d), of NaN where there is none."""
        return self._files.read(self._index, first, stop)


class Unpictured:
    """An image source that has no images, and says so of each sample, with the image's name where known."""

    def __init__(self, spec: TemplatesGenerator, index: VectorIndex) -> None:
        self._spec, self._index = spec, index

    def sample(self, ids: NDArray[np.int64]) -> list[InvalidImage]:
        names = image_names(self._spec, self._index, ids)
        of_image = [f", of {name!r}" for name in names] or [""] * len(ids)
        return [InvalidImage(f"given as a template{name}", Outcome.MISSING) for name in of_image]
