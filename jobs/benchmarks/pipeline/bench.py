"""`idleak bench pipeline SPEC`: from sample ids to committed templates, its stages alone, and its peers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import cv2
import numpy as np

from distributed.execution.cluster import RayExecutor
from distributed.sampling.adapters import image_count
from distributed.sampling.generator import Image, InvalidImage
from distributed.stages.making.embedder import ShardEmbedder, batches
from distributed.stages.making.maker import ShardJob, ShardMaker
from distributed.stages.making.models import open_source
from jobs.benchmarks.limits import limit_contenders, limits_table, timed
from jobs.benchmarks.pipeline.peers import Peer, PlainOnnxruntime, Template, open_stock
from jobs.benchmarks.pipeline.ray_data import RayData
from jobs.benchmarks.pipeline.stages import stage_name, stages_alone
from jobs.benchmarks.pipeline.workers import bench_shards, benched, ray_rate
from jobs.benchmarks.table import Bar, Measured, Report, Table, interleaved, publish
from jobs.cli.exit_codes import ExitCode
from schemas.errors import DeviceError, SpecError
from schemas.run.shard import BATCH_IMAGES, Shard
from schemas.spec.audit import AuditSpec
from schemas.spec.locations import is_remote
from schemas.spec.resources import ResourcesSpec

WHOLE, STOCK, PLAIN, RAY_DATA = "whole, no Ray", "stock insightface", "plain onnxruntime", "Ray Data"
STOCK_BAR, STAGES_BAR, RAY_BAR, SCALING_BAR = 8.0, 0.95, 0.97, 1.85
DETECT_BAR, WRITE_BAR = 0.25, 0.02
STAGES = ("generate", "detect", "align and embed", "write")
IMAGES_COMPARED = 64
SAMPLES = "samples"

T = TypeVar("T")


@dataclass
class Whole:
    """The whole pipeline here: one thread makes, one writes. Keeps its stages' seconds of each repeat."""

    maker: ShardMaker
    images: int
    seconds: list[dict[str, float]] = field(default_factory=list)

    def rate(self) -> float:
        """Images per second."""
        stages: dict[str, float] = {}

        def make() -> None:
            for writing in [self.maker.start(shard) for shard in bench_shards(self.images)]:
                for stage, spent in writing.result().seconds.items():
                    stages[stage] = stages.get(stage, 0.0) + spent

        with opencv_threads(1):
            spent = timed(make)
        self.seconds.append(stages | {"all": spent})
        return self.images / spent

    def stage(self, name: str) -> Measured:
        """Seconds per image of one stage, in every repeat."""
        return Measured(tuple(stages[name] / self.images for stages in self.seconds))


@dataclass(frozen=True)
class Contenders:
    """Everything that is raced, by name; all but the limits give images per second."""

    runs: dict[str, Callable[[], float]]
    limits: dict[str, Callable[[], float]]
    whole: Whole
    ray_data: RayData
    workers: int


def bench_pipeline(
    spec: AuditSpec, images: int, repeats: int, output: Path | None, command: Sequence[str]
) -> ExitCode:
    """Race the pipeline with its own stages and its peers, on the CPU. FAILED if a bar is missed.

    Raises SpecError for a generator that cannot be sampled at will, DeviceError where Ray is elsewhere.
    """
    _require_here(spec)
    with TemporaryDirectory(prefix=".bench-", dir=_disk_of(spec)) as folder, RayExecutor() as executor:
        job = ShardJob(benched(spec, folder), "cpu", 1, fingerprint={}, prefix=SAMPLES)
        workers = executor.capacity(ResourcesSpec(device="cpu", threads_per_worker=1)).workers
        drawn = draw(job, images)
        peers = _open_peers(job.spec)
        notes = [*_notes(spec, peers, workers), *_same_work(job, drawn, peers)]
        contenders = _contenders(job, drawn, peers, workers)
        measured = interleaved(contenders.runs | contenders.limits, repeats)
    tables = [
        *_tables(contenders, measured),
        limits_table({name: measured[name] for name in contenders.limits}),
    ]
    return publish(Report(command, repeats, tables, _bars(contenders, measured), notes), output)


def _require_here(spec: AuditSpec) -> None:
    if image_count(spec.generator) is not None or not spec.generator.repeatable:
        raise SpecError(
            "bench pipeline draws as many samples as it needs: give a spec with an onnx generator"
        )
    if (os.environ.get("RAY_ADDRESS") or "local") != "local":
        raise DeviceError("bench pipeline measures this machine alone: unset RAY_ADDRESS")


def _disk_of(spec: AuditSpec) -> Path | None:
    """A folder on the disk that the audit would write to; None for the system's temporary one."""
    if is_remote(spec.output):
        return None
    return next((parent for parent in Path(spec.output).parents if os.access(parent, os.W_OK)), None)


def draw(job: ShardJob, images: int) -> list[Image]:
    """The first samples of the spec, as arrays. Raises SpecError if a sample is not an image."""
    source = open_source(job)
    drawn = [sample for ids in batches(Shard(0, 0, images)) for sample in source.sample(ids)]
    for sample in drawn:
        if isinstance(sample, InvalidImage):
            raise SpecError(f"a sample is no image ({sample.reason}): fix the generator, or its `output`")
    return [sample for sample in drawn if not isinstance(sample, InvalidImage)]


def _open_peers(spec: AuditSpec) -> dict[str, Peer]:
    """Those that find faces; none for a spec whose samples are not searched for them."""
    if spec.faces.detector is None or spec.faces.landmarks is not None:
        return {}
    plain = PlainOnnxruntime(spec, spec.faces.detector)
    return {STOCK: open_stock(spec, spec.faces.detector), PLAIN: plain.embed}


def _contenders(job: ShardJob, drawn: Sequence[Image], peers: dict[str, Peer], workers: int) -> Contenders:
    images = len(drawn)
    whole = Whole(ShardMaker(job), images)
    whole.maker.make(Shard(0, 0, min(images, BATCH_IMAGES)))
    ray_data = RayData(job, images, workers)
    runs = {name: _with_threads(run, images, 1) for name, run in stages_alone(job, drawn).items()}
    runs[WHOLE] = whole.rate
    runs |= {ray_name(count): partial(ray_rate, job, images, count) for count in ray_workers(workers)}
    runs |= {name: _with_threads(partial(peer, drawn), images, workers) for name, peer in peers.items()}
    runs[RAY_DATA] = ray_data.rate
    return Contenders(runs, limit_contenders({1, workers}), whole, ray_data, workers)


def ray_workers(most: int) -> list[int]:
    """Numbers of Ray workers that are raced: one, two and all."""
    return [count for count in sorted({1, 2, most}) if count <= most]


def ray_name(workers: int) -> str:
    return f"whole, Ray, {workers} × 1 thread"


@contextmanager
def opencv_threads(count: int) -> Iterator[None]:
    before = cv2.getNumThreads()
    cv2.setNumThreads(count)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _with_threads(run: Callable[[], object], images: int, count: int) -> Callable[[], float]:
    """Images per second, with so many threads for OpenCV."""

    def rate() -> float:
        with opencv_threads(count):
            return images / timed(run)

    return rate


def _same_work(job: ShardJob, drawn: Sequence[Image], peers: dict[str, Peer]) -> list[str]:
    """Whether the peers find and embed the same faces, on the first images; warms the peers up, too."""
    some = drawn[:IMAGES_COMPARED]
    faces = ShardEmbedder(job).embed(Shard(0, 0, len(some))).faces
    ours = next(iter(faces.templates.values()))
    counts = [f"idleak {int(np.isfinite(ours[:, 0]).sum())}"]
    lines = []
    for name, peer in peers.items():
        theirs = peer(some)
        counts.append(f"{name} {sum(template is not None for template in theirs)}")
        if name == PLAIN and (cosine := _median_cosine(ours, theirs)) is not None:
            lines.append(f"Median cosine of idleak's templates with those of {PLAIN}: {cosine:.5f}.")
    return [f"Images with a template, of the first {len(some)}: {', '.join(counts)}.", *lines]


def _median_cosine(ours: Template, theirs: Sequence[Template | None]) -> float | None:
    cosines = [
        float(a @ b / np.linalg.norm(b))
        for a, b in zip(ours, theirs, strict=True)
        if b is not None and np.isfinite(a[0])
    ]
    return float(np.median(cosines)) if cosines else None


def _tables(contenders: Contenders, measured: dict[str, Measured]) -> list[Table]:
    whole = contenders.whole
    inside = [name for name in whole.seconds[0] if name != "all"]
    per_image = whole.stage("all")
    within = [(name, *_stage_cells(whole.stage(name), per_image)) for name in [*inside, "all"]]
    alone = [(name, *_rate_cells(measured[name])) for name in measured if name.startswith(STAGES)]
    raced = [name for name in contenders.runs if not name.startswith(STAGES)]
    rows = [(name, *_rate_cells(measured[name]), str(measured[name].per(measured[WHOLE]))) for name in raced]
    started = Measured(tuple(contenders.ray_data.whole))
    rows.append((f"{RAY_DATA}, with starting up", *_rate_cells(started), str(started.per(measured[WHOLE]))))
    return [
        Table("Stages within the whole, one thread", ("stage", "ms/image", "share"), within),
        Table("Stages alone, one thread", ("stage", "images/s", "ms/image"), alone),
        Table("Whole pipelines", ("who", "images/s", "ms/image", "÷ whole, no Ray"), rows),
    ]


def _stage_cells(seconds: Measured, whole: Measured) -> tuple[str, str]:
    return str(seconds.times(1000)), f"{100 * seconds.per(whole).median:.2f} %"


def _rate_cells(rate: Measured) -> tuple[str, str]:
    return str(rate), str(rate.over(1000))


def _bars(contenders: Contenders, measured: dict[str, Measured]) -> list[Bar]:
    whole, all_cores = measured[WHOLE], measured[ray_name(contenders.workers)]
    bars = [
        Bar(f"whole, no Ray ÷ its stages alone, batches of {BATCH_IMAGES}", _of_stages(measured), STAGES_BAR),
        Bar(f"{ray_name(1)} ÷ {WHOLE}", measured[ray_name(1)].per(whole), RAY_BAR),
        Bar(
            "write, checksum and sync, share of the whole", _share(contenders.whole, "write"), WRITE_BAR, True
        ),
    ]
    if STOCK in measured:  # and so a detector
        bars.append(Bar("detection, share", _share(contenders.whole, "detect"), DETECT_BAR, True))
        claim = f"{ray_name(contenders.workers)} ÷ {STOCK}"
        bars.insert(0, Bar(claim, all_cores.per(measured[STOCK]), STOCK_BAR))
    if ray_name(2) in measured:
        ratio = measured[ray_name(2)].per(measured[ray_name(1)])
        bars.append(Bar(f"{ray_name(2)} ÷ {ray_name(1)}", ratio, SCALING_BAR))
    return bars


def _of_stages(measured: dict[str, Measured]) -> Measured:
    """The rate of the whole, over the rate of its stages one after another, each measured alone."""
    alone = [measured[stage_name(stage, BATCH_IMAGES)].values for stage in STAGES]
    sums = Measured(tuple(sum(1 / rate for rate in rates) for rates in zip(*alone, strict=True)))
    return sums.per(measured[WHOLE].over(1))


def _share(whole: Whole, stage: str) -> Measured:
    return whole.stage(stage).per(whole.stage("all"))


def _notes(spec: AuditSpec, peers: dict[str, Peer], workers: int) -> list[str]:
    lines = [
        f"Everything on the CPU, with the spec's first recogniser, {spec.faces.recognizers[0].name}.",
        "The whole draws samples and writes shards; peers but Ray Data get images as arrays and write none.",
        "Starting up and loading models are outside all clocks but that of `with starting up`. Each"
        " Ray worker has as many images as one without Ray, and counts while all have work.",
    ]
    if peers:
        return [*lines, f"{STOCK} and {PLAIN} use all {workers} cores: onnxruntime's default, and OpenCV's."]
    return [
        *lines,
        f"No {STOCK} and no {PLAIN}: the spec's samples are not searched for faces by a detector.",
    ]
