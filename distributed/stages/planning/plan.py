"""What an audit would cost and what it could find. Writes nothing."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import torch

from distributed.embedding.inferred import faces_notices
from distributed.embedding.licences import licence_warnings
from distributed.execution.capacity import size_pool
from distributed.execution.executor import Capacity
from distributed.gallery.enrolled import accepted, read_gallery
from distributed.gallery.photos import Photo
from distributed.gallery.template_sides import template_sides
from distributed.stages.planning.sample_probe import SampleProbe, probe_samples
from distributed.stages.planning.sample_rows import probe_rows
from distributed.stages.planning.shard_size import shard_size
from distributed.storage.vault import Vault
from schemas.run.shard import plan_shards
from schemas.run.tables import Role
from schemas.spec.audit import AuditSpec
from schemas.spec.generators.http import HttpGenerator
from schemas.wording import format_seconds


def capacity_here(spec: AuditSpec) -> Capacity:
    """What this machine alone has. Raises what `size_pool` raises."""
    here = {"CPU": float(os.cpu_count() or 1), "GPU": float(torch.cuda.device_count())}
    return size_pool(spec.resources, [here])


def count_photos(spec: AuditSpec, photos: Iterable[Photo]) -> dict[Role, Counter[str]]:
    """Photos per identity on each side of the gallery, before any photo is refused. photos: as the sources
    list them."""
    counts: dict[Role, Counter[str]] = {role: Counter() for role in Role}
    for photo in photos:
        counts[photo.role][photo.identity] += 1
    for role, source in ((Role.CANDIDATE, spec.gallery.candidates), (Role.COHORT, spec.gallery.cohort)):
        if source.earlier is not None:
            rows = accepted(read_gallery(Path(source.earlier), role, Vault(spec.protection))[1])
            counts[role].update(rows["identity"].to_pylist())
    for role, listed in template_sides(spec.gallery):
        counts[role].update(listed.identities)
    return counts


def model_rows(spec: AuditSpec) -> list[tuple[str, str]]:
    """What was inferred of the models of faces, and what their licences forbid."""
    warnings = licence_warnings(spec.faces, spec.authorisation)
    return [
        *(("faces", text) for text in faces_notices(spec.faces)),
        *(("licence", f"WARNING: {text}") for text in warnings),
    ]


def work_rows(spec: AuditSpec, capacity: Capacity, probe: SampleProbe | None = None) -> list[tuple[str, str]]:
    """What there is to do, what it costs and what becomes of the samples, by a probe of one worker."""
    if isinstance(spec.generator, HttpGenerator):
        return _bill_rows(spec.samples, spec.generator)
    probe = probe_samples(spec, capacity) if probe is None else probe
    rows = spec.shard_size
    if rows == "auto":
        rows = shard_size(spec, capacity, 1 / probe.seconds_per_sample)
    shards = plan_shards(spec.samples, rows)
    seconds = spec.samples * probe.seconds_per_sample / capacity.workers
    size = spec.samples * probe.bytes_per_sample
    return [
        ("shards", f"{len(shards):,} of up to {rows:,} samples; {spec.samples:,} samples"),
        ("disk", f"{size / 1e6:,.1f} MB of templates"),
        ("workers", f"{capacity.workers} × {capacity.threads} threads on {capacity.device}, this machine"),
        (
            "time to sample",
            f"about {format_seconds(seconds)}: one worker makes {1 / probe.seconds_per_sample:,.1f}/s "
            f"(probe of {probe.samples})",
        ),
        *probe_rows(spec, probe),
    ]


def placebo_rows(placebo: AuditSpec, capacity: Capacity, probe: SampleProbe | None) -> list[tuple[str, str]]:
    """The same of the placebo, in addition; probe: None for an API."""
    left_out = ("shards", "workers", "pixel values")
    rows = work_rows(placebo, capacity, probe)
    return [(f"placebo: {name}", text) for name, text in rows if name not in left_out]


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
