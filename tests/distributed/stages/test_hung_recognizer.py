"""A recogniser that never answers: attempts end at a deadline, and shards fail after all attempts."""

from __future__ import annotations

import json

import onnx
import pytest
from onnx import TensorProto, helper

from jobs.cli.exit_codes import ExitCode
from tests.support.processes import finish, start_job
from tests.support.small_world import SmallWorld


def hang(path: str) -> None:
    """Put a loop of 2^62 rounds before a model's first node."""
    model = onnx.load(path)
    graph = model.graph
    name = graph.input[0].name
    for node in graph.node:
        node.input[:] = ["turned" if tensor_name == name else tensor_name for tensor_name in node.input]
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["cond"], ["cond_out"]),
            helper.make_node("Abs", ["x"], ["x_out"]),
        ],
        "round",
        [
            value("i", TensorProto.INT64, []),
            value("cond", TensorProto.BOOL, []),
            value("x", TensorProto.FLOAT, None),
        ],
        [value("cond_out", TensorProto.BOOL, []), value("x_out", TensorProto.FLOAT, None)],
    )
    loop = helper.make_node("Loop", ["rounds", "", name], ["turned"], body=body)
    graph.initializer.append(helper.make_tensor("rounds", TensorProto.INT64, [], [2**62]))
    graph.node.insert(0, loop)
    onnx.save(model, path)


@pytest.mark.slow
def test_it_is_ended_at_the_deadline_and_its_shards_fail(small_world: SmallWorld) -> None:
    hang(str(small_world.folder / "recognizer.onnx"))
    spec = small_world.spec_path(samples=100, shard_size=50, limits={"shard_seconds": 8})
    code, output = finish(start_job("sample", spec))
    assert code == ExitCode.SHARDS_LOST, output
    assert "not done after 8 s, its worker was ended" in output
    assert "sampling: shard 0 failed (TimeoutError), attempt 1; it is tried again" in output
    lost = json.loads((small_world.run / "samples.lost.json").read_bytes())
    assert [(shard["index"], shard["attempts"]) for shard in lost] == [(0, 3), (1, 3)]
    assert not list((small_world.run / "samples").glob("*.parquet"))
