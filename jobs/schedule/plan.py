"""What a night has to do for one key: worked out from fingerprints, with nothing written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from distributed.gallery.source import gallery_source
from distributed.runtime.digests import digest_lines
from distributed.sampling.adapters import generator_fields, image_count
from distributed.stages.fingerprints import sampling_fingerprint, verdict_fingerprint
from distributed.stages.finished import is_finished
from distributed.storage.store import RunStore, open_run
from jobs.schedule.state import NightState, night_path
from schemas.errors import WrongRunError
from schemas.fingerprint import Fingerprint
from schemas.run.nights import NightEvidence
from schemas.spec.audit import AuditSpec
from schemas.spec.fleet import Entry, Fleet
from schemas.spec.locations import is_remote

DIGEST_LETTERS = 16
NOT_CHANGES = frozenset({"samples", "samples.sha256"})
"""Fields of the verdict's fingerprint that growth changes, or that other fields tell better."""


@dataclass(frozen=True)
class NightPlan:
    """spec: tonight's, as one folder's audit. before: the last night of this version; last: of any."""

    spec: AuditSpec
    version: str
    sampling: Fingerprint
    gallery: Fingerprint
    verdict: Fingerprint
    before: NightEvidence | None
    last: NightEvidence | None

    @property
    def fresh(self) -> int:
        """Samples that this night adds."""
        return self.spec.samples - (0 if self.before is None else self.before.samples)

    @property
    def changed(self) -> list[str]:
        """Names of what is not as on the last night; none on the first."""
        if self.last is None:
            return []
        fields = _differing(self.last.fingerprint, self.sampling.fields)
        fields |= _differing(self.last.verdict_fingerprint, self.verdict.fields) - NOT_CHANGES
        return sorted(fields or ({"version"} if self.last.version != self.version else set()))

    def unchanged(self) -> NightEvidence | None:
        """The evidence of the last night, if this one would only do that again."""
        last = self.last
        if last is None or (last.version, last.verdict_sha256) != (self.version, self.verdict.digest):
            return None
        run = run_if_there(self.spec)
        return last if run is not None and is_finished(self.spec, run) else None


def run_if_there(spec: AuditSpec) -> RunStore | None:
    """The run's files, without making a folder for them."""
    there = is_remote(spec.output) or Path(spec.output).is_dir()
    return open_run(spec) if there else None


def key_location(fleet: Fleet, entry: Entry) -> str:
    """Where all of one key is kept."""
    return f"{fleet.state}/{entry.key}"


def plan_night(fleet: Fleet, entry: Entry, state: NightState) -> NightPlan:
    """Raises SpecError or a subclass for what the spec names and cannot be used, DamagedError for nights that
    cannot be read."""
    sampling = sampling_fingerprint(entry.spec)
    version = _short_digest(entry.version, sampling.fields)
    before = state.evidence(version)
    ledger = _short_digest(entry.version, generator_fields(entry.spec.generator))
    changes = {
        "samples": _samples(entry, before),
        "output": f"{key_location(fleet, entry)}/runs/{version}",
        "ledger": entry.spec.ledger or f"{key_location(fleet, entry)}/ledgers/{ledger}",
    }
    spec = entry.spec.model_copy(update=changes)
    gallery = gallery_source(spec, run_if_there(spec)).fingerprint
    verdict = verdict_fingerprint(spec, gallery)
    return NightPlan(spec, version, sampling, gallery, verdict, before, state.evidence())


def missed_nights(fleet: Fleet, state: NightState, tonight: date) -> list[date]:
    """The nights since the last one that were due and did not come, the earliest first.

    Raises WrongRunError if there is a night after this one.
    """
    latest = state.latest()
    if latest is None:
        return []
    if latest.night > tonight:
        raise WrongRunError(
            f"{state.location} has a night of {latest.night}, and this one is {tonight}: set the clock, or, "
            f"if it was wrong on that night, delete {night_path(latest.night)} there, and that alone"
        )
    earlier = next((record for record in state.records() if record.night < tonight), None)
    if earlier is None:
        return []
    due = (tonight - earlier.night).days - 1
    step = fleet.every_days
    return [earlier.night + timedelta(days=days) for days in range(step, due + 1, step)]


def _samples(entry: Entry, before: NightEvidence | None) -> int:
    """Those of tonight. A generator that has an end is grown to its end."""
    if before is None:
        return entry.spec.samples
    there = image_count(entry.spec.generator)
    wanted = entry.grown(before.samples)
    return wanted if there is None else max(before.samples, min(wanted, there))


def _differing(before: Mapping[str, str], now: Mapping[str, str]) -> set[str]:
    return {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)}


def _short_digest(version: str, fields: Mapping[str, str]) -> str:
    return digest_lines([version, Fingerprint(fields).digest])[:DIGEST_LETTERS]
