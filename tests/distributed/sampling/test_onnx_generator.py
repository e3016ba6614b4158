from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from distributed.sampling.generator import InvalidImage
from distributed.sampling.networks.onnx_network import OnnxImageGenerator
from schemas.errors import ModelError
from schemas.spec.generators.onnx import OnnxGenerator
from tests.support.models import tiny_generator


def spec(path: Path, dim: int = 8, **output: Any) -> OnnxGenerator:
    given = {"layout": "nchw", "range": [-1, 1], "channels": "rgb"} | output
    return OnnxGenerator.model_validate(
        {"kind": "onnx", "path": str(path), "latent": {"dim": dim}, "output": given}
    )


def open_it(generator: OnnxGenerator) -> OnnxImageGenerator:
    return OnnxImageGenerator(generator, 7, device="cpu", threads=1)


def images(generator: OnnxGenerator, count: int = 5) -> np.ndarray:
    return np.stack([np.asarray(sample) for sample in open_it(generator).sample(np.arange(count))])


def test_images_come_together_as_they_come_apart(tmp_path: Path) -> None:
    generator = open_it(spec(tiny_generator(tmp_path / "g.onnx")))
    together = np.stack([np.asarray(sample) for sample in generator.sample(np.array([5, 0, 3]))]).astype(int)
    apart = np.stack(
        [np.asarray(generator.sample(np.array([sample_id]))[0]) for sample_id in (5, 0, 3)]
    ).astype(int)
    assert together.shape == (3, 32, 32, 3)
    assert np.abs(together - apart).max() <= 1


def test_range_channels_and_layout_are_read_as_the_spec_says(tmp_path: Path) -> None:
    path = tiny_generator(tmp_path / "g.onnx")
    rgb = images(spec(path))
    np.testing.assert_array_equal(images(spec(path, channels="bgr")), rgb[..., ::-1])
    clipped = images(spec(path, range=[0, 1])).astype(int)
    assert np.abs(clipped - np.clip(2 * rgb.astype(int) - 255, 0, 255)).max() <= 2
    nhwc = images(spec(transposed(path, tmp_path / "t.onnx"), layout="nhwc"))
    np.testing.assert_array_equal(nhwc, rgb)


def transposed(source: Path, target: Path) -> Path:
    """The same generator with its channels last."""
    model = onnx.load(str(source))
    model.graph.node[-1].output[0] = "planes"
    model.graph.node.append(onnx.helper.make_node("Transpose", ["planes"], ["image"], perm=[0, 2, 3, 1]))
    shape = model.graph.output[0].type.tensor_type.shape
    for dim, value in zip(shape.dim[1:], (32, 32, 3), strict=True):
        dim.dim_value = value
    onnx.save(model, str(target))
    return target


def test_a_fixed_batch_of_one_is_no_hindrance(tmp_path: Path) -> None:
    free = tiny_generator(tmp_path / "free.onnx")
    model = onnx.load(str(free))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(model, str(tmp_path / "fixed.onnx"))
    np.testing.assert_array_equal(images(spec(tmp_path / "fixed.onnx")), images(spec(free)))


def test_values_that_are_no_numbers_make_an_invalid_image(tmp_path: Path) -> None:
    path = tiny_generator(tmp_path / "g.onnx")
    model = onnx.load(str(path))
    for tensor in model.graph.initializer:
        if tensor.name == "w":
            weights = numpy_helper.to_array(tensor).copy()
            weights[0, 0] = np.nan
            tensor.CopyFrom(numpy_helper.from_array(weights, "w"))
    onnx.save(model, str(path))
    samples = open_it(spec(path)).sample(np.arange(2))
    assert all(isinstance(sample, InvalidImage) and "no numbers" in sample.reason for sample in samples)


@pytest.mark.parametrize(
    ("dim", "output", "says"),
    [
        (9, {}, "takes latents of length 8: set generator.latent.dim to it, not 9"),
        (8, {"layout": "nhwc"}, r"gives an output of shape \(1, 3, 32, 32\)"),
    ],
)
def test_a_spec_that_does_not_fit_the_file(
    tmp_path: Path, dim: int, output: dict[str, str], says: str
) -> None:
    path = tiny_generator(tmp_path / "g.onnx")
    with pytest.raises(ModelError, match=says):
        open_it(spec(path, dim, **output))


def test_a_missing_or_truncated_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no model file"):
        open_it(spec(tmp_path / "nowhere.onnx"))
    path = tiny_generator(tmp_path / "g.onnx")
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ModelError, match="not a readable ONNX file"):
        open_it(spec(path))
