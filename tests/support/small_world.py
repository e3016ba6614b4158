"""A whole audit in miniature: a random generator leaks five people, each in one of its samples."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from distributed.sampling.adapters import open_generator
from schemas.spec.audit import AuditSpec
from schemas.spec.load import load_spec
from tests.support.models import tiny_generator, tiny_recognizer

SIZE, DIM, SEED = 32, 8, 7
MEMBERS, CANDIDATES, COHORT, PHOTOS, TOPK = 5, 20, 120, 2, 4
NOISE = 35
"""Levels by which two photos of a person differ: enough that no copy of one is the other."""
MEMBERS_NOISE = 10
"""The same of members, whose colours are closer to each other."""
# The aligned 112×112 frame, scaled to the generator's 32×32.
AUTHORISATION = {
    "purpose": "tests",
    "legal_basis": "nobody is real",
    "controller": "the tests",
    "approver": "the tests",
    "expires": "2999-12-31",
}
LANDMARKS = [[10.6, 14.4], [20.7, 14.4], [15.6, 20.1], [11.5, 26.0], [19.8, 26.0]]


@dataclass(frozen=True)
class SmallWorld:
    """The folder of a spec and everything that it names."""

    folder: Path

    @property
    def run(self) -> Path:
        """The output of the default spec."""
        return self.folder / "runs" / "audit"

    def copy(self, folder: Path) -> SmallWorld:
        """The same world in another folder, which must not be there yet. Specs are not copied."""
        shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns("*.yaml"))
        return SmallWorld(folder)

    def spec_path(self, name: str = "audit", **changes: Any) -> Path:
        """Write a spec that differs from the default one in `changes` of its top-level keys."""
        path = self.folder / f"{name}.yaml"
        content = default_spec() | {"output": f"runs/{name}"} | changes
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return path

    def spec(self, name: str = "audit", **changes: Any) -> AuditSpec:
        return load_spec(self.spec_path(name, **changes))


def default_spec() -> dict[str, Any]:
    return {
        "name": "small",
        "seed": SEED,
        "generator": {
            "kind": "onnx",
            "path": "generator.onnx",
            "latent": {"dim": DIM},
            "output": {"layout": "nchw", "range": [-1, 1], "channels": "rgb"},
        },
        "samples": 600,
        "shard_size": 100,
        "faces": {
            "landmarks": LANDMARKS,
            "recognizers": [{"name": "tiny", "path": "recognizer.onnx"}],
        },
        "gallery": {
            "candidates": {"images": "candidates"},
            "cohort": {"images": "cohort"},
            "detector": False,
            "labels": "labels.csv",
        },
        "membership": {"scores": ["max", "topk_mean", "hit_rate", "margin"], "topk": TOPK, "fdr": 0.05},
        "resources": {"device": "cpu", "workers": 1, "threads_per_worker": 1},
        "authorisation": AUTHORISATION,
        # What is encrypted differs from run to run, and many tests compare bytes.
        "protection": {"encrypt": False},
    }


def build(folder: Path) -> SmallWorld:
    """Make models, photos and labels. Each member is one sample of the run; all others are nobody."""
    tiny_generator(folder / "generator.onnx", dim=DIM, size=SIZE)
    tiny_recognizer(folder / "recognizer.onnx")
    world = SmallWorld(folder)
    noise, of_members = np.random.default_rng(0), np.random.default_rng(1)
    samples = crops(world, np.array([sample_of(index) for index in range(MEMBERS)]))
    for index in range(CANDIDATES):
        shown = samples[index] if index < MEMBERS else None
        photos = photos_of_a_person(noise) if shown is None else photos_of_a_sample(of_members, shown)
        save_photos(folder / "candidates" / f"person-{index:03d}", photos)
    for index in range(COHORT):
        save_photos(folder / "cohort" / f"other-{index:03d}", photos_of_a_person(noise))
    lines = [f"person-{index:03d},{int(index < MEMBERS)}" for index in range(CANDIDATES)]
    (folder / "labels.csv").write_text("\n".join(["identity,member", *lines, ""]), encoding="utf-8")
    return world


def sample_of(member: int) -> int:
    """The id of the sample that shows a member."""
    return 7 * PHOTOS * member


def crops(world: SmallWorld, ids: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
    """Samples of the default spec, enlarged to the aligned frame."""
    for name in ("candidates", "cohort"):
        (world.folder / name).mkdir(exist_ok=True)
    spec = world.spec()
    images = open_generator(spec.generator, SEED, device="cpu", threads=1).sample(ids)
    return [np.asarray(cv2.resize(np.asarray(image, np.uint8), (112, 112)), np.uint8) for image in images]


def photos_of_a_person(random: np.random.Generator, noise: float = NOISE) -> list[NDArray[np.uint8]]:
    """Photos of one person: coarse random colours, unlike any other person's, and some noise in each."""
    colours = random.integers(0, 256, (7, 7, 3))
    shots = np.clip(colours + random.normal(0, noise, (PHOTOS, 7, 7, 3)), 0, 255).astype(np.uint8)
    return [np.asarray(cv2.resize(shot, (112, 112)), np.uint8) for shot in shots]


def photos_of_a_sample(random: np.random.Generator, sample: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Photos of whom a sample shows: the sample, and some noise in each."""
    changes = random.normal(0, MEMBERS_NOISE, (PHOTOS, 7, 7, 3))
    return [np.clip(sample + cv2.resize(change, (112, 112)), 0, 255).astype(np.uint8) for change in changes]


def save_photos(folder: Path, photos: list[NDArray[np.uint8]]) -> None:
    folder.mkdir(parents=True)
    for index, photo in enumerate(photos):
        Image.fromarray(photo).save(folder / f"{index}.png")


def shards_of(run: Path) -> int:
    """How many shards of samples are there."""
    return len(list((run / "samples").glob("shard-*.parquet")))


def file_bytes(folder: Path, pattern: str = "**/*.parquet") -> Mapping[str, bytes]:
    """Every matching file below the folder, by relative path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.glob(pattern))}
