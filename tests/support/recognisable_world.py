"""The miniature audit with people whom its recogniser knows: photos of one person are alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tests.support.models import tiny_recognizer
from tests.support.small_world import MEMBERS, PHOTOS, SmallWorld

DIM = 64
NOISE, MEMBER_NOISE = 0.2, 0.03
"""Members' photos are samples, whose template comes from less contrast."""


def make_recognisable(world: SmallWorld) -> SmallWorld:
    """All photos of a person but the first become the first with something else in it."""
    tiny_recognizer(world.folder / "recognizer.onnx", dim=DIM)
    random = np.random.default_rng(11)
    for folder in sorted([*(world.folder / "candidates").iterdir(), *(world.folder / "cohort").iterdir()]):
        is_member = folder.name in {f"person-{index:03d}" for index in range(MEMBERS)}
        for number in range(1, PHOTOS):
            write_variant(folder / "0.png", folder / f"{number}.png", random, is_member=is_member)
    return world


def write_variant(photo: Path, path: Path, random: np.random.Generator, *, is_member: bool = False) -> None:
    """Another photo of the person on `photo`."""
    coarse = random.integers(0, 256, (7, 7, 3), dtype=np.uint8)
    other = Image.fromarray(coarse).resize((112, 112))
    path.parent.mkdir(exist_ok=True)
    share = MEMBER_NOISE if is_member else NOISE
    Image.blend(Image.open(photo).convert("RGB"), other, share).save(path)


def reencode(folder: Path, copy: Path) -> None:
    """The same photos as other files: JPEG in place of PNG."""
    copy.mkdir()
    for photo in sorted(folder.glob("*.png")):
        Image.open(photo).convert("RGB").save(copy / f"{photo.stem}.jpg", quality=95)
