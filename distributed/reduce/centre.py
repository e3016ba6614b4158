"""The mean of a run's samples, from sums that can be made shard by shard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distributed.statistics.similarity import Floats
from schemas.run.shard import TemplateSum


def template_sum(stored: NDArray[Any]) -> TemplateSum:
    """The sum of templates (n, d) whose values are those of float16: see `TemplateSum`."""
    return TemplateSum(count=len(stored), sum=tuple(stored.sum(axis=0, dtype=np.float64).tolist()))


def shrunk_mean(sums: Sequence[TemplateSum]) -> Floats:
    """The mean of all templates of the sums and one of zeros, float64 (d,), in whatever order the sums come.

    With many templates it is their mean; with one, half of it, so that this one still has a direction.
    """
    total: Floats = np.array([part.sum for part in sums]).sum(axis=0)
    return total / (sum(part.count for part in sums) + 1)
