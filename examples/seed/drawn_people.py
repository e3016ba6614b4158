"""The drawn people of the protocol: their photos as a generator is trained on them, and their templates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from measure import MODELS, embed, session
from numpy.typing import NDArray
from world import (
    OVER_REPRESENTED,
    SPARE_NON_MEMBERS,
    gallery_photos,
    members,
    render,
    training_photos,
)

SIZE = 32
PHOTOS, MOST_TIMES = 4, 10
"""Of a member in the training data, and how many times as many of the person who is over-represented."""
MOST_MEMBERS = 256
COMPARED = 2
"""Photos of a person whom the samples are compared with."""
OTHERS = SPARE_NON_MEMBERS[:128]
"""The non-members of every cell."""
Shots = Sequence[tuple[int, int]]
Templates = NDArray[np.float32]


@dataclass(frozen=True)
class DrawnPeople:
    """small: uint8 (N, 32, 32, 3) of the training photos. templates: float32 (G, d) of those compared.

    place, compared: the row of each (identity, photo number) in `small` and in `templates`.
    """

    small: NDArray[np.uint8]
    place: dict[tuple[int, int], int]
    templates: Templates
    compared: dict[tuple[int, int], int]

    def training(self, count: int, times: int) -> NDArray[np.uint8]:
        """What a generator of `count` people is trained on, one of them with `times` as many photos."""
        return self.small[[self.place[shot] for shot in training_photos(count, times, PHOTOS)]]

    def of(self, shots: Shots) -> Templates:
        return self.templates[[self.compared[shot] for shot in shots]]


def trained_photos(seeds: Sequence[int]) -> Shots:
    """Those of each person that a generator is trained on, if the person is a member."""
    return [(seed, photo) for seed in seeds for photo in range(COMPARED)]


def other_photos(seeds: Sequence[int]) -> Shots:
    """Those of each person that no generator is trained on."""
    return gallery_photos(seeds, COMPARED)


def everybody() -> list[int]:
    """Everybody who is a member or compared in some cell."""
    counts = (16, 64, MOST_MEMBERS)
    return sorted({seed for count in counts for seed in members(count)} | set(OTHERS))


def drawn_people(cache: Path) -> DrawnPeople:
    """Rendered once, which takes half a minute, and kept in the folder `cache`."""
    seeds = everybody()
    trained = [(seed, photo) for seed in seeds if seed not in OTHERS for photo in range(PHOTOS)]
    trained += [(OVER_REPRESENTED, photo) for photo in range(PHOTOS, PHOTOS * MOST_TIMES)]
    compared = [*trained_photos(seeds), *other_photos(seeds)]
    path = cache / f"people-{len(trained)}-{len(compared)}.npz"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        cv2.setNumThreads(1)
        templates = embed(session(MODELS / "recognizer.onnx"), render(compared, processes=1))
        np.savez(path, small=render(trained, SIZE, processes=1), templates=templates)
    with np.load(path) as stored:
        small, templates = stored["small"], stored["templates"]
    places = [{shot: row for row, shot in enumerate(shots)} for shots in (trained, compared)]
    return DrawnPeople(small, places[0], templates, places[1])
