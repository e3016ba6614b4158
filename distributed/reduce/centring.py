"""The mean of a run's samples, and people as the search compares them: one template each, relative to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distributed.statistics.similarity import Floats, Integers, Singles
from schemas.run.shard import TemplateSum

ROWS_AT_ONCE = 4096


def centred(templates: NDArray[Any], centre: Floats) -> Singles:
    """Templates relative to a centre, of unit length again: float32 (n, d), C-contiguous.

    templates: (n, d), float16 or float32; centre: float64 (d,). A recogniser gives all faces of a generator
    something in common, which says nothing of who is who. What lies on the centre stays a row of zeros, which
    is similar to nobody. A row's bytes depend on that row alone, whatever block it comes in.
    """
    rows = templates.astype(np.float32)
    rows -= centre.astype(np.float32)
    lengths = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    rows /= np.where(lengths > 0, lengths, np.float32(1))
    return rows


def fused(templates: Singles, identity: Integers, rank: Integers, photos: int, centre: Floats) -> Singles:
    """One template of each of P people, the mean of the first `photos` photos, or of all if there are fewer.

    templates: (g, d); identity: int64 (g,), 0 to P − 1, everybody with a photo; rank: int64 (g,), each
    photo's place among the person's; centre: float64 (d,). float32 (P, d), unit rows. Each photo is taken
    relative to the centre and to unit length first, so that no photo outweighs another.
    """
    used = np.flatnonzero(rank < photos)
    sums = np.zeros((int(identity.max()) + 1, templates.shape[1]))
    for start in range(0, len(used), ROWS_AT_ONCE):
        rows = used[start : start + ROWS_AT_ONCE]
        np.add.at(sums, identity[rows], centred(templates[rows], centre).astype(np.float64))
    lengths = np.sqrt((sums * sums).sum(axis=1, keepdims=True))
    sums /= np.where(lengths > 0, lengths, 1.0)
    return sums.astype(np.float32)


def template_sum(stored: NDArray[Any]) -> TemplateSum:
    """The sum of templates (n, d) whose values are those of float16: see `TemplateSum`."""
    return TemplateSum(count=len(stored), sum=tuple(stored.sum(axis=0, dtype=np.float64).tolist()))


def shrunk_mean(sums: Sequence[TemplateSum]) -> Floats:
    """The mean of all templates of the sums and one of zeros, float64 (d,), in whatever order the sums come.

    With many templates it is their mean; with one, half of it, so that this one still has a direction.
    """
    total: Floats = np.array([part.sum for part in sums]).sum(axis=0)
    return total / (sum(part.count for part in sums) + 1)
