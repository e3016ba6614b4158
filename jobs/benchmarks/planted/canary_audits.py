"""`idleak bench canaries`: real people planted among real samples, and what audits say of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distributed.membership.assessment import Assessment
from distributed.statistics.people.separation import clopper_pearson
from distributed.statistics.power import DETECTION_POWER, Power
from distributed.statistics.similarity import Floats
from jobs.benchmarks.planted.canaries import Canaries, Made, as_they_are, by_law
from jobs.benchmarks.planted.finished_audit import finished_audit
from jobs.benchmarks.planted.gallery_photos import photos_of
from jobs.benchmarks.table import Bar, Measured, Report, Table, publish
from jobs.cli.exit_codes import ExitCode
from schemas.spec.audit import AuditSpec
from schemas.wording import per_million, share

ERROR = 0.05
"""Of what is promised of upper limits, and of those who are cleared."""
Shares = Sequence[float | None]
"""Of each side; None: nobody of it is planted."""


@dataclass(frozen=True)
class Outcome:
    """Of the planted people of one audit. planted: so many; limits: their upper limits; broken: of how many
    it is below their share; cleared: who are cleared at it, and cleared_others: others who are; flagged:
    who have a p-value that would flag one alone."""

    planted: int
    limits: Floats
    broken: int
    cleared: int
    cleared_others: int
    flagged: int


def outcome_of(assessment: Assessment, recognizer: str, names: Sequence[str], wanted: float) -> Outcome:
    frame, judgement = assessment.frame, assessment.judgements[0]
    inside = np.array([frame.gallery.names[person] in names for person in frame.candidates])
    limits = assessment.ceilings[recognizer].share[inside]
    at = [decision.cleared_at for decision in judgement.decisions]
    cleared = np.array([each is not None and each <= wanted * (1 + 1e-9) for each in at])
    alone = judgement.calibrated.p_value <= judgement.calibrated.floor
    return Outcome(
        int(inside.sum()),
        limits,
        int((limits < wanted).sum()),
        int(cleared[inside].sum()),
        int(cleared[~inside].sum()),
        int(alone[inside].sum()),
    )


def outcomes(canaries: Canaries, made: Made, shares: Shares) -> Iterator[Outcome]:
    """Of two audits a side: in each, half of the candidates are planted. of whom nobody was planted."""
    gallery, count = canaries.audit.gallery, len(canaries.samples)
    for place, (side, wanted) in enumerate(zip(canaries.sides, shares, strict=True)):
        for half in range(0 if wanted is None else 2):
            assert wanted is not None
            random, planted = np.random.default_rng([1, place, half]), {}
            for person in side[half::2].tolist():
                rows = random.choice(canaries.spare[person], random.binomial(count, wanted))
                planted[person] = made(rows, random)
            assessment = canaries.assessed(side, planted, random)
            names = [gallery.names[person] for person in planted]
            yield outcome_of(assessment, canaries.audit.recognizer, names, wanted)


def powers_of(canaries: Canaries) -> list[Power | None]:
    """Of each side, the chance to flag one alone, as its audit says with nobody planted."""
    powers = []
    for side in canaries.sides:
        assessment = canaries.assessed(side, {}, np.random.default_rng(0))
        floor = float(assessment.judgements[0].calibrated.floor[0])
        powers.append(assessment.reach[canaries.audit.recognizer, "margin"][0].power(floor))
    return powers


COLUMNS = (
    "planted as",
    "in how many of a million samples",
    "audits with an upper limit that is broken",
    "median upper limit",
    "cleared at their share",
    "of all who are cleared at it",
    "flagged alone",
    "as was said",
)
NOTES = [
    "Where the spec has labels, only candidates who are labelled as no members take part, and the cohort.",
    "Everybody whose photos allow it is a candidate of one side, and is planted in one of its two audits; all"
    " others are its cohort. A candidate keeps half of the photos, and the others are planted, in a binomial"
    " number of samples, in place of the generator's own.",
    "Flagged alone: with a p-value that is enough where nobody else is flagged. As was said: the mean chance"
    " of that by the sensitivity of the same audits with nobody planted. The first share of each kind is the"
    f" one from which on that chance is {DETECTION_POWER:g}, of sides that have one.",
    "In brackets exact 95 % intervals, of people or audits as if they were independent; they share samples"
    " and, for the most part, their cohort. Bars hold where the interval's nearer end does.",
    "Photos as pictures of the generator: of its faces' size and sharpness, as `idleak bench likeness` says.",
]


def bench_canaries(
    spec: AuditSpec,
    shares: Sequence[float],
    likeness: float,
    sides: int | None,
    output: Path | None,
    command: Sequence[str],
) -> ExitCode:
    """FAILED if what is promised is broken by more than chance. Raises SpecError for an audit that is not
    finished, or too small."""
    canaries = Canaries.of(finished_audit(spec).of_non_members(), likeness, sides)
    powers = powers_of(canaries)
    named: Shares = [None if power is None else power.smallest_share(DETECTION_POWER) for power in powers]
    rows, bars = list[tuple[str, ...]](), list[Bar]()
    for kind, made in _kinds(canaries).items():
        for wanted in (named, *([each] * len(powers) for each in shares)):
            result = list(outcomes(canaries, made, wanted))
            rows.append((kind, _share_text(wanted), *_cells(result), _said(powers, wanted)))
            bars += _bars(f"{kind}, {_share_text(wanted)}", result, named=wanted is named)
    title = (
        f"{sum(map(len, canaries.sides))} people, each planted in one of {2 * len(powers)} audits of"
        f" {len(canaries.samples):,} samples; of {len(powers)} sides, {sum(map(bool, named))} name a share"
    )
    return publish(Report(command, 0, [Table(title, COLUMNS, rows)], bars, NOTES), output)


def _kinds(canaries: Canaries) -> dict[str, Made]:
    audit = canaries.audit
    kinds = {f"template law, {canaries.likeness:g}": by_law(canaries)}
    kinds["photos as they are"] = as_they_are(audit.gallery.templates[audit.recognizer])
    if audit.spec.generator.has_images:
        photos = photos_of(audit)
        look = photos.look(audit.spec)
        kinds["photos as pictures of the generator"] = as_they_are(
            photos.templates(photos.faces(look.size), look)
        )
    return kinds


def _cells(result: Sequence[Outcome]) -> tuple[str, ...]:
    planted, cleared = _total(result, "planted"), _total(result, "cleared")
    return (
        _rate(_broken_audits(result), len(result)),
        per_million(float(np.median(np.concatenate([each.limits for each in result])))) if result else "",
        _rate(cleared, planted),
        _rate(cleared, cleared + _total(result, "cleared_others")),
        _rate(_total(result, "flagged"), planted),
    )


def _bars(name: str, result: Sequence[Outcome], *, named: bool) -> Iterator[Bar]:
    if not result:
        return
    planted = _total(result, "planted")
    broken = _interval(_broken_audits(result), len(result))
    yield Bar(f"{name}: upper limits broken", Measured((broken[0],)), ERROR, at_most=True)
    cleared = _interval(_total(result, "cleared"), planted)
    yield Bar(f"{name}: cleared at their share", Measured((cleared[0],)), ERROR, at_most=True)
    if named:
        flagged = _interval(_total(result, "flagged"), planted)
        yield Bar(f"{name}: flagged alone", Measured((flagged[1],)), DETECTION_POWER)


def _said(powers: Sequence[Power | None], shares: Shares) -> str:
    """The mean over sides."""
    said = [
        power.at(wanted)
        for power, wanted in zip(powers, shares, strict=True)
        if power is not None and wanted is not None
    ]
    return f"{np.mean(said):.3f}" if said else "unknown"


def _total(result: Sequence[Outcome], name: str) -> int:
    return sum(getattr(outcome, name) for outcome in result)


def _broken_audits(result: Sequence[Outcome]) -> int:
    return sum(outcome.broken > 0 for outcome in result)


def _interval(count: int, of: int) -> tuple[float, float]:
    return clopper_pearson(count / of, of)


def _rate(count: int, of: int) -> str:
    if not of:
        return ""
    low, high = _interval(count, of)
    return f"{count} of {of} ({share(low)} to {share(high)})"


def _share_text(shares: Shares) -> str:
    known = [share for share in shares if share is not None]
    if not known:
        return "named by none"
    least, most = per_million(min(known)), per_million(max(known))
    return least if least == most else f"{least} to {most}, named"
