"""ONNX sessions: opened on the device that was asked for, fed whole batches where the graph allows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_state

from distributed.runtime.device_memory import onnxruntime_options
from distributed.runtime.memory_errors import is_out_of_memory
from distributed.runtime.onnx_graph import (
    forget_shapes,
    input_shape,
    make_batch_dynamic,
    require_file,
    split_prelu,
    unreadable,
)
from schemas.errors import DeviceError, ModelError

CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"
# TF32 would make two devices differ by more than rounding; the exhaustive search times kernels, so it is not
# repeatable from run to run.
CUDA_OPTIONS = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}
LOG_ERRORS, LOG_FATAL = 3, 4
CHECK = "check the driver and the CUDA and cuDNN libraries, or set resources.device to cpu"
# onnxruntime's exceptions have no base class of their own.
ORT_ERRORS = (
    ort_state.EPFail,
    ort_state.Fail,
    ort_state.InvalidArgument,
    ort_state.InvalidGraph,
    ort_state.InvalidProtobuf,
    ort_state.NoModel,
    ort_state.NoSuchFile,
    ort_state.NotImplemented,
    ort_state.RuntimeException,
)

Float32 = NDArray[np.float32]
Feeds = Mapping[str, NDArray[Any]]


def open_session(
    path: Path, *, device: str, threads: int, model: bytes | None = None, stream: int | None = None
) -> onnxruntime.InferenceSession:
    """A session on exactly `device` ("cpu" or "cuda"), of the file or, if given, of `model`, made from it.

    stream: CUDA stream that it runs in, instead of one of its own.

    Raises ModelError if the file is missing or cannot be run, DeviceError if it would not run on `device`.
    """
    if model is None:
        require_file(path)
    providers = _providers(device, stream)
    try:
        # Its own fallback would open the session again on the CPU, and say so to nobody.
        session = onnxruntime.InferenceSession(
            model or str(path), _options(threads), providers=providers, enable_fallback=0
        )
    except (ort_state.EPFail, RuntimeError, ValueError) as error:
        raise DeviceError(f"onnxruntime cannot start {device} for {path} ({error}): {CHECK}") from error
    except ORT_ERRORS as error:
        raise unreadable(path, error) from error
    if device == "cuda" and session.get_providers()[0] != CUDA:
        raise DeviceError(f"{path} would run on the CPU, but device is cuda: {CHECK}")
    return session


def _providers(device: str, stream: int | None) -> list[Any]:
    if device == "cpu":
        return [CPU]
    if device != "cuda":
        raise ValueError(f"device must be 'cpu' or 'cuda', got {device!r}")
    if CUDA not in onnxruntime.get_available_providers():
        raise DeviceError(
            "device is cuda, but this onnxruntime is built without CUDA: install idleak[gpu] in place of"
            " idleak[cpu], or set resources.device to cpu"
        )
    if hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()
    own = {} if stream is None else {"user_compute_stream": str(stream)}
    return [(CUDA, CUDA_OPTIONS | onnxruntime_options() | own), CPU]


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = LOG_ERRORS
    # Spinning threads burn the cores that the other workers of the machine need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def batches_agree(
    session: onnxruntime.InferenceSession,
    shape: Sequence[int],
    *,
    value_range: tuple[float, float] = (-1.0, 1.0),
    tolerance: float = 1e-5,
) -> bool:
    """Whether three random inputs of `shape` (without batch axis) give the same together as one by one.

    The same: every output has the batch first, and differs by at most `tolerance` times its largest
    magnitude. Raises DeviceError if memory runs out: that says nothing of the model.
    """
    batch = np.random.default_rng(0).uniform(*value_range, (3, *shape)).astype(np.float32)
    try:
        together = run_session(session, batch)
        apart = [run_session(session, batch[i : i + 1]) for i in range(len(batch))]
    except ORT_ERRORS as error:
        _require_memory(error)
        return False
    return all(
        _agree(whole, np.concatenate(parts), len(batch), tolerance)
        for whole, parts in zip(together, zip(*apart, strict=True), strict=True)
    )


def _require_memory(error: Exception) -> None:
    if is_out_of_memory(error):
        raise DeviceError(
            f"memory ran out while a model was tried on a small batch ({error}): free some, or have fewer "
            "workers by resources.workers"
        ) from error


def _agree(whole: Float32, parts: Float32, count: int, tolerance: float) -> bool:
    if whole.shape != parts.shape or len(whole) != count:
        return False
    if not (np.isfinite(whole).all() and np.isfinite(parts).all()):
        return False
    return bool(np.abs(whole - parts).max() <= tolerance * np.abs(parts).max())


def run_session(session: onnxruntime.InferenceSession, batch: Float32) -> list[Float32]:
    """All outputs for the only input `batch`. Raises as `_run`."""
    return _run(session, {session.get_inputs()[0].name: batch})


class BatchedModel:
    """A model with one input that takes batches of any length, whether its file does or not.

    `batched` says whether the graph provably treats a batch as its images one by one; if not, that is how it
    is run. `fixed`: the length of batch that the file insists on, if that is more than 1: batches are
    filled up to it, and the rest is dropped.
    """

    def __init__(
        self,
        path: Path,
        model: onnx.ModelProto,
        *,
        probe: Sequence[int],
        value_range: tuple[float, float],
        device: str,
        threads: int,
        free: Sequence[int] = (0,),
    ) -> None:
        """`probe`: shape of one input without batch axis, for the proof. Raises ModelError, DeviceError."""
        self._path = path
        tolerance = _tolerance(device)
        self.fixed = _fixed_batch((input_shape(model) or (None,))[0])
        model = split_prelu(model) if device == "cpu" else model
        session = _open_batched(path, make_batch_dynamic(model, free=free), device=device, threads=threads)
        self.batched = session is not None and batches_agree(
            session, probe, value_range=value_range, tolerance=tolerance
        )
        if not self.batched:
            plain = forget_shapes(model).SerializeToString()
            session = open_session(path, device=device, threads=threads, model=plain)
        assert session is not None, "what is batched was opened"
        self._session = session
        self._input = str(session.get_inputs()[0].name)
        if self.fixed is not None:
            batch = np.random.default_rng(0).uniform(*value_range, (self.fixed, *probe)).astype(np.float32)
            _require_apart(path, session, {self._input: batch}, tolerance)

    def reference(self, batch: Float32) -> list[Float32]:
        """As `run`: nothing here is in another type than float32."""
        return self.run(batch)

    def run(self, batch: Float32) -> list[Float32]:
        """Every output for `batch` N×…, always with N first.

        Raises ModelError if the model refuses it, DeviceError if the device fails.
        """
        try:
            if self.fixed is not None:
                return _run_filled(self._session, {self._input: batch}, self.fixed)
            if self.batched:
                return run_session(self._session, batch)
            apart = [run_session(self._session, batch[i : i + 1]) for i in range(len(batch))]
        except ORT_ERRORS as error:
            raise ModelError(
                f"{self._path} cannot run on an input of shape {batch.shape[1:]}: {error}"
            ) from error
        return [_stack(parts) for parts in zip(*apart, strict=True)]


class ManyInputModel:
    """A model with several inputs, all with the batch first; `batched` as for BatchedModel.

    Its graph is not rewritten: one whose file states a batch of one is run sample by sample.
    """

    def __init__(
        self,
        path: Path,
        model: onnx.ModelProto,
        *,
        probe: Feeds,
        device: str,
        threads: int,
        fixed: int | None = None,
    ) -> None:
        """`probe`: inputs of several samples, for the proof. fixed: the batch that the file insists on.

        Raises ModelError, DeviceError.
        """
        self._path, self.fixed = path, _fixed_batch(fixed)
        plain = forget_shapes(model).SerializeToString()
        self._session = open_session(path, device=device, threads=threads, model=plain)
        self.batched = False
        if self.fixed is not None:
            filled = {name: np.resize(value, (self.fixed, *value.shape[1:])) for name, value in probe.items()}
            return _require_apart(path, self._session, filled, _tolerance(device))
        apart = self.run(probe)
        self.batched = self._gives(probe, apart, _tolerance(device))

    def run(self, feeds: Feeds) -> list[Float32]:
        """Every output, always with N first.

        Raises ModelError if the model refuses the inputs, DeviceError if the device fails.
        """
        try:
            if self.fixed is not None:
                return _run_filled(self._session, feeds, self.fixed)
            if self.batched:
                return _run(self._session, feeds)
            count = len(next(iter(feeds.values())))
            apart = [_run(self._session, {k: v[i : i + 1] for k, v in feeds.items()}) for i in range(count)]
        except ORT_ERRORS as error:
            shapes = {name: value.shape[1:] for name, value in feeds.items()}
            raise ModelError(f"{self._path} cannot run on inputs of shapes {shapes}: {error}") from error
        return [_stack(parts) for parts in zip(*apart, strict=True)]

    def _gives(self, probe: Feeds, apart: Sequence[Float32], tolerance: float) -> bool:
        try:
            together = _run(self._session, probe)
        except ORT_ERRORS as error:
            _require_memory(error)
            return False
        return all(
            _agree(whole, parts, len(parts), tolerance) for whole, parts in zip(together, apart, strict=True)
        )


def _tolerance(device: str) -> float:
    # Other kernels may serve other batch sizes on a GPU; a graph that mixes images up is wrong by far more.
    return 1e-3 if device == "cuda" else 1e-5


def _fixed_batch(size: int | None) -> int | None:
    """A batch of one is run sample by sample."""
    return size if size is not None and size > 1 else None


def _run_filled(session: onnxruntime.InferenceSession, feeds: Feeds, size: int) -> list[Float32]:
    """All outputs, by batches of `size`; the last one is filled up with its own samples. Raises as `_run`."""
    count = len(next(iter(feeds.values())))
    parts = []
    for start in range(0, max(1, count), size):
        rows = min(size, count - start)
        # np.resize repeats rows, and gives zeros where there are none.
        filled = {
            name: np.resize(value[start : start + rows], (size, *value.shape[1:]))
            for name, value in feeds.items()
        }
        parts.append([output[:rows] for output in _run(session, filled)])
    return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]


def _require_apart(path: Path, session: onnxruntime.InferenceSession, feeds: Feeds, tolerance: float) -> None:
    """Raises ModelError unless each sample of a full batch comes out as it does beside other ones."""
    size = len(next(iter(feeds.values())))
    try:
        whole = _run(session, feeds)
        rolled = _run(session, {name: np.roll(value, 1, axis=0) for name, value in feeds.items()})
        alone = _run(session, {name: np.repeat(value[:1], size, axis=0) for name, value in feeds.items()})
    except ORT_ERRORS as error:
        raise ModelError(f"{path} cannot run on a batch of {size}: {error}") from error
    for first, second, third in zip(whole, rolled, alone, strict=True):
        same = _agree(np.roll(first, 1, axis=0), second, size, tolerance)
        if not same or not _agree(first[:1], third[:1], 1, tolerance):
            raise ModelError(
                f"{path} fixes its batch at {size} and mixes the samples in it: export it with a free batch, "
                "in evaluation mode"
            )


def _run(session: onnxruntime.InferenceSession, feeds: Feeds) -> list[Float32]:
    """All outputs. Raises DeviceError where the device fails, else ORT_ERRORS; never also logs them."""
    options = onnxruntime.RunOptions()
    options.log_severity_level = LOG_FATAL
    try:
        outputs: list[Float32] = session.run(None, feeds, options)
    except ort_state.EPFail as error:
        provider = session.get_providers()[0]
        raise DeviceError(
            f"{provider} failed ({error}): run the same command to go on; if it fails again, {CHECK}"
        ) from error
    return outputs


def _open_batched(
    path: Path, model: onnx.ModelProto | None, *, device: str, threads: int
) -> onnxruntime.InferenceSession | None:
    """A session of the rewritten `model`, None if the rewriting has broken it."""
    if model is None:
        return None
    try:
        return open_session(path, device=device, threads=threads, model=model.SerializeToString())
    except ModelError:
        return None


def _stack(parts: Sequence[Float32]) -> Float32:
    # Old exports flatten their rows and have no batch axis at all.
    return np.concatenate(parts) if parts[0].shape[:1] == (1,) else np.stack(parts)
