"""Judging bit by bit: the first samples, those of one setting of a sweep, and the steps that are told of."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from distributed.membership.correction import correction_of
from distributed.membership.evidence import PersonScores
from distributed.membership.frame import Calibrated, Floats, calibrate
from distributed.membership.judgement import decided
from distributed.membership.scoring import Scoring
from distributed.membership.verdicts import Decisions, flagged
from distributed.reduce.passes import Partials, SamplePasses, require_templates
from schemas.run.shard import ShardReport
from schemas.spec.generators.base import FactorValue, Sweep


@dataclass(frozen=True)
class Prefix:
    """What the samples below one id show. scores: of m candidates."""

    samples: int
    recognizer: str
    score_name: str
    scores: Floats
    flagged: int


@dataclass(frozen=True)
class SettingScores:
    """What the samples of one setting of a sweep show, by one recogniser × score.

    samples: those with a template. calibrated, decisions: of m candidates; q-values are within the setting.
    """

    setting: int
    samples: int
    recognizer: str
    score_name: str
    calibrated: Calibrated
    decisions: Decisions


class StepObserver(Protocol):
    """Is told of steps. The observer of any stage is one."""

    def begin(self, done: int, todo: int, /) -> None:
        """There are `todo` steps."""

    def report(self, report: ShardReport, /) -> None:
        """`rows` steps are done, and `seconds` says of what."""


@dataclass
class Steps:
    """Counts the steps of one judgement, of which there are `planned`; nobody is told without an observer."""

    planned: int = 0
    observer: StepObserver | None = None
    _done: int = 0
    _last: float = 0.0

    def begin(self) -> None:
        self._last = time.perf_counter()
        if self.observer is not None:
            self.observer.begin(0, self.planned)

    def done(self, name: str, count: int = 1) -> None:
        """So many steps are done, in the time since the last ones, which goes under this name."""
        now = time.perf_counter()
        if self.observer is not None:
            self.observer.report(ShardReport(self._done, count, {}, 0, {name: now - self._last}))
        self._done, self._last = self._done + count, now


def prefix_scores(
    scoring: Scoring, below_cuts: Iterable[Partials], cuts: tuple[int, ...], steps: Steps
) -> tuple[PersonScores, list[Prefix], Partials]:
    """The scores of people by all samples, each prefix's scores and flags, and what is found among all.

    below_cuts: what is found below each cut in turn; but for the last, it is not kept. Raises
    InvalidSamplesError if some recogniser has seen no sample.
    """
    frame, membership, scores = scoring.frame, scoring.membership, PersonScores()
    prefixes: list[Prefix] = []
    partials: Partials = {}
    for place, (cut, partials) in enumerate(zip(cuts, below_cuts, strict=True)):
        if not place:
            steps.begin()
        if not all(levels[0].samples for levels in partials.values()):
            steps.done("scores")
            continue
        scores = scoring.scores(partials)
        for (recognizer, name), values in scores.items():
            calibrated = calibrate(frame, values)
            correction = correction_of(frame, name, membership)
            flags = flagged(calibrated.p_value, calibrated.floor, fdr=membership.fdr, correction=correction)
            prefixes.append(Prefix(cut, recognizer, name, calibrated.score, int(flags.sum())))
        steps.done("scores")
    require_templates(partials)
    return scores, prefixes, partials


def setting_scores(
    scoring: Scoring, factors: Mapping[str, Sequence[FactorValue]], passes: SamplePasses
) -> Iterator[SettingScores]:
    """Each setting of a sweep, scored by its own samples; none without a sweep."""
    count = len(Sweep(factors).settings)
    for setting in range(count if count > 1 else 0):
        yield from _of_setting(
            scoring, setting, passes.search_setting(scoring.people, scoring.twins, count, setting)
        )


def _of_setting(scoring: Scoring, setting: int, partials: Partials) -> Iterator[SettingScores]:
    membership = scoring.membership
    samples = min(levels[0].samples for levels in partials.values())
    if not samples:
        return
    for (recognizer, name), values in scoring.scores(partials).items():
        correction = correction_of(scoring.frame, name, membership)
        calibrated, decisions = decided(scoring.frame, values, membership, correction)
        yield SettingScores(setting, samples, recognizer, name, calibrated, decisions)
