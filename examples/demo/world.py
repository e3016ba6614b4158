"""Who is who in the demo's world: the seeds of members, non-members, cohort and everybody else.

The ranges are disjoint, so the recogniser was trained on nobody whom the audit is about, and the cohort and
the non-members are known to be outside the generator's training data.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import cv2
import numpy as np
from numpy.typing import NDArray
from people import SIZE, Image, photograph

SPARE_NON_MEMBERS = range(2_000, 4_000)  # for experiments with more members than the demo has
COHORT = range(10_000, 10_800)
RECOGNIZER_TRAINING = range(100_000, 101_600)
RECOGNIZER_HELD_OUT = range(200_000, 200_400)
PLACEBO_TRAINING = range(300_000, 300_064)
GALLERY_FIRST_PHOTO = 1_000_000  # training photos are numbered from 0

CANDIDATES = range(40)
MEMBER_COUNT = 16
OVER_REPRESENTED = 7
PHOTOS_PER_MEMBER = 30
OVER_REPRESENTATION = 10


def members(count: int = MEMBER_COUNT) -> list[int]:
    """The identities that the generator is trained on, the over-represented one first."""
    if count > len(CANDIDATES) // 2:
        return [OVER_REPRESENTED, *(seed for seed in range(count) if seed != OVER_REPRESENTED)]
    others = [seed for seed in CANDIDATES if seed != OVER_REPRESENTED]
    chosen = np.random.default_rng(2107).permutation(others)[: count - 1]
    return [OVER_REPRESENTED, *sorted(int(seed) for seed in chosen)]


def candidates(count: int = MEMBER_COUNT) -> list[int]:
    """Members and at least as many non-members, in an order that says nothing; `count` members in all."""
    if count > len(CANDIDATES) // 2:
        return [*range(count), *SPARE_NON_MEMBERS[:count]]
    return list(CANDIDATES)


def name_of(seed: int) -> str:
    """The identity's name, which does not say whether it is a member."""
    return f"person-{seed:04d}"


def training_photos(
    count: int = MEMBER_COUNT,
    over_representation: int = OVER_REPRESENTATION,
    photos: int = PHOTOS_PER_MEMBER,
) -> list[tuple[int, int]]:
    """(identity, photo number) of all photos that a generator of `count` identities is trained on.

    over_representation: how many times the `photos` of each of the others the over-represented person has.
    """
    plan = []
    for seed in members(count):
        times = over_representation if seed == OVER_REPRESENTED else 1
        plan += [(seed, photo) for photo in range(photos * times)]
    return plan


def placebo_photos() -> list[tuple[int, int]]:
    """(identity, photo number) of all photos that the placebo is trained on, of nobody in a gallery."""
    return [(seed, photo) for seed in PLACEBO_TRAINING for photo in range(PHOTOS_PER_MEMBER)]


def gallery_photos(seeds: Iterable[int], per_identity: int) -> list[tuple[int, int]]:
    """(identity, photo number) of gallery photos, none of which any model was trained on."""
    return [(seed, GALLERY_FIRST_PHOTO + photo) for seed in seeds for photo in range(per_identity)]


def render(plan: list[tuple[int, int]], size: int = SIZE, processes: int = 2) -> NDArray[np.uint8]:
    """Photos of the plan, in its order: N × size × size × 3 RGB, reduced by area averaging."""
    with renderers(processes) as pool:
        return np.stack(list(pool.map(partial(reduced, size=size), plan, chunksize=64)))


def renderers(processes: int) -> ProcessPoolExecutor:
    """Spawned, not forked: OpenCV and torch run threads that a fork does not survive."""
    return ProcessPoolExecutor(processes, get_context("spawn"), initializer=single_threaded)


def single_threaded() -> None:
    """One process per core renders faster than threads inside OpenCV."""
    cv2.setNumThreads(1)


def reduced(shot: tuple[int, int], size: int) -> Image:
    """One photo at the size asked for."""
    photo = photograph(*shot)
    if size == SIZE:
        return photo
    return np.asarray(cv2.resize(photo, (size, size), interpolation=cv2.INTER_AREA), dtype=np.uint8)
