"""The audit's own stages on Ray Data, which the pipeline is measured against."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from distributed.stages.making.embedder import ShardEmbedder
from distributed.stages.making.setup import Setup
from jobs.benchmarks.pipeline.peers import quiet
from jobs.benchmarks.pipeline.workers import SHARDS_PER_WORKER, Meeting, Stint, steady_rate
from schemas.run.shard import BATCH_IMAGES, Shard


class EmbedBatches:
    """The audit's own stages as a class that Ray Data calls, with a clock around each batch."""

    def __init__(self, setup: Setup, meeting: Meeting) -> None:
        cv2.setNumThreads(setup.threads)
        self._embedder = ShardEmbedder(setup)
        self._embedder.embed(Shard(0, 0, BATCH_IMAGES))
        meeting.wait()

    def __call__(self, batch: dict[str, NDArray[np.int64]]) -> dict[str, NDArray[Any]]:
        """Ids to templates and, in every row, the worker and its times."""
        start, ids = time.perf_counter(), batch["id"]
        faces = self._embedder.embed(Shard(0, int(ids[0]), int(ids[-1]) + 1)).faces
        stint = (os.getpid(), start, time.perf_counter())
        return {
            "id": ids,
            "template": next(iter(faces.templates.values())),
            "stint": np.tile(np.array(stint, np.float64), (len(ids), 1)),
        }


class RayData:
    """The same stages on Ray Data, all templates collected; `whole` has the rates with starting up."""

    def __init__(self, setup: Setup, images: int, workers: int) -> None:
        # Imported where it is used: it costs a second.
        import ray.data

        self._data: Any = ray.data
        with quiet():
            ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        self._setup, self._images, self._workers = setup, images, workers
        self.whole: list[float] = []

    def _blocks(self) -> int:
        """Blocks of a batch at most, so that each is one call with ids that follow one another."""
        of_worker = max(-(-self._images // BATCH_IMAGES), min(self._images, SHARDS_PER_WORKER))
        return of_worker * self._workers

    def rate(self) -> float:
        """Images per second, `images` for each worker, without starting up."""
        total = self._images * self._workers
        start = time.perf_counter()
        with TemporaryDirectory() as folder, quiet():
            meeting = Meeting(Path(folder), self._workers)
            # Materialised, or reading the ids would wait for ever for a core that the actors hold.
            blocks = self._data.range(total, override_num_blocks=self._blocks()).materialize()
            made = blocks.map_batches(
                EmbedBatches,
                fn_constructor_args=(self._setup, meeting),
                compute=self._data.ActorPoolStrategy(size=self._workers),
                num_cpus=self._setup.threads,
                batch_size=None,
            )
            batches = list(made.iter_batches(batch_size=None, batch_format="numpy"))
        self.whole.append(total / (time.perf_counter() - start))
        return steady_rate(stints_of(np.concatenate([batch["stint"] for batch in batches])))


def stints_of(rows: NDArray[np.float64]) -> list[Stint]:
    """One stint for each of the different rows (worker, start, stop), with as many images."""
    distinct, counts = np.unique(rows, axis=0, return_counts=True)
    return [
        Stint(int(worker), start, stop, int(count))
        for (worker, start, stop), count in zip(distinct.tolist(), counts, strict=True)
    ]
