"""Versions, where packages go by the name of their GPU build."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import faiss
import pytest

from distributed.runtime.versions import package_version
from distributed.stages.results.provenance import versions


def installed(folder: Path, name: str, version: str) -> None:
    """What pip leaves of a package, without its code."""
    metadata = folder / f"{name.replace('-', '_')}-{version}.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")


def only(folder: Path, monkeypatch: pytest.MonkeyPatch, **packages: str) -> None:
    for name, version in packages.items():
        installed(folder, name.replace("_", "-"), version)
    monkeypatch.setattr(sys, "path", [str(folder)])
    importlib.invalidate_caches()


def test_the_gpu_builds_answer_for_the_cpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only(tmp_path, monkeypatch, faiss_gpu="1.15.1", onnxruntime_gpu="1.31.0", numpy="2.4.6")
    assert package_version("faiss-cpu") == "1.15.1" and package_version("onnxruntime") == "1.31.0"
    assert package_version("numpy") == "2.4.6"


def test_of_two_builds_the_one_that_is_imported_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(tmp_path, monkeypatch, faiss_gpu="9.9", faiss_cpu="8.8")
    assert package_version("faiss-cpu") == faiss.__version__


def test_results_name_the_versions_that_are_here() -> None:
    assert versions()["faiss-cpu"] == faiss.__version__
