"""Where a run is spread, and what makes it fail."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from schemas.errors import DeviceError
from schemas.frozen import Frozen

Auto = Literal["auto"]


class ResourcesSpec(Frozen):
    """Where and how widely the run is spread. Changes no result."""

    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto: CUDA where there is one; cuda: fail rather than fall back"
    )
    allow_mixed: bool = Field(
        False,
        description="whether a run may have shards of the CPU and of CUDA, which differ in the last digits",
    )
    workers: Auto | PositiveInt = Field(
        "auto", description="actors; auto: what the cluster has room for, as it grows and shrinks"
    )
    grow_to: PositiveInt | None = Field(
        None, description="workers to ask an autoscaling cluster for; those that are there begin"
    )
    wait_seconds: float = Field(
        900, gt=0, description="how long a run without any machine waits for one before it stops"
    )
    threads_per_worker: Auto | PositiveInt = Field(
        "auto",
        description="CPU threads of one actor; auto: 1, on CUDA the cores of a machine divided by its actors",
    )
    gpus_per_worker: float = Field(
        1,
        gt=0,
        le=1,
        description="share of a GPU that one actor takes on CUDA: at 0.25 four actors work on each card, or "
        "on each MIG slice",
    )
    gpu_gigabytes: Auto | PositiveFloat = Field(
        "auto",
        description="memory of a GPU that one actor may use, in 2^30 bytes, for torch, onnxruntime and "
        "FAISS together; auto: its share of a card that is shared, else what it needs",
    )
    batch: Auto | PositiveInt = Field(
        "auto",
        description="crops a recogniser takes at once; auto: the fastest of a probe that changes no bit",
    )

    @model_validator(mode="after")
    def _growth_is_of_something(self) -> Self:
        if self.grow_to is not None and (self.device == "auto" or self.workers != "auto"):
            raise ValueError("resources.grow_to needs resources.device, cpu or cuda, and workers: auto")
        return self

    @model_validator(mode="after")
    def _shares_are_of_a_gpu(self) -> Self:
        if self.gpus_per_worker != 1 and self.device == "cpu":
            raise ValueError("resources.gpus_per_worker is of CUDA, and resources.device is cpu: drop one")
        if self.gpu_gigabytes != "auto" and self.device == "cpu":
            raise ValueError("resources.gpu_gigabytes is of CUDA, and resources.device is cpu: drop one")
        if round(self.gpus_per_worker, 4) != self.gpus_per_worker:
            raise ValueError("resources.gpus_per_worker has four digits at most, as Ray counts: 0.3333")
        return self

    @property
    def workers_per_gpu(self) -> int:
        """Actors that one card, or MIG slice, has room for."""
        return round(1e4) // round(self.gpus_per_worker * 1e4)

    def device_with(self, gpus: int) -> str:
        """`cpu` or `cuda`, where there are so many GPUs. Raises DeviceError for `cuda` without any."""
        if self.device == "cuda" and gpus == 0:
            raise DeviceError("resources.device is cuda, but no GPU was found: run `idleak doctor`")
        if self.device == "auto":
            return "cuda" if gpus else "cpu"
        return self.device


class LimitsSpec(Frozen):
    """What a run tolerates before it fails."""

    invalid_samples: float = Field(
        0.01, ge=0, le=1, description="share of samples that may be no images; past it the run fails"
    )
    shard_seconds: float = Field(
        3600, gt=0, description="a shard that takes longer is tried again on a new worker"
    )
    pixels: PositiveInt = Field(
        64_000_000, description="pixels of a decoded image; a larger one is not decoded"
    )
