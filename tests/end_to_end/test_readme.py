"""The README's first audit, as it is written there, and where it leads people to put photos."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.processes import ROOT

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


def git(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", "-C", str(folder), *command], text=True, capture_output=True, check=False)


def first_audit() -> list[str]:
    """The commands of the README, up to the key's."""
    blocks = re.findall(
        r"^```\n(.*?)^```$", (ROOT / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    (block,) = [block for block in blocks if "my-audit" in block]
    return str(block.partition("export IDLEAK_KEY")[0]).splitlines()


def test_no_photo_of_a_first_audit_is_seen_by_git(tmp_path: Path) -> None:
    clone = tmp_path / "idleak"
    shutil.copytree(ROOT / "examples", clone / "examples", ignore=shutil.ignore_patterns("gallery"))
    shutil.copy(ROOT / ".gitignore", clone)
    (clone / ".venv" / "bin").mkdir(parents=True)
    # What `idleak init` writes is tested in tests/jobs/test_init.py; here, where it lands.
    installed = clone / ".venv" / "bin" / "idleak"
    installed.write_text('#!/bin/sh\n[ "$1" != init ] || touch audit.yaml\n', encoding="utf-8")
    installed.chmod(0o755)
    (tmp_path / "generator.onnx").touch()
    git(clone, "init", "--quiet")
    git(clone, "add", ".")
    script = "\n".join(first_audit()).replace("/path/to", str(tmp_path)) + "\ntouch candidates/photo.jpg\n"
    done = subprocess.run(
        ["bash", "-euc", script + "command -v idleak; pwd"],
        cwd=clone,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    program, folder = done.stdout.splitlines()[-2:]
    assert program == str(installed)
    assert (Path(folder) / "audit.yaml").exists() and (Path(folder) / "models" / "generator.onnx").exists()
    assert clone not in Path(folder).parents
    # As if they had been followed in the clone all the same.
    shutil.copytree(folder, clone / "my-audit")
    assert git(clone, "status", "--porcelain", "--untracked-files=all").stdout.count("??") == 0


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no clone")
def test_the_photos_of_every_example_are_ignored() -> None:
    specs = [path for path in (ROOT / "examples").rglob("*.yaml") if "gallery" in path.read_text("utf-8")]
    assert len(specs) > 10
    for spec in specs:
        sides = yaml.safe_load(spec.read_text("utf-8"))["gallery"]
        for side in ("candidates", "cohort"):
            photo = (spec.parent / sides[side]["images"] / "somebody" / "1.jpg").resolve()
            if photo.is_relative_to(ROOT):
                assert git(ROOT, "check-ignore", "--quiet", str(photo)).returncode == 0, photo
