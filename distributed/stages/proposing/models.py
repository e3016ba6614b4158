"""Which detector and which recogniser of those that are there serve an audit's photos best."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from distributed.embedding.detector import Detector
from distributed.embedding.detectors.known import family_of
from distributed.embedding.zoo import task_of
from distributed.gallery.photos import Photo
from distributed.runtime.onnx_graph import input_shape, read_model
from distributed.sampling.generator import InvalidImage
from distributed.sampling.images.places import PlacedImages
from schemas.errors import ModelError
from schemas.spec.faces import DetectorSpec

SIZES = (128, 640)


@dataclass(frozen=True)
class ModelsThere:
    """Files, by what they are for. others: files that are for neither, and why where they cannot be read."""

    detectors: list[Path]
    recognizers: list[Path]
    others: list[str]


def models_there(folders: Sequence[Path], generator: Path) -> ModelsThere:
    """Every ONNX file below the folders, the generator's own aside."""
    there = ModelsThere([], [], [])
    paths = {path.resolve(): path for folder in folders for path in sorted(folder.rglob("*.onnx"))}
    for resolved, path in paths.items():
        if path.name.startswith(".") or resolved == generator.resolve():
            continue
        try:
            if is_detector(path):
                there.detectors.append(path)
            elif task_of(path) == "recognition":
                there.recognizers.append(path)
            else:
                there.others.append(f"{path.name}: neither a detector nor a recogniser")
        except ModelError as error:
            there.others.append(str(error))
    return there


def model_name(path: Path) -> str:
    """A name that a spec takes, from the file's."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", path.stem).lstrip("-._") or "audit"


def is_detector(path: Path) -> bool:
    """Raises ModelError for a file that cannot be read."""
    model = read_model(path)
    try:
        family_of(path, model)
    except ModelError:
        return False
    return True


@dataclass(frozen=True)
class TriedDetector:
    """faces: in how many of the photos it has found one. unread: why photos are no images, one for each."""

    path: Path
    sizes: tuple[int, ...]
    faces: int
    seconds: float
    unread: Sequence[str] = ()


def try_detector(path: Path, photos: Sequence[Photo], threads: int) -> TriedDetector:
    """Raises ModelError for a file that is no detector after all."""
    sizes = _sizes(path)
    threshold = DetectorSpec.model_fields["threshold"].default
    detector = Detector(path, sizes=sizes, threshold=threshold, device="cpu", threads=threads)
    source = PlacedImages(tuple(photo.place for photo in photos))
    sampled = source.sample(np.arange(len(photos)))
    images = [image for image in sampled if not isinstance(image, InvalidImage)]
    unread = [image.reason for image in sampled if isinstance(image, InvalidImage)]
    start = perf_counter()
    faces = sum(map(bool, detector.detect(images)))
    return TriedDetector(path, sizes, faces, perf_counter() - start, unread)


def _sizes(path: Path) -> tuple[int, ...]:
    """Those of a spec that gives none, or the only one that the file takes."""
    try:
        Detector(path, sizes=SIZES, threshold=0.5, device="cpu", threads=1)
    except ModelError:
        match input_shape(read_model(path)):
            case (_, _, int(height), int(width)) if height == width and height % 32 == 0:
                return (height,)
        raise
    return SIZES
