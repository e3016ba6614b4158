"""How many workers a run may have, from what its machines have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from schemas.errors import SpecError
from schemas.spec.resources import ResourcesSpec

Machine = Mapping[str, float]
"""Ray's resource names -> amounts, of one machine."""


@dataclass(frozen=True)
class Capacity:
    """What a run may use: `workers` actors of `threads` CPU threads each, on `device`."""

    device: str
    workers: int
    threads: int


def room_on(available: Sequence[Machine], device: str, threads: int) -> int:
    """How many actors of so many CPU threads each, and one GPU each on CUDA, fit."""
    rooms = [int(machine.get("CPU", 0)) // threads for machine in available]
    if device == "cuda":
        rooms = [
            min(room, int(machine.get("GPU", 0))) for room, machine in zip(rooms, available, strict=True)
        ]
    return sum(rooms)


def size_pool(resources: ResourcesSpec, available: Sequence[Machine], *, grows: bool = False) -> Capacity:
    """The pool for a cluster of the machines `available`, which can get more of them if it `grows`."""
    threads = 1 if resources.threads_per_worker == "auto" else resources.threads_per_worker
    if grows and resources.grow_to is not None:
        room = room_on(available, resources.device, threads)
        return Capacity(resources.device, max(1, min(room, resources.grow_to)), threads)
    device = resources.device_with(sum(int(machine.get("GPU", 0)) for machine in available))
    room = room_on(available, device, threads)
    workers = room if resources.workers == "auto" else resources.workers
    if room == 0 or workers > room:
        raise SpecError(
            f"resources ask for {max(1, workers)} workers of {threads} threads on {device}, and the cluster "
            f"has room for {room}: lower resources.workers or resources.threads_per_worker"
        )
    return Capacity(device, workers, threads)
