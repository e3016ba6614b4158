"""Images as batches on a device are those that the host makes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from distributed.sampling.device.batches import STATES, SentImages, UnevenImagesError
from distributed.sampling.device.onnx_images import OnnxImages
from distributed.sampling.device.quantised import quantised
from distributed.sampling.generator import Image, InvalidImage
from distributed.sampling.networks.network import to_images
from distributed.sampling.networks.onnx_network import OnnxImageGenerator
from schemas.run.tables import Outcome
from schemas.spec.generators.network import ImageOutput
from schemas.spec.generators.onnx import OnnxGenerator
from tests.support.models import tiny_generator, tiny_labelled_generator

IDS = np.arange(4, 12)


@pytest.mark.parametrize(
    ("layout", "channels", "value_range"),
    [("nchw", "rgb", (-1, 1)), ("nhwc", "bgr", (0, 255)), ("nchw", "grey", (0, 1))],
)
def test_outputs_are_quantised_as_on_the_host(layout: Any, channels: Any, value_range: Any) -> None:
    output = ImageOutput(layout=layout, channels=channels, range=value_range)
    count, rng = 1 if channels == "grey" else 3, np.random.default_rng(0)
    shape = (6, count, 5, 7) if layout == "nchw" else (6, 5, 7, count)
    raw = rng.uniform(value_range[0] - 0.2, value_range[1] + 0.2, shape).astype(np.float32)
    raw[1].flat[3], raw[2].flat[0] = np.nan, np.inf
    raw[3] += 10 * (value_range[1] - value_range[0])

    batch = quantised(torch.from_numpy(raw), output)

    for place, expected in enumerate(to_images(raw, output)):
        if isinstance(expected, InvalidImage):
            assert STATES[batch.state[place]] == expected.outcome
        else:
            assert STATES[batch.state[place]] == Outcome.OK
            np.testing.assert_array_equal(batch.images[place].permute(1, 2, 0).numpy(), expected)


def test_a_single_colour_is_no_image() -> None:
    batch = quantised(torch.full((2, 3, 4, 4), 0.25), ImageOutput())
    assert [STATES[state] for state in batch.state] == [Outcome.CONSTANT] * 2


@pytest.mark.parametrize("labelled", [False, True])
def test_onnx_images_are_those_of_the_host(tmp_path: Any, labelled: bool) -> None:
    make = tiny_labelled_generator if labelled else tiny_generator
    inputs = {"label": {"kind": "class", "classes": 2}, "psi": {"kind": "number", "value": 0.7}}
    spec = OnnxGenerator.model_validate(
        {
            "kind": "onnx",
            "path": str(make(tmp_path / "g.onnx")),
            "latent": {"dim": 8},
            "inputs": inputs if labelled else {},
        }
    )
    source = OnnxImages(spec, 7, len(IDS), device="cpu", threads=1)

    batch = source.sample(IDS)

    assert source.shape == (32, 32) and not batch.state.any()
    expected = OnnxImageGenerator(spec, 7, device="cpu", threads=1).sample(IDS)
    for image, wanted in zip(batch.images, expected, strict=True):
        np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), wanted)


class Listed:
    """A source of the images in a list."""

    def __init__(self, images: list[Image | InvalidImage]) -> None:
        self._images = images

    def sample(self, ids: Any) -> list[Image | InvalidImage]:
        return [self._images[id_] for id_ in ids]


def test_images_of_host_memory_are_sent_and_say_what_is_none() -> None:
    rng = np.random.default_rng(0)
    images: list[Any] = [rng.integers(0, 256, (6, 5, 3), dtype=np.uint8) for _ in range(3)]
    images[1] = InvalidImage("refused", Outcome.WITHHELD)
    source = SentImages(Listed(images), "cpu")

    batch = source.sample(np.array([2, 1, 0]))

    assert source.shape == (6, 5) and batch.reasons == {1: "refused"}
    assert [STATES[state] for state in batch.state] == [Outcome.OK, Outcome.WITHHELD, Outcome.OK]
    np.testing.assert_array_equal(batch.images[0].permute(1, 2, 0).numpy(), images[2])


def test_images_of_different_shapes_are_left_to_the_host() -> None:
    images: list[Any] = [np.zeros((6, 5, 3), np.uint8), np.zeros((6, 6, 3), np.uint8)]
    with pytest.raises(UnevenImagesError):
        SentImages(Listed(images), "cpu").sample(np.arange(2))
