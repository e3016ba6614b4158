"""What in a folder of Python code may make a network, read without importing any of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

UNREADABLE = (SyntaxError, ValueError, OSError, RecursionError)
PLACEHOLDER = "package.module:factory"


def factories(folder: Path) -> list[str]:
    """`package.module:Class` of the classes that derive from a Module and that no code of the folder calls
    by their name: those that the others are parts of. Sorted."""
    classes: list[tuple[str, str]] = []
    called: set[str] = set()
    for path in sorted(folder.rglob("*.py")):
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except UNREADABLE:
            continue
        parts = path.relative_to(folder).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
        classes += [(module, name) for name in _modules(tree)]
        called |= set(_called(tree))
    return [f"{module}:{name}" for module, name in sorted(classes) if name not in called]


def likely_factory(folder: Path) -> str | None:
    """The only one of `factories`, if there is one."""
    names = factories(folder)
    return names[0] if len(names) == 1 else None


def code_beside(weights: Path) -> Path | None:
    """The only folder beside a file of weights that holds Python code, if there is one."""
    folders = [entry for entry in sorted(weights.parent.iterdir()) if entry.is_dir() and _has_code(entry)]
    return folders[0] if len(folders) == 1 else None


def checkout_beside(pickle: Path) -> Path | None:
    """The only folder beside a network pickle that looks like a checkout of NVlabs', if there is one."""
    checkouts = sorted(
        file.parent for file in pickle.parent.glob("*/legacy.py") if (file.parent / "training").is_dir()
    )
    return checkouts[0] if len(checkouts) == 1 else None


def _has_code(folder: Path) -> bool:
    return not folder.name.startswith(".") and next(folder.rglob("*.py"), None) is not None


def _modules(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and any(_name(base).endswith("Module") for base in node.bases):
            yield node.name


def _name(base: ast.expr) -> str:
    if isinstance(base, ast.Attribute):
        return base.attr
    return base.id if isinstance(base, ast.Name) else ""


def _called(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id
