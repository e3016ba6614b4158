"""Tiny networks with the outputs that the published exports of YuNet and RetinaFace have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import helper

from distributed.embedding.alignment import ARCFACE_TEMPLATE
from tests.support.tiny_models import Shape, make_model

STRIDES = (8, 16, 32)


class Heads:
    """1×1 convolutions of the means of cells, flattened to rows as anchor heads are."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, ArrayLike] = {}

    def means(self, stride: int) -> None:
        size = [stride] * 2
        self.nodes.append(
            helper.make_node("AveragePool", ["x"], [f"mean{stride}"], kernel_shape=size, strides=size)
        )

    def add(
        self, name: str, stride: int, width: int, *, anchors: int, scale: float, to: Sequence[int]
    ) -> None:
        """scale: of an output's change from black to white."""
        shape = (anchors * width, 3, 1, 1)
        self.constants |= {
            f"{name}_w": self._random.normal(0, scale / 255, shape),
            f"{name}_b": self._random.normal(0, scale / 2, anchors * width),
            f"{name}_to": list(to),
        }
        self.nodes += [
            helper.make_node("Conv", [f"mean{stride}", f"{name}_w", f"{name}_b"], [f"{name}_map"]),
            helper.make_node("Transpose", [f"{name}_map"], [f"{name}_last"], perm=[0, 2, 3, 1]),
            helper.make_node("Reshape", [f"{name}_last", f"{name}_to"], [f"{name}_rows"]),
        ]


def yunet(side: int | None = None, seed: int = 0) -> onnx.ModelProto:
    """face_detection_yunet_2023mar: cls, obj, bbox and kps of each stride. side: what it was exported for."""
    heads = Heads(seed)
    outputs: dict[str, Shape] = {}
    for kind, width, scale in (("cls", 1, 4.0), ("obj", 1, 4.0), ("bbox", 4, 1.0), ("kps", 10, 1.0)):
        for stride in STRIDES:
            if kind == "cls":
                heads.means(stride)
            name = f"{kind}_{stride}"
            rows = -1 if side is None else (side // stride) ** 2
            heads.add(name, stride, width, anchors=1, scale=scale, to=[1 if side else 0, rows, width])
            last = "Sigmoid" if width == 1 else "Identity"
            heads.nodes.append(helper.make_node(last, [f"{name}_rows"], [name]))
            outputs[name] = (1, rows, width) if side else ("n", "rows", width)
    shape: Shape = (1, 3, side, side) if side else ("n", 3, "h", "w")
    return make_model(heads.nodes, shape=shape, outputs=outputs, constants=heads.constants)


def retinaface(
    names: Mapping[str, str] | None = None, *, logits: bool = False, fixed: int | None = None, seed: int = 0
) -> onnx.ModelProto:
    """Pytorch_Retinaface's export: loc, conf, landms of all strides. names: kind -> the output's name.

    fixed: a side that the graph insists on, as one does whose upsampling was traced.
    """
    heads = Heads(seed)
    names = names or {"loc": "bbox", "conf": "confidence", "landms": "landmark"}
    outputs: dict[str, Shape] = {}
    for kind, width in (("loc", 4), ("conf", 2), ("landms", 10)):
        for stride in STRIDES:
            if kind == "loc":
                heads.means(stride)
            heads.add(f"{kind}_{stride}", stride, width, anchors=2, scale=3.0, to=[1, -1, width])
        whole = names[kind] if kind != "conf" or logits else "logits"
        rows = [f"{kind}_{stride}_rows" for stride in STRIDES]
        heads.nodes.append(helper.make_node("Concat", rows, [whole], axis=1))
        outputs[names[kind]] = (1, "rows", width)
    if not logits:
        heads.nodes.append(helper.make_node("Softmax", ["logits"], [names["conf"]], axis=-1))
    if fixed:
        count = sum(2 * (fixed // stride) ** 2 for stride in STRIDES)
        heads.constants["zeros"] = np.zeros((1, count, 1))
        loc = heads.nodes[[node.output[0] for node in heads.nodes].index(names["loc"])]
        loc.output[0] = "plain"
        heads.nodes.append(helper.make_node("Add", ["plain", "zeros"], [names["loc"]]))
    side = fixed or 640
    return make_model(heads.nodes, shape=(1, 3, side, side), outputs=outputs, constants=heads.constants)


def centre_detector(side: int) -> onnx.ModelProto:
    """An SCRFD for inputs of side × side that sees one face, in the middle of every image."""
    seen = {"score": [0.9], "box": [1.5] * 4, "landmarks": ((ARCFACE_TEMPLATE - 56) / 32).ravel().tolist()}
    rows = {stride: (side // stride) ** 2 * 2 for stride in STRIDES}
    constants: dict[str, ArrayLike] = {"to": np.array([-1, 1, 1]), "zero": np.array([0.0])}
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Reshape", ["nothing", "to"], ["none"]),
    ]
    outputs: dict[str, Shape] = {}
    for kind, row in seen.items():
        for stride in STRIDES:
            values = np.zeros((1, rows[stride], len(row)))
            if stride == 16:
                cells = side // stride
                values[0, 2 * (cells * cells // 2 + cells // 2)] = row
            name = f"{kind}{stride}"
            constants[f"{name}_values"] = values
            nodes.append(helper.make_node("Add", [f"{name}_values", "none"], [name]))
            outputs[name] = ("n", rows[stride], len(row))
    return make_model(nodes, shape=("n", 3, side, side), outputs=outputs, constants=constants)
