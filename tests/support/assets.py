"""The real models and photos under ../shared/assets, for tests marked `assets`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from distributed.embedding.detector import Detector
from distributed.embedding.recognizer import Recognizer
from schemas.spec.faces import RecognizerInput, Search

ASSETS = Path(__file__).resolve().parents[3] / "shared" / "assets"
MODELS = ASSETS / "models"
DETECTORS = ("det_500m", "scrfd_500m_kps_640")

Scale = tuple[float, float, float]
RECOGNIZERS: dict[str, tuple[Literal["rgb", "bgr"], Scale, Scale]] = {
    "mobilefacenet_foamliu": ("rgb", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "mobilefacenet_y1": ("bgr", (0, 0, 0), (1, 1, 1)),
    "omz_reid_0095": ("bgr", (0, 0, 0), (1, 1, 1)),
}

needs_assets = pytest.mark.skipif(
    not MODELS.is_dir(), reason=f"the real models and faces are not in {ASSETS}"
)


def photos(step: int) -> list[Path]:
    """Every `step`-th person's four photos, people sorted by name."""
    people = sorted((ASSETS / "faces").glob("c*/*"))
    return [photo for person in people[::step] for photo in sorted(person.glob("*.jpg"))]


def read_rgb(path: Path) -> NDArray[np.uint8]:
    image = cv2.imread(str(path))
    assert image is not None
    return np.ascontiguousarray(np.asarray(image, np.uint8)[..., ::-1])


def load_recognizer(name: str) -> Recognizer:
    channels, mean, std = RECOGNIZERS[name]
    path = MODELS / f"{name}.onnx"
    return Recognizer(
        name,
        path,
        RecognizerInput.model_validate({"channels": channels, "mean": mean, "std": std}),
        device="cpu",
        threads=1,
    )


def load_detector(name: str, *sizes: int, search: Search = "all") -> Detector:
    path = MODELS / f"{name}.onnx"
    return Detector(path, sizes=sizes, threshold=0.5, search=search, device="cpu", threads=1)
