"""Render the demo's gallery: python examples/demo/gallery.py OUT_DIR [--identities 16]

Writes OUT_DIR/candidates/<identity>/<n>.png, OUT_DIR/cohort/<identity>/<n>.png and OUT_DIR/labels.csv
(identity,member; candidates only): the same pixels every time. And OUT_DIR/../key, once, for pseudonyms.
"""

from __future__ import annotations

import argparse
import base64
import csv
import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import cv2
from people import photograph
from world import COHORT, MEMBER_COUNT, candidates, gallery_photos, members, name_of, renderers

PHOTOS_PER_IDENTITY = 4


def write_photo(folder: Path, shot: tuple[int, int]) -> None:
    """One photo as PNG, numbered from 0 within its identity."""
    seed, photo = shot
    path = folder / name_of(seed) / f"{photo % PHOTOS_PER_IDENTITY}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), cv2.cvtColor(photograph(seed, photo), cv2.COLOR_RGB2BGR)):
        raise OSError(f"cannot write {path}")


def write_folder(folder: Path, seeds: Iterable[int]) -> None:
    """All photos of these identities, one process per core."""
    plan = gallery_photos(seeds, PHOTOS_PER_IDENTITY)
    with renderers(os.cpu_count() or 1) as pool:
        for _ in pool.map(partial(write_photo, folder), plan, chunksize=32):
            pass


def write_labels(path: Path, count: int = MEMBER_COUNT) -> None:
    """The truth about the candidates of a generator of `count` members, by which the audit is checked."""
    known = set(members(count))
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["identity", "member"])
        writer.writerows([name_of(seed), int(seed in known)] for seed in candidates(count))


def main(folder: Path, count: int = MEMBER_COUNT) -> None:
    """The whole gallery, for a generator of `count` members."""
    write_folder(folder / "candidates", candidates(count))
    write_folder(folder / "cohort", COHORT)
    write_labels(folder / "labels.csv", count)
    write_key(folder.parent / "key")


def write_key(path: Path) -> None:
    """The key of the pseudonyms, unless there is one: another one would make other pseudonyms."""
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(base64.b64encode(os.urandom(32)).decode() + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--identities", type=int, default=MEMBER_COUNT)
    arguments = parser.parse_args()
    main(arguments.folder, arguments.identities)
