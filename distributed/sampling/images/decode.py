"""Encoded images to uint8 RGB."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageOps

from distributed.runtime.pointers import page_problem, pointer_problem
from distributed.sampling.generator import DEFAULT_PIXELS, Image, InvalidImage
from schemas.run.tables import Outcome

# The limit that the spec gives is looked at before a pixel is decoded; Pillow's own only warns.
PillowImage.MAX_IMAGE_PIXELS = None

PillowImage.init()
if find_spec("pillow_heif") is not None:
    import_module("pillow_heif").register_heif_opener()
FORMATS = sorted(
    {"AVIF", "BMP", "GIF", "HEIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP"} & set(PillowImage.OPEN)
)
"""What cameras and generators write. Pillow knows more, some by starting other programs (EPS)."""
HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}
NO_HEIC = "HEIC, which this Python cannot read: pip install pillow-heif, or convert it to JPEG"

IMAGE_SUFFIXES = frozenset(
    {
        ".avif",
        ".bmp",
        ".gif",
        ".heic",
        ".heif",
        ".hif",
        ".jfif",
        ".jp2",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".mpo",
        ".pgm",
        ".png",
        ".ppm",
        ".tif",
        ".tiff",
        ".webp",
    }
)
"""What files of images are called."""

HEAD_BYTES = 64
"""As many first bytes as `looks_like_image` looks at."""

MOST_BYTES = 1 << 28
BAND_PIXELS = 1 << 20
WIDE_GREY = {"I", "I;16", "I;16B", "I;16L", "I;16N"}
TWELVE_BITS = 1 << 12
TILE_WIDTH, TILE_HEIGHT = 322, 323
WHITE = (255, 255, 255)


def decode(source: bytes | Path, pixels: int = DEFAULT_PIXELS) -> Image | InvalidImage:
    """The first frame as H × W × 3 uint8 RGB, or why that cannot be.

    Turned upright by its EXIF orientation, laid on white where it is transparent, 16 bits of grey scaled to
    8, unless they hold 12. An image of more than `pixels` is not decoded, a file of more than MOST_BYTES is
    not read.
    """
    try:
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        if size > MOST_BYTES:
            return InvalidImage(f"a file of {size:,} bytes", Outcome.TOO_LARGE)
        encoded = BytesIO(source) if isinstance(source, bytes) else source
        with PillowImage.open(encoded, formats=FORMATS) as image:
            width, height = _decoded_size(image)
            if width * height > pixels:
                return InvalidImage(f"{width} × {height} pixels, more than limits.pixels", Outcome.TOO_LARGE)
            return _upright_rgb(image)
    except Exception as error:
        # Pillow promises no kinds of errors, and these bytes may be made to break it: damaged AVIF files
        # raise RuntimeError, EXIF data struct.error. Whatever it raises says one thing: this is no image.
        if "HEIF" not in FORMATS and _is_heic(_head(source)):
            return InvalidImage(NO_HEIC)
        if problem := pointer_problem("it", _head(source)) or page_problem("it", _head(source)):
            return InvalidImage(problem)
        return InvalidImage(f"{type(error).__name__}: not a readable image")


def looks_like_image(head: bytes) -> bool:
    """Whether a file of these first bytes claims to be of one of FORMATS; it may be damaged all the same."""
    accepts = (PillowImage.OPEN[name][1] for name in FORMATS)
    return _is_heic(head) or (
        bool(head) and any(accept is not None and bool(accept(head)) for accept in accepts)
    )


def _is_heic(head: bytes) -> bool:
    return head[4:8] == b"ftyp" and head[8:12] in HEIF_BRANDS


def _head(source: bytes | Path) -> bytes:
    if isinstance(source, bytes):
        return source[:HEAD_BYTES]
    try:
        with source.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return b""


def _decoded_size(image: PillowImage.Image) -> tuple[int, int]:
    """Width and height; those of a TIFF's tiles, which are decoded whole, where these are larger."""
    tags: Mapping[int, int] = getattr(image, "tag_v2", {})
    width, height = tags.get(TILE_WIDTH, 0), tags.get(TILE_HEIGHT, 0)
    return max(image.width, width), max(image.height, height)


def _upright_rgb(image: PillowImage.Image) -> Image | InvalidImage:
    """By bands of rows: copies of a large image in all the modes on the way would take ten times its room."""
    # In place, as a copy of a large image is one too many.
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode == "F":
        return InvalidImage("pixels are floating-point numbers: convert the image to 8 bits")
    image.load()
    if image.mode in WIDE_GREY and 0 < (brightest := _brightest(image)) < TWELVE_BITS:
        return InvalidImage(
            f"of 16 bits, and no pixel is above {brightest:,}: its values seem to be of 12 bits or fewer, "
            "and would be nearly black: scale them to 16 bits, or to 8"
        )
    rgb = np.empty((image.height, image.width, 3), np.uint8)
    rows = max(1, BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        bottom = min(image.height, top + rows)
        rgb[top:bottom] = _rgb(image.crop((0, top, image.width, bottom)))
    return rgb


def _rgb(image: PillowImage.Image) -> Image:
    if image.mode in WIDE_GREY:
        return _from_wide_grey(image)
    if image.has_transparency_data:
        ground = PillowImage.new("RGBA", image.size, (*WHITE, 255))
        image = PillowImage.alpha_composite(ground, image.convert("RGBA"))
    return np.asarray(image.convert("RGB"), np.uint8)


def _brightest(image: PillowImage.Image) -> int:
    """Of a grey image of 16 bits."""
    return int(np.asarray(image).max())


def _from_wide_grey(image: PillowImage.Image) -> Image:
    grey = np.clip(np.asarray(image).astype(np.int64), 0, 65_535)
    eight = np.rint(grey / 257).astype(np.uint8)
    return np.repeat(eight[:, :, None], 3, axis=2)
