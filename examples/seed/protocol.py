"""Three claims after Webster et al. 2021 (arXiv 2107.06018), in miniature: our protocol, on drawn people.

PYTHONPATH=examples/demo python examples/seed/protocol.py [--family gan diffusion] [--seeds 5] [--output DIR]

Trains each generator that is not in DIR/cells.csv yet and adds a line there; `claims.py` tests the claims.
`make seed` does both.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterator
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusion import train_diffusion
from drawn_people import SIZE, DrawnPeople, drawn_people
from measure import MODELS, embed, enlarge, session
from numpy.typing import NDArray
from success import Success, success
from train_gan import LATENT, Widths, train
from world import members

IDENTITIES, TIMES, TIMES_AMONG = (16, 64, 256), (1, 3, 10), 64
EPOCHS = {"gan": 400, "diffusion": 400}
SAMPLES = 1000
BATCH = 16  # of the GAN
NARROW = Widths(generator=(48, 32, 24, 16), critic=(16, 32, 64))
OUTPUT = Path("build/seed")


@dataclass(frozen=True)
class Cell:
    """One training. times: how many times the others' photos one member has; seed: of the training."""

    family: str
    identities: int
    times: int
    seed: int


@dataclass(frozen=True)
class Trained:
    """A cell, how long it took, in seconds of this process's CPU time, and what its samples show."""

    cell: Cell
    seconds: float
    success: Success


def cells(families: list[str], seeds: int) -> Iterator[Cell]:
    """Those that take least first, all seeds of each."""
    sizes = [(count, 1) for count in IDENTITIES[:2]]
    sizes += [(TIMES_AMONG, times) for times in TIMES[1:]] + [(count, 1) for count in IDENTITIES[2:]]
    for family in families:
        for count, times in sizes:
            yield from (Cell(family, count, times, seed) for seed in range(seeds))


def done(cell: Cell, people: DrawnPeople) -> Trained:
    """Train, sample, compare."""
    started = time.process_time()
    samples = sampled(cell, people.training(cell.identities, cell.times))
    frames = np.stack([enlarge(sample) for sample in samples])
    templates = embed(session(MODELS / "recognizer.onnx"), frames)
    measured = success(people, members(cell.identities), templates)
    return Trained(cell, time.process_time() - started, measured)


def sampled(cell: Cell, photos: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """SAMPLES × 32 × 32 × 3, of a generator trained on these photos, each of which it sees EPOCHS times."""
    torch.manual_seed(cell.seed)
    random = torch.Generator().manual_seed(1000 + cell.seed)
    epochs = EPOCHS[cell.family]
    if cell.family == "diffusion":
        return train_diffusion(photos, epochs, SAMPLES, random)
    generator = train(photos, -(-epochs * len(photos) // BATCH), widths=NARROW, batch=BATCH)
    with torch.inference_mode():
        images = generator(torch.randn(SAMPLES, LATENT, generator=random)).permute(0, 2, 3, 1)
    values: NDArray[np.uint8] = (images * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8).numpy()
    return values.reshape(SAMPLES, SIZE, SIZE, 3)


def read_cells(path: Path) -> list[Trained]:
    """What has been done."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [trained_of(row) for row in csv.DictReader(file)]


def trained_of(row: dict[str, str]) -> Trained:
    cell = Cell(row["family"], int(row["identities"]), int(row["times"]), int(row["seed"]))
    measured = Success(**{field.name: float(row[field.name]) for field in fields(Success)})
    return Trained(cell, float(row["seconds"]), measured)


def append(path: Path, trained: Trained) -> None:
    row = asdict(trained.cell) | {"seconds": round(trained.seconds, 1)} | asdict(trained.success)
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)


def main() -> None:
    """Every cell that is not done."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--family", nargs="+", choices=list(EPOCHS), default=list(EPOCHS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    people, path = drawn_people(arguments.output), arguments.output / "cells.csv"
    known = {trained.cell for trained in read_cells(path)}
    for cell in cells(arguments.family, arguments.seeds):
        if cell not in known:
            trained = done(cell, people)
            append(path, trained)
            print(*astuple(cell), trained.success, flush=True)


if __name__ == "__main__":
    main()
