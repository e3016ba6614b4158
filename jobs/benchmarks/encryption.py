"""`idleak bench encryption`: what encrypted templates cost where they are written and where they are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from distributed.execution.cluster import RayExecutor
from distributed.gallery.attributes import read_attributes
from distributed.gallery.enrolled import enrolled_gallery
from distributed.membership.comparison import compared_people
from distributed.membership.frame import calibration_frame
from distributed.reduce.margins import Twins
from distributed.reduce.queries import SearchQuery, group_shards
from distributed.reduce.reducer import Reducer
from distributed.stages.enrolling.enroll import enroll
from distributed.stages.making.maker import ShardJob, ShardMaker
from distributed.storage.store import open_run
from jobs.benchmarks.limits import timed
from jobs.benchmarks.table import Bar, Measured, Report, Table, interleaved, publish
from jobs.cli.exit_codes import ExitCode
from jobs.cli.work import watching
from schemas.run.artefacts import GALLERY_FILE, SAMPLES_PREFIX
from schemas.run.shard import Shard, plan_shards
from schemas.spec.audit import AuditSpec

MOST_COST = 1.05
ENCRYPTED, PLAIN = "encrypted", "plain"
MAKE, REDUCE = "make shards", "reduce shards"


def bench_encryption(
    spec: AuditSpec, images: int, repeats: int, output: Path | None, command: Sequence[str]
) -> ExitCode:
    """Make and reduce the same shards with and without encryption, on one thread of the CPU. FAILED if a bar
    is missed. Raises what `enroll` raises."""
    with TemporaryDirectory(prefix="idleak-bench-") as folder, RayExecutor() as executor:
        specs = {name: _variant(spec, images, Path(folder), name) for name in (ENCRYPTED, PLAIN)}
        store = open_run(specs[PLAIN])
        table = enroll(specs[PLAIN], store, executor, watching(store, specs[PLAIN])).table
        footer = open_run(specs[PLAIN]).read_footer(GALLERY_FILE)
        open_run(specs[ENCRYPTED]).write_table(GALLERY_FILE, table.replace_schema_metadata(None), footer)
        contenders: dict[str, Callable[[], float]] = {}
        for name, variant in specs.items():
            contenders[f"{MAKE}, {name}"] = _maker(variant)
        for name, variant in specs.items():
            contenders[f"{REDUCE}, {name}"] = _reducer(variant)
        measured = interleaved(contenders, repeats)
        notes = [_sizes(specs, table.num_rows)]
    rows = [(name, str(seconds)) for name, seconds in measured.items()]
    bars = [_bar(measured, MAKE), _bar(measured, REDUCE), _bar(measured, MAKE, REDUCE)]
    tables = [Table("Seconds", ("stage", "seconds"), rows)]
    return publish(Report(command, repeats, tables, bars, notes), output)


def _variant(spec: AuditSpec, images: int, folder: Path, name: str) -> AuditSpec:
    protection = spec.protection.model_copy(update={"encrypt": name == ENCRYPTED})
    changes = {
        "samples": images,
        "shard_size": images if spec.shard_size == "auto" else min(images, spec.shard_size),
        "protection": protection,
    }
    return spec.model_copy(update=changes | {"output": str(folder / name), "ledger": None})


def _shards(spec: AuditSpec) -> list[Shard]:
    return plan_shards(spec.samples, spec.samples_per_shard)


def _maker(spec: AuditSpec) -> Callable[[], float]:
    maker = ShardMaker(ShardJob(spec, "cpu", 1, fingerprint={}, prefix=SAMPLES_PREFIX))
    return lambda: timed(lambda: [maker.make(shard) for shard in _shards(spec)])


def _reducer(spec: AuditSpec) -> Callable[[], float]:
    names = [recognizer.name for recognizer in spec.faces.recognizers]
    gallery = enrolled_gallery(open_run(spec).read_table(GALLERY_FILE), names)
    frame = calibration_frame(gallery, spec.membership, read_attributes(spec))
    centres = {name: np.zeros(rows.shape[1]) for name, rows in gallery.templates.items()}
    people = compared_people(frame, centres, spec.membership)
    (group,) = group_shards(_shards(spec), 1)

    def reduce() -> None:
        twins = Twins.none(len(gallery.names))
        Reducer(SearchQuery(spec, spec, people, twins, (spec.samples,), "cpu", 1)).make(group)

    return lambda: timed(reduce)


def _bar(measured: dict[str, Measured], *stages: str) -> Bar:
    encrypted, plain = (_together(measured, stages, name) for name in (ENCRYPTED, PLAIN))
    claim = f"{' and '.join(stages)}: encrypted over plain"
    return Bar(claim, encrypted.per(plain), MOST_COST, at_most=True)


def _together(measured: dict[str, Measured], stages: Sequence[str], name: str) -> Measured:
    columns = (measured[f"{stage}, {name}"].values for stage in stages)
    return Measured(tuple(map(sum, zip(*columns, strict=True))))


def _sizes(specs: dict[str, AuditSpec], photos: int) -> str:
    sizes = {name: sum(open_run(spec).sizes(SAMPLES_PREFIX).values()) for name, spec in specs.items()}
    samples = specs[PLAIN].samples
    shards = len(_shards(specs[PLAIN]))
    return f"{samples:,} samples in {shards} shards, {photos:,} photos; bytes of the shards: " + ", ".join(
        f"{size:,} {name}" for name, size in sizes.items()
    )
