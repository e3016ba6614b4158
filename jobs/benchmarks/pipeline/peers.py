"""What the pipeline is measured against: insightface as it is sold, and plain onnxruntime."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import onnxruntime
from insightface.app import FaceAnalysis
from insightface.model_zoo.scrfd import SCRFD
from insightface.utils.face_align import norm_crop
from numpy.typing import NDArray

from distributed.embedding.zoo import resolve_model
from distributed.runtime.onnx_session import CPU, LOG_ERRORS
from distributed.sampling.generator import Image
from schemas.errors import ModelError
from schemas.spec.audit import AuditSpec
from schemas.spec.faces import DetectorSpec

STOCK_SIZES = (128, 640)
FEATURE_MAPS = {9: ((8, 16, 32), 2), 15: ((8, 16, 32, 64, 128), 1)}
"""Outputs of an SCRFD with landmarks -> its strides, and the anchors in each of their cells."""

Template = NDArray[np.float32]
Peer = Callable[[Sequence[Image]], list[Template | None]]


@contextmanager
def quiet() -> Iterator[None]:
    """Without what insightface prints, and without what peers' packages say of their own old code."""
    with redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def open_stock(spec: AuditSpec, detector: DetectorSpec) -> Peer:
    """insightface's FaceAnalysis, image by image, with the spec's detector and first recogniser.

    Raises ModelError if insightface does not know the recogniser for one.
    """
    onnxruntime.set_default_logger_severity(LOG_ERRORS)
    with TemporaryDirectory() as folder, quiet():
        for task, path in _models(spec, detector).items():
            (Path(folder) / f"{task}.onnx").symlink_to(path)
        app = FaceAnalysis(name=folder, allowed_modules=["detection", "recognition"], providers=[CPU])
        sizes = None if detector.sizes == STOCK_SIZES else [(size, size) for size in detector.sizes]
        app.prepare(ctx_id=0, det_thresh=detector.threshold, det_size=sizes)
        # The sessions of each size are made with the first image, from the files.
        app.get(np.zeros((112, 112, 3), np.uint8))
    if "recognition" not in app.models:
        raise ModelError(
            "stock insightface takes the spec's first recogniser for something else: give another"
        )

    def embed(images: Sequence[Image]) -> list[Template | None]:
        with quiet():
            detections = [app.get(image[..., ::-1]) for image in images]
        return [faces[0].embedding if faces else None for faces in detections]

    return embed


def _models(spec: AuditSpec, detector: DetectorSpec) -> dict[str, Path]:
    recognizer = spec.faces.recognizers[0]
    return {
        "detection": resolve_model(detector.path, task="detection").resolve(),
        "recognition": resolve_model(recognizer.path, task="recognition").resolve(),
    }


class PlainOnnxruntime:
    """The pipeline as one writes it in an afternoon: default sessions, one image after another."""

    def __init__(self, spec: AuditSpec, detector: DetectorSpec) -> None:
        onnxruntime.set_default_logger_severity(LOG_ERRORS)
        paths = _models(spec, detector)
        self._detector, self._recognizer = (
            onnxruntime.InferenceSession(str(path), providers=[CPU], enable_fallback=0)
            for path in paths.values()
        )
        self._suppress = SCRFD(model_file=str(paths["detection"]), session=self._detector).nms
        self._spec = detector
        given = spec.faces.recognizers[0].input
        self._bgr = given.channels == "bgr"
        self._mean, self._std = np.asarray(given.mean, np.float32), np.asarray(given.std, np.float32)
        shape = self._recognizer.get_inputs()[0].shape
        self._channels_first = shape[1] == 3
        self._size = shape[2]

    def embed(self, images: Sequence[Image]) -> list[Template | None]:
        with quiet():
            return [self._embed(image) for image in images]

    def _embed(self, image: Image) -> Template | None:
        rows = np.vstack([self._detect(image, size) for size in self._spec.sizes])
        if not len(rows):
            return None
        rows = rows[np.argsort(-rows[:, 4], kind="stable")]
        best = rows[self._suppress(rows[:, :5])[0]]
        crop = norm_crop(image, best[5:].reshape(5, 2), self._size)
        template: Template = _run(self._recognizer, self._blob(crop))[0].ravel()
        return template

    def _blob(self, crop: Image) -> Template:
        pixels = crop[..., ::-1] if self._bgr else crop
        scaled = (pixels.astype(np.float32) - self._mean) / self._std
        return scaled.transpose(2, 0, 1)[None] if self._channels_first else scaled[None]

    def _detect(self, image: Image, size: int) -> Template:
        """(k, 15) box, score, landmarks in the image's pixels."""
        scale = size / max(image.shape[:2])
        small = cv2.resize(image, (round(image.shape[1] * scale), round(image.shape[0] * scale)))
        canvas = np.zeros((size, size, 3), np.uint8)
        canvas[: small.shape[0], : small.shape[1]] = small
        blob = ((canvas.astype(np.float32) - 127.5) / 128).transpose(2, 0, 1)[None]
        outputs = _run(self._detector, np.ascontiguousarray(blob))
        strides, anchors = FEATURE_MAPS[len(outputs)]
        rows = []
        for place, stride in enumerate(strides):
            score, box, points = (outputs[place + len(strides) * kind] for kind in range(3))
            rows.append(_decode(score.ravel(), box, points, stride, anchors, size, self._spec.threshold))
        detections = np.vstack(rows)
        detections[:, :4] /= scale
        detections[:, 5:] /= scale
        return detections


def _run(session: onnxruntime.InferenceSession, blob: Template) -> list[Template]:
    outputs: list[Template] = session.run(None, {session.get_inputs()[0].name: blob})
    return outputs


def _decode(
    score: Template, box: Template, points: Template, stride: int, anchors: int, size: int, threshold: float
) -> Template:
    y, x = np.mgrid[: size // stride, : size // stride]
    centres = np.repeat(np.stack([x, y], axis=-1).reshape(-1, 2) * stride, anchors, axis=0)
    kept = np.flatnonzero(score >= threshold)
    middle = centres[kept].astype(np.float32)
    near, far = np.split(box.reshape(-1, 4)[kept] * stride, 2, axis=1)
    landmarks = np.tile(middle, 5) + points.reshape(-1, 10)[kept] * stride
    return np.hstack([middle - near, middle + far, score[kept, None], landmarks])
