"""Thin Ray actors around the plain classes that do the work."""

from __future__ import annotations

from typing import Any

import cv2
import ray
from ray.actor import ActorHandle

from distributed.reduce_maker import ReduceJob, ReduceMaker, ShardGroup
from distributed.shard_maker import ShardJob, ShardMaker
from schemas.shard import Shard, ShardReport


class ShardWorker:
    """Makes shards. Models load with the first task, so that their errors reach the driver as they are."""

    def __init__(self, job: ShardJob) -> None:
        self._job = job
        self._maker: ShardMaker | None = None
        cv2.setNumThreads(job.threads)

    def run(self, shard: Shard) -> ShardReport:
        if self._maker is None:
            self._maker = ShardMaker(self._job)
        return self._maker.make(shard)


class ReduceWorker:
    """Reduces groups of shards; the gallery loads with the first one."""

    def __init__(self, job: ReduceJob) -> None:
        self._job = job
        self._maker: ReduceMaker | None = None

    def run(self, group: ShardGroup) -> ShardReport:
        if self._maker is None:
            self._maker = ReduceMaker(self._job)
        return self._maker.make(group)


def spawn(worker: type, job: ShardJob | ReduceJob) -> ActorHandle[Any]:
    """Start one actor that holds the job's threads, and one GPU where the job runs on CUDA."""
    remote: Any = ray.remote(worker)
    gpus = int(job.device == "cuda")
    actor: ActorHandle[Any] = remote.options(num_cpus=job.threads, num_gpus=gpus, max_restarts=0).remote(job)
    return actor
