"""A stand-in for NVlabs' checkout that follows its calling conventions, and network pickles of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CODE = {
    "legacy.py": """
import pickle

def load_network_pkl(f, force_fp16=False):
    return pickle.load(f)
""",
    "training/__init__.py": "",
    "training/networks.py": """
import torch
from torch import nn

class Input(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("transform", torch.eye(3))

class Synthesis(nn.Module):
    def __init__(self, with_transform):
        super().__init__()
        if with_transform:
            self.input = Input()

class Network(nn.Module):
    def __init__(self, c_dim, with_transform):
        super().__init__()
        torch.manual_seed(0)
        self.z_dim, self.c_dim = 6, c_dim
        self.synthesis = Synthesis(with_transform)
        self.body = nn.Linear(6 + c_dim, 3 * 8 * 8)

    def forward(self, z, c, truncation_psi=1, noise_mode="random"):
        assert noise_mode == "const" and c.shape == (len(z), self.c_dim)
        w = torch.cat([z.to(torch.float32) * truncation_psi, c], 1)
        images = self.body(w).reshape(-1, 3, 8, 8)
        if hasattr(self.synthesis, "input"):
            images = images + self.synthesis.input.transform[0, 1] + 10 * self.synthesis.input.transform[0, 2]
        return images
""",
}
MAKE = """
import pickle, sys
sys.path.insert(0, sys.argv[1])
from training.networks import Network
pickle.dump({"G_ema": Network(int(sys.argv[3]), sys.argv[4] == "1")}, open(sys.argv[2], "wb"))
"""


def checkout(folder: Path) -> Path:
    """Write the sources into a new folder."""
    for name, text in CODE.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def network(code: Path, classes: int = 0, transform: bool = False) -> Path:
    """A pickle beside the checkout, with random weights."""
    path = code.parent / f"network-{classes}-{transform}.pkl"
    arguments = ["-B", "-c", MAKE, str(code), str(path), str(classes), str(int(transform))]
    subprocess.run([sys.executable, *arguments], check=True)
    return path
