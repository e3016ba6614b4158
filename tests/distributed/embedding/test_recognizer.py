"""Recognisers: tiny ones for every shape and error, real ones against insightface."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import onnxruntime
import pytest
from insightface.model_zoo.arcface_onnx import ArcFaceONNX
from onnx import helper

from distributed.embedding.alignment import ARCFACE_TEMPLATE, align
from distributed.embedding.locator import DetectorLocator
from distributed.embedding.recognizer import Recognizer
from schemas.errors import ModelError
from schemas.spec.faces import RecognizerInput
from tests.support.assets import (
    MODELS,
    RECOGNIZERS,
    load_detector,
    load_recognizer,
    needs_assets,
    photos,
    read_rgb,
)
from tests.support.tiny_models import flattener, make_model, save

CROPS = np.random.default_rng(2).integers(0, 256, (9, 16, 16, 3), np.uint8)


def open_tiny(
    path: Path,
    channels: Literal["rgb", "bgr"] = "rgb",
    mean: Sequence[float] = (0, 0, 0),
    std: Sequence[float] = (1, 1, 1),
) -> Recognizer:
    return Recognizer(
        "tiny",
        path,
        RecognizerInput.model_validate({"channels": channels, "mean": mean, "std": std}),
        device="cpu",
        threads=1,
    )


def oracle(crops: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """The tiny recogniser in float64: normalise, 4×4 means, channels first, unit norm."""
    scaled = (crops.astype(np.float64) - mean) / std
    pooled = scaled.reshape(len(crops), 4, 4, 4, 4, 3).mean(axis=(2, 4)).transpose(0, 3, 1, 2)
    flat = pooled.reshape(len(crops), -1)
    return np.asarray(flat / np.linalg.norm(flat, axis=1, keepdims=True))


@pytest.mark.parametrize("shape", [(1, 3, 16, 16), ("n", 3, 16, 16)])
@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_templates_equal_the_oracle(
    tmp_path: Path, shape: Sequence[int | str], channels: Literal["rgb", "bgr"]
) -> None:
    path = save(flattener(shape, target=(1, -1) if shape[0] == 1 else (0, -1)), tmp_path / "m.onnx")
    mean, std = (120.0, 110.0, 100.0), (60.0, 50.0, 40.0)
    recognizer = open_tiny(path, channels, mean, std)
    assert (recognizer.size, recognizer.dim, recognizer.batched) == (16, 48, True)
    templates = recognizer.embed(CROPS)
    assert templates.dtype == np.float32
    fed = CROPS[..., ::-1] if channels == "bgr" else CROPS
    np.testing.assert_allclose(templates, oracle(fed, mean, std), atol=1e-6)


def test_channels_may_come_last(tmp_path: Path) -> None:
    nodes = [helper.make_node("Flatten", ["x"], ["y"])]
    model = make_model(nodes, shape=("n", 16, 16, 3), outputs={"y": ("n", 768)})
    recognizer = open_tiny(save(model, tmp_path / "m.onnx"))
    flat = CROPS.reshape(9, -1).astype(np.float64)
    expected = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    np.testing.assert_allclose(recognizer.embed(CROPS), expected, atol=1e-6)


def test_no_crops_give_no_templates(tmp_path: Path) -> None:
    recognizer = open_tiny(save(flattener(), tmp_path / "m.onnx"))
    assert recognizer.embed(CROPS[:0]).shape == (0, 48)


def test_the_same_crops_give_the_same_bytes(tmp_path: Path) -> None:
    recognizer = open_tiny(save(flattener(), tmp_path / "m.onnx"))
    assert recognizer.embed(CROPS).tobytes() == recognizer.embed(CROPS).tobytes()


@pytest.mark.parametrize("shape", [(1, 3, 16, 20), (1, 3, "h", "w"), (1, 1, 16, 16), (3, 16, 16)])
def test_another_input_is_refused(tmp_path: Path, shape: Sequence[int | str]) -> None:
    model = make_model([helper.make_node("Relu", ["x"], ["y"])], shape=shape, outputs={"y": shape})
    with pytest.raises(ModelError, match=r"not a face recogniser: expected one input"):
        open_tiny(save(model, tmp_path / "m.onnx"))


def test_two_templates_are_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("Flatten", ["x"], [name]) for name in ("y", "z")]
    model = make_model(nodes, shape=(1, 3, 16, 16), outputs={"y": (1, 768), "z": (1, 768)})
    with pytest.raises(ModelError, match="expected one output with a template"):
        open_tiny(save(model, tmp_path / "m.onnx"))


@pytest.mark.parametrize("factor", [0.0, float("nan"), float("inf")])
def test_broken_templates_are_refused(tmp_path: Path, factor: float) -> None:
    nodes = [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("Mul", ["flat", "factor"], ["y"])]
    outputs = {"y": ("n", 768)}
    model = make_model(nodes, shape=("n", 3, 16, 16), outputs=outputs, constants={"factor": [factor]})
    with pytest.raises(ModelError, match="zero or not finite"):
        open_tiny(save(model, tmp_path / "m.onnx")).embed(CROPS)


def test_crops_of_another_size_are_refused(tmp_path: Path) -> None:
    recognizer = open_tiny(save(flattener(), tmp_path / "m.onnx"))
    with pytest.raises(ValueError, match="crops must be N×16×16×3"):
        recognizer.embed(np.zeros((1, 112, 112, 3), np.uint8))


def aligned(step: int, size: int) -> tuple[np.ndarray, list[str]]:
    """Crops of every photo that shows one main face, and the person of each."""
    paths = photos(step)
    images = [read_rgb(path) for path in paths]
    places = DetectorLocator(load_detector("det_500m", 320)).locate(images)
    rows = [(i, place.landmarks) for i, place in enumerate(places) if place.landmarks is not None]
    crops = [align(images[i], landmarks, size) for i, landmarks in rows]
    return np.stack(crops), [paths[i].parent.name for i, _ in rows]


@pytest.mark.assets
@needs_assets
@pytest.mark.parametrize("name", RECOGNIZERS)
def test_a_batch_equals_its_images_one_by_one(name: str) -> None:
    recognizer = load_recognizer(name)
    crops, _ = aligned(40, recognizer.size)
    assert recognizer.batched
    apart = np.concatenate([recognizer.embed(crop[None]) for crop in crops])
    np.testing.assert_allclose(recognizer.embed(crops), apart, atol=1e-5)


@pytest.mark.assets
@needs_assets
@pytest.mark.parametrize("name", RECOGNIZERS)
def test_people_are_told_apart(name: str) -> None:
    recognizer = load_recognizer(name)
    crops, people = aligned(4, recognizer.size)
    templates = recognizer.embed(crops)
    first, second = np.triu_indices(len(crops), 1)
    similarity = (templates @ templates.T)[first, second]
    mated = np.array(people)[first] == np.array(people)[second]
    threshold = np.quantile(similarity[~mated], 0.999)
    assert abs(similarity[mated].mean() - 0.667) < 0.04
    assert abs(similarity[~mated].mean()) < 0.03
    assert (similarity[mated] > threshold).mean() >= 0.97


@pytest.mark.assets
@needs_assets
def test_templates_equal_those_of_insightface() -> None:
    path = MODELS / "mobilefacenet_foamliu.onnx"
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    reference = ArcFaceONNX(str(path), session)
    # insightface knows one mean and one deviation for all channels.
    given = RecognizerInput.model_validate(
        {"channels": "rgb", "mean": reference.input_mean, "std": reference.input_std}
    )
    recognizer = Recognizer("foamliu", path, given, device="cpu", threads=1)
    crops, _ = aligned(10, recognizer.size)
    raw = np.concatenate([reference.get_feat(np.ascontiguousarray(crop[..., ::-1])) for crop in crops])
    expected = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    assert (recognizer.embed(crops) * expected).sum(axis=1).min() >= 0.999


Shape = Sequence[int | str]


def exported_as(kind: str, shape: Shape = ("n", 3, 112, 112)) -> onnx.ModelProto:
    """Means of 16 × 16 pixels, and what exporters do to them."""
    pool = helper.make_node("AveragePool", ["x"], ["p"], kernel_shape=[16, 16], strides=[16, 16])
    nodes = [pool, helper.make_node("Flatten", ["p"], ["e"])]
    outputs: dict[str, Shape] = {"e": ("n", "d")}
    if kind == "four axes":
        nodes.append(helper.make_node("Unsqueeze", ["e", "axes"], ["o"]))
        outputs = {"o": ("n", "d", 1, 1)}
    if kind == "norm":
        nodes.append(helper.make_node("ReduceL2", ["e"], ["norm"], axes=[1]))
        outputs["norm"] = ("n", 1)
    if kind == "feature map":
        nodes.append(helper.make_node("Relu", ["x"], ["map"]))
        outputs["map"] = ("n", 3, 112, 112)
    model = make_model(nodes, shape=shape, outputs=outputs, constants={"axes": [2, 3]})
    if kind == "float16":
        model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
        model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    return model


FACES = np.random.default_rng(3).integers(0, 256, (11, 112, 112, 3), np.uint8)


@pytest.mark.parametrize("kind", ["four axes", "norm", "feature map", "float16", "batch of four"])
def test_recognisers_of_every_export_give_the_same_templates(tmp_path: Path, kind: str) -> None:
    plain = open_tiny(save(exported_as("plain"), tmp_path / "plain.onnx"), std=(255, 255, 255)).embed(FACES)
    shape: Shape = (4, 3, 112, 112) if kind == "batch of four" else ("n", 3, 112, 112)
    other = open_tiny(save(exported_as(kind, shape), tmp_path / "m.onnx"), std=(255, 255, 255))
    assert other.dim == 147 and (other.batch == 4 or kind != "batch of four")
    np.testing.assert_allclose(other.embed(FACES), plain, atol=2e-3 if kind == "float16" else 1e-6)


def test_a_sphereface_crop_is_the_middle_of_the_arcface_crop(tmp_path: Path) -> None:
    narrow = open_tiny(save(exported_as("plain", ("n", 3, 112, 96)), tmp_path / "m.onnx"))
    assert (narrow.size, narrow.dim) == (112, 3 * 7 * 6)
    pooled = FACES[:, :, 8:104].astype(np.float64).reshape(11, 7, 16, 6, 16, 3).mean(axis=(2, 4))
    flat = pooled.transpose(0, 3, 1, 2).reshape(11, -1)
    expected = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    np.testing.assert_allclose(narrow.embed(FACES), expected, atol=1e-6)
    sphereface = np.array(
        [[30.2946, 51.6963], [65.5318, 51.5014], [48.0252, 71.7366], [33.5493, 92.3655], [62.7299, 92.2041]]
    )
    np.testing.assert_allclose(ARCFACE_TEMPLATE - [8, 0], sphereface, atol=1e-4)
