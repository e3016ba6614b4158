"""What a part of the samples shows: the first ones of them, and those of one setting of a sweep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from distributed.membership.correction import correction_of
from distributed.membership.evidence import PersonScores
from distributed.membership.frame import Calibrated, Floats, calibrate
from distributed.membership.judgement import decided
from distributed.membership.scoring import Scoring
from distributed.membership.verdicts import Decision, flagged
from distributed.reduce.partial import Partial
from distributed.reduce.passes import Partials, SamplePasses
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
    decisions: Sequence[Decision]


def prefix_scores(
    scoring: Scoring, by_cut: Partials, cuts: tuple[int, ...]
) -> tuple[PersonScores, list[Prefix]]:
    """The scores of people by all samples, and each prefix's scores and flags."""
    frame, membership, scores = scoring.frame, scoring.membership, PersonScores()
    prefixes: list[Prefix] = []
    for place, cut in enumerate(cuts):
        partials = {name: [level[place] for level in levels] for name, levels in by_cut.items()}
        if not all(levels[0].samples for levels in partials.values()):
            continue
        scores = scoring.scores(partials)
        for (recognizer, name), values in scores.items():
            calibrated = calibrate(frame, values)
            correction = correction_of(frame, name, membership)
            flags = flagged(calibrated.p_value, calibrated.floor, fdr=membership.fdr, correction=correction)
            prefixes.append(Prefix(cut, recognizer, name, calibrated.score, int(flags.sum())))
    return scores, prefixes


def setting_scores(
    scoring: Scoring, factors: Mapping[str, Sequence[FactorValue]], passes: SamplePasses
) -> Iterator[SettingScores]:
    """Each setting of a sweep, scored by its own samples; none without a sweep."""
    count = len(Sweep(factors).settings)
    for setting in range(count if count > 1 else 0):
        by_cut = passes.search_setting(scoring.people, scoring.twins, count, setting)
        yield from _of_setting(
            scoring, setting, {name: [level[0] for level in levels] for name, levels in by_cut.items()}
        )


def _of_setting(
    scoring: Scoring, setting: int, partials: Mapping[str, Sequence[Partial]]
) -> Iterator[SettingScores]:
    membership = scoring.membership
    samples = min(levels[0].samples for levels in partials.values())
    if not samples:
        return
    for (recognizer, name), values in scoring.scores(partials).items():
        correction = correction_of(scoring.frame, name, membership)
        calibrated, decisions = decided(scoring.frame, values, membership, correction)
        yield SettingScores(setting, samples, recognizer, name, calibrated, decisions)
