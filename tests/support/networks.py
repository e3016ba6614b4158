"""Small torch generators of every format, with fixed random weights, for tests."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import nn

from distributed.sampling.sandbox.trust import code_digests
from schemas.spec.generators import GeneratorSpec

DIM, SIZE, CLASSES = 8, 16, 3

SOURCE = """
import torch
from torch import nn

class Tiny(nn.Module):
    def __init__(self, dim: int, size: int, classes: int = 0) -> None:
        super().__init__()
        self.size = size
        self.body = nn.Sequential(nn.Linear(dim, 32), nn.ReLU(), nn.Linear(32, 3 * size * size), nn.Tanh())
        self.classes = nn.Embedding(max(1, classes), dim)

    def forward(self, z, label=None, psi=None):
        if label is not None:
            z = z + self.classes(label)
        if psi is not None:
            z = z * psi[:, None]
        return self.body(z).reshape(-1, 3, self.size, self.size)

def make(dim: int, size: int, classes: int = 0) -> nn.Module:
    torch.manual_seed(0)
    return Tiny(dim, size, classes)
"""


class Plain(nn.Module):
    """Latents N × DIM to images N × 3 × SIZE × SIZE in [-1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.size = SIZE
        self.body = nn.Sequential(nn.Linear(DIM, 32), nn.ReLU(), nn.Linear(32, 3 * SIZE * SIZE), nn.Tanh())

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        images: torch.Tensor = self.body(z).reshape(-1, 3, self.size, self.size)
        return images


class Labelled(nn.Module):
    """Latents and classes to images."""

    def __init__(self) -> None:
        super().__init__()
        self.plain = Plain()
        self.classes = nn.Embedding(CLASSES, DIM)

    def forward(self, z: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        images: torch.Tensor = self.plain(z + self.classes(label))
        return images


def torchscript(path: Path, module: nn.Module) -> Path:
    with warnings.catch_warnings():
        # That it is deprecated does not matter here.
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(module.eval()), str(path))
    return path


def exported(path: Path, module: nn.Module) -> Path:
    batch = torch.export.Dim("batch", min=1, max=1024)
    program = torch.export.export(module.eval(), (torch.zeros(2, DIM),), dynamic_shapes=({0: batch},))
    torch.export.save(program, str(path))
    return path


def package(folder: Path, source: str = SOURCE) -> Path:
    """A folder with the module `tiny_faces.net`."""
    (folder / "tiny_faces").mkdir(parents=True, exist_ok=True)
    (folder / "tiny_faces" / "__init__.py").write_text("", encoding="utf-8")
    (folder / "tiny_faces" / "net.py").write_text(source, encoding="utf-8")
    return folder


def a_generator(**fields: Any) -> Any:
    """A spec of one of these."""
    return TypeAdapter(GeneratorSpec).validate_python({"latent": {"dim": DIM}} | fields)


def trusted_generator(**fields: Any) -> Any:
    """The same, with the digests of its code as they are now."""
    return a_generator(**fields, trust=list(code_digests(a_generator(**fields)).values()))


def bad_module(tmp_path: Path, source: str) -> Any:
    """A spec of what the function `bad` in `source` gives."""
    code = package(tmp_path / "code", SOURCE + source)
    return trusted_generator(kind="module", code=str(code), factory="tiny_faces.net:bad")
