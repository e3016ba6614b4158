"""Sessions, and models that are made to take batches."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper
from onnxruntime.capi import onnxruntime_pybind11_state as ort_state

from distributed.runtime.onnx_graph import input_shape, make_batch_dynamic, read_model, split_prelu
from distributed.runtime.onnx_session import (
    BatchedModel,
    ManyInputModel,
    batches_agree,
    open_session,
    run_session,
)
from schemas.errors import DeviceError, ModelError
from tests.support.processes import ROOT
from tests.support.tiny_models import flattener, make_model, save

BATCH = np.random.default_rng(5).uniform(-1, 1, (5, 3, 16, 16)).astype(np.float32)


def load(model: onnx.ModelProto, path: Path) -> BatchedModel:
    shape = [size or 16 for size in input_shape(model) or ()][1:]
    return BatchedModel(path, model, probe=shape, value_range=(-1, 1), device="cpu", threads=1)


def one_by_one(model: onnx.ModelProto, batch: np.ndarray) -> list[np.ndarray]:
    session = open_session(Path("original"), device="cpu", threads=1, model=model.SerializeToString())
    return [run_session(session, batch[i : i + 1])[0] for i in range(len(batch))]


def mixing_model() -> onnx.ModelProto:
    """Subtracts the mean over all axes, the batch's too: a batch of it is not its images one by one."""
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=1),
        helper.make_node("Sub", ["x", "mean"], ["y"]),
    ]
    return make_model(nodes, shape=(1, 3, 16, 16), outputs={"y": (1, 3, 16, 16)})


def anchor_head(order: list[int]) -> onnx.ModelProto:
    """Flattens its input to rows of one number, without a batch axis, as SCRFD's exports do."""
    nodes = [
        helper.make_node("Transpose", ["x"], ["last"], perm=order),
        helper.make_node("Reshape", ["last", "rows"], ["y"]),
    ]
    outputs = {"y": (768, 1)}
    return make_model(nodes, shape=(1, 3, 16, 16), outputs=outputs, constants={"rows": [-1, 1]})


def greedy_model() -> onnx.ModelProto:
    """Adds the sum of n^40 zeros to n images: 4 bytes for one, and more than there is for three."""
    nodes = [
        helper.make_node("Shape", ["x"], ["n"], start=0, end=1),
        helper.make_node("Pow", ["n", "power"], ["many"]),
        helper.make_node("ConstantOfShape", ["many"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["nothing"], keepdims=0),
        helper.make_node("Add", ["x", "nothing"], ["y"]),
    ]
    shape = ("n", 3, 16, 16)
    return make_model(nodes, shape=shape, outputs={"y": shape}, constants={"power": [38]})


def test_a_model_for_which_memory_runs_out_is_not_taken_for_one_without_batches(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="memory ran out while a model was tried on a small batch"):
        load(greedy_model(), save(greedy_model(), tmp_path / "m.onnx"))


@pytest.mark.parametrize("target", [(1, -1), (1, 48), (-1, 48), (0, -1)])
def test_a_fixed_batch_of_one_becomes_dynamic(tmp_path: Path, target: tuple[int, ...]) -> None:
    model = flattener(target=target)
    batched = load(model, tmp_path / "m.onnx")
    assert batched.batched
    np.testing.assert_allclose(batched.run(BATCH)[0], np.concatenate(one_by_one(model, BATCH)), atol=1e-6)


def test_a_parameter_keeps_its_leading_one(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Reshape", ["scale", "target"], ["wide"]),
        helper.make_node("Mul", ["x", "wide"], ["y"]),
    ]
    constants = {"scale": np.array([1.0, 2.0, 3.0]), "target": np.array([1, -1, 1, 1])}
    model = make_model(nodes, shape=(1, 3, 16, 16), outputs={"y": (1, 3, 16, 16)}, constants=constants)
    batched = load(model, tmp_path / "m.onnx")
    assert batched.batched
    expected = BATCH * np.array([1, 2, 3], np.float32)[:, None, None]
    np.testing.assert_array_equal(batched.run(BATCH)[0], expected)


@pytest.mark.parametrize("order", [[2, 3, 0, 1], [0, 2, 3, 1]])
def test_an_anchor_head_gets_its_batch_axis(tmp_path: Path, order: list[int]) -> None:
    model = anchor_head(order)
    batched = load(model, tmp_path / "m.onnx")
    assert batched.batched
    np.testing.assert_array_equal(batched.run(BATCH)[0], np.stack(one_by_one(model, BATCH)))


def test_a_model_that_mixes_images_is_run_one_by_one(tmp_path: Path) -> None:
    model = mixing_model()
    batched = load(model, tmp_path / "m.onnx")
    assert not batched.batched
    np.testing.assert_array_equal(batched.run(BATCH)[0], np.concatenate(one_by_one(model, BATCH)))


def test_a_model_that_cannot_take_a_batch_is_run_one_by_one(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    nodes = [helper.make_node("Resize", ["x", "", "", "to"], ["y"])]
    constants = {"to": [1, 3, 16, 16]}
    model = make_model(nodes, shape=(1, 3, 16, 16), outputs={"y": (1, 3, 16, 16)}, constants=constants)
    batched = load(model, tmp_path / "m.onnx")
    assert not batched.batched
    np.testing.assert_array_equal(batched.run(BATCH)[0], BATCH)
    assert capfd.readouterr().err == ""


def test_rows_without_a_batch_axis_are_stacked(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=1),
        helper.make_node("Sub", ["x", "mean"], ["centred"]),
        helper.make_node("Reshape", ["centred", "rows"], ["y"]),
    ]
    model = make_model(nodes, shape=(1, 3, 16, 16), outputs={"y": (768, 1)}, constants={"rows": [-1, 1]})
    batched = load(model, tmp_path / "m.onnx")
    assert not batched.batched
    assert batched.run(BATCH)[0].shape == (5, 768, 1)


def test_the_proof_refuses_what_the_rewriting_gets_wrong() -> None:
    rewritten = make_batch_dynamic(mixing_model())
    assert rewritten is not None
    session = open_session(Path("m"), device="cpu", threads=1, model=rewritten.SerializeToString())
    assert not batches_agree(session, (3, 16, 16))


def test_a_batch_fixed_at_four_is_filled_up(tmp_path: Path) -> None:
    model = flattener(shape=(4, 3, 16, 16), target=(4, -1))
    assert make_batch_dynamic(model) is None
    fixed, free = load(model, tmp_path / "m.onnx"), load(flattener(), tmp_path / "free.onnx")
    assert fixed.fixed == 4 and free.fixed is None
    np.testing.assert_allclose(fixed.run(BATCH)[0], free.run(BATCH)[0], rtol=1e-6)


def test_stale_output_shapes_are_forgotten(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    model = make_model(nodes, shape=(1, 3, "h", "w"), outputs={"y": (1, 3, 640, 640)})
    assert load(model, tmp_path / "m.onnx").run(BATCH)[0].shape == BATCH.shape
    assert capfd.readouterr().err == ""


def test_the_original_is_not_changed() -> None:
    model = flattener()
    before = model.SerializeToString()
    make_batch_dynamic(model)
    assert model.SerializeToString() == before


def test_the_session_is_what_was_asked_for(tmp_path: Path) -> None:
    session = open_session(save(flattener(), tmp_path / "m.onnx"), device="cpu", threads=3)
    options = session.get_session_options()
    assert session.get_providers() == ["CPUExecutionProvider"]
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


@pytest.mark.parametrize("keep", [0, 20, 200])
def test_a_truncated_file_is_named(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "cut.onnx"
    path.write_bytes(flattener().SerializeToString()[:keep])
    for read in (read_model, lambda path: open_session(path, device="cpu", threads=1)):
        with pytest.raises(ModelError, match=r"cut\.onnx is not a readable ONNX file .*sha256") as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for read in (read_model, lambda path: open_session(path, device="cpu", threads=1)):
        with pytest.raises(ModelError, match=r"there is no model file .*gone\.onnx"):
            read(tmp_path / "gone.onnx")


def test_an_unknown_device_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be 'cpu' or 'cuda'"):
        open_session(save(flattener(), tmp_path / "m.onnx"), device="tpu", threads=1)


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this onnxruntime has CUDA"
)
def test_cuda_is_never_replaced_by_the_cpu(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="device is cuda"):
        open_session(save(flattener(), tmp_path / "m.onnx"), device="cuda", threads=1)


class FailingProvider:
    """onnxruntime's own session, whose execution provider fails: it raises what the C++ code raises then."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def run(self, *_: object) -> None:
        raise ort_state.EPFail("[ONNXRuntimeError] : 11 : EP_FAIL : cuDNN failure 5000")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


def break_provider(model: BatchedModel | ManyInputModel) -> FailingProvider:
    session: Any = model._session
    failing = session._sess = FailingProvider(session._sess)
    return failing


def test_a_provider_that_fails_is_a_device_error_and_no_other_takes_its_place(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plain = load(flattener(), tmp_path / "m.onnx")
    many = ManyInputModel(tmp_path / "m.onnx", flattener(), probe={"x": BATCH}, device="cpu", threads=1)
    runs: list[tuple[Any, Any]] = [(plain, BATCH), (many, {"x": BATCH})]
    for model, feeds in runs:
        failing = break_provider(model)
        with pytest.raises(DeviceError, match=r"failed \(.*cuDNN failure 5000\): run the same command"):
            model.run(feeds)
        assert model._session._sess is failing, "onnxruntime has opened the session again"
    assert "Falling back" not in "".join(capfd.readouterr())


def test_a_provider_that_fails_while_batches_are_tried_is_a_device_error(tmp_path: Path) -> None:
    model = load(flattener(), tmp_path / "m.onnx")
    break_provider(model)
    with pytest.raises(DeviceError):
        batches_agree(model._session, (3, 16, 16))


def test_no_session_of_the_repository_may_fall_back() -> None:
    """A session that is opened without enable_fallback=0 continues on the CPU if its GPU fails."""
    opened = [
        (path.relative_to(ROOT).as_posix(), node)
        for folder in ("distributed", "jobs", "examples")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("InferenceSession")
    ]
    assert len(opened) >= 4
    for name, call in opened:
        assert "enable_fallback=0" in ast.unparse(call), name


def prelu_net(slope_shape: tuple[int, ...]) -> onnx.ModelProto:
    """A convolution and a PRelu of four channels, whose products need rounding."""
    rng = np.random.default_rng(11)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[3, 3]),
        helper.make_node("PRelu", ["c", "slope"], ["y"]),
    ]
    constants = {"w": rng.normal(size=(4, 3, 3, 3)), "slope": rng.normal(size=slope_shape)}
    return make_model(nodes, shape=("n", 3, 16, 16), outputs={"y": ("n", 4, 14, 14)}, constants=constants)


def outputs(model: onnx.ModelProto, batch: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return run_session(session, batch)[0]


@pytest.mark.parametrize("slope_shape", [(4, 1, 1), (1, 4, 1, 1)])
def test_split_prelu_gives_the_same_bits(slope_shape: tuple[int, ...]) -> None:
    model = prelu_net(slope_shape)
    split = split_prelu(model)
    assert "PRelu" not in {node.op_type for node in split.graph.node}
    batch = BATCH.copy()
    batch[0], batch[1, 0, 3, 3], batch[2, 0, 3, 3] = 0, np.inf, np.nan
    np.testing.assert_array_equal(outputs(split, batch), outputs(model, batch))


def test_split_prelu_leaves_a_prelu_with_one_slope_for_all_channels() -> None:
    split = split_prelu(prelu_net((1, 1, 1)))
    assert [node.op_type for node in split.graph.node] == ["Conv", "PRelu"]


def test_split_prelu_leaves_a_prelu_of_vectors() -> None:
    nodes = [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("PRelu", ["f", "slope"], ["y"])]
    constants = {"slope": np.full((768,), 0.5)}
    model = make_model(nodes, shape=("n", 3, 16, 16), outputs={"y": ("n", 768)}, constants=constants)
    assert [node.op_type for node in split_prelu(model).graph.node] == ["Flatten", "PRelu"]


@pytest.mark.parametrize(
    ("ir", "opset", "says"),
    [
        (
            99,
            17,
            r"needs ONNX IR version 99, and onnxruntime [\d.]+ here reads up to \d+",
        ),
        (
            8,
            99,
            r"needs opset 99 of ai\.onnx, and onnxruntime [\d.]+ here reads up to \d+",
        ),
    ],
)
def test_a_model_for_a_newer_onnxruntime_says_which(tmp_path: Path, ir: int, opset: int, says: str) -> None:
    model = flattener()
    model.ir_version, model.opset_import[0].version = ir, opset
    with pytest.raises(ModelError, match=says):
        load(model, tmp_path / "m.onnx")
