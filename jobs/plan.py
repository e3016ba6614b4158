"""`idleak plan SPEC`: what an audit would cost and what it could find. Writes nothing."""

from __future__ import annotations

import math
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from distributed.cluster import Capacity, size_pool
from distributed.enrolled import accepted, read_gallery
from distributed.gallery import list_photos
from distributed.shard_maker import BATCH_IMAGES, ShardEmbedder, ShardJob, samples_table
from distributed.store import encode_table
from distributed.vault import Vault
from jobs.command import spec_command
from jobs.exit_codes import ExitCode
from jobs.power_forecast import forecast_rows
from jobs.progress import format_seconds
from jobs.say import cell
from schemas.generators.http import HttpGenerator
from schemas.shard import Footer, Shard, plan_shards
from schemas.spec import AuditSpec
from schemas.tables import Role

PROBE_SAMPLES = 2 * BATCH_IMAGES


def main(argv: Sequence[str]) -> int:
    return spec_command("plan", __doc__, argv, _run)


def _run(spec: AuditSpec) -> ExitCode:
    capacity = capacity_here(spec)
    people = count_photos(spec)
    table = Table("", "plan", show_header=False)
    for name, text in [*work_rows(spec, capacity), *forecast_rows(spec, people)]:
        table.add_row(name, cell(text))
    Console().print(table)
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


def work_rows(spec: AuditSpec, capacity: Capacity) -> list[tuple[str, str]]:
    """What there is to do, and what it costs, by a probe of one worker."""
    if isinstance(spec.generator, HttpGenerator):
        return _bill_rows(spec.samples, spec.generator)
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
