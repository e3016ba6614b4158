"""Images of a generator whose code runs in a process of its own, which writes them where both can read."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distributed.sampling.device.batches import DeviceBatch, UnevenImagesError, first_shape, sent
from distributed.sampling.device.shared_memory import CudaMemory, HostMemory
from distributed.sampling.sandbox.parent import SandboxedSource
from schemas.errors import DeviceError

LOG = logging.getLogger(__name__)
SLOTS = 2
"""Batches that the memory holds: the process fills one while the other is in use."""


class SharedImages:
    """Batches of one length, in the GPU's memory by CUDA IPC, or, where that fails, in the host's."""

    def __init__(self, source: SandboxedSource, batch: int, device: str) -> None:
        """Raises UnevenImagesError if the first sample is no image; errors of the source."""
        self._source, self._device = source, device
        self.shape = first_shape(source)
        count = SLOTS * batch * 3 * self.shape[0] * self.shape[1]
        self._memory = shared_memory(source, count, device)
        self._slots = self._memory.bytes[:count].view(SLOTS, batch, 3, *self.shape)
        self._used: list[Any] = [None] * SLOTS
        self._slot = 0
        self._expected: NDArray[np.int64] | None = None

    @property
    def on_device(self) -> bool:
        """Whether the other process writes to the GPU's memory."""
        return isinstance(self._memory, CudaMemory)

    def expect(self, ids: NDArray[np.int64]) -> None:
        """See `batches.DeviceSource`: the other process begins to make them."""
        self._slot = (self._slot + 1) % SLOTS
        if self._used[self._slot] is not None:
            self._used[self._slot].synchronize()
        self._source.begin_batch(ids, self._slot * self._slots[0].numel(), self.shape)
        self._expected = ids

    def sample(self, ids: NDArray[np.int64]) -> DeviceBatch:
        """See `batches.DeviceSource`. Raises UnevenImagesError for another shape than the first sample's."""
        self._note_use()
        if self._expected is None or not np.array_equal(self._expected, ids):
            self.expect(ids)
        self._expected = None
        answer = self._source.end_batch(len(ids))
        if answer is None:
            raise UnevenImagesError
        state = sent(torch.tensor(answer[0], dtype=torch.int8), self._device)
        return DeviceBatch(self._images(self._slots[self._slot, : len(ids)]), state, answer[1])

    def _note_use(self) -> None:
        """What is in the current slot has been given away; all that reads it is in the stream by now."""
        if self.on_device:
            # torch has not annotated Event, and strict mypy refuses calls of what is not annotated.
            self._used[self._slot] = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._used[self._slot].record()

    def _images(self, slot: Tensor) -> Tensor:
        return slot if self.on_device else sent(slot, self._device)


def shared_memory(source: SandboxedSource, count: int, device: str) -> HostMemory | CudaMemory:
    """So many bytes that the source's process writes to; with a word in the log where CUDA IPC fails."""
    shared = source.shared
    if isinstance(shared, HostMemory | CudaMemory) and len(shared.bytes) >= count:
        return shared
    if device == "cuda":
        try:
            on_card = CudaMemory(count)
            source.share(on_card)
            return on_card
        except DeviceError as error:
            LOG.warning("the generator's images go through the host's memory, which takes longer: %s", error)
    on_host = HostMemory(count)
    source.share(on_host)
    return on_host
