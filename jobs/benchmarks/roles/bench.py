"""`idleak bench roles`: how often flags are false, by an audit with labels whose roles are drawn anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from distributed.membership.correction import correction_of
from distributed.membership.frame import calibrate
from distributed.membership.verdicts import flagged
from jobs.benchmarks.roles.people import Flags, People, people_of
from jobs.benchmarks.roles.splits import SKEW, Split, drawn, frame_of, splits_of
from jobs.benchmarks.table import Bar, Measured, Report, Table, publish
from jobs.cli.exit_codes import ExitCode
from schemas.spec.audit import AuditSpec

PARTS = 10
"""Of the people, each left out once: how much the figures hang on who these people are."""
Asked = Literal["bh", "auto"]
CORRECTIONS: tuple[Asked, ...] = get_args(Asked)
"""auto: Storey's where a draw has one group of candidates, as in an audit; else Benjamini-Hochberg."""


@dataclass(frozen=True)
class Rates:
    """Means over draws: of the share of false flags, of the share of members flagged, and of whether any flag
    is false."""

    false_share: float
    power: float
    any_false: float

    @classmethod
    def mean(cls, draws: Sequence[tuple[float, float, float]]) -> Rates:
        return cls(*np.mean(np.array(draws), axis=0).tolist())


def bench_roles(
    spec: AuditSpec, draws: int, samples: Sequence[int], output: Path | None, command: Sequence[str]
) -> ExitCode:
    """Draw who is a candidate `draws` times. FAILED if the mean share of false flags passes the spec's FDR.

    Raises SpecError unless the audit is finished and its spec has labels.
    """
    people, rows, bars = people_of(spec, samples), [], []
    for key, split, correction in _rows(people):
        measured = _with_spread(people, key, split, correction, draws)
        means = [str(measured[0]), str(measured[1]) if split.members else "", str(measured[2])]
        rows.append((key[0], key[1], f"{key[2]:,}", correction, split.name, *means))
        if split.promised:
            claim = f"{key[1]} of {key[0]}, {key[2]:,} samples, {correction}, {split.name}: false share"
            bars.append(Bar(claim, measured[0], spec.membership.fdr, at_most=True))
    columns = ("recognizer", "score", "samples", "correction", "roles", *MEANS)
    title = f"Roles drawn {draws:,} times, {people.candidates} others among the candidates"
    return publish(Report(command, 0, [Table(title, columns, rows)], bars, NOTES), output)


MEANS = ("false share", "power", "any false")
NOTES = [
    "Means over draws, in brackets their 95 % intervals over people: the people fall into"
    f" {PARTS} parts, each of which is left out once (jackknife).",
    "Members stay candidates. The others, candidates and cohort of the audit together, are dealt out anew.",
    f"A hostile split takes {SKEW:.0%} of the candidates who are no members from the upper half of the"
    " others: then candidates and cohort are not exchangeable, and nothing is promised.",
    "`nobody leaked`: no member is among the candidates, and any flag is false.",
]


def _rows(people: People) -> Iterator[tuple[tuple[str, str, int], Split, Asked]]:
    for key in people.scores:
        for split in splits_of(people):
            for correction in CORRECTIONS:
                yield key, split, correction


def _with_spread(
    people: People, key: tuple[str, str, int], split: Split, correction: Asked, draws: int
) -> list[Measured]:
    """Each of MEANS with the ends of its interval."""
    whole = _rates(people, key, split, correction, draws)
    order = np.random.default_rng(0).permutation(np.flatnonzero(people.known))
    parts = [
        _rates(people.without(part), key, split, correction, draws) for part in np.array_split(order, PARTS)
    ]
    spread = []
    for name in ("false_share", "power", "any_false"):
        value, values = getattr(whole, name), np.array([getattr(part, name) for part in parts])
        error = 1.96 * float(np.sqrt((PARTS - 1) / PARTS * ((values - values.mean()) ** 2).sum()))
        spread.append(Measured((max(0.0, value - error), value, min(1.0, value + error))))
    return spread


def _rates(people: People, key: tuple[str, str, int], split: Split, correction: Asked, draws: int) -> Rates:
    random = np.random.default_rng(0)
    membership = people.membership.model_copy(update={"correction": correction})
    outcomes = []
    for _ in range(draws):
        frame = frame_of(people, drawn(people, split, random), split)
        calibrated = calibrate(frame, people.of_levels(key, frame.levels))
        how = correction_of(frame, key[1], membership)
        flags = flagged(calibrated.p_value, calibrated.floor, fdr=membership.fdr, correction=how)
        outcomes.append(_outcome(flags, people.member[frame.candidates]))
    return Rates.mean(outcomes)


def _outcome(flags: Flags, member: Flags) -> tuple[float, float, float]:
    """The share of members flagged is 0 if there are none."""
    false = int((flags & ~member).sum())
    power = float(flags[member].mean()) if member.any() else 0.0
    return false / max(1, int(flags.sum())), power, float(false > 0)
