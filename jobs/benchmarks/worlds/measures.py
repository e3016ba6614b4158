"""What a claim is measured by: rows of the table, shares and means of worlds, and how they are drawn."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib
import numpy as np
from scipy.stats import beta, norm

from jobs.benchmarks.worlds.simulated import (
    JudgedWorld,
    World,
    judge_world,
    worlds_like,
)

matplotlib.use("Agg")
from matplotlib.axes import Axes

FULL = 300
FDR = 0.05
ROOM = 0.01
"""By so much the upper end of a 95 % interval may lie above its bar."""
LEAST_FOR_GRID = 50
"""With fewer worlds than this, power is measured on a small part of the grid."""
SCORES = ("margin", "max", "topk_mean", "hit_rate", "density_ratio")
TWO = ("margin", "max")
MIXED = World(0, photos=(1, 2), hubs=0.1, quality="mixed")


@dataclass(frozen=True)
class Row:
    """One claim and what was measured. holds: None where nothing is promised."""

    claim: str
    bar: str
    measured: str
    worlds: int
    holds: bool | None

    @property
    def verdict(self) -> str:
        return "reported" if self.holds is None else "holds" if self.holds else "FAILS"


@dataclass(frozen=True)
class ClaimResult:
    """A claim's rows and its plot."""

    rows: Sequence[Row]
    draw: Callable[[Axes], None]


@dataclass(frozen=True)
class Bench:
    """How much is measured. worlds: the null worlds; other claims have numbers in proportion."""

    worlds: int
    seed: int

    def share(self, full: int, least: int = 2) -> int:
        """As many as `full` is of FULL."""
        return max(least, round(full * self.worlds / FULL))

    def random(self, salt: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, salt])

    def judged(self, world: World, count: int, salt: int, **membership: object) -> Iterator[JudgedWorld]:
        """Worlds like this one, with seeds of their own, judged one by one."""
        seeded = replace(world, seed=1_000_003 * self.seed + salt)
        for variant in worlds_like(seeded, count):
            with tempfile.TemporaryDirectory() as folder:
                yield judge_world(variant, Path(folder), **membership)


@dataclass(frozen=True)
class Share:
    """k of n worlds, with the exact 95 % interval."""

    k: int
    n: int

    @property
    def value(self) -> float:
        return self.k / self.n

    @property
    def interval(self) -> tuple[float, float]:
        low = float(beta.ppf(0.025, self.k, self.n - self.k + 1)) if self.k else 0.0
        high = float(beta.ppf(0.975, self.k + 1, self.n - self.k)) if self.k < self.n else 1.0
        return low, high

    def at_most(self, bar: float) -> bool:
        """Whether the upper end of the interval is within ROOM of the bar."""
        return self.interval[1] <= bar + ROOM

    def __str__(self) -> str:
        low, high = self.interval
        return f"{100 * self.value:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


@dataclass(frozen=True)
class Mean:
    """A mean over worlds, with its standard error."""

    value: float
    error: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Mean:
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        return cls(float(np.mean(values)), spread / float(np.sqrt(len(values))))

    @property
    def upper(self) -> float:
        """The upper end of the 95 % interval."""
        return self.value + float(norm.ppf(0.975)) * self.error

    def at_most(self, bar: float, room: float = ROOM) -> bool:
        """Whether the upper end of the interval is within `room` of the bar."""
        return self.upper <= bar + room

    def __str__(self) -> str:
        return f"{self.value:.3f} ± {self.error:.3f}"


def draw_shares(axes: Axes, shares: dict[str, Share]) -> None:
    names = list(shares)
    values = np.array([share.value for share in shares.values()])
    ends = np.array([share.interval for share in shares.values()])
    axes.errorbar(values, np.arange(len(names)), xerr=np.abs(ends.T - values), fmt="o", capsize=3)
    axes.set_yticks(np.arange(len(names)), names)
    axes.invert_yaxis()
