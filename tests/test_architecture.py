"""The rules of the house, read off the sources."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import distributed

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("schemas", "distributed", "jobs")
SOURCES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
HEAVY = {"ray", "torch", "faiss", "onnxruntime", "onnx", "cv2"}
RAY_FILES = {
    "distributed/execution/workers.py",
    "distributed/execution/pool.py",
    "distributed/execution/cluster.py",
    "distributed/execution/submission.py",
    "distributed/execution/metrics.py",
}
# Ray Data is one of the things that the pipeline is measured against.
RAY_PEERS = {"jobs/benchmarks/peers.py"}
LIBRARIES = ("sampling", "embedding", "reduce")


def imports_of(path: Path) -> set[str]:
    """Dotted names of all that a file imports, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names.add(node.module or "")
    return names


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_imports_go_one_way(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    forbidden = set(ROOMS[ROOMS.index(room) + 1 :])
    packages = {name.split(".")[0] for name in imports_of(path)}
    assert not packages & forbidden
    if room == "schemas":
        assert not packages & HEAVY
    if name_of(path) not in RAY_FILES | RAY_PEERS:
        assert "ray" not in packages or name_of(path).startswith("tests/")


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_plain_libraries_do_not_know_one_another(library: str) -> None:
    others = tuple(f"distributed.{other}" for other in LIBRARIES if other != library)
    for path in (ROOT / "distributed" / library).rglob("*.py"):
        assert not [name for name in imports_of(path) if name.startswith(others)], name_of(path)


def test_distributed_is_this_repositorys() -> None:
    assert Path(distributed.__file__ or "").resolve() == ROOT / "distributed" / "__init__.py"


def test_the_top_level_is_as_agreed() -> None:
    wanted = {"distributed", "jobs", "schemas", "tests", "cluster.yaml", "pyproject.toml", "README.md"}
    assert wanted <= {path.name for path in ROOT.iterdir()}


def test_no_wheel_is_published() -> None:
    assert "Private :: Do Not Upload" in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
