"""What `inspect` says of files, hostile ones among them; nothing in them may run."""

from __future__ import annotations

import argparse
import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import TypeAdapter
from safetensors.torch import save_file

from distributed.sampling import weights_inspection
from distributed.sampling.inspection import inspect
from distributed.sampling.networks.torch_loading import state_dict
from distributed.sampling.sandbox.trust import code_digests
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from schemas.errors import ModelError
from schemas.spec.generators import KINDS, GeneratorSpec
from tests.support.models import tiny_generator, tiny_labelled_generator
from tests.support.networks import Labelled, Plain, exported, package, torchscript
from tests.support.recordio import write_insightface
from tests.support.stand_in import checkout

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def tar(path: Path) -> Path:
    with tarfile.open(path, "w") as file:
        file.addfile(tarfile.TarInfo("a.png"), io.BytesIO())
    return path


def table(path: Path) -> Path:
    pq.write_table(pa.table({"image": [b"x"]}), path)
    return path


def pictures(path: Path) -> Path:
    path.mkdir()
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path / "a.png")
    return path


def array(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.ones((3, 4), np.float16))
    return path


def vectors(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": [1, 2], "vector": [[0.0, 1.0], [1.0, 0.0]]}), path)
    return path


def weights(path: Path) -> Path:
    save_file({"a": torch.zeros(2)}, path)
    return path


FILES: dict[str, tuple[Callable[[Path], Path], str, bool]] = {
    "g.onnx": (tiny_generator, "onnx", False),
    "l.onnx": (tiny_labelled_generator, "onnx", False),
    "g.pt": (lambda path: torchscript(path, Plain()), "torchscript", True),
    "g.pt2": (lambda path: exported(path, Plain()), "torch_export", True),
    "w.safetensors": (weights, "module", False),
    "s.pth": (lambda path: checkpoint(path, Plain().state_dict(), legacy=False), "module", False),
    "o.pth": (lambda path: checkpoint(path, Plain().state_dict(), legacy=True), "module", False),
    "a.tar": (tar, "webdataset", False),
    "a.parquet": (table, "parquet", False),
    "a.rec": (lambda path: write_insightface(path, {7: [b"image"]}), "recordio", False),
    "folder": (pictures, "images", False),
    "t.npy": (array, "templates", False),
    "v.parquet": (vectors, "templates", False),
    "clip": (lambda path: array(path / "img_emb" / "img_emb_0.npy").parents[1], "templates", False),
    "vectors": (lambda path: vectors(path / "v.parquet").parent, "templates", False),
    "code": (package, "module", True),
}
KNOWN = {get_args(kind.model_fields["kind"].annotation)[0] for kind in KINDS}


@pytest.mark.parametrize("name", FILES)
def test_every_kind_is_known_and_its_block_is_a_spec(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make, kind, is_code = FILES[name]
    path = make(tmp_path / name)
    assert main(["inspect", str(path)]) == ExitCode.OK
    out = capsys.readouterr().out
    block = yaml.safe_load(out[out.index("generator:") :])["generator"]
    assert block["kind"] == kind in KNOWN
    assert ("this is code" in out) == is_code and ("this is data" in out) != is_code
    generator: Any = TypeAdapter(GeneratorSpec).validate_python(block)
    if is_code:
        assert set(code_digests(generator).values()) == set(generator.trust)


def test_inputs_and_outputs_are_told(tmp_path: Path) -> None:
    description = inspect(tiny_labelled_generator(tmp_path / "l.onnx", dim=8))
    facts = dict(description.facts)
    assert facts["input z"] == "float (any, 8)" and facts["input label"] == "int64 (any)"
    assert description.block is not None and description.block["latent"]["dim"] == 8
    assert description.block["inputs"]["psi"]["kind"] == "number"
    scripted = inspect(torchscript(tmp_path / "g.pt", Labelled()))
    assert ("argument label", "Tensor") in scripted.facts
    program = inspect(exported(tmp_path / "g.pt2", Plain()))
    assert dict(program.facts)["input z"] == "float32 (any, 8)" and program.block is not None
    assert program.block["latent"]["dim"] == 8


class Hostile:
    """A pickle that would make a file."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self._marker}",)


def test_a_pickle_that_would_run_a_command_is_named_and_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    marker = tmp_path / "ran"
    (tmp_path / "network.pkl").write_bytes(pickle.dumps(Hostile(marker)))
    torch.save(Hostile(marker), tmp_path / "network.pt")
    for name in ("network.pkl", "network.pt"):
        assert main(["inspect", str(tmp_path / name)]) == ExitCode.OK
        out = capsys.readouterr().out
        assert "DANGEROUS: its pickle calls posix.system" in out and "this is code" in out
    assert not marker.exists()


def test_code_in_a_folder_is_not_imported(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    code = package(tmp_path / "code", f"import socket, os.path\nopen({str(marker)!r}, 'w')\n")
    description = inspect(code)
    assert dict(description.facts)["imports"] == "os, socket" and not marker.exists()
    (code / "bad.py").write_text("def (")
    assert "cannot be read as Python: bad.py" in inspect(code).risks


def test_a_torchscript_file_that_reaches_for_files_is_told(tmp_path: Path) -> None:
    path = tmp_path / "g.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "g/code/__torch__.py",
            "def forward(self: M,\n    z: Tensor) -> Tensor:\n"
            "  x = torch.from_file('/etc/passwd')\n  y = ops.evil.run(z)\n",
        )
    risks = inspect(path).risks
    assert "calls from_file" in risks and "calls evil.run" in risks


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("g/data.pkl", "w") as file:
        for _ in range(300):
            file.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(ModelError, match="unpacks to more than 256 MiB"):
        inspect(path)


def test_a_header_of_ten_gigabytes_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", 10**10) + b"{}")
    with pytest.raises(ModelError, match="claims a header of 10,000,000,000 bytes"):
        inspect(tmp_path / "w.safetensors")


def test_names_cannot_act_on_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a\x1b[31m\nb.parquet"
    pq.write_table(pa.table({"image\x1b[2J": [b"x"]}), path)
    assert main(["inspect", str(path)]) == ExitCode.OK
    assert "\x1b" not in capsys.readouterr().out


def test_a_dataset_s_repository_has_its_images_in_a_folder_and_a_column_of_any_name(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    image = pa.array([{"bytes": b"x", "path": "1.jpg"}])
    pq.write_table(pa.table({"id": [1], "img": image}), tmp_path / "data" / "train-00000-of-00001.parquet")
    (tmp_path / "README.md").write_text("a card")
    block = {"kind": "parquet", "path": str(tmp_path), "column": "img"}
    assert inspect(tmp_path).block == block
    (tmp_path / "data" / "train-00000-of-00001.parquet").write_bytes(b"PAR1 cut")
    with pytest.raises(ModelError, match="no whole Parquet file"):
        inspect(tmp_path)


def test_what_is_nothing_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text").write_text("hello")
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "text")
    for name in ("text", "empty", "link", "nowhere"):
        assert main(["inspect", str(tmp_path / name)]) == ExitCode.BAD_SPEC
        assert len(capsys.readouterr().err.strip().splitlines()) == 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize(
    "name",
    [
        "g.pt",
        "s.pth",
        "o.pth",
        "g.pt2",
        "g.onnx",
        "w.safetensors",
        "a.parquet",
        "a.tar",
        "t.npy",
        "v.parquet",
    ],
)
def test_damaged_files_end_in_a_line(tmp_path_factory: pytest.TempPathFactory, name: str, data: Any) -> None:
    whole = _whole(tmp_path_factory, name)
    keep = data.draw(st.integers(0, len(whole)))
    damaged = bytearray(whole[:keep])
    for _ in range(data.draw(st.integers(0, 3)) if damaged else 0):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / name
    path.write_bytes(damaged)
    try:
        inspect(path)
    except ModelError as error:
        assert "\n" not in str(error)


WHOLE: dict[str, bytes] = {}


def _whole(factory: pytest.TempPathFactory, name: str) -> bytes:
    if name not in WHOLE:
        WHOLE[name] = FILES[name][0](factory.mktemp("whole") / name).read_bytes()
    return WHOLE[name]


def checkpoint(path: Path, held: Any, legacy: bool) -> Path:
    torch.save(held, path, _use_new_zipfile_serialization=not legacy)
    return path


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("key", ["", "g_ema", "models.generator"])
def test_a_state_dict_is_read_without_running_its_pickle(
    tmp_path: Path, legacy: bool, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    state = Plain().state_dict()
    held: Any = state
    for part in reversed(key.split(".") if key else []):
        held = {part: held, "epoch": 3, "small": {"a": torch.zeros(1)}}
    path = checkpoint(tmp_path / "g.pth", held, legacy)
    assert main(["inspect", str(path)]) == ExitCode.OK
    out = capsys.readouterr().out
    assert "a torch state dict" in out and "this is data" in out and "convert SPEC --to onnx" in out
    assert "body.0.weight: float (32, 8)" in out
    block = yaml.safe_load(out[out.index("generator:") :])["generator"]
    spec: Any = TypeAdapter(GeneratorSpec).validate_python(block)
    assert spec.kind == "module" and spec.weights == str(path) and spec.latent.dim == 8
    assert spec.weights_key == (key or None)


@pytest.mark.parametrize("legacy", [False, True])
def test_what_training_programs_save_beside_tensors_is_put_aside(tmp_path: Path, legacy: bool) -> None:
    beside = {
        "args": argparse.Namespace(lr=0.1, out=Path("runs")),
        "loss": np.float64(3),
        "seen": np.zeros(3),
        "classes": {1, 2},
        "device": torch.device("cpu"),
        "dtype": torch.float16,
        "when": datetime(2026, 1, 1),
    }
    path = checkpoint(tmp_path / "g.pth", {"g_ema": Plain().state_dict(), **beside}, legacy)
    block = inspect(path).block
    assert block is not None and block["weights_key"] == "g_ema"
    weights = state_dict(path, "g_ema")
    assert weights.keys() == Plain().state_dict().keys()
    assert all(torch.equal(weights[name], value) for name, value in Plain().state_dict().items())


def test_the_checkout_beside_a_network_pickle_is_found(tmp_path: Path) -> None:
    (tmp_path / "ffhq.pkl").write_bytes(pickle.dumps({"G_ema": None}))
    assert "code" in inspect(tmp_path / "ffhq.pkl").decide
    code = checkout(tmp_path / "stylegan2-ada-pytorch")
    inspection = inspect(tmp_path / "ffhq.pkl")
    assert inspection.block is not None and inspection.block["code"] == str(code)
    assert "code" not in inspection.decide


def test_a_pipeline_of_diffusers_says_what_it_needs(tmp_path: Path) -> None:
    index = tmp_path / "model_index.json"
    for part, needed in (
        ({"tokenizer": ["transformers", "CLIPTokenizer"]}, "prompt"),
        ({"id2label": {}}, "label"),
    ):
        index.write_text(json.dumps({"_class_name": "A", **part}), encoding="utf-8")
        inspection = inspect(tmp_path)
        assert inspection.block is not None and needed in inspection.block and inspection.decide == [needed]
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"")
    inspection = inspect(tmp_path)
    assert inspection.block is None and inspection.what.endswith("with weights as pickles alone (unet)")
    (tmp_path / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"")
    assert inspect(tmp_path).block is not None


def test_the_latent_of_a_dcgan_s_state_dict_is_told(tmp_path: Path) -> None:
    first = torch.nn.ConvTranspose2d(100, 64, 4, bias=False)
    block = inspect(checkpoint(tmp_path / "netG.pth", {"main.0.weight": first.weight}, legacy=False)).block
    assert block is not None and block["latent"]["dim"] == 100


def test_the_latent_of_torchscript_is_told_by_its_first_layer(tmp_path: Path) -> None:
    inspection = inspect(torchscript(tmp_path / "g.pt", torch.nn.ConvTranspose2d(100, 3, 4)))
    assert inspection.block is not None and inspection.block["latent"]["dim"] == 100
    assert "latent.dim" in inspection.decide


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickled_module_or_command_is_no_state_dict(
    tmp_path: Path, legacy: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    marker = tmp_path / "ran"
    for held in (Plain(), {"a": torch.zeros(1), "b": Hostile(marker)}):
        path = checkpoint(tmp_path / "g.pt", held, legacy)
        assert main(["inspect", str(path)]) == ExitCode.OK
        out = capsys.readouterr().out
        assert "this is code" in out and "generator:" not in out
    assert not marker.exists()


def test_a_pickle_that_sets_attributes_changes_nothing_here(tmp_path: Path) -> None:
    # GLOBAL torch._utils _rebuild_tensor_v2, then BUILD with a state that would change the function.
    evil = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x05\x00\x00\x00wrongK\x01sb."
    with zipfile.ZipFile(tmp_path / "g.pt", "w") as archive:
        archive.writestr("g/data.pkl", evil)
    inspect(tmp_path / "g.pt")
    assert not hasattr(weights_inspection._form, "wrong")
