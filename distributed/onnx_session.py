"""ONNX sessions: opened on the device that was asked for, fed whole batches where the graph allows it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnxruntime.capi import onnxruntime_pybind11_state as ort_state

from schemas.errors import DeviceError, ModelError

CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"
# TF32 would make two devices differ by more than rounding; the exhaustive search times kernels, so it is not
# repeatable from run to run.
CUDA_OPTIONS = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}
LOG_ERRORS, LOG_FATAL = 3, 4
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
# An anchor head exported for one image: N×C×H×W is turned to H×W×N×C before it is flattened to rows.
IMAGE_THIRD, IMAGE_FIRST = [2, 3, 0, 1], [0, 2, 3, 1]
ANCHOR_WIDTHS = (1, 4, 10)

Float32 = NDArray[np.float32]


def open_session(
    path: Path, *, device: str, threads: int, model: bytes | None = None
) -> onnxruntime.InferenceSession:
    """A session on exactly `device` ("cpu" or "cuda"), of the file or, if given, of `model`, made from it.

    Raises ModelError if the file is missing or cannot be run, DeviceError if it would not run on `device`.
    """
    if model is None:
        _require_file(path)
    providers = _providers(device)
    try:
        session = onnxruntime.InferenceSession(model or str(path), _options(threads), providers=providers)
    except ort_state.EPFail as error:
        raise DeviceError(f"onnxruntime cannot start {device} for {path}: {error}") from error
    except ORT_ERRORS as error:
        raise _unreadable(path, error) from error
    if device == "cuda" and session.get_providers()[0] != CUDA:
        raise DeviceError(
            f"{path} would run on the CPU, but device is cuda: check the CUDA and cuDNN libraries,"
            " or set resources.device to cpu"
        )
    return session


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise ModelError(f"there is no model file {path}: correct the path or fetch the file")


def _unreadable(path: Path, reason: Exception) -> ModelError:
    return ModelError(
        f"{path} is not a readable ONNX file (truncated download?): fetch it again and compare its sha256"
        f" (onnxruntime {onnxruntime.__version__}: {reason})"
    )


def _providers(device: str) -> list[Any]:
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
    return [(CUDA, CUDA_OPTIONS), CPU]


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


def read_model(path: Path) -> onnx.ModelProto:
    """The file's graph. Raises ModelError if it is missing, truncated, or no ONNX model."""
    _require_file(path)
    try:
        model = onnx.load(str(path))
    except (OSError, DecodeError, onnx.checker.ValidationError) as error:
        raise _unreadable(path, error) from error
    if not model.graph.node:
        raise _unreadable(path, ValueError("it holds no graph"))
    return model


def input_shape(model: onnx.ModelProto) -> tuple[int | None, ...] | None:
    """The shape of the only input, None for a symbolic axis; None if there is not exactly one input."""
    inputs = _inputs(model.graph)
    if len(inputs) != 1:
        return None
    return tuple(dim.dim_value or None for dim in inputs[0].type.tensor_type.shape.dim)


def _inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    # Before ONNX IR 4 every weight was listed as an input, too.
    weights = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in weights]


def forget_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy without the stated shapes of outputs and inner values, which hold for one input size only."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.value_info[:]
    for output in copy.graph.output:
        output.type.tensor_type.ClearField("shape")
    return copy


def make_batch_dynamic(model: onnx.ModelProto, *, free: Sequence[int] = (0,)) -> onnx.ModelProto | None:
    """A copy whose only input is symbolic along the axes `free`, axis 0 being the batch.

    Reshapes of activations that hold a batch of one, and anchor heads flattened without a batch axis, are
    rewritten to keep the batch first. That is a guess about the graph, to be proved with `batches_agree`.
    None if the model has not exactly one input or its batch is fixed at another number than 1.
    """
    shape = input_shape(model)
    if not shape or shape[0] not in (None, 1):
        return None
    copy = forget_shapes(model)
    dims = _inputs(copy.graph)[0].type.tensor_type.shape.dim
    for axis in free:
        if dims[axis].dim_value:
            dims[axis].dim_param = f"free_{axis}"
    nodes = list(_with_batch_first(copy.graph, fixed=shape[0] == 1))
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    return copy


def _with_batch_first(graph: onnx.GraphProto, *, fixed: bool) -> Iterable[onnx.NodeProto]:
    constants = _constants(graph)
    makers = {name: node for node in graph.node for name in node.output}
    active = {value.name for value in _inputs(graph)}
    for node in graph.node:
        # A parameter may be reshaped to a leading 1 with every right: only activations carry the batch.
        is_active = not active.isdisjoint(node.input)
        active.update(node.output if is_active and node.op_type != "Shape" else ())
        if fixed and is_active and node.op_type == "Reshape" and node.input[1] in constants:
            target = _batched_target(constants[node.input[1]], makers.get(node.input[0]))
            if target is not None:
                yield _point_at(node, target)
        yield node


def _constants(graph: onnx.GraphProto) -> dict[str, list[int]]:
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            tensors[node.output[0]] = node.attribute[0].t
    return {
        name: [int(value) for value in numpy_helper.to_array(tensor)]
        for name, tensor in tensors.items()
        if tensor.data_type == onnx.TensorProto.INT64 and len(tensor.dims) == 1
    }


def _batched_target(target: list[int], maker: onnx.NodeProto | None) -> list[int] | None:
    """The Reshape target that keeps the batch first, or None to leave it. May turn the Transpose `maker`."""
    if target[:1] == [1]:
        return [0, *target[1:]] if -1 in target else [-1, *target[1:]]
    if len(target) == 2 and target[0] == -1 and maker is not None and maker.op_type == "Transpose":
        order = maker.attribute[0].ints if maker.attribute else []
        if list(order) in (IMAGE_THIRD, IMAGE_FIRST) and target[1] in ANCHOR_WIDTHS:
            maker.attribute[0].ints[:] = IMAGE_FIRST
            return [0, -1, target[1]]
    return None


def _point_at(reshape: onnx.NodeProto, target: list[int]) -> onnx.NodeProto:
    """A Constant node holding `target`, which becomes the shape input of `reshape`."""
    name = f"{reshape.output[0]}_batched_target"
    reshape.input[1] = name
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array(target, np.int64)))


def batches_agree(
    session: onnxruntime.InferenceSession,
    shape: Sequence[int],
    *,
    value_range: tuple[float, float] = (-1.0, 1.0),
    tolerance: float = 1e-5,
) -> bool:
    """Whether three random inputs of `shape` (without batch axis) give the same together as one by one.

    The same: every output has the batch first, and differs by at most `tolerance` times its largest
    magnitude.
    """
    batch = np.random.default_rng(0).uniform(*value_range, (3, *shape)).astype(np.float32)
    try:
        together = run_session(session, batch)
        apart = [run_session(session, batch[i : i + 1]) for i in range(len(batch))]
    except ORT_ERRORS:
        return False
    return all(
        _agree(whole, np.concatenate(parts), len(batch), tolerance)
        for whole, parts in zip(together, zip(*apart, strict=True), strict=True)
    )


def _agree(whole: Float32, parts: Float32, count: int, tolerance: float) -> bool:
    if whole.shape != parts.shape or len(whole) != count:
        return False
    if not (np.isfinite(whole).all() and np.isfinite(parts).all()):
        return False
    return bool(np.abs(whole - parts).max() <= tolerance * np.abs(parts).max())


def run_session(session: onnxruntime.InferenceSession, batch: Float32) -> list[Float32]:
    """All outputs for the only input `batch`. Failures are raised, never also logged."""
    options = onnxruntime.RunOptions()
    options.log_severity_level = LOG_FATAL
    outputs: list[Float32] = session.run(None, {session.get_inputs()[0].name: batch}, options)
    return outputs


class BatchedModel:
    """A model with one input that takes batches of any length, whether its file does or not.

    `batched` says whether the graph provably treats a batch as its images one by one; if not, that is how it
    is run.
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
        # Other kernels may serve other batch sizes on a GPU; a graph that mixes images up is wrong by far
        # more.
        tolerance = 1e-3 if device == "cuda" else 1e-5
        session = _open_batched(path, make_batch_dynamic(model, free=free), device=device, threads=threads)
        self.batched = session is not None and batches_agree(
            session, probe, value_range=value_range, tolerance=tolerance
        )
        if not self.batched:
            plain = forget_shapes(model).SerializeToString()
            session = open_session(path, device=device, threads=threads, model=plain)
        self._session = session

    def run(self, batch: Float32) -> list[Float32]:
        """Every output for `batch` N×…, always with N first. Raises ModelError if the model refuses it."""
        try:
            if self.batched:
                return run_session(self._session, batch)
            apart = [run_session(self._session, batch[i : i + 1]) for i in range(len(batch))]
        except ORT_ERRORS as error:
            raise ModelError(
                f"{self._path} cannot run on an input of shape {batch.shape[1:]}: {error}"
            ) from error
        return [_stack(parts) for parts in zip(*apart, strict=True)]


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
