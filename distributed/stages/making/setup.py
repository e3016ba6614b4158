"""What the images of a run are made and embedded by, on one device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2

from distributed.execution.executor import TaskLimits
from distributed.runtime.allocator import keep_freed_memory
from distributed.runtime.device_memory import limit_device_memory
from distributed.sampling.images.places import Place
from schemas.spec.audit import AuditSpec
from schemas.spec.resources import ResourcesSpec


@dataclass(frozen=True)
class Setup:
    """photos: where the gallery's lie; None for the samples. prepared: what `prepare_generator` has found
    out."""

    spec: AuditSpec
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

    def settle(self) -> None:
        """Make ready a process that makes shards and does nothing else."""
        keep_freed_memory()
        limit_device_memory(self.device, self.resources)
        cv2.setNumThreads(self.threads)
