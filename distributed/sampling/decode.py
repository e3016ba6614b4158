"""Encoded images to uint8 RGB."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageOps

from distributed.sampling.generator import DEFAULT_PIXELS, Image, InvalidImage
from schemas.tables import Outcome

# The limit that the spec gives is looked at before a pixel is decoded; Pillow's own only warns.
PillowImage.MAX_IMAGE_PIXELS = None

WIDE_GREY = {"I", "I;16", "I;16B", "I;16L", "I;16N"}
ERRORS = (OSError, ValueError, SyntaxError, EOFError, OverflowError, MemoryError, ZeroDivisionError)
WHITE = (255, 255, 255)


def decode(source: bytes | Path, pixels: int = DEFAULT_PIXELS) -> Image | InvalidImage:
    """The first frame as H × W × 3 uint8 RGB, or why that cannot be.

    Turned upright by its EXIF orientation, laid on white where it is transparent, 16 bits of grey scaled to
    8. An image of more than `pixels` is not decoded.
    """
    try:
        with PillowImage.open(BytesIO(source) if isinstance(source, bytes) else source) as image:
            if image.width * image.height > pixels:
                return InvalidImage(
                    f"{image.width} × {image.height} pixels, more than limits.pixels", Outcome.TOO_LARGE
                )
            return _upright_rgb(image)
    except ERRORS as error:
        return InvalidImage(f"{type(error).__name__}: not a readable image")


def _upright_rgb(image: PillowImage.Image) -> Image | InvalidImage:
    upright = ImageOps.exif_transpose(image)
    if upright.mode in WIDE_GREY:
        return _from_wide_grey(upright)
    if upright.mode == "F":
        return InvalidImage("pixels are floating-point numbers: convert the image to 8 bits")
    if upright.has_transparency_data:
        ground = PillowImage.new("RGBA", upright.size, (*WHITE, 255))
        upright = PillowImage.alpha_composite(ground, upright.convert("RGBA"))
    return np.asarray(upright.convert("RGB"), np.uint8)


def _from_wide_grey(image: PillowImage.Image) -> Image:
    grey = np.clip(np.asarray(image).astype(np.int64), 0, 65_535)
    eight = np.rint(grey / 257).astype(np.uint8)
    return np.repeat(eight[:, :, None], 3, axis=2)
