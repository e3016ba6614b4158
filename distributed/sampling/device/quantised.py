"""A network's output as images of 255 levels, on its device: what `network.to_images` does on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor

from distributed.sampling.device.batches import STATES, DeviceBatch
from distributed.sampling.networks.network import MOST_OUTSIDE
from schemas.run.tables import Outcome
from schemas.spec.generators.network import ImageOutput

NOT_FINITE, WRONG_RANGE, CONSTANT = (
    STATES.index(outcome) for outcome in (Outcome.NOT_FINITE, Outcome.WRONG_RANGE, Outcome.CONSTANT)
)


def quantised(raw: Tensor, output: ImageOutput) -> DeviceBatch:
    """`raw`: a network's output, four axes with N first, as `output` describes it. No value is read back."""
    planes = raw.float() if output.layout == "nchw" else raw.float().permute(0, 3, 1, 2)
    low, high = output.range
    finite = torch.isfinite(planes).flatten(1).all(dim=1)
    outside = ((planes - (low + high) / 2).abs() > high - low).flatten(1).float().mean(dim=1)
    coloured = planes.flip(1) if output.channels == "bgr" else planes
    scaled = ((coloured - low) * (255.0 / (high - low))).clamp(0, 255).round()
    images = torch.nan_to_num(scaled).to(torch.uint8)
    if output.channels == "grey":
        images = images.expand(-1, 3, -1, -1)
    state = torch.where(is_constant(images), CONSTANT, 0)
    state = torch.where(outside > MOST_OUTSIDE, WRONG_RANGE, state)
    state = torch.where(finite, state, NOT_FINITE)
    return DeviceBatch(images.contiguous(), state.to(torch.int8))


def is_constant(images: Tensor) -> Tensor:
    """Which of the images (N, 3, H, W) are of a single colour: bool (N,)."""
    return (images == images[:, :, :1, :1]).flatten(1).all(dim=1)
