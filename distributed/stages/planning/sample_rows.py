"""What a probe of a few samples says of them, and whether an audit of them could end with verdicts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from distributed.gallery.quality import GOOD_FACES
from distributed.stages.invalid_samples import invalid_wording
from distributed.stages.planning.sample_probe import LEVELS, SampleProbe
from distributed.statistics.people.separation import clopper_pearson
from schemas.errors import InvalidSamplesError
from schemas.run.tables import Outcome
from schemas.spec.audit import AuditSpec
from schemas.spec.generators.network import NetworkGenerator

MIDDLE = (0.01, 0.99)
NARROW, CLIPPED = 0.55, 0.25
"""The middle of the values spans less of the range than this, or more than that share lies at its ends."""


def probe_rows(spec: AuditSpec, probe: SampleProbe) -> Iterator[tuple[str, str]]:
    """What the probe says of the samples, for a table."""
    if probe.invalid:
        share = f"{probe.invalid} of {probe.samples} probed ({probe.invalid / probe.samples:.0%})"
        yield (
            "no images" if spec.generator.has_images else "no templates",
            f"{share}: {probe.reason}; limits.invalid_samples is {_limit(spec)}",
        )
    if not spec.generator.has_images:
        yield "faces in samples", "not searched for: the samples are templates already"
    elif images := probe.samples - probe.invalid:
        yield "faces in samples", _faces(spec, probe, images)
        yield "pixel values", _values(spec, probe)


def _limit(spec: AuditSpec) -> str:
    return f"{spec.limits.invalid_samples:.2%}"


def _faces(spec: AuditSpec, probe: SampleProbe, images: int) -> str:
    if spec.faces.landmarks is not None:
        return "not searched for: faces.landmarks says where each one is"
    with_face = sum(probe.outcomes.get(outcome, 0) for outcome in (Outcome.OK, Outcome.SEVERAL_FACES))
    text = f"{with_face} of {images} probed images ({with_face / images:.0%})"
    if with_face / images < GOOD_FACES:
        text += "; WARNING: the others can be compared with nobody: check the images, and faces.detector"
    return text


def _values(spec: AuditSpec, probe: SampleProbe) -> str:
    """Where the values lie, in the range that the spec states, and whether they seem to be of another one."""
    shares = np.cumsum(probe.levels) / probe.levels.sum()
    low, high = (int(np.searchsorted(shares, quantile)) / (LEVELS - 1) for quantile in MIDDLE)
    at_ends = float((probe.levels[0] + probe.levels[-1]) / probe.levels.sum())
    first, last, of = _range(spec)
    text = (
        f"98 % lie in {first + low * (last - first):.3g} to {first + high * (last - first):.3g} of {of} "
        f"{first:g} to {last:g}; {at_ends:.0%} at its ends"
    )
    if high - low < NARROW:
        return f"{text}; WARNING: they fill little of it: is {of} right?"
    if at_ends > CLIPPED:
        return f"{text}; WARNING: many are clipped: is {of} right?"
    return text


def _range(spec: AuditSpec) -> tuple[float, float, str]:
    if isinstance(spec.generator, NetworkGenerator):
        return *spec.generator.output.range, "generator.output.range"
    return 0, 255, "the pixels' range"


def require_usable_samples(spec: AuditSpec, probe: SampleProbe) -> None:
    """Raise InvalidSamplesError if the probe shows that an audit would end without verdicts."""
    low, _ = clopper_pearson(probe.invalid / probe.samples, probe.samples)
    if low > spec.limits.invalid_samples:
        what, advice = invalid_wording(spec)
        raise InvalidSamplesError(
            f"{probe.invalid} of {probe.samples} probed samples are no {what} ({probe.reason}), more than "
            f"limits.invalid_samples, {_limit(spec)}: {advice}"
        )
    if not probe.outcomes.get(Outcome.OK):
        outcomes = ", ".join(f"{count} {name}" for name, count in sorted(probe.outcomes.items()))
        raise InvalidSamplesError(
            f"none of {probe.samples} probed samples has a face that can be compared ({outcomes}): check the "
            "generator's images, its `output` in the spec, and faces.detector"
        )
