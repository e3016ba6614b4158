"""`idleak plan SPEC`: what an audit would cost and what it could find. Writes nothing."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from distributed.cluster import Capacity, size_pool
from distributed.enrolled import accepted, read_gallery
from distributed.gallery import list_photos
from distributed.reduce.calibration import cohort_needed, flaggable_count, smallest_p_value
from distributed.reduce.matching import EVERYBODY, Group, calibration_groups, photo_choices
from distributed.reduce.power import SHARES, presence_power, smallest_share
from distributed.vault import Vault
from jobs.command import spec_command
from jobs.exit_codes import ExitCode
from jobs.gallery_probe import gallery_rows, probe_gallery, require_usable_probe
from jobs.progress import format_seconds
from jobs.sample_probe import SampleProbe, probe_rows, probe_samples, require_usable_samples
from jobs.say import cell
from schemas.generators.http import HttpGenerator
from schemas.shard import plan_shards
from schemas.spec import AuditSpec
from schemas.tables import Role


def main(argv: Sequence[str]) -> int:
    return spec_command("plan", __doc__, argv, _run)


def _run(spec: AuditSpec) -> ExitCode:
    capacity = capacity_here(spec)
    people = count_photos(spec)
    samples = None if isinstance(spec.generator, HttpGenerator) else probe_samples(spec, capacity)
    gallery = probe_gallery(spec, capacity)
    table = Table("", "plan", show_header=False)
    for name, text in [
        *work_rows(spec, capacity, samples),
        *gallery_rows(gallery),
        *_power_rows(spec, people),
    ]:
        table.add_row(name, cell(text))
    Console().print(table)
    if samples is not None:
        require_usable_samples(spec, samples)
    require_usable_probe(spec, gallery, capacity)
    return ExitCode.OK


def capacity_here(spec: AuditSpec) -> Capacity:
    """What this machine alone has. Raises what `size_pool` raises."""
    here = {"CPU": float(os.cpu_count() or 1), "GPU": float(torch.cuda.device_count())}
    return size_pool(spec.resources, [here])


def count_photos(spec: AuditSpec) -> dict[Role, Counter[str]]:
    """Photos per identity on each side of the gallery, before any photo is refused."""
    found: dict[Role, Counter[str]] = {role: Counter() for role in Role}
    for photo in list_photos(spec.gallery):
        found[photo.role][photo.identity] += 1
    for role, source in ((Role.CANDIDATE, spec.gallery.candidates), (Role.COHORT, spec.gallery.cohort)):
        if source.parquet is not None:
            rows = accepted(read_gallery(Path(source.parquet), role, Vault(spec.protection))[1])
            found[role].update(rows["identity"].to_pylist())
    return found


def work_rows(spec: AuditSpec, capacity: Capacity, probe: SampleProbe | None = None) -> list[tuple[str, str]]:
    """What there is to do, what it costs and what becomes of the samples, by a probe of one worker."""
    if isinstance(spec.generator, HttpGenerator):
        return _bill_rows(spec.samples, spec.generator)
    shards = plan_shards(spec.samples, spec.shard_size)
    probe = probe_samples(spec, capacity) if probe is None else probe
    seconds = spec.samples * probe.seconds_per_sample / capacity.workers
    size = spec.samples * probe.bytes_per_sample
    return [
        ("shards", f"{len(shards):,} of up to {spec.shard_size:,} samples; {spec.samples:,} samples"),
        ("disk", f"{size / 1e6:,.1f} MB of templates"),
        ("workers", f"{capacity.workers} × {capacity.threads} threads on {capacity.device}, this machine"),
        (
            "time to sample",
            f"about {format_seconds(seconds)}: one worker makes {1 / probe.seconds_per_sample:,.1f}/s "
            f"(probe of {probe.samples})",
        ),
        *probe_rows(spec, probe),
    ]


def _bill_rows(samples: int, generator: HttpGenerator) -> list[tuple[str, str]]:
    """What asking an API costs, by the spec alone: nothing is sent."""
    requests, budget = math.ceil(samples / generator.batch), generator.budget
    enough = "enough" if requests <= budget.allowed else "NOT ENOUGH: raise it, or lower samples"
    return [
        ("requests", f"{requests:,} without retries, for {samples:,} samples; the API is not probed"),
        ("budget", f"{budget.allowed:,} requests, {enough}"),
        ("price", f"{requests * budget.price:,.2f}, and what retries cost"),
        ("time to sample", f"at least {format_seconds(requests / generator.rate)} at {generator.rate:g}/s"),
    ]


def _power_rows(spec: AuditSpec, people: dict[Role, Counter[str]]) -> list[tuple[str, str]]:
    """What the size of the cohort and the number of samples allow the audit to say."""
    sides = [list(people[role].values()) for role in (Role.CANDIDATE, Role.COHORT)]
    photos = np.array([*sides[0], *sides[1]], dtype=np.int64)
    in_cohort = np.repeat([False, True], [len(sides[0]), len(sides[1])])
    candidates, fdr = len(sides[0]), spec.membership.fdr
    wanted = None if spec.membership.photos == "auto" else spec.membership.photos
    groups = calibration_groups(photos, in_cohort, [EVERYBODY] * len(photos), wanted)
    return [
        ("people", f"{candidates:,} candidates, {len(sides[1]):,} in the cohort"),
        *(_group_row(group, candidates, fdr) for group in groups),
        ("to flag a single one", f"a cohort of {cohort_needed(candidates, 1, fdr):,} identities"),
        *_photo_rows(photos, in_cohort, groups, fdr),
        *_share_rows(spec.samples),
    ]


def _group_row(group: Group, candidates: int, fdr: float) -> tuple[str, str]:
    n = len(group.cohort)
    enough = flaggable_count(candidates, n, fdr)
    flags = (
        f"at FDR {fdr:g} no candidate can be flagged: all would be inconclusive"
        if enough is None
        else f"at FDR {fdr:g} {enough} or more candidates can be flagged at once"
    )
    return (
        f"with {group.photos} photos each",
        f"{len(group.candidates):,} candidates against {n:,}: smallest p-value {smallest_p_value(n):.2g}; "
        f"{flags}",
    )


def _photo_rows(
    photos: NDArray[np.int64], in_cohort: NDArray[np.bool_], groups: Sequence[Group], fdr: float
) -> list[tuple[str, str]]:
    """Advice to use fewer photos, where that makes the cohort large enough to flag a single candidate."""
    needed = cohort_needed(int((~in_cohort).sum()), 1, fdr)
    if min(len(group.cohort) for group in groups) >= needed:
        return []
    better = [one for one in photo_choices(photos, in_cohort, fdr) if one.flags_one]
    if not better:
        return []
    best = better[-1]
    return [
        (
            "advice",
            f"membership.photos: {best.photos} has a cohort of {best.cohort:,}: it can flag a single one",
        )
    ]


def _share_rows(samples: int) -> list[tuple[str, str]]:
    """The chance that a person is among the samples at all: no audit has more power than that."""
    chances = ", ".join(f"{one * 1e6:,.0f}: {presence_power(one, samples, 1.0):.1%}" for one in SHARES)
    least = smallest_share(0.95, samples, 1.0)
    return [
        ("power at most", f"if a person is in so many of a million samples: {chances}"),
        (
            "power 0.95 needs",
            "more samples" if least is None else f"{least * 1e6:,.0f} of a million, or more",
        ),
    ]
