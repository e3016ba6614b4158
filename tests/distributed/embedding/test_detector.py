"""The detector: refusals with tiny models, faces with real ones against insightface's own SCRFD."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from insightface.model_zoo.scrfd import SCRFD
from onnx import helper

from distributed.embedding.detector import Detector, Face
from schemas.errors import ModelError
from tests.support.assets import (
    DETECTORS,
    MODELS,
    load_detector,
    needs_assets,
    photos,
    read_rgb,
)
from tests.support.tiny_models import bright_square_detector, flattener, make_model, save

REFERENCE_PHOTOS = 10  # every tenth person: 84 photos


def open_detector(path: Path, sizes: Sequence[int] = (64,)) -> Detector:
    return Detector(path, sizes=sizes, threshold=0.5, device="cpu", threads=1)


@pytest.mark.parametrize("sizes", [(), (100,), (0,), (64, 65)])
def test_sizes_must_be_multiples_of_32(tmp_path: Path, sizes: Sequence[int]) -> None:
    with pytest.raises(ValueError, match="multiples of 32"):
        open_detector(tmp_path / "never-read.onnx", sizes)


def test_a_recogniser_is_no_detector(tmp_path: Path) -> None:
    path = save(flattener(shape=(1, 3, 64, 64)), tmp_path / "m.onnx")
    with pytest.raises(ModelError, match="not a face detector with landmarks that idleak reads"):
        open_detector(path)


def test_a_detector_without_landmarks_is_refused(tmp_path: Path) -> None:
    rows = {f"{kind}{stride}": (64 // stride) ** 2 * 2 for stride in (8, 16, 32) for kind in "sb"}
    widths = {name: 1 if name[0] == "s" else 4 for name in rows}
    nodes = [helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1, 2, 3], keepdims=0)]
    nodes += [helper.make_node("Reshape", ["mean", "to"], ["one"])]
    nodes += [helper.make_node("Expand", ["one", f"{name}_to"], [name]) for name in rows]
    constants: dict[str, list[int]] = {"to": [-1, 1, 1]}
    constants |= {f"{name}_to": [1, rows[name], widths[name]] for name in rows}
    outputs = {name: ("n", rows[name], widths[name]) for name in rows}
    model = make_model(nodes, shape=("n", 3, 64, 64), outputs=outputs, constants=constants)
    with pytest.raises(ModelError, match="is an SCRFD without landmarks, by which faces are aligned"):
        open_detector(save(model, tmp_path / "m.onnx"))


def with_square(width: int) -> np.ndarray:
    """A dark image of 128 × 128 with a bright square."""
    image = np.zeros((128, 128, 3), np.uint8)
    image[32 : 32 + width, 64 : 64 + width] = 255
    return image


def test_the_next_size_is_tried_on_images_without_a_face_alone(tmp_path: Path) -> None:
    path = save(bright_square_detector(), tmp_path / "m.onnx")
    large, small, none = with_square(32), with_square(4), with_square(0)
    both = large.copy()
    both[104:108, 8:12] = 255
    images = [large, small, none, both]
    at_128, at_640 = (open_detector(path, [size]).detect(images) for size in (128, 640))
    assert list(map(bool, at_128)) == [True, False, False, True]
    assert list(map(bool, at_640)) == [True, True, False, True]
    first = Detector(path, sizes=[640, 128], threshold=0.5, search="first", device="cpu", threads=1)
    for faces, expected in zip(first.detect(images), [at_128[0], at_640[1], [], at_128[3]], strict=True):
        assert len(faces) == len(expected)
        for face, other in zip(faces, expected, strict=True):
            assert face.score == other.score
            np.testing.assert_array_equal(face.box, other.box)
            np.testing.assert_array_equal(face.landmarks, other.landmarks)
    merged = open_detector(path, [128, 640]).detect(images)
    in_corner = [[face for face in faces[3] if face.box[1] > 90] for faces in (first.detect(images), merged)]
    assert not in_corner[0] and in_corner[1], "a small face beside a large one is seen at all sizes alone"


def reference(name: str, sizes: Sequence[int]) -> SCRFD:
    onnxruntime.set_default_logger_severity(3)
    path = str(MODELS / f"{name}.onnx")
    detector = SCRFD(path, onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]))
    detector.prepare(0, input_size=[(size, size) for size in sizes], det_thresh=0.5)
    return detector


def assert_same(faces: Sequence[Face], boxes: np.ndarray, landmarks: np.ndarray) -> None:
    assert len(faces) == len(boxes)
    for face, box, points in zip(faces, boxes, landmarks, strict=True):
        np.testing.assert_allclose(face.box, box[:4], atol=1)
        np.testing.assert_allclose(face.landmarks, points, atol=1)
        assert face.score == pytest.approx(box[4], abs=1e-3)


@pytest.mark.assets
@needs_assets
@pytest.mark.parametrize(
    ("name", "sizes"), [("det_500m", (128,)), ("det_500m", (128, 640)), ("scrfd_500m_kps_640", (640,))]
)
def test_faces_equal_those_of_insightface(name: str, sizes: Sequence[int]) -> None:
    images = [read_rgb(path) for path in photos(REFERENCE_PHOTOS)]
    theirs = reference(name, sizes)
    for image, faces in zip(images, load_detector(name, *sizes).detect(images), strict=True):
        assert_same(faces, *theirs.detect(np.ascontiguousarray(image[..., ::-1])))


@pytest.mark.assets
@needs_assets
@pytest.mark.parametrize("name", DETECTORS)
def test_a_batch_equals_its_images_one_by_one(name: str) -> None:
    detector = load_detector(name, 128)
    images = [read_rgb(path) for path in photos(20)]
    images += [image[10:200, 40:] for image in images]
    assert detector.batched
    for image, faces in zip(images, detector.detect(images), strict=True):
        (alone,) = detector.detect([image])
        assert [face.score for face in faces] == pytest.approx([face.score for face in alone], abs=1e-5)
        for face, other in zip(faces, alone, strict=True):
            np.testing.assert_allclose(face.box, other.box, atol=1e-2)


@pytest.mark.assets
@needs_assets
def test_every_photo_has_a_face_and_scores_fall() -> None:
    paths = photos(8)
    detections = load_detector("det_500m", 128, 640).detect([read_rgb(path) for path in paths])
    assert [str(path) for path, faces in zip(paths, detections, strict=True) if not faces] == []
    assert len(paths) >= 100
    for faces in detections:
        scores = [face.score for face in faces]
        assert scores == sorted(scores, reverse=True)


def generated(name: str, dim: int, low: float, high: float) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(str(MODELS / name), providers=["CPUExecutionProvider"])
    latents = np.random.default_rng(0).standard_normal((64, dim)).astype(np.float32)
    (images,) = session.run(None, {session.get_inputs()[0].name: latents})
    scaled = np.clip((images - low) / (high - low), 0, 1) * 255
    return list(np.rint(scaled).astype(np.uint8).transpose(0, 2, 3, 1))


@pytest.mark.assets
@needs_assets
def test_faces_that_fill_the_picture_need_a_small_size() -> None:
    images = generated("gan_faces36.onnx", 256, 0, 1)
    assert sum(map(bool, load_detector("det_500m", 640).detect(images[:8]))) == 0
    assert sum(map(bool, load_detector("det_500m", 128, 640).detect(images))) >= 0.75 * len(images)


@pytest.mark.assets
@needs_assets
def test_what_is_no_face_is_not_found() -> None:
    random = np.random.default_rng(1)
    noise = random.integers(0, 256, (16, 36, 36, 3), np.uint8)
    flat = np.broadcast_to(random.integers(0, 256, (16, 1, 1, 3), np.uint8), noise.shape)
    pixels = np.stack(generated("gan_faces36.onnx", 256, 0, 1)[:16]).reshape(16, -1, 3)
    shuffled = random.permutation(pixels, axis=1).reshape(noise.shape)
    images = [np.ascontiguousarray(image) for image in (*noise, *flat, *shuffled)]
    assert not any(load_detector("det_500m", 128, 640).detect(images))


@pytest.mark.assets
@needs_assets
def test_no_shape_warnings(capfd: pytest.CaptureFixture[str]) -> None:
    load_detector("det_500m", 128, 320).detect([read_rgb(path) for path in photos(105)])
    assert capfd.readouterr().err == ""
