"""A pipeline of diffusers: what its folder is, without loading it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from distributed.runtime.digests import digest_files, torch_version
from distributed.sampling.generator import ImageSource, Loading
from schemas.errors import ModelError
from schemas.spec.generators.diffusers import DiffusersGenerator

LIBRARIES = ("diffusers", "transformers")
LOADED = {".json", ".safetensors", ".txt", ".model"}
INSTALL = "pip install -e '.[diffusers]'"


def open_source(spec: DiffusersGenerator, seed: int, loading: Loading) -> ImageSource:
    require_data(Path(spec.path))
    versions()
    from distributed.sampling.networks.diffusers_pipeline import PipelineImages

    return PipelineImages(spec, seed, device=loading.device, threads=loading.threads)


def fingerprint_fields(spec: DiffusersGenerator) -> dict[str, str]:
    root = Path(spec.path)
    require_data(root)
    files = sorted(path for path in root.rglob("*") if path.suffix in LOADED and path.is_file())
    names = set(DiffusersGenerator.model_fields) - {"kind", "path", "factors"}
    fields = {name: repr(getattr(spec, name)) for name in sorted(names)}
    return {"sha256": digest_files(root, files)} | fields | versions()


def versions() -> dict[str, str]:
    """The fields of a fingerprint that tell libraries. Raises ModelError if one is not installed."""
    try:
        return {f"version.{name}": version(name) for name in LIBRARIES} | torch_version()
    except PackageNotFoundError as error:
        raise ModelError(f"generator.kind diffusers needs {error.name}: {INSTALL}") from error


def require_data(root: Path) -> None:
    """Raise ModelError for a folder that is no pipeline, or that would have code of its own run."""
    index = _read(root / "model_index.json")
    for name, component in index.items():
        if isinstance(component, list) and not _is_known(component[0]):
            raise ModelError(
                f"{root}: its component {name} comes from {component[0]!r}, which is code: only diffusers "
                "and transformers are loaded"
            )
    if problem := next(_problems(root), None):
        raise ModelError(f"{root}: {problem}; save the pipeline anew, with safetensors and without code")


def _is_known(library: object) -> bool:
    """Whether a component is diffusers' own, one of its pipelines' or transformers'; null is none at all."""
    if library is None or library in LIBRARIES:
        return True
    spec = find_spec("diffusers")
    roots = spec.submodule_search_locations if spec else None
    is_name = isinstance(library, str) and library.isidentifier()
    return is_name and any((Path(root) / "pipelines" / str(library)).is_dir() for root in roots or ())


def _problems(root: Path) -> Iterator[str]:
    for path in sorted(root.rglob("*.py")):
        yield f"{path.relative_to(root)} is code"
    for path in sorted(root.rglob("config.json")):
        if "auto_map" in _read(path):
            yield f"{path.relative_to(root)} names code (auto_map)"


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read: give the folder that save_pretrained wrote") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds no keys: give the folder that save_pretrained wrote")
    return content
