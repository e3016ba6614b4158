"""Batches of images on a device to outcomes and templates, without a copy to the host or a wait for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distributed.embedding.detector import Detector
from distributed.embedding.detectors.scrfd import Scrfd
from distributed.embedding.device.detection import OK, DeviceDetector, Located, letterboxed
from distributed.embedding.device.recorded import Recorded
from distributed.embedding.device.warp import align_batch
from distributed.embedding.recognizer import Recognizer
from distributed.runtime.torch_batches import smooth_probe
from distributed.runtime.torch_model import TorchModel
from distributed.runtime.torch_ops import UnsupportedGraphError

Locate = Callable[[Tensor], Located]


@dataclass(frozen=True)
class DeviceFaces:
    """What became of N images. templates: recogniser name -> (N, dim) float32, not scaled; only rows whose
    outcome is OK mean anything."""

    outcome: Tensor
    faces: Tensor
    score: Tensor
    templates: Mapping[str, Tensor]


class DeviceRecognizer:
    """A recogniser in torch, with its preprocessing, for batches of one length."""

    def __init__(self, recognizer: Recognizer, batch: int, device: str) -> None:
        """Raises UnsupportedGraphError for a graph that is to be left to onnxruntime."""
        self._recognizer = recognizer
        self.size, self.name = recognizer.size, recognizer.name
        self._scale = [
            torch.tensor(values, dtype=torch.float32, device=device).reshape(3, 1, 1)
            for values in (recognizer.mean, recognizer.std)
        ]
        crops = probe_images(recognizer.size)
        self.model = TorchModel(
            recognizer.path,
            recognizer.graph(),
            (batch, *recognizer.input_shape),
            device=device,
            reference=lambda inputs: [recognizer.raw(inputs)],
            probe=recognizer.prepare(crops),
            output=recognizer.output,
        )

    def __call__(self, crops: Tensor) -> Tensor:
        """Templates (N, dim), float32 and not scaled, of crops N×3×size×size, float32 from 0 to 255."""
        mean, std = self._scale
        margin = self._recognizer.margin
        columns = crops[..., margin : crops.shape[-1] - margin]
        planes = columns.flip(1) if self._recognizer.flip else columns
        planes = (planes - mean) / std
        inputs = planes if self._recognizer.channels_first else planes.permute(0, 2, 3, 1)
        return self.model(inputs)[0].float().reshape(len(crops), -1)


class DeviceExtractor:
    """Finds, aligns and embeds the faces of uint8 batches N×3×H×W, all of one shape."""

    def __init__(self, recognizers: Sequence[DeviceRecognizer], locate: Locate, example: Tensor) -> None:
        """example: a batch; on CUDA the whole way from images to templates is recorded with it."""
        self._recognizers, self._locate = tuple(recognizers), locate
        self._run = Recorded(self._extract, example)

    def extract(self, images: Tensor) -> DeviceFaces:
        """What became of the images; the next call overwrites it on CUDA."""
        outcome, faces, score, templates = self._run(images)
        return DeviceFaces(outcome, faces, score, templates)

    def _extract(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]:
        located = self._locate(images)
        sizes = {recognizer.size for recognizer in self._recognizers}
        crops = {size: align_batch(images, located.landmarks, size) for size in sizes}
        templates = {recognizer.name: recognizer(crops[recognizer.size]) for recognizer in self._recognizers}
        return located.outcome, located.faces, located.score, templates


def fixed_location(landmarks: NDArray[np.float64], batch: int, device: str) -> Locate:
    """Every face in the same place: (5, 2) landmarks in pixels."""
    points = torch.from_numpy(np.tile(landmarks, (batch, 1, 1))).to(device)
    located = Located(
        torch.full((batch,), OK, dtype=torch.int8, device=device),
        torch.ones(batch, dtype=torch.int16, device=device),
        torch.full((batch,), torch.nan, device=device),
        points,
    )
    return lambda images: located


def device_detector(detector: Detector, batch: int, device: str) -> DeviceDetector:
    """The detector's graphs in torch. Raises UnsupportedGraphError for what is left to onnxruntime."""
    if not isinstance(detector.family, Scrfd):
        raise UnsupportedGraphError(f"{detector.path}, a detector that is no SCRFD")
    graphs = {}
    for size in detector.sizes:
        images = torch.from_numpy(probe_images(size).transpose(0, 3, 1, 2).copy())
        probe = letterboxed(images, size, detector.family.pixels)[0].numpy()
        graphs[size] = TorchModel(
            detector.path,
            detector.graph(),
            (batch, 3, size, size),
            device=device,
            reference=detector.raw,
            probe=probe,
        )
    return DeviceDetector(graphs, detector.family, detector.threshold)


def probe_images(size: int) -> NDArray[np.uint8]:
    """A few smooth images, uint8 N×size×size×3."""
    return smooth_probe((size, size, 3), (0, 255)).round().astype(np.uint8)
