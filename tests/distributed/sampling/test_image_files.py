from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from distributed.sampling.generator import InvalidImage
from distributed.sampling.images.decode import decode
from distributed.sampling.images.image_files import list_images
from distributed.sampling.images.places import PlacedImages
from schemas.errors import SpecError


def picture(mode: str = "RGB", size: tuple[int, int] = (4, 3)) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def test_files_are_sorted_by_relative_path_and_hidden_ones_left_out(tmp_path: Path) -> None:
    for name in ("b.png", "a/z.png", "a/b.png", ".hidden.png", ".git/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        picture().save(tmp_path / name)
    names = [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path)]
    assert names == ["a/b.png", "a/z.png", "b.png"]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "CMYK", "1"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "image.tiff"
    picture(mode).save(path)
    image = decode(path)
    assert isinstance(image, np.ndarray)
    assert image.shape == (3, 4, 3) and image.dtype == np.uint8


def test_png_keeps_every_pixel(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    picture().save(path)
    np.testing.assert_array_equal(decode(path), np.asarray(picture()))


def test_exif_orientation_is_obeyed(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    picture().save(path, exif=exif)
    np.testing.assert_array_equal(decode(path), np.rot90(np.asarray(picture()), -1))


@pytest.mark.parametrize("keep", [0, 10, 40])
def test_what_is_no_image_says_so(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "image.png"
    picture(size=(50, 50)).save(path)
    path.write_bytes(path.read_bytes()[:keep])
    samples = PlacedImages([path]).sample(np.array([0]))
    assert isinstance(samples[0], InvalidImage) and "not a readable image" in samples[0].reason


def test_folders_that_cannot_serve(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="holds no images"):
        list_images(tmp_path)
    with pytest.raises(SpecError, match="is not a folder"):
        list_images(tmp_path / "nowhere")
