"""What the machine itself can do: matrix products and memory, to hold the other figures against."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from jobs.benchmarks.table import CPU_FILE, Measured, Table

SIDE = 2048
COPY_BYTES = 256 * 2**20
GIGA = 1e9
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Give numpy's BLAS, torch and every OpenMP library (faiss) this many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(limits=count):
            yield
    finally:
        torch.set_num_threads(before)


def timed(run: Callable[[], object]) -> float:
    """Seconds."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def limit_contenders(counts: set[int]) -> dict[str, Callable[[], float]]:
    """By name, measurements of this machine: GFLOP/s by library and number of threads, GB/s of memory."""
    contenders: dict[str, Callable[[], float]] = {}
    for count in sorted(counts):
        plural = "1 thread" if count == 1 else f"{count} threads"
        contenders[f"numpy float32 matrix product, {plural}, GFLOP/s"] = _numpy_products(count)
        contenders[f"torch float32 matrix product, {plural}, GFLOP/s"] = _torch_products(count, torch.float32)
        if has_bfloat16():
            name = f"torch bfloat16 matrix product, {plural}, GFLOP/s"
            contenders[name] = _torch_products(count, torch.bfloat16)
    return contenders | {"memory copy of 256 MiB, 1 thread, GB/s": _copies()}


def limits_table(limits: dict[str, Measured]) -> Table:
    rows = [(name, str(measured)) for name, measured in limits.items()]
    return Table("Limits of this machine", ("limit", "measured"), rows)


def has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16; torch is very slow where it does not."""
    lines = CPU_FILE.read_text(encoding="utf-8").splitlines() if CPU_FILE.exists() else []
    flags = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    return bool(BFLOAT16_FLAGS & set(flags.split()))


def _numpy_products(count: int) -> Callable[[], float]:
    random = np.random.default_rng(0)
    a, b = (random.random((SIDE, SIDE), dtype=np.float32) for _ in range(2))
    out = np.empty_like(a)

    def run() -> float:
        with threads(count):
            return 2 * SIDE**3 / timed(lambda: np.matmul(a, b, out=out)) / GIGA

    return run


def _torch_products(count: int, kind: torch.dtype) -> Callable[[], float]:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.rand((SIDE, SIDE), generator=generator).to(kind) for _ in range(2))
    out = torch.empty_like(a)

    def run() -> float:
        with threads(count):
            return 2 * SIDE**3 / timed(lambda: torch.matmul(a, b, out=out)) / GIGA

    return run


def _copies() -> Callable[[], float]:
    source = np.ones(COPY_BYTES // 8)
    target = np.zeros_like(source)
    # Each byte is read once and written once.
    return lambda: 2 * COPY_BYTES / timed(lambda: np.copyto(target, source)) / GIGA
