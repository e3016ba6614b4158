"""Generators as people export them: every form is sampled, by the block that `inspect` prints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from distributed.sampling.adapters import generator_fields
from distributed.sampling.generator import InvalidImage
from distributed.sampling.inspection import inspect
from distributed.sampling.networks.onnx_network import OnnxImageGenerator
from schemas.errors import ModelError
from schemas.spec.generators.onnx import OnnxGenerator
from tests.support.models import tiny_generator

DIM, SIZE = 8, 32
FLOAT, HALF, DOUBLE, INT64, INT32 = (
    TensorProto.FLOAT,
    TensorProto.FLOAT16,
    TensorProto.DOUBLE,
    TensorProto.INT64,
    TensorProto.INT32,
)
Put = tuple[str, int, Sequence[Any]]
node = helper.make_node


def graph(
    path: Path,
    before: Sequence[onnx.NodeProto],
    after: Sequence[onnx.NodeProto],
    inputs: Sequence[Put],
    outputs: Sequence[Put] = (("image", FLOAT, ["n", 3, SIZE, SIZE]),),
    opset: int = 17,
    constants: Mapping[str, np.ndarray] | None = None,
) -> Path:
    """tiny_generator from `z` to `image`; `after` may change `raw`, its image, if it makes `image`."""
    model = onnx.load(str(tiny_generator(path, dim=DIM, size=SIZE)))
    body = list(model.graph.node)
    if any("raw" in entry.input for entry in after):
        body[-1].output[0] = "raw"
    tensors = [
        *model.graph.initializer,
        *(numpy_helper.from_array(v, k) for k, v in (constants or {}).items()),
    ]
    made = helper.make_graph(
        [*before, *body, *after],
        "g",
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
        tensors,
    )
    onnx.save(
        helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), str(path)
    )
    return path


def inspected(path: Path) -> OnnxGenerator:
    return OnnxGenerator.model_validate(dict(inspect(path).block or {}))


def images(generator: OnnxGenerator, count: int = 7) -> np.ndarray:
    source = OnnxImageGenerator(generator, 7, device="cpu", threads=1)
    samples = source.sample(np.arange(count))
    assert not any(isinstance(sample, InvalidImage) for sample in samples)
    return np.stack([np.asarray(sample) for sample in samples]).astype(int)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """What all forms of one and the same network give."""
    return images(inspected(tiny_generator(tmp_path_factory.mktemp("plain") / "g.onnx", dim=DIM, size=SIZE)))


def dcgan(path: Path) -> Path:
    return graph(path, [node("Flatten", ["noise"], ["z"])], [], [("noise", FLOAT, ["n", DIM, 1, 1])])


def trailing_one(path: Path) -> Path:
    squeeze = node("Squeeze", ["noise", "two"], ["z"])
    return graph(path, [squeeze], [], [("noise", FLOAT, ["n", DIM, 1])], constants={"two": np.array([2])})


def spatial(path: Path) -> Path:
    return graph(path, [node("Flatten", ["noise"], ["z"])], [], [("noise", FLOAT, ["n", 2, 2, 2])])


def cast(kind: int) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        return graph(path, [node("Cast", ["z0"], ["z"], to=FLOAT)], [], [("z0", kind, ["n", DIM])])

    return make


def half_out(path: Path) -> Path:
    outputs = [("image", HALF, ["n", 3, SIZE, SIZE])]
    return graph(path, [], [node("Cast", ["raw"], ["image"], to=HALF)], [("z", FLOAT, ["n", DIM])], outputs)


def batch_of_four(path: Path) -> Path:
    outputs = [("image", FLOAT, [4, 3, SIZE, SIZE])]
    path = graph(path, [], [], [("z", FLOAT, [4, DIM])], outputs)
    model = onnx.load(str(path))
    shape = next(tensor for tensor in model.graph.initializer if tensor.name == "shape")
    shape.CopyFrom(numpy_helper.from_array(np.array([4, 3, SIZE, SIZE]), "shape"))
    onnx.save(model, str(path))
    return path


def dcgan_batch_of_four(path: Path) -> Path:
    return graph(
        path,
        [node("Flatten", ["noise"], ["z"])],
        [],
        [("noise", FLOAT, [4, DIM, 1, 1])],
    )


def image_second(path: Path) -> Path:
    outputs = [("style", FLOAT, ["n", DIM]), ("image", FLOAT, ["n", 3, SIZE, SIZE])]
    return graph(path, [], [node("Identity", ["z"], ["style"])], [("z", FLOAT, ["n", DIM])], outputs)


def empty_label(batch: int | str, kind: int = FLOAT, opset: int = 17) -> Callable[[Path], Path]:
    """As StyleGANs without classes are exported: z, an empty label that is used, psi of shape [1]."""

    def make(path: Path) -> Path:
        inputs = [("z0", FLOAT, [batch, DIM]), ("c", kind, [batch, 0])]
        before = [node("Cast", ["c"], ["c0"], to=FLOAT), node("Concat", ["z0", "c0"], ["z"], axis=1)]
        return graph(path, before, [], inputs, [("image", FLOAT, [batch, 3, SIZE, SIZE])], opset)

    return make


def with_psi(*shape: int) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        inputs = [("z", FLOAT, ["n", DIM]), ("psi", FLOAT, shape)]
        return graph(path, [], [node("Mul", ["raw", "psi"], ["image"])], inputs)

    return make


def with_one_sample(path: Path) -> Path:
    """A latent without an axis of samples."""
    axes = {"axes": np.array([0])}
    return graph(path, [node("Unsqueeze", ["z0", "axes"], ["z"])], [], [("z0", FLOAT, [DIM])], constants=axes)


FORMS: dict[str, Callable[[Path], Path]] = {
    "DCGAN": dcgan,
    "one trailing axis": trailing_one,
    "spatial latent": spatial,
    "float16 latent": cast(HALF),
    "float64 latent": cast(DOUBLE),
    "float16 image": half_out,
    "batch of four": batch_of_four,
    "DCGAN, batch of four": dcgan_batch_of_four,
    "image second": image_second,
    "empty label (1, 0)": empty_label(1),
    "empty label (N, 0)": empty_label("n"),
    "empty label (N, 0), int64": empty_label("n", INT64),
    "empty label (N, 0), opset 9": empty_label("n", FLOAT, 9),
    "psi (1)": with_psi(1),
    "psi ()": with_psi(),
}


@pytest.mark.parametrize("name", FORMS)
def test_the_block_that_inspect_prints_gives_the_network_s_images(
    tmp_path: Path, name: str, plain: np.ndarray
) -> None:
    made = images(inspected(FORMS[name](tmp_path / "g.onnx")))
    assert made.shape == plain.shape
    assert np.abs(made - plain).max() <= (2 if "16" in name else 1)


def labelled(kind: int, *shape: int | str) -> Callable[[Path], Path]:
    """The class scales the image: the number itself, or the place of the one, plus one, over ten."""

    def make(path: Path) -> Path:
        columns = shape[1] if len(shape) > 1 else 1
        scale = np.arange(1, 11)[:, None] / 10 if columns == 10 else np.array([[1 / 9]])
        after = [
            node("Cast", ["label"], ["given"], to=FLOAT),
            node("Reshape", ["given", "rows"], ["wide"]),
            node("MatMul", ["wide", "scale"], ["factor"]),
            node("Unsqueeze", ["factor", "axes"], ["spread"]),
            node("Mul", ["raw", "spread"], ["image"]),
        ]
        constants = {
            "rows": np.array([-1, columns]),
            "scale": scale.astype(np.float32),
            "axes": np.array([2, 3]),
        }
        inputs = [("z", FLOAT, ["n", DIM]), ("label", kind, shape)]
        return graph(path, [], after, inputs, constants=constants)

    return make


@pytest.mark.parametrize(
    ("make", "encoding"),
    [
        (labelled(INT64, "n", 1), "index"),
        (labelled(INT32, "n"), "index"),
        (labelled(INT64, "n", 10), "one_hot"),
        (labelled(FLOAT, "n", 10), "one_hot"),
    ],
)
def test_class_labels_of_every_shape_and_type(
    tmp_path: Path, make: Callable[[Path], Path], encoding: str, plain: np.ndarray
) -> None:
    generator = inspected(make(tmp_path / "g.onnx"))
    label: Any = generator.inputs["label"]
    assert label.encoding == encoding and label.classes == 10
    last = label.model_copy(update={"value": 9})
    fixed = generator.model_copy(update={"inputs": {"label": last}})
    assert np.abs(images(fixed) - plain).max() <= 1
    assert np.abs(images(generator) - plain).max() > 10


def grey(path: Path) -> Path:
    first = {"zero": np.array([0]), "one": np.array([1]), "channel": np.array([1])}
    after = [node("Slice", ["raw", "zero", "one", "channel"], ["image"])]
    outputs = [("image", FLOAT, ["n", 1, SIZE, SIZE])]
    return graph(path, [], after, [("z", FLOAT, ["n", DIM])], outputs, constants=first)


def test_grey_is_repeated_and_said_in_the_fingerprint(tmp_path: Path, plain: np.ndarray) -> None:
    generator = inspected(grey(tmp_path / "g.onnx"))
    assert np.abs(images(generator) - plain[..., :1]).max() <= 1
    assert generator_fields(generator)["generator.output.channels"] == "grey"
    as_rgb = generator.model_copy(update={"output": generator.output.model_copy(update={"channels": "rgb"})})
    with pytest.raises(ModelError, match=r"set generator\.output\.channels to grey"):
        images(as_rgb)


def test_the_image_s_output_is_in_the_fingerprint_named_or_found(tmp_path: Path) -> None:
    generator = inspected(image_second(tmp_path / "g.onnx"))
    unnamed = generator.model_copy(update={"output": generator.output.model_copy(update={"name": None})})
    assert generator_fields(unnamed) == generator_fields(generator)
    assert generator_fields(unnamed)["generator.output.name"] == "image"
    first = inspected(tiny_generator(tmp_path / "first.onnx"))
    assert "generator.output.name" not in generator_fields(first)
    wrong = generator.model_copy(update={"output": generator.output.model_copy(update={"name": "picture"})})
    with pytest.raises(ModelError, match="has no output 'picture', it has"):
        images(wrong)


def test_two_outputs_that_could_be_the_image_are_not_guessed_between(tmp_path: Path) -> None:
    shape = ["n", 3, SIZE, SIZE]
    outputs = [("image", FLOAT, shape), ("mask", FLOAT, shape)]
    path = graph(
        tmp_path / "g.onnx", [], [node("Neg", ["image"], ["mask"])], [("z", FLOAT, ["n", DIM])], outputs
    )
    generator = OnnxGenerator.model_validate({"kind": "onnx", "path": str(path), "latent": {"dim": DIM}})
    with pytest.raises(ModelError, match=r"2 of them could be the image .* set generator.output.name"):
        images(generator)


def test_a_fixed_batch_that_mixes_its_samples_is_refused(tmp_path: Path) -> None:
    before = [node("ReduceMean", ["z0"], ["m"], axes=[0]), node("Sub", ["z0", "m"], ["z"])]
    path = graph(tmp_path / "g.onnx", before, [], [("z0", FLOAT, [4, DIM])])
    with pytest.raises(ModelError, match="fixes its batch at 4 and mixes the samples in it"):
        images(inspected(path))


@pytest.mark.parametrize("make", [cast(TensorProto.UINT8), with_one_sample])
def test_a_file_without_an_input_for_latents_has_no_block(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    inspection = inspect(make(tmp_path / "g.onnx"))
    assert inspection.block is None
    assert dict(inspection.facts)["latent"].startswith("none of its inputs takes one")


def test_a_type_that_onnxruntime_cannot_run_is_named(tmp_path: Path) -> None:
    before = [
        node("ConvTranspose", ["noise", "kernel"], ["wide"]),
        node("Cast", ["wide"], ["cast"], to=FLOAT),
        node("Flatten", ["cast"], ["z"]),
    ]
    kernel = {"kernel": np.ones((DIM, DIM, 1, 1))}
    path = graph(tmp_path / "g.onnx", before, [], [("noise", DOUBLE, ["n", DIM, 1, 1])], constants=kernel)
    with pytest.raises(
        ModelError, match=r"has a ConvTranspose of a type that onnxruntime .* export the model"
    ):
        images(inspected(path))


@pytest.mark.parametrize("shape", [(), (1,)])
def test_a_psi_for_all_samples_can_be_a_factor(
    tmp_path: Path, shape: tuple[int, ...], plain: np.ndarray
) -> None:
    generator = inspected(with_psi(*shape)(tmp_path / "g.onnx"))
    swept = generator.model_copy(update={"factors": {"psi": (1.0, 0.5)}})
    made = images(swept, 14)
    assert np.abs(made[::2] - plain).max() <= 1 and np.abs(made[1::2] - plain).max() > 10
