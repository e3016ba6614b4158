"""What a source of device batches gives, and the images of any source sent to the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distributed.sampling.generator import Image, ImageSource, InvalidImage
from schemas.run.tables import Outcome

STATES = tuple(Outcome)
"""What a device batch says of an image, by its place in this tuple."""
REASONS = {
    Outcome.NOT_FINITE: "the generator's output has values that are no numbers",
    Outcome.WRONG_RANGE: "most of the values lie far outside generator.output.range",
    Outcome.CONSTANT: "the image is of a single colour",
}


@dataclass(frozen=True)
class DeviceBatch:
    """images: uint8 N×3×H×W on the device; state: int8 (N,), a place in STATES; an image whose state is not
    OK means nothing. reasons: by place in the batch, where the source says more than REASONS."""

    images: Tensor
    state: Tensor
    reasons: Mapping[int, str] = field(default_factory=dict)


class DeviceSource(Protocol):
    """Sample ids to batches on one device, all of one length and shape."""

    shape: tuple[int, int]
    """Height and width."""

    def expect(self, ids: NDArray[np.int64]) -> None:
        """These will be sampled next: what the host does for them may begin."""

    def sample(self, ids: NDArray[np.int64]) -> DeviceBatch:
        """The batch's images; the next call may overwrite them."""


class UnevenImagesError(Exception):
    """Images that are not all of one shape, or are none: to be taken one by one."""


class SentImages:
    """The images of a source in host memory, such as files or an API give, sent to the device."""

    def __init__(self, source: ImageSource, device: str) -> None:
        """Raises UnevenImagesError if the first sample is no image."""
        self._source, self._device = source, device
        self.shape = first_shape(source)

    def expect(self, ids: NDArray[np.int64]) -> None:
        """Nothing: a source takes one request at a time."""

    def sample(self, ids: NDArray[np.int64]) -> DeviceBatch:
        """See `DeviceSource`. Raises UnevenImagesError for another shape than the first sample's."""
        batch = stacked(self._source.sample(ids), self.shape)
        return DeviceBatch(sent(batch.images, self._device), sent(batch.state, self._device), batch.reasons)


def first_shape(source: ImageSource) -> tuple[int, int]:
    """Height and width of the first sample. Raises UnevenImagesError if it is no image."""
    first = next(iter(source.sample(np.zeros(1, np.int64))))
    if isinstance(first, InvalidImage):
        raise UnevenImagesError
    return first.shape[0], first.shape[1]


def stacked(samples: Sequence[Image | InvalidImage], shape: tuple[int, int]) -> DeviceBatch:
    """Images of one shape as a batch in host memory. Raises UnevenImagesError for one of another shape."""
    state = np.zeros(len(samples), np.int8)
    images = np.zeros((len(samples), 3, *shape), np.uint8)
    reasons = {}
    for place, sample in enumerate(samples):
        if isinstance(sample, InvalidImage):
            state[place], reasons[place] = STATES.index(sample.outcome), sample.reason
        elif sample.shape[:2] != shape:
            raise UnevenImagesError
        else:
            images[place] = sample.transpose(2, 0, 1)
    return DeviceBatch(torch.from_numpy(images), torch.from_numpy(state), reasons)


def sent(values: Tensor, device: str) -> Tensor:
    """Values in host memory, on the device; a copy there on CUDA."""
    return values.pin_memory().to("cuda", non_blocking=True) if device == "cuda" else values
