"""`top_matches.png`: a photo of each person most at risk, beside the samples nearest to them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pyarrow.compute as pc

from distributed.gallery import list_photos
from distributed.sampling.adapters import open_again
from distributed.sampling.decode import decode
from distributed.sampling.generator import Image, ImageSource, InvalidImage
from distributed.store import RunStore
from jobs.findings import most_at_risk
from schemas.layout import MATCHES_FILE, NEIGHBOURS_FILE
from schemas.printable import printable
from schemas.results import ScoreResult
from schemas.spec import AuditSpec

matplotlib.use("Agg")
from matplotlib.axes import Axes
from matplotlib.figure import Figure

SAMPLES_SHOWN = 5
INCHES = 1.5


def draw_top_matches(spec: AuditSpec, headline: ScoreResult, store: RunStore, device: str) -> None:
    """Draw and store the picture. Samples are made again from their ids; the photo is the one they match."""
    generator = open_again(spec.generator, spec.seed, device=device, run=spec.output)
    photos = {(photo.identity, photo.name): photo.path for photo in list_photos(spec.gallery)}
    rows = [
        (person, nearest_samples(store, headline.recognizer, person["identity"]))
        for person in most_at_risk(store, headline)
    ]
    figure = Figure(figsize=(INCHES * (SAMPLES_SHOWN + 1), 1.25 * INCHES * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), SAMPLES_SHOWN + 1, squeeze=False)
    for line, (person, nearest) in zip(axes, rows, strict=True):
        _draw_person(line, person, nearest, photos, generator)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    store.write(MATCHES_FILE, buffer.getvalue())


def nearest_samples(store: RunStore, recognizer: str, identity: str) -> list[dict[str, Any]]:
    """Rows of `neighbours.parquet`: the samples nearest to any photo of the identity, each once."""
    table = store.read_table(NEIGHBOURS_FILE)
    mine = pc.and_(pc.equal(table["identity"], identity), pc.equal(table["recognizer"], recognizer))
    order = [("similarity", "descending"), ("sample_id", "ascending")]
    best: dict[int, dict[str, Any]] = {}
    for row in table.filter(mine).sort_by(order).to_pylist():
        best.setdefault(row["sample_id"], row)
    return list(best.values())[:SAMPLES_SHOWN]


def _draw_person(
    line: Sequence[Axes],
    person: Mapping[str, Any],
    nearest: Sequence[Mapping[str, Any]],
    photos: Mapping[tuple[str, str], Path],
    generator: ImageSource,
) -> None:
    for axis in line:
        axis.axis("off")
    photo = photos.get((person["identity"], nearest[0]["photo"])) if nearest else None
    image = decode(photo) if photo is not None else InvalidImage("enrolled without its photo")
    _show(line[0], image, f"{printable(person['identity'])}\n{person['verdict']}, p {person['p_value']:.4f}")
    samples = generator.sample(np.array([row["sample_id"] for row in nearest], np.int64))
    for axis, row, sample in zip(line[1:], nearest, samples, strict=False):
        _show(axis, sample, f"sample {row['sample_id']}\n{row['similarity']:.3f}")


def _show(axis: Axes, image: Image | InvalidImage, title: str) -> None:
    # Names are data: matplotlib must not read a `$` in them as mathematics.
    axis.set_title(title, fontsize=7, parse_math=False)
    if isinstance(image, InvalidImage):
        axis.text(0.5, 0.5, image.reason, ha="center", va="center", fontsize=6, wrap=True)
    else:
        axis.imshow(image)
