"""RetinaFace against its published decoding, written out prior by prior in float64."""

from __future__ import annotations

from itertools import product
from math import ceil, exp
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import helper

from distributed.embedding.detector import Detector
from schemas.errors import ModelError
from tests.support.tiny_detectors import retinaface
from tests.support.tiny_models import make_model, save

SIDE, THRESHOLD = 64, 0.9
MIN_SIZES, STEPS = ((16, 32), (64, 128), (256, 512)), (8, 16, 32)
YAKHYO = {"loc": "loc", "conf": "conf", "landms": "landmarks"}


def image(seed: int) -> np.ndarray:
    patches = np.random.default_rng(seed).integers(0, 256, (SIDE // 8, SIDE // 8, 3), np.uint8)
    return np.kron(patches, np.ones((8, 8, 1), np.uint8))


def open_detector(path: Path, *sizes: int) -> Detector:
    return Detector(path, sizes=sizes, threshold=THRESHOLD, device="cpu", threads=1)


def priors() -> np.ndarray:
    """PriorBox.forward of Pytorch_Retinaface, in shares of the image."""
    anchors = []
    for step, sides in zip(STEPS, MIN_SIZES, strict=True):
        for i, j in product(range(ceil(SIDE / step)), repeat=2):
            anchors += [((j + 0.5) * step / SIDE, (i + 0.5) * step / SIDE, s / SIDE, s / SIDE) for s in sides]
    return np.array(anchors)


def candidates(path: Path, rgb: np.ndarray) -> np.ndarray:
    """(k, 15) box, score, landmarks in pixels, of the priors over the threshold: `decode`, `decode_landm`."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    fed = (rgb[..., ::-1].astype(np.float32) - (104, 117, 123)).transpose(2, 0, 1)[None]
    by_width = {output.shape[-1]: output[0] for output in session.run(None, {"x": fed.astype(np.float32)})}
    rows = []
    for (cx, cy, w, h), loc, conf, landms in zip(
        priors(), by_width[4], by_width[2], by_width[10], strict=True
    ):
        score = float(conf[1]) if abs(conf.sum() - 1) < 1e-4 else 1 / (1 + exp(conf[0] - conf[1]))
        if score >= THRESHOLD:
            x, y = cx + loc[0] * 0.1 * w, cy + loc[1] * 0.1 * h
            half = w * exp(loc[2] * 0.2) / 2, h * exp(loc[3] * 0.2) / 2
            box = np.array([x - half[0], y - half[1], x + half[0], y + half[1]])
            points = np.array([cx, cy]) + landms.reshape(5, 2) * 0.1 * np.array([w, h])
            rows.append([*box * SIDE, score, *(points * SIDE).ravel()])
    return np.array(rows)


@pytest.mark.parametrize("names", [None, YAKHYO])
@pytest.mark.parametrize("logits", [False, True])
def test_faces_are_decoded_as_published(
    tmp_path: Path, names: dict[str, str] | None, *, logits: bool
) -> None:
    model = retinaface(names, logits=logits)
    for axis in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"side{axis}"
    path = save(model, tmp_path / "m.onnx")
    detector = open_detector(path, SIDE)
    assert detector.batched
    images = [image(seed) for seed in range(3)]
    for rgb, faces in zip(images, detector.detect(images), strict=True):
        expected = candidates(path, rgb)
        assert 1 < len(faces) <= len(expected)
        assert faces[0].score == pytest.approx(expected[:, 4].max(), abs=1e-4)
        for face in faces:
            row = np.array([*face.box, face.score, *face.landmarks.ravel()])
            assert np.abs(expected - row).max(axis=1).min() < 1e-2


def test_a_graph_for_one_side_says_which(tmp_path: Path) -> None:
    path = save(retinaface(fixed=SIDE), tmp_path / "m.onnx")
    assert open_detector(path, SIDE).detect([image(0)])[0]
    with pytest.raises(
        ModelError, match=r"64×64 alone, and not of 128×128: set faces.detector.sizes to \[64\]"
    ):
        open_detector(path, 128, SIDE)


def test_a_yunet_of_2022_says_which_one_to_use(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("AveragePool", ["x"], ["m"], kernel_shape=[8, 8], strides=[8, 8]),
    ]
    widths = {"loc": 14, "conf": 2, "iou": 1}
    nodes += [helper.make_node("ReduceMean", ["m"], ["one"], axes=[1, 2, 3], keepdims=0)]
    nodes += [helper.make_node("Reshape", ["one", "to"], ["square"])]
    nodes += [helper.make_node("Expand", ["square", f"{name}_to"], [name]) for name in widths]
    constants: dict[str, list[int]] = {"to": [1, 1]}
    constants |= {f"{name}_to": [100, width] for name, width in widths.items()}
    outputs = {name: (100, width) for name, width in widths.items()}
    model = make_model(nodes, shape=(1, 3, SIDE, SIDE), outputs=outputs, constants=constants)
    with pytest.raises(ModelError, match=r"YuNet of 2022 or before.*face_detection_yunet_2023mar"):
        open_detector(save(model, tmp_path / "m.onnx"), SIDE)
