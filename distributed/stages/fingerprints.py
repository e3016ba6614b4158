"""The fingerprints of a run: of its samples and of its gallery."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from distributed.embedding.zoo import resolve_model
from distributed.gallery.photos import Photo
from distributed.runtime.digests import digest_file, digest_lines, digest_model
from distributed.sampling.adapters import generator_fields
from schemas.fingerprint import Fingerprint
from schemas.spec.audit import AuditSpec, FacesSpec

ALGORITHM_VERSION = "3"
"""Raised whenever our own code changes a byte of what it writes."""

VERSIONED_PACKAGES = ("numpy", "onnxruntime", "opencv-python-headless", "pillow", "pyarrow", "scipy")


def sampling_fingerprint(spec: AuditSpec) -> Fingerprint:
    """Everything that changes a byte of `samples/`. Raises ModelError or SpecError for missing files."""
    fields = {"seed": str(spec.seed), "shard_size": str(spec.shard_size)}
    fields |= generator_fields(spec.generator)
    fields |= _faces_fields(spec.faces, detector=spec.faces.landmarks is None)
    if spec.faces.landmarks is not None:
        fields["faces.landmarks"] = repr(spec.faces.landmarks)
    return Fingerprint(fields | _versions())


def gallery_fingerprint(
    spec: AuditSpec,
    photos: Sequence[Photo],
    photo_digests: Sequence[str],
    key_id: str,
    erased: frozenset[str] = frozenset(),
) -> Fingerprint:
    """Everything that changes a value in `gallery.parquet`, for sources that are folders and sources that are
    an earlier `gallery.parquet` alike. photos: under pseudonyms of the key `key_id`; photo_digests: of their
    files."""
    fields = recognizer_fields(spec.faces) | {"gallery.photos": _digest_photos(photos, photo_digests)}
    fields |= {"protection.key": key_id}
    if erased:
        fields["gallery.erased"] = digest_lines(sorted(erased))
    for role in ("candidates", "cohort"):
        parquet = getattr(spec.gallery, role).parquet
        if parquet is not None:
            fields[f"gallery.{role}.sha256"] = digest_file(Path(parquet))
    fields |= _faces_fields(spec.faces, detector=bool(photos) and spec.gallery.detector)
    fields["gallery.detector"] = str(spec.gallery.detector)
    return Fingerprint(fields | _versions())


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


def _digest_photos(photos: Sequence[Photo], digests: Sequence[str]) -> str:
    return digest_lines(
        f"{photo.role}\0{photo.identity}\0{photo.name}\0{digest}"
        for photo, digest in zip(photos, digests, strict=True)
    )
