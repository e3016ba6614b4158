"""What a source of device batches gives, and the images of any source sent to the device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distributed.sampling.generator import ImageSource, InvalidImage
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
    """The images of a source in host memory, such as a process of its own gives, sent to the device."""

    def __init__(self, source: ImageSource, device: str) -> None:
        """Raises UnevenImagesError if the first samples have no common shape."""
        self._source, self._device = source, device
        first = next(iter(source.sample(np.zeros(1, np.int64))))
        if isinstance(first, InvalidImage):
            raise UnevenImagesError
        self.shape = first.shape[0], first.shape[1]

    def expect(self, ids: NDArray[np.int64]) -> None:
        """Nothing: the process on the other end takes one request at a time."""

    def sample(self, ids: NDArray[np.int64]) -> DeviceBatch:
        """See `DeviceSource`. Raises UnevenImagesError for another shape than the first sample's."""
        samples = self._source.sample(ids)
        state = np.zeros(len(ids), np.int8)
        stacked = np.zeros((len(ids), 3, *self.shape), np.uint8)
        reasons = {}
        for place, sample in enumerate(samples):
            if isinstance(sample, InvalidImage):
                state[place], reasons[place] = STATES.index(sample.outcome), sample.reason
            elif sample.shape[:2] != self.shape:
                raise UnevenImagesError
            else:
                stacked[place] = sample.transpose(2, 0, 1)
        return DeviceBatch(self._sent(stacked), self._sent(state), reasons)

    def _sent(self, values: NDArray[Any]) -> Tensor:
        tensor = torch.from_numpy(values)
        if self._device == "cuda":
            return tensor.pin_memory().to("cuda", non_blocking=True)
        return tensor
