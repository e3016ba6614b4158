"""Images that are made to fill the memory, to break a decoder, or to be something else than they seem."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(kind: str = "PNG", mode: str = "RGB", **options: Any) -> bytes:
    """A small picture of noise."""
    return encoded(Image.fromarray(PIXELS).convert(mode), kind, **options)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _zeros(size: int) -> bytes:
    """So many zero bytes, compressed."""
    packer, piece = zlib.compressobj(9), bytes(1 << 20)
    parts = [packer.compress(piece[: min(len(piece), size - at)]) for at in range(0, size, len(piece))]
    return b"".join(parts) + packer.flush()


def png(width: int, height: int, *, colour: int = 2, depth: int = 8, extra: bytes = b"") -> bytes:
    """A black PNG of a few bytes a row. extra: chunks after its header."""
    samples = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    # One that is too large to be decoded needs no pixels.
    whole = width * height <= 1 << 25
    body = _zeros(height * (1 + width * samples * depth // 8)) if whole else zlib.compress(bytes(1000))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def png_with_text(kind: bytes) -> bytes:
    """A PNG with 200 MB of zeros in a compressed text or colour profile."""
    return png(16, 16, extra=chunk(kind, b"a\0\0" + _zeros(200_000_000)))


def tiff(tags: Mapping[int, int], body: bytes) -> bytes:
    """A TIFF of one directory; `body` lies at 8."""
    body += bytes(len(body) % 2)
    head = b"II*\0" + struct.pack("<I", 8 + len(body))
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items())]
    return head + body + struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)


def tiff_of_tiles(side: int, tile: int) -> bytes:
    """A small picture in one huge tile, which a decoder unpacks whole."""
    body = _zeros(tile * tile)
    tags = {256: side, 257: side, 258: 8, 259: 8, 262: 1, 277: 1}
    return tiff(tags | {322: tile, 323: tile, 324: 8, 325: len(body)}, body)


def tiff_of_one_strip(width: int, height: int) -> bytes:
    body = _zeros(width * height)
    tags = {256: width, 257: height, 258: 8, 259: 8, 262: 1, 277: 1}
    return tiff(tags | {278: height, 273: 8, 279: len(body)}, body)


def gif_with_a_large_frame() -> bytes:
    """A screen of one pixel, and a frame of 65535 × 65535 on it."""
    content = bytearray(noise("GIF", "P"))
    content[6:10] = struct.pack("<HH", 1, 1)
    place = content.index(b"\x2c", 13 + 3 * 256)
    content[place + 5 : place + 9] = struct.pack("<HH", 65_535, 65_535)
    return bytes(content)


def gif_of_frames(count: int) -> bytes:
    frames = [Image.fromarray(PIXELS[..., index % 3]) for index in range(count)]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


def jpeg_with_profile(size: int) -> bytes:
    return noise("JPEG", icc_profile=bytes(size))


def turned() -> bytes:
    """A JPEG that says that it lies on its side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return noise("JPEG", exif=exif)


def sixteen_bits() -> bytes:
    return encoded(Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257), "PNG")


def palette_with_alpha() -> bytes:
    return encoded(Image.fromarray(PIXELS).quantize(16), "PNG", transparency=3)
