"""ONNX files whose weights lie beside them: read and digested there, and nowhere else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.external_data_helper import convert_model_to_external_data, set_external_data

from distributed.sampling.adapters import generator_fields, open_generator
from distributed.sampling.inspection import inspect
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from schemas.errors import ModelError
from schemas.spec.generators.onnx import OnnxGenerator
from tests.support.models import tiny_generator
from tests.support.small_world import SmallWorld

IDS = np.arange(3)


def split(folder: Path, location: str = "g.bin", *, attribute: bool = False) -> Path:
    """The tiny generator with its weights in `location`; as the attribute of a node, if wanted."""
    folder.mkdir(parents=True, exist_ok=True)
    path = tiny_generator(folder / "g.onnx")
    model = onnx.load(str(path))
    if attribute:
        weights = next(tensor for tensor in model.graph.initializer if tensor.name == "w")
        model.graph.initializer.remove(weights)
        model.graph.node.insert(0, helper.make_node("Constant", [], ["w"], value=weights))
    (folder / location).parent.mkdir(parents=True, exist_ok=True)
    convert_model_to_external_data(model, location=location, size_threshold=1000, convert_attribute=attribute)
    onnx.save(model, str(path))
    return path


def pointed(path: Path, location: str) -> Path:
    """The model with its weights said to be at `location`, whatever is there."""
    model = onnx.load(str(path), load_external_data=False)
    weights = next(tensor for tensor in model.graph.initializer if tensor.name == "w")
    weights.raw_data = b"0"
    set_external_data(weights, location)
    weights.ClearField("raw_data")
    path.write_bytes(model.SerializeToString())
    return path


def spec(path: Path) -> OnnxGenerator:
    return OnnxGenerator.model_validate({"kind": "onnx", "path": str(path), "latent": {"dim": 8}})


def images(path: Path) -> np.ndarray:
    samples = open_generator(spec(path), 7, device="cpu", threads=1).sample(IDS)
    return np.stack([np.asarray(sample) for sample in samples])


@pytest.mark.parametrize(
    ("location", "attribute"), [("g.bin", False), ("parts/g.bin", False), ("g.bin", True)]
)
def test_weights_beside_the_model_are_read_and_digested(
    tmp_path: Path, location: str, attribute: bool
) -> None:
    path = split(tmp_path / "model", location, attribute=attribute)
    (tmp_path / "whole").mkdir()
    np.testing.assert_array_equal(images(path), images(tiny_generator(tmp_path / "whole" / "g.onnx")))
    before = generator_fields(spec(path))
    moved = tmp_path / "moved"
    shutil.copytree(path.parent, moved)
    assert generator_fields(spec(moved / "g.onnx")) == before
    changed = bytearray((moved / location).read_bytes())
    changed[2] ^= 64
    (moved / location).write_bytes(changed)
    assert generator_fields(spec(moved / "g.onnx"))["generator.sha256"] != before["generator.sha256"]


def parent(folder: Path) -> str:
    return "../secret.bin"


def below_and_up(folder: Path) -> str:
    return "parts/../../secret.bin"


def absolute(folder: Path) -> str:
    return str(folder.parent / "secret.bin")


def windows(folder: Path) -> str:
    return "..\\secret.bin"


def link(folder: Path) -> str:
    (folder / "link.bin").symlink_to(folder.parent / "secret.bin")
    return "link.bin"


def folder_link(folder: Path) -> str:
    (folder / "parts2").symlink_to(folder.parent)
    return "parts2/secret.bin"


def nothing(folder: Path) -> str:
    return "."


@pytest.mark.parametrize("place", [parent, below_and_up, absolute, windows, link, folder_link, nothing])
def test_weights_elsewhere_are_refused(tmp_path: Path, place: Callable[[Path], str]) -> None:
    path = split(tmp_path / "model")
    # The right bytes: a reader that followed would have nothing to complain about.
    shutil.copy(path.parent / "g.bin", tmp_path / "secret.bin")
    (path.parent / "parts").mkdir()
    pointed(path, place(path.parent))
    for use in (images, lambda model: generator_fields(spec(model))):
        with pytest.raises(ModelError, match="outside its folder or behind a symbolic link") as error:
            use(path)
        assert "\n" not in str(error.value)


def test_weights_that_are_missing_or_too_short_are_told(tmp_path: Path) -> None:
    path = split(tmp_path)
    (tmp_path / "g.bin").write_bytes((tmp_path / "g.bin").read_bytes()[:-100])
    with pytest.raises(ModelError, match="not a readable ONNX file"):
        images(path)
    (tmp_path / "g.bin").unlink()
    for use in (images, lambda model: generator_fields(spec(model))):
        with pytest.raises(ModelError, match=r"'g\.bin', which is missing"):
            use(path)


def test_places_that_onnx_does_not_look_at_are_confined_too(tmp_path: Path) -> None:
    path = tiny_generator(tmp_path / "g.onnx")
    value = numpy_helper.from_array(np.ones(3, np.float32), "v")
    indices = numpy_helper.from_array(np.arange(3), "i")
    for location, says in (("../secret.bin", "outside its folder"), ("v.bin", "onnx does not read")):
        model = onnx.load(str(path))
        set_external_data(value, location)
        value.ClearField("raw_data")
        del model.graph.sparse_initializer[:]
        model.graph.sparse_initializer.append(helper.make_sparse_tensor(value, indices, [9]))
        sparse = tmp_path / "sparse.onnx"
        sparse.write_bytes(model.SerializeToString())
        (tmp_path / "v.bin").write_bytes(bytes(12))
        with pytest.raises(ModelError, match=says):
            images(sparse)
        value.raw_data = bytes(12)


@pytest.mark.usefixtures("in_process")
def test_an_audit_stops_before_it_reads_them(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    path = split(small_world.folder / "model")
    pointed(path, "../candidates/person-000/0.png")
    generator = {"kind": "onnx", "path": "model/g.onnx", "latent": {"dim": 8}}
    assert main(["audit", str(small_world.spec_path(generator=generator))]) == ExitCode.BAD_SPEC
    assert "outside its folder" in capsys.readouterr().err
    assert not list(small_world.run.glob("samples/*"))


def hub(folder: Path) -> Path:
    """A model whose weights lie beside it, as a Hugging Face cache keeps them."""
    source = split(folder / "source")
    repository = folder / "models--someone--faces"
    blobs, snapshot = repository / "blobs", repository / "snapshots" / "0a1b"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for number, name in enumerate(("g.onnx", "g.bin")):
        shutil.move(source.parent / name, blobs / f"{number:064x}")
        (snapshot / name).symlink_to(Path("../../blobs") / f"{number:064x}")
    return snapshot / "g.onnx"


def test_links_of_a_hugging_face_cache_are_followed_within_their_repository(tmp_path: Path) -> None:
    (tmp_path / "beside").mkdir()
    beside, cached = split(tmp_path / "beside"), hub(tmp_path)
    np.testing.assert_array_equal(images(cached), images(beside))
    assert generator_fields(spec(cached)) == generator_fields(spec(beside))
    assert inspect(cached).what == "an ONNX file"


@pytest.mark.parametrize("through_blob", [False, True])
def test_links_of_a_hugging_face_cache_lead_nowhere_else(tmp_path: Path, through_blob: bool) -> None:
    cached = hub(tmp_path)
    blob = (cached.parent / "g.bin").resolve()
    shutil.move(blob, tmp_path / "secret.bin")
    (cached.parent / "g.bin").unlink()
    if through_blob:
        blob.symlink_to(tmp_path / "secret.bin")
    (cached.parent / "g.bin").symlink_to(blob if through_blob else tmp_path / "secret.bin")
    for use in (images, lambda model: generator_fields(spec(model))):
        with pytest.raises(ModelError, match="outside its folder or behind a symbolic link"):
            use(cached)
