"""What README and docs/ say of the commands is what these say; no link is dead."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.__main__ import NAME, idleak
from jobs.cli.exit_codes import ExitCode
from jobs.spec import command_reference

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
MOST_WORDS = 1200


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def test_the_commands_are_told_as_click_gives_them() -> None:
    assert command_reference(idleak, NAME) in read("docs/cli.md"), (
        "put the output of `idleak spec --commands` between the commands marks of docs/cli.md"
    )


def test_every_exit_code_is_told() -> None:
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", read("docs/cli.md"), re.MULTILINE)} == set(
        ExitCode
    )


def test_the_readme_is_read_in_ten_minutes() -> None:
    assert len(read("README.md").split()) <= MOST_WORDS


def test_the_index_lists_every_page() -> None:
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert pages == {link for link in LINK.findall(read("docs/index.md")) if "/" not in link}


@pytest.mark.parametrize("path", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/demo/README.md"])
def test_no_link_beside_the_site_is_dead(path: str) -> None:
    links = LINK.findall(read(path))
    assert [link for link in links if not ((ROOT / path).parent / link).exists()] == []


def built(config: Path, site: Path) -> subprocess.CompletedProcess[str]:
    # Not --quiet, by which mkdocs does not count its warnings.
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(config), "--site-dir", str(site)]
    return subprocess.run(build, cwd=config.parent, text=True, capture_output=True, check=False)


def test_the_site_is_built_without_a_dead_link(tmp_path: Path) -> None:
    done = built(ROOT / "mkdocs.yml", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert {path.stem for path in tmp_path.glob("*.html")} == pages | {"404"}


@pytest.mark.parametrize(
    ("link", "code"),
    [
        ("index.md#pages", 0),
        ("nothing.md", 1),
        ("index.md#nothing", 1),
        ("../mkdocs.yml", 0),
        ("../nothing", 1),
    ],
)
def test_a_dead_link_ends_the_build(link: str, code: int, tmp_path: Path) -> None:
    config = tmp_path / "mkdocs.yml"
    hook = ROOT / "docs" / "outside_links.py"
    config.write_text(f"INHERIT: {ROOT / 'mkdocs.yml'}\nhooks: [{hook}]\nnav: [index.md]\n")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"# Pages\n\n[link]({link})\n")
    done = built(config, tmp_path / "site")
    assert done.returncode == code, done.stdout + done.stderr
