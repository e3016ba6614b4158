"""Locators and the extractor: outcomes of every kind, and templates at the right rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from distributed.embedding.alignment import ARCFACE_TEMPLATE, align
from distributed.embedding.detector import Detector, Face
from distributed.embedding.extractor import TemplateExtractor
from distributed.embedding.locator import AlignedCrops, DetectorLocator, FixedLandmarks
from distributed.embedding.recognizer import Recognizer
from schemas.run.tables import Outcome
from schemas.spec.faces import RecognizerInput
from tests.support.assets import load_detector, load_recognizer, needs_assets, photos, read_rgb
from tests.support.tiny_models import flattener, save

Image = NDArray[np.uint8]


def random_images(*shapes: tuple[int, int]) -> list[Image]:
    random = np.random.default_rng(3)
    return [random.integers(0, 256, (*shape, 3), np.uint8) for shape in shapes]


@pytest.fixture
def recognizer(tmp_path: Path) -> Recognizer:
    path = save(flattener(), tmp_path / "m.onnx")
    return Recognizer(
        "tiny",
        path,
        RecognizerInput.model_validate({"channels": "rgb", "mean": 0, "std": 1}),
        device="cpu",
        threads=1,
    )


def test_rows_keep_the_order_of_the_images(recognizer: Recognizer) -> None:
    first, oblong, last = random_images((112, 112), (112, 100), (224, 224))
    images = [None, first, oblong, None, last]
    batch = TemplateExtractor([recognizer], AlignedCrops()).extract(images)
    assert batch.outcome == ["invalid_image", "ok", "invalid_image", "invalid_image", "ok"]
    assert batch.faces.tolist() == [0, 1, 0, 0, 1]
    assert batch.faces.dtype == np.int16
    assert batch.detection_score.dtype == np.float32
    assert np.isnan(batch.detection_score).all()
    templates = batch.templates["tiny"]
    assert templates.dtype == np.float32
    assert np.isnan(templates).all(axis=1).tolist() == [True, False, True, True, False]
    crops = np.stack([align(first, ARCFACE_TEMPLATE, 16), align(last, ARCFACE_TEMPLATE * 2, 16)])
    np.testing.assert_array_equal(templates[[1, 4]], recognizer.embed(crops))


def test_fixed_landmarks_align_every_image(recognizer: Recognizer) -> None:
    landmarks = ARCFACE_TEMPLATE * 64 / 112 + 3
    images = random_images((64, 64), (64, 64))
    batch = TemplateExtractor([recognizer], FixedLandmarks(landmarks)).extract(images)
    crops = np.stack([align(image, landmarks, 16) for image in images])
    assert batch.outcome == ["ok", "ok"]
    np.testing.assert_array_equal(batch.templates["tiny"], recognizer.embed(crops))


def test_fixed_landmarks_must_be_a_face() -> None:
    with pytest.raises(ValueError, match="must not all be one point"):
        FixedLandmarks(np.ones((5, 2)))


@pytest.mark.parametrize("images", [[], [None, None]])
def test_nothing_to_embed(recognizer: Recognizer, images: Sequence[Image | None]) -> None:
    batch = TemplateExtractor([recognizer], AlignedCrops()).extract(images)
    assert batch.outcome == ["invalid_image"] * len(images)
    assert batch.templates["tiny"].shape == (len(images), 48)


def test_timings_add_up(recognizer: Recognizer) -> None:
    extractor = TemplateExtractor([recognizer], AlignedCrops())
    seen = []
    for _ in range(2):
        extractor.extract(random_images((112, 112)))
        seen.append(dict(extractor.timings))
    assert set(seen[0]) == {"detect", "align", "embed"}
    assert all(0 < seen[0][stage] < seen[1][stage] for stage in seen[0])


class OneFace:
    """In place of a detector: a face of 30×40 pixels in the middle of every image."""

    def detect(self, images: Sequence[Image]) -> list[list[Face]]:
        box = np.array([41, 36, 71, 76], np.float32)
        landmarks = (ARCFACE_TEMPLATE * 30 / 112 + box[:2]).astype(np.float32)
        return [[Face(box, 0.9, landmarks)] for _ in images]


def test_a_detected_face_has_a_size_and_another_has_none(recognizer: Recognizer) -> None:
    images: list[Image | None] = [*random_images((112, 112)), None]
    batch = TemplateExtractor([recognizer], DetectorLocator(cast(Detector, OneFace()))).extract(images)
    np.testing.assert_allclose(batch.face_size, [np.sqrt(30 * 40), np.nan], rtol=1e-6)
    assert np.isnan(TemplateExtractor([recognizer], AlignedCrops()).extract(images).face_size).all()


@pytest.mark.assets
@needs_assets
def test_every_outcome_of_detection() -> None:
    alone = read_rgb(photos(1)[4])
    # The same face twice, as far from the centre: by any rule, nobody can say whose image it is.
    couple = np.hstack([alone, alone[:, ::-1]])
    bystander = np.zeros_like(alone)
    bystander[:100, :100] = cv2.resize(alone, (100, 100))
    blank = np.zeros((200, 300, 3), np.uint8)
    locator = DetectorLocator(load_detector("det_500m", 128, 640))
    places = locator.locate([alone, couple, np.hstack([bystander, alone, np.zeros_like(alone)]), blank])
    expected = [Outcome.OK, Outcome.SEVERAL_FACES, Outcome.OK, Outcome.NO_FACE]
    assert [place.outcome for place in places] == expected
    assert [place.faces for place in places] == [1, 2, 2, 0]
    assert [place.landmarks is None for place in places] == [False, True, False, True]
    assert np.isnan(places[3].score)
    assert min(place.score for place in places[:3]) >= 0.5


@pytest.mark.assets
@needs_assets
def test_two_recognisers_and_the_same_bytes_again() -> None:
    recognizers = [load_recognizer("mobilefacenet_foamliu"), load_recognizer("omz_reid_0095")]
    extractor = TemplateExtractor(recognizers, DetectorLocator(load_detector("det_500m", 128)))
    images = [read_rgb(path) for path in photos(40)]
    first, again = extractor.extract(images), extractor.extract(images)
    assert {name: template.shape[1] for name, template in first.templates.items()} == {
        "mobilefacenet_foamliu": 128,
        "omz_reid_0095": 256,
    }
    for name, templates in first.templates.items():
        assert templates.tobytes() == again.templates[name].tobytes()
        norms = np.linalg.norm(templates, axis=1)
        is_ok = np.array(first.outcome) == "ok"
        np.testing.assert_allclose(norms[is_ok], 1, atol=1e-6)
        assert np.isnan(norms[~is_ok]).all()
