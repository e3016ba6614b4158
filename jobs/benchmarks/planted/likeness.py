"""`idleak bench likeness`: photos brought to what a generator's images show, against its own samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from distributed.membership.assess import VERDICTS_ALONE, KnownPeople, assess
from distributed.membership.assessment import Assessment
from distributed.membership.comparison import twins_of
from distributed.membership.planted.likeness import Likeness, at_depth, depths, mean_depth
from distributed.membership.planted.people import HeldOut, Planted, held_out, planted
from distributed.membership.planted.sensitivity import first_flagged, planted_scores
from distributed.membership.scores import Evidence
from distributed.reduce.centring import centred
from distributed.reduce.margins import Twins
from distributed.reduce.partial import EDGES, Partial
from distributed.statistics.power import DETECTION_POWER, Power
from distributed.statistics.similarity import Floats, Singles
from jobs.benchmarks.planted.finished_audit import FinishedAudit, finished_audit
from jobs.benchmarks.planted.gallery_photos import photos_of
from jobs.benchmarks.table import Report, Table, publish
from jobs.cli.exit_codes import ExitCode
from schemas.spec.audit import AuditSpec
from schemas.wording import per_million

SCORE = "margin"
COLUMNS = (
    "samples of people",
    "cosine with their own photo",
    "with the person's other photos",
    "lead by 0.05",
    "likeness by how far they lead",
    "above everybody of the cohort, from how many of a million",
)
NOTES = [
    "Photos of the cohort that are in no template, planted as an audit's sensitivity plants them: as they"
    " are; aligned, and reduced by areas to as many pixels as the generator gives the recogniser's frame; and"
    " of these the spectrum, too, brought to the samples' (medians at each frequency; nothing is sharpened)."
    " The last two are enlarged as samples are.",
    "Cosines are of templates less the samples' mean; in brackets 95 % intervals of means over people, by"
    " the normal law.",
    "The likeness of any samples is that of the template law at which planted samples lead as far: one scale"
    " for pictures, law and flagged. The law's is the audit's own: measured, assumed, or the spec's.",
]


@dataclass(frozen=True)
class _Planter:
    """Plants people of the cohort of the group with most candidates. samples: (n, d), centred."""

    assessment: Assessment
    twins: Twins
    group: int
    recognizer: str
    samples: Singles

    @classmethod
    def of(cls, audit: FinishedAudit) -> _Planter:
        known = KnownPeople(audit.gallery, twins=audit.twins)
        assessment = assess(audit.spec, known, audit.passes, VERDICTS_ALONE)
        groups = assessment.frame.groups
        largest = max(range(len(groups)), key=lambda index: len(groups[index].candidates))
        templates = assessment.samples[audit.recognizer].templates
        centre = assessment.people[audit.recognizer].centre
        twins = twins_of(audit.gallery, audit.twins)
        return cls(assessment, twins, largest, audit.recognizer, centred(templates, centre))

    @property
    def level(self) -> int:
        return self.assessment.frame.level_of(self.assessment.frame.groups[self.group])

    @property
    def partial(self) -> Partial:
        return self.assessment.partials[self.recognizer][self.level]

    @property
    def likeness(self) -> Likeness:
        return self.assessment.reach[self.recognizer, SCORE][self.group].likeness

    def held_out(self, templates: Singles | None = None) -> HeldOut:
        """With the photos as they are, or as other templates (g, d) of the gallery's photos."""
        frame = self.assessment.frame
        if templates is not None:
            frame = replace(frame, gallery=replace(frame.gallery, templates={self.recognizer: templates}))
        centre = self.assessment.people[self.recognizer].centre
        return held_out(frame, self.recognizer, frame.groups[self.group], centre)

    def planted(self, kept: HeldOut, likeness: float = 1.0) -> Planted:
        people = self.assessment.people[self.recognizer].levels[self.level]
        return planted(kept, people, self.twins, self.samples, likeness)

    def likeness_at(self, kept: HeldOut, depth: float) -> float:
        """On the template law's scale."""
        return at_depth(depth, lambda likeness: self.planted(kept, likeness).lead, np.array(EDGES))

    def flagged_likenesses(self, kept: HeldOut) -> Floats:
        """Of each flagged candidate who counts."""
        assessment, group = self.assessment, self.assessment.frame.groups[self.group]
        flagged = assessment.judgements[0].flagged() & (assessment.frame.group_of == self.group)
        hits = self.partial.margin_hits
        expected = hits[:, group.cohort].mean(axis=1)
        reached = depths(hits[:, assessment.frame.candidates[flagged]], expected)
        return np.array([self.likeness_at(kept, depth) for depth in reached])

    def found_from(self, made: Planted) -> float | None:
        """The share of the samples from which people score above everybody of the cohort."""
        evidence = Evidence(self.partial, self.partial.neighbours.margin.shape[1], self.samples.shape[1])
        scores = planted_scores(evidence, made, SCORE, None)
        cohort = self.assessment.judgements[0].calibrated.cohort[self.group]
        power = Power(self.partial.samples, first_flagged(scores, float(cohort.max())))
        return power.smallest_share(DETECTION_POWER)


def bench_likeness(spec: AuditSpec, output: Path | None, command: Sequence[str]) -> ExitCode:
    """No promise is tested. Raises SpecError for an audit that is not finished, or has no pictures."""
    audit = finished_audit(spec)
    photos = photos_of(audit)
    look = photos.look(audit.spec)
    faces = photos.faces(look.size)
    planter = _Planter.of(audit)
    shown = {
        "photos as they are": planter.held_out(),
        f"reduced to {look.size} pixels": planter.held_out(photos.templates(faces, look.unblurred)),
        "reduced, and as sharp as samples": planter.held_out(photos.templates(faces, look)),
    }
    rows = list(_rows(planter, shown))
    half = float(look.gain[len(look.gain) // 2])
    title = (
        f"{len(planter.held_out().person)} people of the cohort; gain at half the finest frequency {half:.2f}"
    )
    return publish(Report(command, 0, [Table(title, COLUMNS, rows)], [], NOTES), output)


def _rows(planter: _Planter, shown: Mapping[str, HeldOut]) -> Iterator[tuple[str, ...]]:
    kept = planter.held_out()
    for name, pictures in shown.items():
        own = (pictures.photo * kept.photo).sum(axis=2).mean(axis=1)
        yield name, _mean(own), *_cells(planter, kept, planter.planted(replace(kept, photo=pictures.photo)))
    law = planter.likeness
    cells = _cells(planter, kept, planter.planted(kept, law.value))
    yield f"template law ({law.source})", f"{law.value:.3g} by construction", *cells
    flagged = planter.flagged_likenesses(kept)
    seen = _mean(flagged) if len(flagged) > 1 else "unknown"
    yield f"of {len(flagged)} flagged people", "", "", "", seen, ""


def _cells(planter: _Planter, kept: HeldOut, made: Planted) -> tuple[str, ...]:
    depth, share = mean_depth(made.lead, np.array(EDGES)), planter.found_from(made)
    return (
        _mean(made.similarity.mean(axis=1)),
        _mean((made.lead >= EDGES[0]).mean(axis=1)),
        f"{planter.likeness_at(kept, depth):.2f}",
        "no share is enough" if share is None else per_million(share),
    )


def _mean(of_people: Floats | Singles) -> str:
    """With its 95 % interval."""
    error = 1.96 * float(of_people.std(ddof=1)) / np.sqrt(len(of_people))
    mean = float(of_people.mean())
    return f"{mean:.3f} ({mean - error:.3f} to {mean + error:.3f})"
