"""From ids to a committed shard: what a worker does with a job. Knows nothing of Ray."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from distributed.execution.executor import DeadDeviceError
from distributed.runtime.memory_errors import is_dead_device
from distributed.stages.making.embedder import EmbeddedShard, Embedder
from distributed.stages.making.opening import open_embedder
from distributed.stages.making.setup import Setup
from distributed.stages.making.table import samples_footer, samples_table
from distributed.storage.store import open_run
from schemas.run.shard import Shard, ShardReport


@dataclass(frozen=True, kw_only=True)
class ShardJob(Setup):
    """All that a worker needs to make any shard of a run: under this prefix, of this fingerprint."""

    fingerprint: dict[str, str]
    prefix: str

    @property
    def is_summed(self) -> bool:
        """Whether footers hold sums of templates: those of samples alone, and unencrypted."""
        return self.photos is None and not self.spec.protection.encrypt

    def open(self) -> ShardMaker:
        """Load the models, in a process that makes shards and does nothing else.

        Raises ModelError or DeviceError if a model cannot be loaded on the job's device.
        """
        self.settle()
        return ShardMaker(self)


class ShardMaker:
    """Embeds shards of one job and commits them to its store, by a thread, while the next one is embedded."""

    def __init__(self, job: ShardJob, embedder: Embedder | None = None) -> None:
        """embedder: of the job; None: opened here. Raises ModelError or DeviceError."""
        self._job = job
        self._store = open_run(job.spec)
        self.embedder: Embedder = open_embedder(job) if embedder is None else embedder
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
        start, job = time.perf_counter(), self._job
        path = f"{job.prefix}/{shard.file_name}"
        sized = job.photos is not None
        table = samples_table(shard, embedded.faces, self._factors, embedded.digests, sized=sized)
        footer = samples_footer(
            shard, embedded.faces, job.fingerprint, job.device, job.threads, summed=job.is_summed
        )
        size = self._store.write_table(path, table, footer)
        if self.embedder.answering is not None:
            self.embedder.answering.release(shard.ids)
        seconds = embedded.seconds | {"write": time.perf_counter() - start}
        example = next(iter(embedded.reasons), None)
        made = (shard.index, shard.rows, footer.outcomes, size)
        return ShardReport(*made, seconds, example, batches, images_at_once)
