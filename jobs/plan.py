"""`idleak plan SPEC`: what an audit would cost and what it could find. Writes nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from distributed.cluster import Capacity, size_pool
from distributed.enrolled import accepted, read_gallery
from distributed.gallery import list_photos
from distributed.reduce.calibration import cohort_needed, flaggable_count, smallest_p_value
from distributed.shard_maker import BATCH_IMAGES, ShardEmbedder, ShardJob, samples_table
from distributed.store import encode_table
from jobs.command import spec_command
from jobs.exit_codes import ExitCode
from jobs.progress import format_seconds
from schemas.shard import Footer, Shard, plan_shards
from schemas.spec import AuditSpec
from schemas.tables import Role

PROBE_SAMPLES = 2 * BATCH_IMAGES


def main(argv: Sequence[str]) -> int:
    return spec_command("plan", __doc__, argv, _run)


def _run(spec: AuditSpec) -> ExitCode:
    here = {"CPU": float(os.cpu_count() or 1), "GPU": float(torch.cuda.device_count())}
    capacity = size_pool(spec.resources, here)
    people = count_identities(spec)
    table = Table("", "plan", show_header=False)
    for name, text in [*_work_rows(spec, capacity), *_power_rows(spec, people)]:
        table.add_row(name, text)
    Console().print(table)
    return ExitCode.OK


def count_identities(spec: AuditSpec) -> dict[Role, int]:
    """Identities on each side of the gallery, before any photo is refused."""
    found: dict[Role, set[str]] = {role: set() for role in Role}
    for photo in list_photos(spec.gallery):
        found[photo.role].add(photo.identity)
    for role, source in ((Role.CANDIDATE, spec.gallery.candidates), (Role.COHORT, spec.gallery.cohort)):
        if source.parquet is not None:
            found[role] |= set(accepted(read_gallery(Path(source.parquet), role)[1])["identity"].to_pylist())
    return {role: len(names) for role, names in found.items()}


def _work_rows(spec: AuditSpec, capacity: Capacity) -> list[tuple[str, str]]:
    """What there is to do, and what it costs, by a probe of one worker."""
    shards = plan_shards(spec.samples, spec.shard_size)
    probe = probe_worker(spec, capacity)
    seconds = spec.samples * probe.seconds_per_sample / capacity.workers
    size = spec.samples * probe.bytes_per_sample
    return [
        ("shards", f"{len(shards):,} of up to {spec.shard_size:,} samples; {spec.samples:,} samples"),
        ("disk", f"{size / 1e6:,.1f} MB of templates"),
        ("workers", f"{capacity.workers} × {capacity.threads} threads on {capacity.device}, this machine"),
        (
            "time to sample",
            f"about {format_seconds(seconds)}: one worker makes {1 / probe.seconds_per_sample:,.1f}/s "
            f"(probe of {PROBE_SAMPLES})",
        ),
    ]


@dataclass(frozen=True)
class Probe:
    """What one sample costs one worker, measured."""

    seconds_per_sample: float
    bytes_per_sample: float


def probe_worker(spec: AuditSpec, capacity: Capacity) -> Probe:
    """Sample and embed a few images as one worker would, after one batch to warm up. Writes nothing."""
    embedder = ShardEmbedder(ShardJob(spec, {}, "", capacity.device, capacity.threads))
    warm = min(BATCH_IMAGES, spec.samples)
    embedder.embed(Shard(0, 0, warm))
    shard = Shard(0, 0, min(PROBE_SAMPLES, spec.samples))
    start = time.perf_counter()
    faces = embedder.embed(shard).faces
    seconds = time.perf_counter() - start
    footer = Footer(table="samples", fingerprint={}, stop_id=0, rows=0)
    whole = len(encode_table(samples_table(shard, faces), footer))
    empty = len(encode_table(samples_table(shard, faces).slice(0, 0), footer))
    return Probe(seconds / shard.rows, (whole - empty) / shard.rows)


def _power_rows(spec: AuditSpec, people: dict[Role, int]) -> list[tuple[str, str]]:
    """What the size of the cohort allows the audit to say."""
    candidates, cohort, fdr = people[Role.CANDIDATE], people[Role.COHORT], spec.membership.fdr
    enough = flaggable_count(candidates, cohort, fdr)
    flags = (
        "no candidate, however strong the evidence: every verdict would be inconclusive"
        if enough is None
        else f"{enough} or more candidates at once, if all reach the smallest p-value"
    )
    return [
        ("people", f"{candidates:,} candidates, {cohort:,} in the cohort"),
        ("smallest p-value", f"{smallest_p_value(cohort):.2g}"),
        (f"can flag at FDR {fdr:g}", flags),
        ("to flag a single one", f"a cohort of {cohort_needed(candidates, 1, fdr):,} identities"),
    ]
