"""How the memory of a GPU that workers share is divided: among them, and among the libraries in each.

A card with one worker and no budget is not divided: there its libraries take what they need. That each of
several keeps to its part is arithmetic and options so far: it was not run on a card.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.errors import DeviceError
from schemas.spec.resources import ResourcesSpec

CONTEXT_BYTES = 1 << 30
"""Of each process, before it has done anything: CUDA's own, and its libraries' code. An assumption."""
LEAST_BYTES = 1 << 30
FAISS_BYTES = 1 << 30
"""FAISS's temporary memory, where there is room."""
ARENAS = 2
"""Sessions of onnxruntime on CUDA in a worker: a generator's, for batches and for single images."""


@dataclass(frozen=True)
class DeviceMemory:
    """Bytes of one worker: torch's cache, each arena of onnxruntime, FAISS's temporary memory."""

    torch: int
    onnxruntime: int
    faiss: int

    @classmethod
    def of_budget(cls, budget: int) -> DeviceMemory:
        """budget: bytes that the process may use of its card.

        Half of what it has beyond CUDA's own is torch's; the arenas have a quarter; FAISS, which runs in
        other processes than onnxruntime, an eighth, FAISS_BYTES at most. The rest is left for what allocators
        waste. Raises DeviceError where it is less than LEAST_BYTES.
        """
        rest = budget - CONTEXT_BYTES
        if rest < LEAST_BYTES:
            raise DeviceError(
                f"a worker would have {max(rest, 0) / 2**30:.1f} GB of its GPU beyond CUDA's own "
                f"{CONTEXT_BYTES / 2**30:.0f} GB, and needs {LEAST_BYTES / 2**30:.0f} GB: raise "
                "resources.gpu_gigabytes, or resources.gpus_per_worker"
            )
        return cls(rest // 2, rest // 4 // ARENAS, min(FAISS_BYTES, rest // 8))


_of_process: list[DeviceMemory] = []


def limit_device_memory(device: str, resources: ResourcesSpec) -> None:
    """Have this process, which has nothing there yet, keep to its part of its GPU. Raises DeviceError."""
    _of_process.clear()
    if device != "cuda" or (resources.gpus_per_worker == 1 and resources.gpu_gigabytes == "auto"):
        return
    import torch

    total = torch.cuda.mem_get_info()[1]
    memory = DeviceMemory.of_budget(budget_of(resources, total))
    torch.cuda.set_per_process_memory_fraction(memory.torch / total)
    _of_process.append(memory)


def budget_of(resources: ResourcesSpec, total: int) -> int:
    """Bytes of a worker, on a card or MIG slice of so many. Raises DeviceError where that is too few."""
    share = total / resources.workers_per_gpu
    if resources.gpu_gigabytes == "auto":
        return int(min(share, total * resources.gpus_per_worker))
    if (wanted := resources.gpu_gigabytes * 2**30) > share:
        raise DeviceError(
            f"resources.gpu_gigabytes, {resources.gpu_gigabytes:g}, is more than the {share / 2**30:.1f} GB "
            f"that each of {resources.workers_per_gpu} on this GPU can have: lower it, or raise "
            "resources.gpus_per_worker"
        )
    return int(wanted)


def onnxruntime_options() -> dict[str, str]:
    """Options of the CUDA provider; none where this process has no budget."""
    if not _of_process:
        return {}
    # By powers of two, the default, an arena would reach its limit with half of it in use.
    return {
        "gpu_mem_limit": str(_of_process[0].onnxruntime),
        "arena_extend_strategy": "kSameAsRequested",
    }


def generator_bytes() -> int | None:
    """What torch may use in the process of a generator's code, which needs no arena here; None: no limit."""
    return ARENAS * _of_process[0].onnxruntime if _of_process else None


def faiss_bytes() -> int:
    """FAISS's temporary memory in this process."""
    return _of_process[0].faiss if _of_process else FAISS_BYTES


def torch_bytes(free: int) -> int:
    """What torch may use of so many free bytes."""
    return min(free, _of_process[0].torch) if _of_process else free
