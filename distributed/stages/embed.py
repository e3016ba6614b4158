"""From ids to a committed shard: sample, embed, write. What an actor does; knows nothing of Ray."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any, Protocol

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from distributed.embedding.detector import Detector
from distributed.embedding.extractor import FaceBatch, TemplateExtractor
from distributed.embedding.locator import AlignedCrops, DetectorLocator, FixedLandmarks, Locator
from distributed.embedding.recognizer import Recognizer
from distributed.embedding.zoo import resolve_model
from distributed.execution.executor import DeadDeviceError, TaskLimits
from distributed.reduce.centring import template_sum
from distributed.runtime.allocator import keep_freed_memory
from distributed.runtime.device_memory import limit_device_memory
from distributed.runtime.memory_errors import is_dead_device, is_out_of_memory
from distributed.sampling.adapters import CheckedSource, open_generator
from distributed.sampling.generator import AnsweringSource, Image, ImageSource, InvalidImage
from distributed.sampling.images.places import Place, PlacedImages
from distributed.storage.store import open_run
from schemas.run.shard import BATCH_IMAGES, Footer, Shard, ShardReport, TemplateSum
from schemas.run.tables import DIGEST_COLUMN, factor_column, samples_schema, template_column
from schemas.spec.audit import AuditSpec
from schemas.spec.faces import FacesSpec
from schemas.spec.generators import GeneratorSpec
from schemas.spec.generators.base import FactorValue, Sweep
from schemas.spec.generators.onnx import OnnxGenerator
from schemas.spec.resources import ResourcesSpec

DECODED_IMAGES = 4
"""Small files can hold as many pixels as `limits.pixels` allows: few are decoded before a check."""

HELD_BYTES = 1 << 28


@dataclass(frozen=True)
class ShardJob:
    """All that an actor needs to make any shard of a run.

    photos: where the gallery's lie; None for the samples. prepared: what `prepare_generator` has found out.
    """

    spec: AuditSpec
    fingerprint: dict[str, str]
    prefix: str
    device: str
    threads: int
    photos: Sequence[Place] | None = None
    prepared: Any = None

    @property
    def resources(self) -> ResourcesSpec:
        return self.spec.resources

    @property
    def limits(self) -> TaskLimits:
        alone = self.spec.generator.one_worker and self.photos is None
        return TaskLimits(workers=1 if alone else None, seconds=self.spec.limits.shard_seconds)

    def open(self) -> ShardMaker:
        """Load the models, in a process that makes shards and does nothing else.

        Raises ModelError or DeviceError if a model cannot be loaded on the job's device.
        """
        keep_freed_memory()
        limit_device_memory(self.device, self.resources)
        cv2.setNumThreads(self.threads)
        return ShardMaker(self, open_embedder(self))


@dataclass(frozen=True)
class EmbeddedShard:
    """A shard before it is written.

    reasons: why images are invalid. digests: of the images as they came, where they cannot be made again.
    """

    faces: FaceBatch
    seconds: dict[str, float]
    reasons: Sequence[str]
    digests: Sequence[str | None] | None = None


class ShardEmbedder:
    """Samples and embeds shards of one job; its models are loaded once."""

    def __init__(self, job: ShardJob, source: ImageSource | None = None) -> None:
        """source: of the job, if it is open already.

        Raises ModelError or DeviceError if a model cannot be loaded on the job's device.
        """
        self.source = open_source(job) if source is None else source
        self.answering = self.source.answering if isinstance(self.source, CheckedSource) else None
        self.extractor = open_extractor(job)
        self.images_at_once = BATCH_IMAGES
        generator = job.spec.generator
        # An API is asked for many images at once, and each is bounded by itself.
        is_decoded = job.photos is not None or (generator.repeatable and not generator.seeded)
        self._sampled_at_once = DECODED_IMAGES if is_decoded else BATCH_IMAGES

    @property
    def batches(self) -> dict[str, int]:
        """Recogniser name -> crops that it takes at once."""
        return self.extractor.batches

    def embed(self, shard: Shard) -> EmbeddedShard:
        """Outcomes and templates of the shard's images, in the order of ids."""
        seconds = dict.fromkeys(("generate", *self.extractor.timings), 0.0)
        before = dict(self.extractor.timings)
        if self.answering is not None:
            self.answering.expect(shard.ids)
        parts: list[FaceBatch] = []
        reasons: list[str] = []
        for ids in batches(shard):
            parts += self._embedded(ids, seconds, reasons)
        seconds |= {stage: total - before[stage] for stage, total in self.extractor.timings.items()}
        digests = None if self.answering is None else self.answering.digests(shard.ids)
        return EmbeddedShard(concatenate(parts), seconds, reasons, digests)

    def embed_ids(self, ids: NDArray[np.int64]) -> FaceBatch:
        """Outcomes and templates of a few images."""
        return concatenate(self._embedded(ids, {"generate": 0.0}, []))

    def _embedded(
        self, ids: NDArray[np.int64], seconds: dict[str, float], reasons: list[str]
    ) -> list[FaceBatch]:
        """The batch, in parts that memory suffices for: no image depends on the others."""
        parts = []
        for first in range(0, len(ids), self.images_at_once):
            some = ids[first : first + self.images_at_once]
            try:
                parts.append(self._together(some, seconds, reasons))
            except Exception as error:
                if not is_out_of_memory(error) or len(some) == 1:
                    raise
                self.images_at_once = len(some) // 2
                return parts + self._embedded(ids[first:], seconds, reasons)
        return parts

    def _together(self, ids: NDArray[np.int64], seconds: dict[str, float], reasons: list[str]) -> FaceBatch:
        """The batch at once; where its images are very large, a few after the others."""
        parts, problems = [], []
        for images in self._sampled(ids, seconds):
            parts.append(typed(self.extractor.extract([_or_none(image) for image in images]), images))
            problems += [image.reason if isinstance(image, InvalidImage) else None for image in images]
        pairs = zip(ids, problems, strict=True)
        reasons += [f"{id_}: {problem}" for id_, problem in pairs if problem is not None]
        return concatenate(parts)

    def _sampled(
        self, ids: NDArray[np.int64], seconds: dict[str, float]
    ) -> Iterator[list[Image | InvalidImage]]:
        """The images in order, in lists that are cut when they hold more than HELD_BYTES."""
        held: list[Image | InvalidImage] = []
        for first in range(0, len(ids), self._sampled_at_once):
            start = time.perf_counter()
            held += self.source.sample(ids[first : first + self._sampled_at_once])
            seconds["generate"] += time.perf_counter() - start
            if sum(image.nbytes for image in held if not isinstance(image, InvalidImage)) > HELD_BYTES:
                yield held
                held = []
        if held:
            yield held


class Embedder(Protocol):
    """What a shard is made by. images_at_once: of a batch; batches: recogniser name -> crops at once."""

    images_at_once: int
    answering: AnsweringSource | None

    @property
    def batches(self) -> dict[str, int]: ...

    def embed(self, shard: Shard) -> EmbeddedShard:
        """Outcomes and templates of the shard's images, in the order of ids."""


class ShardMaker:
    """Embeds shards of one job and commits them to its store, by a thread, while the next one is embedded."""

    def __init__(self, job: ShardJob, embedder: Embedder | None = None) -> None:
        """embedder: of the job; None: a `ShardEmbedder`, opened here. Raises ModelError or DeviceError."""
        self._job = job
        self._store = open_run(job.spec)
        self.embedder: Embedder = ShardEmbedder(job) if embedder is None else embedder
        self._factors = job.spec.generator.sweep if job.photos is None else {}
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="shard-writer")
        self._writing: list[Future[ShardReport]] = []

    def make(self, shard: Shard) -> ShardReport:
        """Make and commit one shard. Doing it again gives the same bytes in the same place.

        Raises as `start`, and what fails of the writing."""
        return self.start(shard).result()

    def start(self, shard: Shard) -> Future[ShardReport]:
        """Make one shard; the thread commits it. Waits for the one before to be committed, which may fail.

        Raises DeadDeviceError if the device is lost to this process.
        """
        try:
            embedded = self.embedder.embed(shard)
        except Exception as error:
            if is_dead_device(error):
                raise DeadDeviceError(str(error)) from error
            raise
        wait(self._writing)
        batches, at_once = self.embedder.batches, self.embedder.images_at_once
        future = self._writer.submit(self._commit, shard, embedded, batches, at_once)
        self._writing = [future]
        if self.embedder.answering is not None:
            # Paid answers are let go of, and their spending is noted, before more are asked for.
            wait(self._writing)
        return future

    def _commit(
        self, shard: Shard, embedded: EmbeddedShard, batches: Mapping[str, int], images_at_once: int
    ) -> ShardReport:
        start = time.perf_counter()
        path = f"{self._job.prefix}/{shard.file_name}"
        table = samples_table(shard, embedded.faces, self._factors, embedded.digests)
        footer = self._footer(shard, embedded.faces)
        size = self._store.write_table(path, table, footer)
        if self.embedder.answering is not None:
            self.embedder.answering.release(shard.ids)
        seconds = embedded.seconds | {"write": time.perf_counter() - start}
        example = next(iter(embedded.reasons), None)
        made = (shard.index, shard.rows, footer.outcomes, size)
        return ShardReport(*made, seconds, example, batches, images_at_once)

    def _footer(self, shard: Shard, faces: FaceBatch) -> Footer:
        return Footer(
            table="samples",
            fingerprint=self._job.fingerprint,
            first_id=shard.first_id,
            stop_id=shard.stop_id,
            rows=shard.rows,
            outcomes=dict(sorted(Counter(faces.outcome).items())),
            device=self._job.device,
            threads_per_worker=self._job.threads,
            template_sums=self._sums(faces),
        )

    def _sums(self, faces: FaceBatch) -> dict[str, TemplateSum]:
        """Of samples alone, and unencrypted: the sum of one template is that template."""
        if self._job.photos is not None or self._job.spec.protection.encrypt:
            return {}
        return {
            name: template_sum(rows[~np.isnan(rows[:, 0])].astype(np.float16))
            for name, rows in faces.templates.items()
        }


def _or_none(image: Image | InvalidImage) -> Image | None:
    return None if isinstance(image, InvalidImage) else image


def concatenate(parts: Sequence[FaceBatch]) -> FaceBatch:
    """The batches one after the other."""
    return FaceBatch(
        outcome=[outcome for part in parts for outcome in part.outcome],
        faces=np.concatenate([part.faces for part in parts]),
        detection_score=np.concatenate([part.detection_score for part in parts]),
        templates={
            name: np.concatenate([part.templates[name] for part in parts]) for name in parts[0].templates
        },
    )


def batches(shard: Shard) -> Iterator[NDArray[np.int64]]:
    """The shard's ids, in runs of at most BATCH_IMAGES."""
    for first in range(shard.first_id, shard.stop_id, BATCH_IMAGES):
        yield np.arange(first, min(first + BATCH_IMAGES, shard.stop_id), dtype=np.int64)


def samples_table(
    shard: Shard,
    faces: FaceBatch,
    factors: Mapping[str, Sequence[FactorValue]] | None = None,
    digests: Sequence[str | None] | None = None,
) -> pa.Table:
    """The shard as a table with the columns of `samples_schema`; `digests` where answers were digested."""
    ids, factors = shard.ids, factors or {}
    dimensions = {name: rows.shape[1] for name, rows in faces.templates.items()}
    schema = samples_schema(dimensions, factors, digests=digests is not None)
    columns = {
        "sample_id": pa.array(ids),
        "outcome": pa.array([str(outcome) for outcome in faces.outcome]),
        "faces": pa.array(faces.faces),
        "detection_score": pa.array(faces.detection_score, mask=np.isnan(faces.detection_score)),
    }
    sweep = Sweep(factors)
    columns |= {factor_column(name): pa.array(sweep.column(name, ids)) for name in factors}
    if digests is not None:
        columns[DIGEST_COLUMN] = pa.array(digests, pa.string())
    columns |= {template_column(name): template_array(rows) for name, rows in faces.templates.items()}
    return pa.table(columns, schema=schema)


def template_array(rows: NDArray[np.float32]) -> pa.FixedSizeListArray:
    """Templates (n, d) as a list column; rows of NaN become nulls."""
    missing = np.isnan(rows[:, 0])
    values = np.where(missing[:, None], 0, rows).astype(np.float16)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), rows.shape[1], mask=pa.array(missing))


def open_embedder(job: ShardJob) -> Embedder:
    """On CUDA, one that leaves the images on the device, where the samples and the models allow it."""
    if job.photos is None and not job.spec.generator.has_images:
        from distributed.stages.given_templates import TemplateEmbedder

        return TemplateEmbedder(job)
    host = ShardEmbedder(job)
    if job.device == "cpu" or job.photos is not None or not _is_uniform(job.spec.generator):
        return host
    # torch takes a second to load, and a process on the CPU needs none of it.
    from distributed.stages.device_embed import open_device_embedder

    return open_device_embedder(job, host)


def _is_uniform(generator: GeneratorSpec) -> bool:
    """Whether all samples come from one network, which can be asked again."""
    return generator.repeatable and (generator.is_code or isinstance(generator, OnnxGenerator))


def open_source(job: ShardJob) -> ImageSource:
    """The job's images: the generator's samples, or the gallery's photos."""
    if job.photos is not None:
        return PlacedImages(job.photos, job.spec.limits.pixels)
    return open_generator(
        job.spec.generator,
        job.spec.seed,
        device=job.device,
        threads=job.threads,
        pixels=job.spec.limits.pixels,
        prepared=job.prepared,
        run=job.spec.output,
    )


def typed(faces: FaceBatch, images: Sequence[Image | InvalidImage]) -> FaceBatch:
    """The batch with the outcomes of samples that are not images."""
    pairs = zip(faces.outcome, images, strict=True)
    outcome = [image.outcome.value if isinstance(image, InvalidImage) else known for known, image in pairs]
    return replace(faces, outcome=outcome)


def open_extractor(job: ShardJob) -> TemplateExtractor:
    """The job's recognisers, and how it finds the face in an image."""
    recognizers = [
        Recognizer(
            recognizer.name,
            resolve_model(recognizer.path, task="recognition"),
            channels=recognizer.input.channels,
            mean=recognizer.input.mean,
            std=recognizer.input.std,
            device=job.device,
            threads=job.threads,
            batch=None if job.spec.resources.batch == "auto" else job.spec.resources.batch,
        )
        for recognizer in job.spec.faces.recognizers
    ]
    return TemplateExtractor(recognizers, _locator(job, job.spec.faces))


def _locator(job: ShardJob, faces: FacesSpec) -> Locator:
    if job.photos is not None and not job.spec.gallery.detector:
        return AlignedCrops()
    if job.photos is None and faces.landmarks is not None:
        return FixedLandmarks(np.asarray(faces.landmarks, np.float64))
    assert faces.detector is not None, "the spec's validators demand a detector here"
    path = resolve_model(faces.detector.path, task="detection")
    detector = Detector(
        path,
        sizes=faces.detector.sizes,
        threshold=faces.detector.threshold,
        search=faces.detector.search if job.photos is None else "all",
        device=job.device,
        threads=job.threads,
    )
    return DetectorLocator(detector)
