"""Detection of batches on a device chooses what the host's chooses, and waits for nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from distributed.embedding import detector as host
from distributed.embedding.alignment import ARCFACE_TEMPLATE, align
from distributed.embedding.detectors.scrfd import Scrfd
from distributed.embedding.device.detection import UNSURE, _chosen, _suppressed, letterboxed
from distributed.embedding.device.extractor import device_detector
from distributed.embedding.device.warp import align_batch
from distributed.embedding.locator import DetectorLocator, _choose
from schemas.run.tables import Outcome
from tests.support.tiny_models import bright_square_detector, save

NAMES = [Outcome.NO_FACE, Outcome.SEVERAL_FACES, Outcome.OK]
SIDE, CANDIDATES, OVERLAP = 256, 64, Scrfd.overlap
WAITS = ("_local_scalar_dense", "nonzero", "is_nonzero", "masked_select", "item", "unique")


class NoWait(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuses what on CUDA would make the host wait for the device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        assert name not in WAITS, f"{name} reads from the device"
        if name == "index":
            assert all(i is None or i.dtype != torch.bool for i in args[1]), (
                "a mask's length is on the device"
            )
        return func(*args, **(kwargs or {}))


def candidates(rng: np.random.Generator) -> np.ndarray:
    """Up to 39 boxes that crowd around a few places, with landmarks, as a detector gives them."""
    count = int(rng.integers(0, 40))
    groups = max(1, count // 6)
    middle = rng.uniform(20, 236, (groups, 2))[rng.integers(0, groups, count)] + rng.normal(0, 4, (count, 2))
    half = rng.uniform(10, 80, (count, 1)) * rng.uniform(0.9, 1.1, (count, 2))
    score, points = rng.uniform(0.5, 1, (count, 1)), rng.uniform(0, SIDE, (count, 10))
    return np.hstack([middle - half, middle + half, score, points]).astype(np.float32)


def padded(rows: list[np.ndarray]) -> torch.Tensor:
    """(N, CANDIDATES, 15), by falling score, and then rows of score 0."""
    batch = np.zeros((len(rows), CANDIDATES, 15), np.float32)
    for place, some in enumerate(rows):
        batch[place, : len(some)] = some[np.argsort(-some[:, 4], kind="stable")]
    return torch.from_numpy(batch)


def test_suppression_and_choice_are_the_hosts() -> None:
    rng = np.random.default_rng(1)
    rows = [candidates(rng) for _ in range(300)]
    image = np.empty((SIDE, SIDE, 3), np.uint8)

    located = _chosen(
        padded(rows),
        torch.zeros(300, 3, SIDE, SIDE, dtype=torch.uint8),
        0.5,
        OVERLAP,
        torch.zeros(300, dtype=torch.bool),
    )

    assert len(set(located.outcome.tolist())) == 3
    for place, some in enumerate(rows):
        faces = host._merge(some, OVERLAP)
        expected = _choose(faces, image)
        assert NAMES[located.outcome[place]] == expected.outcome
        assert located.faces[place] == expected.faces
        np.testing.assert_equal(np.float32(located.score[place]), np.float32(expected.score))
        if expected.landmarks is not None:
            np.testing.assert_array_equal(located.landmarks[place].numpy(), expected.landmarks)


def test_a_chain_that_is_not_settled_is_unsure() -> None:
    # Each box overlaps the next one alone, so what becomes of the last one depends on all.
    low = torch.arange(CANDIDATES) * 4.0
    boxes = torch.stack([low, torch.zeros_like(low), low + 9, torch.full_like(low, 9)], dim=1)
    rows = torch.cat([boxes, torch.linspace(1, 0.6, CANDIDATES)[:, None], torch.zeros(CANDIDATES, 10)], dim=1)

    kept, settled = _suppressed(boxes[None], torch.ones(1, CANDIDATES, dtype=torch.bool), OVERLAP)
    located = _chosen(
        rows[None],
        torch.zeros(1, 3, SIDE, SIDE, dtype=torch.uint8),
        0.5,
        OVERLAP,
        torch.zeros(1, dtype=torch.bool),
    )

    assert not settled.any() and located.outcome.item() == UNSURE
    short = slice(0, 6)
    kept, settled = _suppressed(boxes[None, short], torch.ones(1, 6, dtype=torch.bool), OVERLAP)
    assert settled.all() and kept[0].nonzero().ravel().tolist() == host._suppress(
        boxes[short].numpy(), OVERLAP
    )


@pytest.mark.parametrize("shape", [(64, 64), (200, 90), (97, 250), (300, 300)])
def test_letterboxes_are_opencvs_to_a_level(shape: tuple[int, int]) -> None:
    image = smooth(1, *shape)[0]
    canvas = np.empty((3, 128, 128), np.float32)
    scale = host._letterbox(np.ascontiguousarray(image.permute(1, 2, 0).numpy()), canvas, Scrfd.pixels)

    ours, ours_scale = letterboxed(image[None], 128, Scrfd.pixels)

    assert ours_scale == scale
    difference = np.abs(ours[0].numpy() - canvas) * 128
    assert difference.max() <= 1.01 and difference.mean() < 0.2


def test_alignment_is_opencvs_to_a_level() -> None:
    rng = np.random.default_rng(0)
    images = smooth(8, 128, 160)
    landmarks = [
        ARCFACE_TEMPLATE * rng.uniform(0.6, 1.2) + rng.uniform(-10, 30, 2) + rng.normal(0, 3, (5, 2))
        for _ in range(8)
    ]

    crops = align_batch(images, torch.from_numpy(np.stack(landmarks)), 112)

    for image, points, crop in zip(images, landmarks, crops, strict=True):
        expected = align(np.ascontiguousarray(image.permute(1, 2, 0).numpy()), points)
        difference = np.abs(crop.permute(1, 2, 0).numpy() - expected)
        assert difference.max() <= 2 and (difference == 0).mean() > 0.95


def smooth(count: int, height: int, width: int) -> torch.Tensor:
    cells = torch.from_numpy(np.random.default_rng(2).normal(128, 60, (count, 3, 8, 8)).astype(np.float32))
    return (
        torch.nn.functional.interpolate(cells, (height, width), mode="bicubic").clamp(0, 255).round().byte()
    )


def test_a_batch_is_located_as_on_the_host_without_a_wait(tmp_path: Any) -> None:
    path = save(bright_square_detector(), tmp_path / "detector.onnx")
    opened = host.Detector(path, sizes=(64, 128), threshold=0.5, device="cpu", threads=1)
    images = np.zeros((4, 64, 64, 3), np.uint8)
    images[1, 24:36, 24:36] = 255
    images[2, 8:20, 8:20] = images[2, 40:52, 40:52] = 255
    images[3, 24:36, 16:28] = 200
    on_device = device_detector(opened, 4, "cpu")

    no_wait: Any = NoWait  # torch's base class is untyped
    with no_wait(), torch.inference_mode():
        located = on_device.locate(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()), (64, 128))

    expected = DetectorLocator(opened).locate(list(images))
    assert [NAMES[code] for code in located.outcome] == [location.outcome for location in expected]
    assert located.faces.tolist() == [location.faces for location in expected]
    assert {location.outcome for location in expected} >= {Outcome.NO_FACE, Outcome.OK}
