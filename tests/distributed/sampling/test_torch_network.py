"""A module that is called in this process: the axes of its latents, and what it may raise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from distributed.sampling.networks.latents import standard_normal
from distributed.sampling.networks.torch_network import TorchImageGenerator
from schemas.errors import ModelError
from schemas.spec.generators.network import Latent
from schemas.spec.generators.torch import TorchscriptGenerator
from tests.support.networks import DIM, Plain

IDS = np.array([0, 5, 2, 10**9], np.int64)
SEED = 3


class Convolved(torch.nn.Module):
    """Takes latents as DCGANs do, (N, dim, 1, 1), and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.plain = Plain()

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        assert z.shape[2:] == (1, 1)
        made: torch.Tensor = self.plain(z.flatten(1))
        return made


class Broken(torch.nn.Module):
    def forward(self, z: torch.Tensor) -> torch.Tensor:
        raise KeyError("weights")


class Pair(torch.nn.Module):
    def forward(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return z, z


def in_this_process(module: torch.nn.Module) -> TorchImageGenerator:
    spec = TorchscriptGenerator(kind="torchscript", path="g.pt", latent=Latent(dim=DIM))
    return TorchImageGenerator(module.eval(), spec, SEED, name="g.pt", device="cpu", threads=1)


def test_latents_of_a_dcgan_have_the_axes_that_it_takes() -> None:
    convolved = in_this_process(Convolved())
    with torch.inference_mode():
        raw = Plain()(torch.from_numpy(standard_normal(SEED, IDS, DIM))).numpy()
    wanted = np.rint((np.clip(raw, -1, 1) + 1) * 127.5).transpose(0, 2, 3, 1)
    made = np.stack([np.asarray(image, np.float32) for image in convolved.sample(IDS)])
    assert np.abs(made - wanted).max() <= 1


def test_code_that_fails_in_its_own_way_is_a_line() -> None:
    with pytest.raises(
        ModelError, match=r"g\.pt takes latents neither as \(N, 8\), KeyError: 'weights', nor"
    ):
        in_this_process(Broken())
    of_another_dim = torch.nn.ConvTranspose2d(100, 3, 4)
    with pytest.raises(ModelError, match=r"\(N, 8, 1, 1\), RuntimeError: .* to have 100 channels"):
        in_this_process(of_another_dim)
    with pytest.raises(ModelError, match=r"g\.pt gives a tuple, not a tensor of images"):
        in_this_process(Pair())
