"""The locks against pyproject.toml and constraints.txt, and files for services against their schemas."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ROOT / "locks"
EXTRAS = {
    "dev": ("cpu", "diffusers", "dev"),
    "cpu": ("cpu", "diffusers", "heic", "lmdb"),
    "gpu": ("gpu", "diffusers", "heic", "lmdb"),
}
"""What each lock is made from, as the Makefile's `lock` says."""
TESTED = {"python_version": "3.11", "python_full_version": "3.11.7", "sys_platform": "linux"}


def requirements(name: str) -> Iterator[tuple[Requirement, list[str]]]:
    """Each requirement of a lock with its digests."""
    text = (LOCKS / f"{name}.txt").read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            requirement, *digests = re.split(r"\s+--hash=", line.strip())
            yield Requirement(requirement), digests


def installed(name: str) -> dict[str, str]:
    """Package and version, where the tests run."""
    locked = [requirement for requirement, _ in requirements(name)]
    chosen = [each for each in locked if each.marker is None or each.marker.evaluate(TESTED)]
    assert len({each.name for each in chosen}) == len(chosen)
    return {canonicalize_name(each.name): str(each.specifier).removeprefix("==") for each in chosen}


def project() -> dict[str, list[str]]:
    """The requirements of pyproject.toml by extra; those of all installations under an empty name."""
    loaded = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups: dict[str, list[str]] = loaded["dependency-groups"]
    return {"": loaded["project"]["dependencies"], **loaded["project"]["optional-dependencies"], **groups}


@pytest.mark.parametrize("name", ["dev", "cpu", "gpu", "cuda", "tools", "torch-cpu"])
def test_every_requirement_is_pinned_with_its_digests_and_names_no_index(name: str) -> None:
    text = (LOCKS / f"{name}.txt").read_text(encoding="utf-8")
    assert "://" not in text and "--index" not in text and "--find" not in text
    locked = list(requirements(name))
    assert locked
    for requirement, digests in locked:
        assert re.fullmatch(r"==[^*,]+", str(requirement.specifier)), requirement
        assert digests and all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in digests), (
            requirement
        )


@pytest.mark.parametrize("name", EXTRAS)
def test_a_lock_is_what_the_project_asks_for(name: str) -> None:
    locked, groups = installed(name), project()
    asked = [Requirement(line) for extra in ("", *EXTRAS[name]) for line in groups[extra]]
    for requirement in asked:
        package = canonicalize_name(requirement.name)
        assert requirement.specifier.contains(locked.get(package, "none")), f"{requirement}: run `make lock`"


@pytest.mark.parametrize("name", [*EXTRAS, "tools", "cuda"])
def test_a_lock_keeps_to_the_pins(name: str) -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    for package, locked in installed(name).items():
        assert pins.get(package, locked) == locked, f"{package}: run `make lock`"


def test_packages_that_share_their_files_are_never_locked_together() -> None:
    dev, cpu, gpu = map(installed, EXTRAS)
    assert not {"opencv-python"} & (dev.keys() | cpu.keys() | gpu.keys())
    assert not {"onnxruntime-gpu", "faiss-gpu"} & (dev.keys() | cpu.keys())
    assert not {"onnxruntime", "faiss-cpu"} & gpu.keys()
    assert not any(name.startswith(("nvidia-", "cuda-")) for name in dev.keys() | cpu.keys())


def test_torchs_cpu_build_is_of_the_pinned_version() -> None:
    assert installed("torch-cpu") == {"torch": f"{installed('dev')['torch']}+cpu"}
    assert installed("cuda").items() <= installed("gpu").items()


def test_cudas_libraries_are_wanted_by_the_build_that_has_cuda() -> None:
    done = subprocess.run([sys.executable, LOCKS / "wants_cuda.py"])
    assert done.returncode == int(version("torch").endswith("+cpu"))
    wants_cuda = runpy.run_path(str(LOCKS / "wants_cuda.py"))["wants_cuda"]
    assert wants_cuda(["filelock", "nvidia-nccl-cu13==2.29.7; sys_platform == 'linux'"])


def test_vulnerabilities_are_told_and_so_is_what_was_not_checked() -> None:
    """pip-audit's own JSON; it ends well where the database knows no package."""
    functions = runpy.run_path(str(LOCKS / "vulnerabilities.py"))
    flaw = {"id": "PYSEC-2024-1", "fix_versions": ["3.1.6"], "aliases": [], "description": ""}
    known = {"name": "jinja2", "version": "3.1.2", "vulns": [flaw]}
    unknown = {"name": "click", "skip_reason": "Dependency not found on PyPI"}
    answer = functions["read_answer"]({"dependencies": [known, unknown], "fixes": []})
    assert list(answer.findings) == ["jinja2 3.1.2: PYSEC-2024-1, fixed by 3.1.6"]
    assert (
        functions["_coverage"](answer) == "1 known vulnerabilities in 1 packages; 1 are not in the database"
    )
    nothing = functions["read_answer"]({"dependencies": [unknown], "fixes": []})
    assert functions["_coverage"](nothing).startswith("not checked for known vulnerabilities")


SERVICES = [
    ("examples/ci/github-actions.yml", "vendor.github-workflows", "runs-on: ubuntu-latest", "run-on: ubuntu"),
    ("examples/ci/gitlab-ci.yml", "vendor.gitlab-ci", "when: always", "when: sometimes"),
    (".github/dependabot.yml", "vendor.dependabot", "interval: weekly", "interval: hourly"),
]
"""A file, the schema of it that check-jsonschema holds, and a mistake to make in it."""


@pytest.mark.parametrize(("file", "schema", "right", "wrong"), SERVICES)
def test_what_services_read_fits_their_schemas(
    file: str, schema: str, right: str, wrong: str, tmp_path: Path
) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    assert text.count(right) == 1
    mistaken = tmp_path / Path(file).name
    mistaken.write_text(text.replace(right, wrong), encoding="utf-8")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema]
    if schema == "vendor.gitlab-ci":
        command += ["--data-transform", "gitlab-ci"]
    assert subprocess.run([*command, ROOT / file]).returncode == 0
    assert subprocess.run([*command, mistaken], capture_output=True).returncode == 1
