"""The fingerprints of a run: of its samples and of its gallery."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx.external_data_helper import uses_external_data

from distributed.embedding.zoo import resolve_model
from distributed.gallery import Photo
from distributed.sampling.image_files import list_images
from schemas.errors import ModelError
from schemas.fingerprint import Fingerprint
from schemas.spec import AuditSpec, FacesSpec, ImagesGenerator, OnnxGenerator

ALGORITHM_VERSION = "2"
"""Raised whenever our own code changes a byte of what it writes."""

VERSIONED_PACKAGES = ("numpy", "onnxruntime", "opencv-python-headless", "pillow", "pyarrow", "scipy")


def sampling_fingerprint(spec: AuditSpec) -> Fingerprint:
    """Everything that changes a byte of `samples/`. Raises ModelError or SpecError for missing files."""
    fields = {"seed": str(spec.seed), "shard_size": str(spec.shard_size)}
    fields |= _generator_fields(spec.generator)
    fields |= _faces_fields(spec.faces, detector=spec.faces.landmarks is None)
    if spec.faces.landmarks is not None:
        fields["faces.landmarks"] = repr(spec.faces.landmarks)
    return Fingerprint(fields | _versions())


def gallery_fingerprint(spec: AuditSpec, photos: Sequence[Photo]) -> Fingerprint:
    """Everything that changes a byte of `gallery.parquet`, for sources that are folders and sources that are
    an earlier `gallery.parquet` alike."""
    fields = recognizer_fields(spec.faces) | {"gallery.photos": _digest_photos(photos)}
    for role in ("candidates", "cohort"):
        parquet = getattr(spec.gallery, role).parquet
        if parquet is not None:
            fields[f"gallery.{role}.sha256"] = digest_file(Path(parquet))
    fields |= _faces_fields(spec.faces, detector=bool(photos) and spec.gallery.detector)
    fields["gallery.detector"] = str(spec.gallery.detector)
    return Fingerprint(fields | _versions())


def _generator_fields(generator: OnnxGenerator | ImagesGenerator) -> dict[str, str]:
    if isinstance(generator, ImagesGenerator):
        root = Path(generator.path)
        names = ((path.relative_to(root).as_posix(), path) for path in list_images(root))
        digest = _digest_lines(f"{name}\0{digest_file(path)}" for name, path in names)
        return {"generator.kind": "images", "generator.sha256": digest, "generator.seeded": "false"}
    return {
        "generator.kind": generator.kind,
        "generator.seeded": "true",
        "generator.sha256": digest_model(Path(generator.path)),
        "generator.latent.dim": str(generator.latent.dim),
        "generator.output.layout": generator.output.layout,
        "generator.output.range": repr(generator.output.range),
        "generator.output.channels": generator.output.channels,
    }


def _faces_fields(faces: FacesSpec, *, detector: bool) -> dict[str, str]:
    fields = recognizer_fields(faces)
    if detector and faces.detector is not None:
        path = resolve_model(faces.detector.path, task="detection")
        fields["faces.detector.sha256"] = digest_model(path)
        fields["faces.detector.sizes"] = repr(faces.detector.sizes)
        fields["faces.detector.threshold"] = repr(faces.detector.threshold)
    return fields


def recognizer_fields(faces: FacesSpec) -> dict[str, str]:
    """The fields that two templates must share to be comparable."""
    fields = {}
    for one in faces.recognizers:
        key = f"faces.recognizers.{one.name}"
        fields[f"{key}.sha256"] = digest_model(resolve_model(one.path, task="recognition"))
        fields[f"{key}.input"] = f"{one.input.channels} mean {one.input.mean} std {one.input.std}"
    return fields


def _versions() -> dict[str, str]:
    return {f"version.{name}": package_version(name) for name in VERSIONED_PACKAGES} | {
        "version.algorithm": ALGORITHM_VERSION
    }


def package_version(name: str) -> str:
    """Version of an installed package; onnxruntime's GPU build goes by another name, same code."""
    if name != "onnxruntime":
        return version(name)
    builds = [found for found in map(_version_or_none, ("onnxruntime", "onnxruntime-gpu")) if found]
    if len(set(builds)) == 1:
        return builds[0]
    # Which of two is at work, only the package itself can tell.
    import onnxruntime

    return str(onnxruntime.__version__)


def _version_or_none(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def digest_model(path: Path) -> str:
    """Sha256 of an ONNX file and of the files beside it that hold its weights, if any.

    Raises ModelError if a file is missing, or the file is no ONNX.
    """
    digest = digest_file(path)
    try:
        model = onnx.load(str(path), load_external_data=False)
    except DecodeError as error:
        raise ModelError(
            f"{path} is not a readable ONNX file (truncated?): fetch it again and compare its sha256"
        ) from error
    names = {
        entry.value
        for tensor in model.graph.initializer
        if uses_external_data(tensor)
        for entry in tensor.external_data
        if entry.key == "location"
    }
    if not names:
        return digest
    return _digest_lines([digest, *(f"{name}\0{digest_file(path.parent / name)}" for name in sorted(names))])


def digest_file(path: Path) -> str:
    """Hexadecimal sha256 of a file. Raises ModelError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}; correct the path in the spec") from error


def _digest_photos(photos: Sequence[Photo]) -> str:
    return _digest_lines(
        f"{photo.role}\0{photo.identity}\0{photo.name}\0{digest_file(photo.path)}" for photo in photos
    )


def _digest_lines(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()
