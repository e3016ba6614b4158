"""Samples in MXNet's RecordIO."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from distributed.sampling.adapters import generator_fields, image_count, open_generator
from distributed.sampling.generator import InvalidImage
from schemas.errors import SpecError
from schemas.spec.generators.images import RecordioGenerator
from tests.distributed.gallery.people.test_recordio import picture
from tests.support.recordio import packed, write, write_insightface


def generator(path: Path) -> RecordioGenerator:
    return RecordioGenerator(kind="recordio", path=str(path))


def test_samples_are_images_by_key_in_any_order(tmp_path: Path) -> None:
    path = write_insightface(tmp_path / "train.rec", {3: [picture(0), picture(1)], 1: [picture(2)]})
    spec = generator(path)
    assert image_count(spec) == 3
    images = open_generator(spec, 0, device="cpu", threads=1).sample(np.array([2, 0, 1, 2]))
    for image, seed in zip(images, (2, 0, 1, 2), strict=True):
        file = tmp_path / f"{seed}.png"
        file.write_bytes(picture(seed))
        np.testing.assert_array_equal(np.asarray(image), np.asarray(Image.open(file).convert("RGB")))


def test_a_changed_file_is_another_generator(tmp_path: Path) -> None:
    path = write(tmp_path / "a.rec", {0: packed(1.0, picture(0)), 1: packed(1.0, b"no image")})
    before = generator_fields(generator(path))
    assert isinstance(
        open_generator(generator(path), 0, device="cpu", threads=1).sample(np.array([1]))[0], InvalidImage
    )
    write(path, {0: packed(1.0, picture(1)), 1: packed(1.0, b"no image")})
    os.utime(path, ns=(1, 1))
    assert generator_fields(generator(path)) != before


def test_a_file_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"train\.rec holds no images"):
        image_count(generator(write_insightface(tmp_path / "train.rec", {})))
