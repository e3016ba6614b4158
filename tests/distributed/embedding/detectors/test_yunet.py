"""YuNet against OpenCV's own FaceDetectorYN, on a tiny network of the published form."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import helper

from distributed.embedding.detector import Detector
from schemas.errors import ModelError
from tests.support.tiny_detectors import yunet
from tests.support.tiny_models import make_model, save

SIDE, THRESHOLD = 128, 0.6


def image(seed: int, side: int = SIDE) -> np.ndarray:
    """Patches of 8 pixels, so that neighbouring cells differ."""
    patches = np.random.default_rng(seed).integers(0, 256, (side // 8, side // 8, 3), np.uint8)
    return np.kron(patches, np.ones((8, 8, 1), np.uint8))


def open_detector(path: Path, *sizes: int) -> Detector:
    return Detector(path, sizes=sizes, threshold=THRESHOLD, device="cpu", threads=1)


def by_opencv(path: Path, rgb: np.ndarray) -> np.ndarray:
    """(k, 15) of cv2.FaceDetectorYN, as box x1, y1, x2, y2, score, landmarks; best first."""
    detector = cv2.FaceDetectorYN.create(str(path), "", (rgb.shape[1], rgb.shape[0]), THRESHOLD, 0.3, 5000)
    _, faces = detector.detect(np.ascontiguousarray(rgb[..., ::-1]))
    assert faces is not None
    rows = np.hstack([faces[:, :2], faces[:, :2] + faces[:, 2:4], faces[:, 14:], faces[:, 4:14]])
    return np.asarray(rows[np.argsort(-rows[:, 4], kind="stable")])


@pytest.mark.parametrize("side", [None, SIDE])
def test_faces_equal_those_of_opencv(tmp_path: Path, side: int | None) -> None:
    path = save(yunet(side), tmp_path / "m.onnx")
    images = [image(seed) for seed in range(3)]
    detector = open_detector(path, SIDE)
    assert detector.batched
    for rgb, faces in zip(images, detector.detect(images), strict=True):
        expected = by_opencv(path, rgb)
        assert len(expected) >= 3
        assert faces[0].score == pytest.approx(expected[0, 4], abs=1e-5)
        rows = [np.array([*face.box, face.score, *face.landmarks.ravel()]) for face in faces]
        same = sum(np.abs(expected - row).max(axis=1).min() < 1e-2 for row in rows)
        # OpenCV suppresses boxes of whole pixels, so that a few of many differ in what is suppressed.
        assert same >= 0.8 * max(len(faces), len(expected))


def test_an_export_for_one_side_finds_the_same_at_another(tmp_path: Path) -> None:
    """The published file states 640×640 and reshapes to the rows of that; its network is good for any."""
    stated, free = (save(yunet(side), tmp_path / f"{side}.onnx") for side in (640, None))
    ours, expected = (open_detector(path, SIDE).detect([image(1)])[0] for path in (stated, free))
    assert [face.score for face in ours] == [face.score for face in expected]


def test_half_precision(tmp_path: Path) -> None:
    model = yunet()
    path = save(model, tmp_path / "m.onnx")
    half = save(in_half(model), tmp_path / "h.onnx")
    whole, ours = (open_detector(file, SIDE).detect([image(2)])[0] for file in (path, half))
    assert ours[0].score == pytest.approx(whole[0].score, abs=1e-2)


def in_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same with float16 inputs, weights and outputs."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for value in (*copy.graph.input, *copy.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    for tensor in copy.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if array.dtype == np.float32:
            tensor.CopyFrom(onnx.numpy_helper.from_array(array.astype(np.float16), tensor.name))
    return copy


def test_another_number_of_rows_is_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("AveragePool", ["x"], ["m"], kernel_shape=[4, 4], strides=[4, 4])]
    nodes += [helper.make_node("Flatten", ["m"], [f"y{i}"]) for i in range(12)]
    outputs = {f"y{i}": ("n", "k") for i in range(12)}
    path = save(make_model(nodes, shape=("n", 3, "h", "w"), outputs=outputs), tmp_path / "m.onnx")
    with pytest.raises(
        ModelError, match=r"not a face detector with landmarks that idleak reads .*docs/models.md"
    ):
        open_detector(path, 64)
