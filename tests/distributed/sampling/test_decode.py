"""Encoded images of every sort to uint8 RGB."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from distributed.sampling.generator import InvalidImage
from distributed.sampling.images import decode as module
from distributed.sampling.images.decode import HEAD_BYTES, decode, looks_like_image
from distributed.sampling.images.image_files import list_images
from schemas.errors import SpecError
from schemas.run.tables import Outcome
from tests.support.pictures import chunk, encoded


def ramp(size: int = 16) -> np.ndarray:
    return np.linspace(0, 65_535, size * size).reshape(size, size).astype(np.uint16)


def test_sixteen_bits_are_scaled_not_cut() -> None:
    image = decode(encoded(Image.fromarray(ramp()), "PNG"))
    assert isinstance(image, np.ndarray) and image.shape == (16, 16, 3)
    assert np.abs(image[..., 0] - ramp() / 257).max() <= 0.5
    assert image.min() == 0 and image.max() == 255


def test_what_is_transparent_lies_on_white() -> None:
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[:2, :, 3] = 255
    pixels[2, :, 3] = 128
    image = np.asarray(decode(encoded(Image.fromarray(pixels, "RGBA"), "PNG")))
    assert image[0].max() == 0 and abs(int(image[2, 0, 0]) - 127) <= 1 and image[3].min() == 255


def test_a_palette_with_a_transparent_entry_lies_on_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 0, 0])
    image.putdata([0, 1])
    decoded = np.asarray(decode(encoded(image, "PNG", transparency=1)))
    assert decoded[0, 0].tolist() == [10, 20, 30] and decoded[0, 1].tolist() == [255, 255, 255]


def test_cmyk_has_the_colours_that_it_was_made_from() -> None:
    colours = Image.new("RGB", (16, 16), (200, 30, 90))
    decoded = np.asarray(decode(encoded(colours.convert("CMYK"), "JPEG", quality=100)))
    assert np.abs(decoded.reshape(-1, 3).mean(0) - (200, 30, 90)).max() < 6


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert np.asarray(decode(data))[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("kind", ["WEBP", "AVIF", "PNG", "TIFF", "MPO"])
def test_of_several_frames_the_first_counts(kind: str) -> None:
    frames = [Image.new("RGB", (64, 48), colour) for colour in ("red", "blue")]
    decoded = np.asarray(decode(encoded(frames[0], kind, save_all=True, append_images=frames[1:])))
    assert decoded.shape == (48, 64, 3) and np.abs(decoded[20, 20] - np.array([255.0, 0, 0])).max() < 6


def test_heic_as_telephones_write_it() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    heif = pillow_heif.from_pillow(Image.new("RGB", (64, 48), (200, 30, 90)))
    buffer = io.BytesIO()
    heif.save(buffer)
    assert looks_like_image(buffer.getvalue()[:HEAD_BYTES])
    decoded = np.asarray(decode(buffer.getvalue()))
    assert decoded.shape == (48, 64, 3) and np.abs(decoded[20, 20] - np.array([200.0, 30, 90])).max() < 6


def test_heic_without_its_library_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FORMATS", [name for name in module.FORMATS if name != "HEIF"])
    path = tmp_path / "IMG_0001"
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    for source in (path, path.read_bytes()):
        decoded = decode(source)
        assert isinstance(decoded, InvalidImage) and "pip install pillow-heif" in decoded.reason


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_twelve_bits_in_sixteen_are_refused_and_not_taken_for_black(kind: str) -> None:
    for brightest, is_image in ((4095, False), (255, False), (4096, True), (0, True)):
        pixels = (ramp() * (brightest / 65_535)).astype(np.uint16)
        decoded = decode(encoded(Image.fromarray(pixels), kind))
        assert isinstance(decoded, np.ndarray) is is_image, brightest
        if isinstance(decoded, InvalidImage):
            assert f"no pixel is above {brightest:,}" in decoded.reason


def bomb(side: int) -> bytes:
    """A PNG that declares side × side pixels and holds almost no data."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [9_000, 100_000, 2**31 - 1])
def test_a_bomb_is_not_decoded(side: int) -> None:
    decoded = decode(bomb(side))
    assert isinstance(decoded, InvalidImage)
    assert decoded.outcome is Outcome.TOO_LARGE or "not a readable image" in decoded.reason


def test_the_limit_is_the_specs() -> None:
    data = encoded(Image.new("RGB", (10, 10), "red"), "PNG")
    assert isinstance(decode(data, 100), np.ndarray)
    decoded = decode(data, 99)
    assert isinstance(decoded, InvalidImage) and decoded.outcome is Outcome.TOO_LARGE


JPEG = encoded(
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)), "JPEG"
)


@settings(max_examples=200, deadline=None)
@given(place=st.integers(0, len(JPEG) - 1), value=st.integers(0, 255), keep=st.integers(1, len(JPEG)))
def test_damaged_bytes_never_raise(place: int, value: int, keep: int) -> None:
    damaged = bytearray(JPEG[:keep])
    if place < keep:
        damaged[place] = value
    decoded = decode(bytes(damaged))
    assert isinstance(decoded, InvalidImage) or decoded.dtype == np.uint8


def test_links_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("not yours")
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "a.png").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(SpecError, match=r"a\.png is a symbolic link"):
        list_images(folder)
