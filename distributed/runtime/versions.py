"""The versions that a run's bytes depend on."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

ALGORITHM_VERSION = "3"
"""Raised whenever our own code changes a byte of what it writes."""

VERDICT_VERSION = "5"
"""Raised by every change of our own code that changes a verdict, of the same shards and gallery."""

VERSIONED_PACKAGES = ("numpy", "onnxruntime", "opencv-python-headless", "pillow", "pyarrow", "scipy")


def version_fields() -> dict[str, str]:
    return {f"version.{name}": package_version(name) for name in VERSIONED_PACKAGES} | {
        "version.algorithm": ALGORITHM_VERSION
    }


GPU_BUILDS = {"faiss-cpu": "faiss-gpu", "onnxruntime": "onnxruntime-gpu"}
"""The same code by another name. What is imported goes by the first part of the first name."""


def package_version(name: str) -> str:
    """Version of an installed package, or of its GPU build."""
    if name not in GPU_BUILDS:
        return version(name)
    builds = [build for build in map(_version_or_none, (name, GPU_BUILDS[name])) if build]
    if len(set(builds)) == 1:
        return builds[0]
    # Which of two is at work, only the package itself can tell.
    return str(import_module(name.partition("-")[0]).__version__)


def _version_or_none(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
