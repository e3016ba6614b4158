"""What in a folder of code may make the network, read without importing it."""

from __future__ import annotations

from pathlib import Path

import pytest

from distributed.sampling.factories import code_beside, factories, likely_factory

DCGAN = """
import torch.nn as nn

raise SystemExit("this must not be run")


class Block(nn.Module):
    pass


class Generator(nn.Module):
    def __init__(self):
        self.block = Block()


class Config:
    pass
"""


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_the_module_that_the_others_are_parts_of_is_named(tmp_path: Path) -> None:
    write(tmp_path / "dcgan" / "model.py", DCGAN)
    write(tmp_path / "dcgan" / "__init__.py", "")
    write(tmp_path / "broken.py", "def (")
    assert factories(tmp_path) == ["dcgan.model:Generator"]
    assert likely_factory(tmp_path) == "dcgan.model:Generator"
    write(tmp_path / "dcgan" / "__init__.py", "from torch.nn import Module\nclass Critic(Module): ...\n")
    assert factories(tmp_path) == ["dcgan.model:Generator", "dcgan:Critic"][::-1]
    assert likely_factory(tmp_path) is None


@pytest.mark.parametrize(("folders", "expected"), [([], None), (["src"], "src"), (["a", "b"], None)])
def test_the_only_folder_of_code_beside_weights_is_taken(
    tmp_path: Path, folders: list[str], expected: str | None
) -> None:
    for name in [*folders, ".git"]:
        write(tmp_path / name / "model.py", "")
    (tmp_path / "images").mkdir()
    code = code_beside(tmp_path / "w.pth")
    assert (None if code is None else code.name) == expected
