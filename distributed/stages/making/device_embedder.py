"""Shards whose images never leave the device: what `ShardEmbedder` does, for sources that can."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distributed.embedding.device.detection import NO_FACE, OK, SEVERAL_FACES, UNSURE, DeviceDetector
from distributed.embedding.device.extractor import (
    DeviceExtractor,
    DeviceRecognizer,
    Locate,
    device_detector,
    fixed_location,
)
from distributed.embedding.device.recorded import new_stream
from distributed.embedding.extractor import FaceBatch
from distributed.embedding.locator import DetectorLocator
from distributed.runtime.memory_errors import is_out_of_memory
from distributed.runtime.torch_ops import UnsupportedGraphError
from distributed.sampling.adapters import CheckedSource
from distributed.sampling.device.batches import (
    REASONS,
    STATES,
    DeviceSource,
    SentImages,
    UnevenImagesError,
)
from distributed.sampling.device.onnx_images import OnnxImages
from distributed.sampling.device.shared_images import SharedImages
from distributed.sampling.generator import AnsweringSource
from distributed.sampling.networks.onnx_network import OnnxImageGenerator
from distributed.sampling.sandbox.parent import SandboxedSource
from distributed.stages.making.embedder import EmbeddedShard, Embedder, ShardEmbedder
from distributed.stages.making.setup import Setup
from schemas.errors import ModelError
from schemas.run.shard import Shard
from schemas.run.tables import Outcome
from schemas.spec.generators.onnx import OnnxGenerator

LOG = logging.getLogger(__name__)
DEVICE_BATCH = 256
"""Images of a batch on CUDA: 97 % of the throughput of 512 for an IR-50, at half its memory."""
OUTCOMES = {NO_FACE: Outcome.NO_FACE, SEVERAL_FACES: Outcome.SEVERAL_FACES, OK: Outcome.OK}

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class _Rows:
    """What became of n images, on the host. state: a place in STATES; outcome: of the search, for images.

    valid: whether the template is one. reasons: by place, why images are none.
    """

    state: NDArray[np.int8]
    outcome: NDArray[np.int8]
    faces: NDArray[np.int16]
    score: NDArray[np.float32]
    valid: dict[str, NDArray[np.bool_]]
    templates: dict[str, NDArray[np.float16]]
    reasons: dict[int, str]


class DeviceEmbedder:
    """Samples, finds, aligns and embeds on one device; the host waits once for each pass over a shard.

    An image without a face at the detector's smallest size is made again, and searched at the next one, with
    all such images of its shard. One of which there is too much to fit is looked at on the host.
    """

    def __init__(self, setup: Setup, host: ShardEmbedder, batch: int = DEVICE_BATCH) -> None:
        """host: of the same setup, for what is left to it.

        Raises UnsupportedGraphError or UnevenImagesError where it must do everything, else as it does.
        """
        self._setup, self._host, self._device = setup, host, setup.device
        self._stream = new_stream() if setup.device == "cuda" else None
        self.images_at_once = batch
        # No source whose images cannot be had again is sampled here.
        self.answering: AnsweringSource | None = None
        self._open()

    @property
    def batches(self) -> dict[str, int]:
        """Recogniser name -> crops that it takes at once."""
        return dict.fromkeys(self.precisions, self.images_at_once)

    @property
    def precisions(self) -> dict[str, str]:
        """Recogniser name -> type that it runs in."""
        return {recognizer.name: recognizer.model.precision.name for recognizer in self.recognizers}

    def embed(self, shard: Shard) -> EmbeddedShard:
        """As `ShardEmbedder.embed`; templates are float16."""
        try:
            return self._embed(shard)
        except Exception as error:
            if not is_out_of_memory(error) or self.images_at_once == 1:
                raise
            self.images_at_once //= 2
        # Outside of the handler, whose traceback holds on to tensors.
        self._open()
        return self.embed(shard)

    def _open(self) -> None:
        """Load all for batches of `images_at_once`."""
        self._extractors: list[DeviceExtractor] = []
        self.detector: DeviceDetector | None = None
        if self._device == "cuda":
            # Recorded graphs are in cycles; one that is given up while another is recorded breaks that.
            gc.collect()
            torch.cuda.empty_cache()
        with self._on_stream():
            self.source = open_device_source(self._setup, self._host, self.images_at_once)
            batch = self.images_at_once
            self.recognizers = [
                DeviceRecognizer(recognizer, batch, self._device)
                for recognizer in self._host.extractor.recognizers
            ]
            example = self.source.sample(np.arange(batch)).images
            self._extractors = [
                DeviceExtractor(self.recognizers, locate, example) for locate in self._searches(batch)
            ]

    def _searches(self, batch: int) -> Iterator[Locate]:
        """For faces, one after the other."""
        if self._setup.spec.faces.landmarks is not None:
            landmarks = np.asarray(self._setup.spec.faces.landmarks, np.float64)
            yield fixed_location(landmarks, batch, self._device)
            return
        locator = self._host.extractor.locator
        assert isinstance(locator, DetectorLocator), "the spec's validators demand a detector here"
        detector = locator.detector
        self.detector = device_detector(detector, batch, self._device)
        rising = sorted(detector.sizes)
        steps = [[size] for size in rising] if detector.search == "first" else [rising]
        yield from (partial(self.detector.locate, sizes=sizes) for sizes in steps)

    def _on_stream(self) -> AbstractContextManager[object]:
        return nullcontext() if self._stream is None else torch.cuda.stream(self._stream)

    def _embed(self, shard: Shard) -> EmbeddedShard:
        start, ids = time.perf_counter(), shard.ids
        rows = self._pass(ids, 0)
        for stage in range(1, len(self._extractors)):
            left = np.flatnonzero((rows.outcome == NO_FACE) & (rows.state == STATES.index(Outcome.OK)))
            if len(left):
                _put(rows, left, self._pass(ids[left], stage))
        seconds = {"device": time.perf_counter() - start}
        faces, reasons = (
            self._faces(rows),
            [f"{ids[i]}: {reason}" for i, reason in sorted(rows.reasons.items())],
        )
        unsure = np.flatnonzero((rows.outcome == UNSURE) & (rows.state == STATES.index(Outcome.OK)))
        if len(unsure):
            start = time.perf_counter()
            self._put_by_host(faces, unsure, ids[unsure])
            seconds["host"] = time.perf_counter() - start
        return EmbeddedShard(faces, seconds, reasons)

    def _pass(self, ids: Ids, stage: int) -> _Rows:
        """All of `ids` through one search for faces; the host waits at its end."""
        parts: list[list[Tensor]] = []
        reasons: dict[int, str] = {}
        with self._on_stream():
            for start in range(0, len(ids), self.images_at_once):
                some = ids[start : start + self.images_at_once]
                batch = self.source.sample(np.resize(some, self.images_at_once))
                if len(later := ids[start + self.images_at_once :][: self.images_at_once]):
                    self.source.expect(np.resize(later, self.images_at_once))
                reasons |= {
                    start + place: reason for place, reason in batch.reasons.items() if place < len(some)
                }
                made = self._extractors[stage].extract(batch.images)
                columns = [batch.state, made.outcome, made.faces, made.score]
                for template in made.templates.values():
                    columns += unit_rows(template)
                parts.append([column[: len(some)].clone() for column in columns])
            gathered = [torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True)]
        names = [recognizer.name for recognizer in self.recognizers]
        valid = dict(zip(names, gathered[4::2], strict=True))
        templates = dict(zip(names, gathered[5::2], strict=True))
        return _Rows(gathered[0], gathered[1], gathered[2], gathered[3], valid, templates, reasons)

    def _faces(self, rows: _Rows) -> FaceBatch:
        images = rows.state == STATES.index(Outcome.OK)
        embedded = images & (rows.outcome == OK)
        for name, valid in rows.valid.items():
            if not valid[embedded].all():
                raise ModelError(
                    f"recogniser {name!r} returned templates that are zero or not finite: its file is "
                    "damaged or its input settings are wrong"
                )
        for templates in rows.templates.values():
            templates[~embedded] = np.nan
        outcome = [
            OUTCOMES.get(int(searched), Outcome.NO_FACE).value if good else STATES[state].value
            for state, searched, good in zip(rows.state, rows.outcome, images, strict=True)
        ]
        for place in np.flatnonzero(~images):
            rows.reasons.setdefault(int(place), REASONS.get(STATES[rows.state[place]], ""))
        rows.faces[~images], rows.score[~images] = 0, np.nan
        unknown = np.full(len(rows.faces), np.nan, np.float32)
        return FaceBatch(outcome, rows.faces, rows.score, unknown, dict(rows.templates))

    def _put_by_host(self, faces: FaceBatch, places: NDArray[np.intp], ids: Ids) -> None:
        for start in range(0, len(ids), self._host.images_at_once):
            some = slice(start, start + self._host.images_at_once)
            made = self._host.embed_ids(ids[some])
            for row, place in enumerate(places[some]):
                faces.outcome[place] = made.outcome[row]
            faces.faces[places[some]], faces.detection_score[places[some]] = made.faces, made.detection_score
            for name, templates in made.templates.items():
                faces.templates[name][places[some]] = templates


def open_device_embedder(setup: Setup, host: ShardEmbedder) -> Embedder:
    """A DeviceEmbedder, or the host's with a word in the log where the models or images are not for it."""
    try:
        return DeviceEmbedder(setup, host)
    except (UnsupportedGraphError, UnevenImagesError) as error:
        reason = str(error) or "the samples differ in shape"
        LOG.warning("images go through the host's memory, which takes many times as long: %s", reason)
        return host


def unit_rows(templates: Tensor) -> list[Tensor]:
    """Whether each of the rows (n, d) has a direction, and the rows as float16 of unit length."""
    norms = templates.norm(dim=1, keepdim=True)
    return [(torch.isfinite(norms) & (norms > 0))[:, 0], (templates / norms).half()]


def _put(rows: _Rows, places: NDArray[np.intp], later: _Rows) -> None:
    """In place: what the later search found."""
    rows.outcome[places], rows.faces[places], rows.score[places] = later.outcome, later.faces, later.score
    for name in rows.templates:
        rows.templates[name][places], rows.valid[name][places] = later.templates[name], later.valid[name]


def open_device_source(setup: Setup, host: ShardEmbedder, batch: int) -> DeviceSource:
    """The generator's images on the setup's device: there from the start, or sent there.

    Raises UnevenImagesError where they have no common shape.
    """
    generator = setup.spec.generator
    source = host.source.source if isinstance(host.source, CheckedSource) else host.source
    if isinstance(generator, OnnxGenerator) and isinstance(source, OnnxImageGenerator) and source.batched:
        return OnnxImages(generator, setup.spec.seed, batch, device=setup.device, threads=setup.threads)
    if isinstance(source, SandboxedSource):
        return SharedImages(source, batch, setup.device)
    return SentImages(host.source, setup.device)
