"""Alignment of whole batches on a device: what `alignment.align` does on a CPU, to one level of 255."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from distributed.embedding.alignment import ARCFACE_TEMPLATE, TEMPLATE_SIZE


def align_batch(images: Tensor, landmarks: Tensor, size: int) -> Tensor:
    """The size×size crops of `images`, N×3×H×W from 0 to 255, with their landmarks on the template.

    landmarks: (N, 5, 2) x, y in pixels, not all one point. Returns float32 N×3×size×size, whole numbers,
    black outside the image. The similarity is that of `alignment.similarity_transform`, in float64.
    """
    points = torch.complex(landmarks[..., 0].double(), landmarks[..., 1].double())
    template = _template(size, images.device)
    centred = points - points.mean(dim=1, keepdim=True)
    spread = (centred.real**2 + centred.imag**2).sum(dim=1)
    factor = (centred.conj() * template).sum(dim=1) / spread
    shift = template.mean() - factor * points.mean(dim=1)
    places = (_grid(size, images.device) - shift[:, None, None]) / factor[:, None, None]
    height, width = images.shape[2:]
    # grid_sample counts from -1 at the left edge of the first pixel to 1 at the right edge of the last.
    x, y = (places.real + 0.5) / width * 2 - 1, (places.imag + 0.5) / height * 2 - 1
    grid = torch.stack([x, y], dim=-1).float()
    crops = F.grid_sample(images.float(), grid, "bilinear", "zeros", align_corners=False)
    return crops.round()


@cache
def _template(size: int, device: torch.device) -> Tensor:
    """The template's points as complex numbers (5,). Sent once: a recorded graph cannot copy it."""
    return torch.from_numpy(ARCFACE_TEMPLATE @ (1, 1j) * (size / TEMPLATE_SIZE)).to(device)


@cache
def _grid(size: int, device: torch.device) -> Tensor:
    """The crop's pixels as complex numbers (size, size)."""
    y, x = np.mgrid[:size, :size].astype(np.float64)
    return torch.from_numpy(x + 1j * y).to(device)
