"""SCRFD detection of whole batches on a device: what `detector` and `locator` do on a CPU, without a wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from distributed.embedding.alignment import ARCFACE_TEMPLATE, TEMPLATE_SIZE
from distributed.embedding.detector import fitted_size
from distributed.embedding.detectors.family import Pixels
from distributed.embedding.detectors.scrfd import FeatureMap, Scrfd
from distributed.embedding.locator import RIVAL_AREA, RIVAL_WIDTHS
from distributed.runtime.torch_model import TorchModel

CANDIDATES = 64
"""Kept of each image and size, the best first. An image with more is unsure."""
ROUNDS = 8
"""Of suppression. Greedy suppression is settled after as many as the longest chain of boxes each of which
would be suppressed by the one before; one that is not settled is unsure."""

NO_FACE, SEVERAL_FACES, OK, UNSURE = 0, 1, 2, 3
"""Outcomes of an image. UNSURE: more than fits here; to be looked at on the host."""


@dataclass(frozen=True)
class Located:
    """Of N images: outcome int8, faces int16, score float32 (NaN without a face), landmarks (N, 5, 2).

    Landmarks are the template's, scaled to the image, where the outcome is not OK.
    """

    outcome: Tensor
    faces: Tensor
    score: Tensor
    landmarks: Tensor


@dataclass(frozen=True)
class DeviceDetector:
    """One detector with the graph for each of its input sizes.

    graphs: size -> model for batches of N×3×size×size.
    """

    graphs: dict[int, TorchModel]
    family: Scrfd
    threshold: float

    def locate(self, images: Tensor, sizes: Sequence[int]) -> Located:
        """Search `images`, uint8 N×3×H×W, at each of `sizes`, and choose among all that is found."""
        searched = [self._candidates(images, size) for size in sizes]
        rows = torch.cat([rows for rows, _ in searched], dim=1)
        order = rows[..., 4].argsort(dim=1, descending=True, stable=True)
        rows = rows.gather(1, order[..., None].expand_as(rows))
        too_many = torch.stack([count for _, count in searched]).amax(dim=0) > CANDIDATES
        return _chosen(rows, images, self.threshold, self.family.overlap, too_many)

    def _candidates(self, images: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """The best CANDIDATES of each image, (N, CANDIDATES, 15) box, score, landmarks in its pixels, and
        how many pass the threshold, (N,)."""
        canvas, scale = letterboxed(images, size, self.family.pixels)
        outputs = [output.float() for output in self.graphs[size](canvas)]
        scores, boxes, points = [], [], []
        for level in self.family.maps:
            centres = _centres(level, size, images.device)
            distance = outputs[level.box].reshape(len(images), -1, 4) * level.stride
            offset = outputs[level.landmarks].reshape(len(images), -1, 10) * level.stride
            boxes.append(torch.cat([centres - distance[..., :2], centres + distance[..., 2:]], dim=-1))
            points.append(centres.repeat(1, 5) + offset)
            scores.append(outputs[level.score].reshape(len(images), -1))
        score = torch.cat(scores, dim=1)
        best, place = score.topk(min(CANDIDATES, score.shape[1]), dim=1)
        rows = torch.cat([torch.cat(boxes, dim=1), torch.cat(points, dim=1)], dim=-1)
        rows = rows.gather(1, place[..., None].expand(-1, -1, rows.shape[-1])) / scale
        return torch.cat([rows[..., :4], best[..., None], rows[..., 4:]], dim=-1), (
            score >= self.threshold
        ).sum(dim=1)


def letterboxed(images: Tensor, size: int, pixels: Pixels) -> tuple[Tensor, float]:
    """The images fitted into the top left of a size×size canvas, normalised, and the scale that did it.

    To one level of 255 what OpenCV's bilinear resize gives.
    """
    height, width = images.shape[2:]
    fitted = fitted_size(height, width, size)
    resized = F.interpolate(images.float(), (fitted[1], fitted[0]), mode="bilinear", align_corners=False)
    ordered = resized if pixels.channels == "rgb" else resized.flip(1)
    mean = _column(pixels.mean, images.device)
    planes = (ordered.round() - mean) / pixels.std
    canvas = (-mean / pixels.std).expand(len(images), -1, size, size).clone()
    canvas[:, :, : fitted[1], : fitted[0]] = planes
    return canvas, fitted[1] / height


@cache
def _centres(level: FeatureMap, size: int, device: torch.device) -> Tensor:
    # Sent once, as a recorded graph cannot copy from the host.
    return torch.from_numpy(np.array(level.centres(size))).to(device)


def _chosen(rows: Tensor, images: Tensor, threshold: float, overlap: float, too_many: Tensor) -> Located:
    """The face that an image is of, by the rules of `locator`. rows: (N, K, 15), by falling score."""
    boxes, score = rows[..., :4], rows[..., 4]
    kept, settled = _suppressed(boxes, score >= threshold, overlap)
    height, width = images.shape[2:]
    middle = torch.cat([_full(boxes, width // 2), _full(boxes, height // 2)], dim=-1)
    distance = ((boxes[..., :2] + boxes[..., 2:]) / 2 - middle).norm(dim=-1)
    area = (boxes[..., 2:] - boxes[..., :2]).prod(dim=-1)
    prominence = torch.where(kept, area - 2 * distance**2, -torch.inf)
    chosen = prominence.argmax(dim=1, keepdim=True)
    chosen_area, chosen_distance = area.gather(1, chosen), distance.gather(1, chosen)
    rival = kept & (area >= RIVAL_AREA * chosen_area)
    rival &= distance - chosen_distance < RIVAL_WIDTHS * chosen_area.sqrt()
    rival &= _ranks(boxes) != chosen
    faces = kept.sum(dim=1)
    outcome = torch.where(rival.any(dim=1), SEVERAL_FACES, OK)
    outcome = torch.where(faces == 0, NO_FACE, outcome)
    outcome = torch.where(too_many | ~settled, UNSURE, outcome)
    points = rows[..., 5:].gather(1, chosen[..., None].expand(-1, -1, 10)).reshape(-1, 5, 2)
    points = torch.where((outcome == OK)[:, None, None], points, _usual(height, width, images.device))
    best_score = torch.where(faces > 0, score.gather(1, chosen)[:, 0], torch.nan)
    return Located(outcome.to(torch.int8), faces.to(torch.int16), best_score, points)


def _suppressed(boxes: Tensor, candidate: Tensor, most: float) -> tuple[Tensor, Tensor]:
    """Greedy non-maximum suppression of (N, K, 4) boxes by falling score: which stay, (N, K), and for which
    images that is settled, (N,). most: what boxes of two faces may overlap.

    A box stays if none that stays and has a higher score overlaps it. Begun with all, each round makes one
    more box of every chain right, and what a round leaves as it is, is greedy suppression's result.
    """
    low, high = boxes[..., :2], boxes[..., 2:] + 1
    area = (high - low).prod(dim=-1)
    shared = torch.minimum(high[:, :, None], high[:, None]) - torch.maximum(low[:, :, None], low[:, None])
    shared = shared.clamp(min=0).prod(dim=-1)
    overlap = shared / (area[:, :, None] + area[:, None] - shared) > most
    rank = _ranks(boxes)
    before = overlap & (rank[:, None] < rank)
    kept, last = candidate, candidate
    for _ in range(ROUNDS):
        last, kept = kept, candidate & ~(before & kept[:, :, None]).any(dim=1)
    return kept, (kept == last).all(dim=1)


def _ranks(boxes: Tensor) -> Tensor:
    return torch.arange(boxes.shape[1], device=boxes.device)


def _full(boxes: Tensor, value: int) -> Tensor:
    return torch.full_like(boxes[..., :1], value)


@cache
def _column(values: tuple[float, ...], device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device).reshape(3, 1, 1)


@cache
def _usual(height: int, width: int, device: torch.device) -> Tensor:
    points = ARCFACE_TEMPLATE * (min(height, width) / TEMPLATE_SIZE)
    return torch.from_numpy(points.astype(np.float32)).to(device)
