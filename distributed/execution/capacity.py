"""How many workers a run may have, from what its machines have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from distributed.execution.executor import Capacity
from schemas.errors import SpecError
from schemas.spec.resources import ResourcesSpec

Machine = Mapping[str, float]
"""Ray's resource names -> amounts, of one machine."""


def room_on(available: Sequence[Machine], device: str, threads: int, workers_per_gpu: int = 1) -> int:
    """How many actors of so many CPU threads each, and on CUDA so many for each GPU, fit."""
    rooms = [int(machine.get("CPU", 0)) // threads for machine in available]
    if device == "cuda":
        cards = [workers_per_gpu * int(machine.get("GPU", 0)) for machine in available]
        rooms = [min(room, of_cards) for room, of_cards in zip(rooms, cards, strict=True)]
    return sum(rooms)


def threads_on(available: Sequence[Machine], device: str, resources: ResourcesSpec) -> int:
    """CPU threads of one actor. `auto`: one on a CPU, which is fastest there; on CUDA what each actor can
    have on the machine that has fewest cores for each; one where no machine is there yet."""
    if resources.threads_per_worker != "auto":
        return resources.threads_per_worker
    if device == "cpu":
        return 1
    actors = [resources.workers_per_gpu * int(machine.get("GPU", 0)) for machine in available]
    shares = [
        int(machine.get("CPU", 0)) // count for machine, count in zip(available, actors, strict=True) if count
    ]
    return max(1, min(shares, default=1))


def size_pool(resources: ResourcesSpec, available: Sequence[Machine], *, grows: bool = False) -> Capacity:
    """The pool for a cluster of the machines `available`, which can get more of them if it `grows`."""
    per_gpu = resources.workers_per_gpu
    if grows and resources.grow_to is not None:
        threads = threads_on(available, resources.device, resources)
        room = room_on(available, resources.device, threads, per_gpu)
        return Capacity(resources.device, max(1, min(room, resources.grow_to)), threads)
    device = resources.device_with(sum(int(machine.get("GPU", 0)) for machine in available))
    threads = threads_on(available, device, resources)
    room = room_on(available, device, threads, per_gpu)
    workers = room if resources.workers == "auto" else resources.workers
    if room == 0 or workers > room:
        raise SpecError(
            f"resources ask for {max(1, workers)} workers of {threads} threads on {device}, and the cluster "
            f"has room for {room}: lower resources.workers or resources.threads_per_worker"
        )
    return Capacity(device, workers, threads)
