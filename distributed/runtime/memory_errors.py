"""Errors that say that memory ran out, or that a device is lost to its process."""

from __future__ import annotations

OUT_OF_MEMORY = (
    "out of memory",
    "failed to allocate memory",
    "can't allocate memory",
    "bad_alloc",
    "cannot allocate memory",
    "alloc_failed",
    "cublas_status_not_initialized",
    "cudaerrormemoryallocation",
)
"""cuBLAS and cuDNN say CUBLAS_STATUS_ALLOC_FAILED and CUDNN_STATUS_ALLOC_FAILED; a cuBLAS handle that has no
room for its workspace says CUBLAS_STATUS_NOT_INITIALIZED."""
DEAD_DEVICE = (
    "an illegal memory access was encountered",
    "device-side assert",
    "unspecified launch failure",
    "misaligned address",
    "uncorrectable ecc error",
    "cuda error",
    "cuda failure",
)
"""CUDA's sticky errors: every later call of the process fails too."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether fewer images at once may help."""
    return isinstance(error, MemoryError) or any(phrase in str(error).lower() for phrase in OUT_OF_MEMORY)


def is_dead_device(error: BaseException) -> bool:
    """Whether only a new process can use the device again."""
    return not is_out_of_memory(error) and any(phrase in str(error).lower() for phrase in DEAD_DEVICE)
