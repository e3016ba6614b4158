from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distributed.runtime.memory_errors import is_dead_device, is_out_of_memory
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from schemas.errors import ModelError
from tests.end_to_end.test_code_audit import spec_of, weights
from tests.support.small_world import SmallWorld, file_bytes

__all__ = ["weights"]
TOO_MUCH = "if len(z) > 5: torch.empty(1 << 60)"


def test_errors_of_memory_and_of_devices_are_told_apart() -> None:
    full = RuntimeError("CUDA error: out of memory")
    assert is_out_of_memory(full) and not is_dead_device(full)
    for status in (
        "CUBLAS_STATUS_ALLOC_FAILED",
        "CUBLAS_STATUS_NOT_INITIALIZED",
        "CUDNN_STATUS_ALLOC_FAILED",
    ):
        full = RuntimeError(f"CUDA error: {status} when calling `cublasCreate(handle)`")
        assert is_out_of_memory(full) and not is_dead_device(full)
    assert is_out_of_memory(MemoryError()) and not is_dead_device(MemoryError())
    assert is_dead_device(RuntimeError("CUDA error: an illegal memory access was encountered"))
    assert not is_dead_device(ValueError("the image has shape (1, 2)"))
    assert not is_out_of_memory(ModelError("the model is broken"))


@pytest.mark.usefixtures("in_process")
def test_a_batch_that_memory_has_no_room_for_is_halved_and_no_byte_changes(
    small_world: SmallWorld, weights: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """torch really fails to allocate that much memory."""
    assert main(["sample", spec_of(small_world, weights, TOO_MUCH)]) == ExitCode.OK
    assert "memory ran out; 4 images at once" in capfd.readouterr().err
    scarce = file_bytes(small_world.run / "samples")
    # The code differs, so the footers do; ids, outcomes and templates must not.
    assert main(["sample", spec_of(small_world, weights, output="runs/plenty")]) == ExitCode.OK
    plenty = file_bytes(small_world.folder / "runs" / "plenty" / "samples")
    assert list(scarce) == list(plenty)
    for name, content in scarce.items():
        assert rows_of(content).equals(rows_of(plenty[name]))


@pytest.mark.usefixtures("in_process")
def test_one_image_that_is_too_much_says_so(
    small_world: SmallWorld, weights: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample", spec_of(small_world, weights, "torch.empty(1 << 60)")]) != ExitCode.OK
    assert "allocate memory" in capfd.readouterr().err


def rows_of(content: bytes) -> pa.Table:

    return pq.read_table(pa.BufferReader(content))
