"""A generator that is not a GAN: diffusion (Ho et al. 2020) over the principal components of its photos.

A small network predicts the noise in the components, with a cosine schedule (after Nichol and Dhariwal 2021);
samples are drawn from a standard normal by DDIM (Song et al. 2021), without further noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from train_gan import advance

COMPONENTS = 96
HIDDEN, BATCH, RATE = 256, 64, 1e-3
AVERAGE_KEEPS = 0.995
WAVES = 16
DRAWING_STEPS = 40
LATEST = 0.98  # of the time from photo, 0, to noise, 1: at 1 nothing of a photo is left to predict from


@dataclass(frozen=True)
class Components:
    """Photos as numbers of mean 0 and variance 1. mean: (D,), axes: (K, D), D numbers of a picture."""

    mean: Tensor
    axes: Tensor

    @classmethod
    def of(cls, pictures: Tensor) -> Components:
        """Of pictures (N, D): as many as COMPONENTS, or N − 1."""
        mean = pictures.mean(dim=0)
        _, lengths, axes = torch.linalg.svd(pictures - mean, full_matrices=False)
        kept = min(COMPONENTS, len(pictures) - 1)
        return cls(mean, axes[:kept] * lengths[:kept, None] / len(pictures) ** 0.5)

    def numbers(self, pictures: Tensor) -> Tensor:
        """(N, D) to (N, K)."""
        return (pictures - self.mean) @ (self.axes / self.axes.square().sum(dim=1, keepdim=True)).T

    def pictures(self, numbers: Tensor) -> Tensor:
        """(N, K) to (N, D)."""
        return self.mean + numbers @ self.axes


class Denoiser(nn.Module):
    """(N, K) noisy numbers and their times (N,) to the noise in them, (N, K)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(width + 2 * WAVES, HIDDEN)
        self.second, self.third = nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, HIDDEN)
        self.last = nn.Linear(HIDDEN, width)

    def forward(self, numbers: Tensor, times: Tensor) -> Tensor:
        """See the class."""
        angles = times[:, None] * torch.exp(torch.linspace(0, 6, WAVES))
        hidden = F.silu(self.first(torch.cat([numbers, angles.sin(), angles.cos()], dim=1)))
        hidden = hidden + F.silu(self.second(hidden))
        hidden = hidden + F.silu(self.third(hidden))
        noise: Tensor = self.last(hidden)
        return noise


def train_diffusion(
    photos: NDArray[np.uint8], epochs: int, samples: int, random: torch.Generator
) -> NDArray[np.uint8]:
    """Trained on photos N × size × size × 3, so many samples of the same size."""
    pictures = (torch.from_numpy(photos).flatten(1).float() - 127.5) / 127.5
    components = Components.of(pictures)
    denoiser = fitted(components.numbers(pictures), epochs, random)
    drawn = components.pictures(draw(denoiser, samples, len(components.axes), random))
    values = (drawn * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)
    return values.reshape(samples, *photos.shape[1:]).numpy()


def fitted(numbers: Tensor, epochs: int, random: torch.Generator) -> Denoiser:
    """The average of the weights, after each photo was seen `epochs` times."""
    denoiser, average = Denoiser(numbers.shape[1]), Denoiser(numbers.shape[1]).requires_grad_(False)
    average.load_state_dict(denoiser.state_dict())
    steps = torch.optim.Adam(denoiser.parameters(), RATE)
    for _ in range(-(-epochs * len(numbers) // BATCH)):
        clean = numbers[torch.randint(len(numbers), (BATCH,), generator=random)]
        times = LATEST * torch.rand(BATCH, generator=random)
        noise = torch.randn(clean.shape, generator=random)
        kept, added = amounts(times)
        noisy = kept[:, None] * clean + added[:, None] * noise
        advance(steps, F.mse_loss(denoiser(noisy, times), noise))
        for mean, new in zip(average.parameters(), denoiser.parameters(), strict=True):
            mean.lerp_(new, 1 - AVERAGE_KEEPS)
    return average.eval()


def amounts(times: Tensor) -> tuple[Tensor, Tensor]:
    """How much of the photo and of the noise there is at each time; squares add up to 1."""
    return torch.cos(times * torch.pi / 2), torch.sin(times * torch.pi / 2)


@torch.inference_mode()
def draw(denoiser: Denoiser, count: int, width: int, random: torch.Generator) -> Tensor:
    """(count, width) numbers, each from a standard normal."""
    numbers = torch.randn(count, width, generator=random)
    times = torch.linspace(LATEST, 0, DRAWING_STEPS + 1)
    for now, then in pairwise(times):
        kept, added = amounts(now)
        noise = denoiser(numbers, now.expand(count))
        clean = (numbers - added * noise) / kept
        next_kept, next_added = amounts(then)
        numbers = next_kept * clean + next_added * noise
    return numbers
