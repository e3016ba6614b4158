"""The rules of the architecture, read off the sources: what each room may import, and who may load Ray."""

from __future__ import annotations

import ast
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

import distributed
from jobs.__main__ import JOBS

ROOT = Path(__file__).resolve().parent.parent

LAYERS = (
    ("jobs",),
    ("jobs.api",),
    ("jobs.schedule", "jobs.benchmarks", "jobs.pages"),
    ("jobs.cli",),
    ("distributed.stages",),
    ("distributed.membership",),
    ("distributed.reduce",),
    ("distributed.gallery",),
    ("distributed.embedding", "distributed.sampling"),
    ("distributed.storage",),
    ("distributed.statistics", "distributed.runtime"),
    ("schemas",),
)
"""A room imports itself and rooms of later layers. Rooms of one layer do not know one another."""

EXECUTION = "distributed.execution"
"""Imports schemas alone; these import it."""
EXECUTION_IS_FOR = {"distributed.stages", "jobs.cli", "jobs.benchmarks", "jobs.api", "jobs"}

TOP_LEVEL = {
    *("distributed", "jobs", "schemas", "tests", "cluster.yaml", "pyproject.toml", "README.md"),
    *("docs", "examples", "deploy", "locks", "constraints.txt", "Makefile", "Dockerfile", "mkdocs.yml"),
    *("CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"),
    *(".ci", ".github", ".dockerignore", ".gitignore", ".pre-commit-config.yaml"),
}
"""What git keeps there. The first seven names are fixed; a further one needs a reason."""

RAY_MODULES = {
    "distributed.execution.cluster",
    "distributed.execution.metrics",
    "distributed.execution.ray_actors",
    "distributed.execution.submission",
    "distributed.execution.worker",
}
"""What imports Ray itself, but for Ray Data, which the pipeline is measured against."""
RAY_PEERS = {"jobs.benchmarks.pipeline.ray_data"}

WORKING = {"ray", "torch", "faiss", "onnxruntime", "cv2"}
HEAVY = WORKING | {"onnx"}
OF_FILES = {"io", "os", "pathlib", "pyarrow", "shutil", "tempfile"}
LARGEST_ROOM = 16
ROOMS_BY_NAME = {"jobs": "one file a command, of which there are as many as there are"}
"""Folders that hold more files than LARGEST_ROOM, with the reason."""
LONGEST_FILE = 400
MOST_IMPORTED = 9
"""Nine of ten modules import at most so many of our own; to be lowered, never raised."""


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES: Mapping[str, Path] = {
    module_name(path): path
    for folder in ("schemas", "distributed", "jobs")
    for path in sorted((ROOT / folder).rglob("*.py"))
}
ROOMS = [room for layer in LAYERS for room in layer] + [EXECUTION]


def room_of(module: str) -> str:
    """The room that a module lies in: the longest name that its own begins with."""
    rooms = [room for room in ROOMS if f"{module}.".startswith(f"{room}.")]
    return max(rooms, key=len, default=module)


def layer_of(room: str) -> int:
    return next(index for index, rooms in enumerate(LAYERS) if room in rooms)


@cache
def imports_of(module: str, *, at_import: bool = False) -> frozenset[str]:
    """Dotted names of what a module imports, wherever in the file, or as it is loaded itself."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in _loaded(tree) if at_import else ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            names |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(names)


def _loaded(node: ast.AST) -> Iterator[ast.AST]:
    """Statements that run when the module is imported."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from _loaded(child)


@cache
def loads(module: str) -> frozenset[str]:
    """The outside packages that importing a module loads, through whatever of our own it imports."""
    seen, todo, packages = {module}, [module], set[str]()
    while todo:
        for name in imports_of(todo.pop(), at_import=True):
            if name in MODULES:
                if name not in seen:
                    seen.add(name)
                    todo.append(name)
            else:
                packages.add(name.split(".")[0])
    return frozenset(packages)


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_one_way(module: str) -> None:
    room = room_of(module)
    others = {room_of(name) for name in imports_of(module) if name in MODULES} - {room, "distributed"}
    if room == EXECUTION:
        assert others <= {"schemas"}
        return
    if room == "distributed":
        assert others == {"distributed.runtime"}, "it switches telemetry off before anything else is loaded"
        return
    if EXECUTION in others:
        assert room in EXECUTION_IS_FOR
    wrong = {other for other in others - {EXECUTION} if layer_of(other) <= layer_of(room)}
    assert not wrong, f"{module} lies in {room} and imports from {sorted(wrong)}"


def test_every_module_lies_in_a_room() -> None:
    assert {room_of(module) for module in MODULES} == {*ROOMS, "distributed"}


def test_ray_is_imported_behind_the_executor_alone() -> None:
    by_name = {module for module in MODULES if any(_is_ray(name) for name in imports_of(module))}
    assert by_name == RAY_MODULES | RAY_PEERS
    loading = {room_of(module) for module in MODULES if "ray" in loads(module)}
    assert loading <= {EXECUTION, "jobs.benchmarks"}


def _is_ray(name: str) -> bool:
    return name.split(".")[0] == "ray"


def test_what_is_written_down_needs_nothing_heavy() -> None:
    assert not [module for module in MODULES if room_of(module) == "schemas" and loads(module) & HEAVY]


def test_statistics_open_no_file() -> None:
    statistics = [module for module in MODULES if room_of(module) == "distributed.statistics"]
    assert statistics
    for module in statistics:
        assert not {name.split(".")[0] for name in imports_of(module)} & OF_FILES, module


@pytest.mark.parametrize("command", JOBS)
def test_a_command_loads_what_does_the_work_only_when_it_runs(command: str) -> None:
    """So that `--help` and completion take no seconds; jobs.cli.work gives an executor once one is needed."""
    assert not loads(f"jobs.{command}") & WORKING


def test_the_command_line_is_clicks() -> None:
    assert not [module for module in MODULES if "argparse" in imports_of(module)]


def test_no_room_holds_more_than_a_reader_can() -> None:
    files = [path.relative_to(ROOT).parent.as_posix() for path in MODULES.values() if path.name[0] != "_"]
    crowded = {folder: files.count(folder) for folder in set(files) if files.count(folder) > LARGEST_ROOM}
    assert crowded.keys() == ROOMS_BY_NAME.keys(), crowded


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    others = [path for folder in ("examples", "deploy", "tests") for path in (ROOT / folder).rglob("*.py")]
    lines = {
        path.relative_to(ROOT).as_posix(): len(path.read_bytes().splitlines())
        for path in [*MODULES.values(), *others]
    }
    assert not {name for name, count in lines.items() if count > LONGEST_FILE}


def test_nine_of_ten_modules_know_few_others() -> None:
    counts = sorted(len(imports_of(module) & (MODULES.keys() - {module})) for module in MODULES)
    assert counts[len(counts) * 9 // 10] <= MOST_IMPORTED


def test_jobs_holds_the_commands_and_no_other_file() -> None:
    files = {path.stem for path in (ROOT / "jobs").glob("*.py")} - {"__init__", "__main__"}
    assert files == set(JOBS)


def test_distributed_is_this_repositorys() -> None:
    assert Path(distributed.__file__ or "").resolve() == ROOT / "distributed" / "__init__.py"


def test_the_top_level_is_as_agreed() -> None:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("these sources are not a checkout of git")
    listing = ["git", "-c", f"safe.directory={ROOT}", "ls-files"]  # Also where the files are another user's.
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert {name.split("/")[0] for name in names} == TOP_LEVEL


def test_no_wheel_is_published() -> None:
    assert "Private :: Do Not Upload" in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
