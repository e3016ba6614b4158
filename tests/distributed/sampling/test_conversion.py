"""Generators that are code as ONNX and safetensors: the same images without the code, or nothing."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import yaml
from pydantic import TypeAdapter

from distributed.runtime.digests import digest_file
from distributed.sampling.adapters import open_generator
from distributed.sampling.generator import InvalidImage
from distributed.sampling.sandbox.trust import code_digests
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from schemas.spec.generators import GeneratorSpec
from tests.support.networks import (
    CLASSES,
    DIM,
    SIZE,
    SOURCE,
    Labelled,
    Plain,
    exported,
    package,
    torchscript,
)
from tests.support.stand_in import checkout, network

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
IDS = np.array([0, 7, 3, 10**9], np.int64)
LABEL = {"kind": "class", "classes": CLASSES}


def parsed(block: dict[str, Any]) -> Any:
    return TypeAdapter(GeneratorSpec).validate_python(block)


def trusting(**block: Any) -> dict[str, Any]:
    return block | {"trust": list(code_digests(parsed(block)).values())}


def spec_file(folder: Path, block: dict[str, Any]) -> Path:
    path = folder / "generator.yaml"
    path.write_text(yaml.safe_dump({"generator": block}), encoding="utf-8")
    return path


def images(block: dict[str, Any], seed: int = 11) -> np.ndarray:
    samples = open_generator(parsed(block), seed, device="cpu", threads=1).sample(IDS)
    assert not any(isinstance(sample, InvalidImage) for sample in samples), samples
    return np.stack([np.asarray(sample, np.int16) for sample in samples])


def module(tmp_path: Path, source: str = SOURCE, factory: str = "make", **fields: Any) -> dict[str, Any]:
    code = package(tmp_path / "code", source)
    fixed = {"kind": "module", "code": str(code), "factory": f"tiny_faces.net:{factory}"}
    return trusting(**fixed, latent={"dim": DIM}, **fields)


def of_kind(kind: str, folder: Path) -> dict[str, Any]:
    latent = {"latent": {"dim": DIM}}
    if kind == "torchscript":
        path = torchscript(folder / "g.pt", Labelled())
        return trusting(kind=kind, path=str(path), inputs={"label": LABEL}, **latent)
    if kind == "torch_export":
        return trusting(kind=kind, path=str(exported(folder / "g.pt2", Plain())), **latent)
    if kind == "stylegan":
        code = checkout(folder / "checkout")
        path = network(code, classes=CLASSES, transform=True)
        return trusting(kind=kind, path=str(path), code=str(code), truncation=0.7, factors={"label": [0, 2]})
    inputs = {"label": LABEL | {"value": 1}, "psi": {"kind": "number", "value": 0.5}}
    arguments = {"dim": DIM, "size": SIZE, "classes": CLASSES}
    return module(folder, arguments=arguments, inputs=inputs, factors={"psi": [0.5, 1.0]})


def slow(kind: str) -> Any:
    return pytest.param(kind, marks=pytest.mark.slow)


@pytest.mark.parametrize("kind", ["torchscript", slow("torch_export"), slow("module"), slow("stylegan")])
def test_the_onnx_file_gives_the_images_of_the_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    block = of_kind(kind, tmp_path)
    out = tmp_path / "converted.onnx"
    assert main(["convert", str(spec_file(tmp_path, block)), "--to", "onnx", str(out)]) == ExitCode.OK
    first, _, rest = capsys.readouterr().out.partition("\n\n")
    printed = yaml.safe_load(rest)["generator"]
    assert f"sha256:{digest_file(out)}" in first and "16 samples" in first
    assert printed["kind"] == "onnx" and printed["path"] == "converted.onnx" and "trust" not in printed
    # Another seed than the conversion's own check.
    difference = np.abs(images(printed | {"path": str(out)}) - images(block)).max()
    assert difference <= 1
    model = onnx.load(str(out))
    assert not any(tensor.type.tensor_type.shape.dim[0].dim_value for tensor in model.graph.input)
    assert b"tiny_faces" not in out.read_bytes() and str(tmp_path).encode() not in out.read_bytes()


@pytest.mark.slow
def test_code_that_fixes_the_batch_is_run_one_by_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # As NVlabs' networks do: numpy's functions, and the batch size as a Python int.
    change = (
        "images = images.reshape(int(z.shape[0]), 3, 16, 16); images = images * 0.5 if np.sqrt(4) > 1 else z"
    )
    block = module(tmp_path, "import numpy as np\n" + SOURCE + BAD.replace("CHANGE", change), "bad")
    out = tmp_path / "g.onnx"
    assert main(["convert", str(spec_file(tmp_path, block)), "--to", "onnx", str(out)]) == ExitCode.OK
    first, _, rest = capsys.readouterr().out.partition("\n\n")
    printed = yaml.safe_load(rest)["generator"] | {"path": str(out)}
    assert ("one by one" in first) == bool(
        onnx.load(str(out)).graph.input[0].type.tensor_type.shape.dim[0].dim_value
    )
    assert "one by one" in first
    assert np.abs(images(printed) - images(block)).max() <= 1


@pytest.mark.slow
def test_a_file_that_says_what_it_takes_needs_no_spec(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = exported(tmp_path / "g.pt2", Plain()), tmp_path / "g.onnx"
    assert main(["convert", str(path), "--to", "onnx", str(out)]) == ExitCode.BAD_SPEC
    assert "generator.trust is empty" in capsys.readouterr().err and not out.exists()
    script = torchscript(tmp_path / "g.pt", Plain())
    trust = f"sha256:{digest_file(script)}"
    arguments = ["convert", str(script), "--to", "onnx", str(tmp_path / "s.onnx"), "--trust", trust]
    assert main(arguments) == ExitCode.BAD_SPEC
    assert "give --dim" in capsys.readouterr().err
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main([*arguments, "--dim", str(DIM)]) == ExitCode.OK
    assert "Next: put this `generator` into the audit's spec" in capsys.readouterr().err


WEIGHTED = """
def weighted(checkpoint):
    made = Tiny(8, 16)
    made.load_state_dict(torch.load(checkpoint))
    made.tied = made.body
    return made

def bare(checkpoint):
    made = Tiny(8, 16)
    made.tied = made.body
    return made
"""


@pytest.mark.slow
def test_weights_of_a_module_become_safetensors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("body.0.weight", "body.0.bias", "body.2.weight", "body.2.bias")
    weights = {name: weight + 0.1 for name, weight in zip(names, Plain().state_dict().values(), strict=True)}
    torch.save(weights | {"classes.weight": torch.zeros(1, DIM)}, tmp_path / "w.pt")
    arguments = {"checkpoint": str(tmp_path / "w.pt")}
    block = module(tmp_path, SOURCE + WEIGHTED, "weighted", arguments=arguments)
    out = tmp_path / "w.safetensors"
    assert main(["convert", str(spec_file(tmp_path, block)), "--to", "safetensors", str(out)]) == ExitCode.OK
    printed = yaml.safe_load(capsys.readouterr().out.partition("\n\n")[2])["generator"]
    assert printed["weights"] == "w.safetensors" and printed["trust"] == block["trust"]
    before = images(block)
    (tmp_path / "w.pt").unlink()
    bare = block | {"factory": "tiny_faces.net:bare", "weights": str(out)}
    np.testing.assert_array_equal(images(bare), before)


BAD = """
class Bad(nn.Module):
    def forward(self, z):
        images = z[:, :1, None, None].clamp(-1, 1) * torch.linspace(0, 1, 16) + torch.zeros(1, 3, 16, 16)
        CHANGE
        return images

def bad():
    return Bad()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("images = torch.special.airy_ai(images)", "No ONNX function found for .*special_airy_ai"),
        ("images = images * 2 if z.sum() > 0 else images", "data-dependent"),
        ("images = images + torch.rand_like(images)", r"differ by up to \d+ of 255 levels in 16 samples"),
        ("images = images * float('nan')", "none of 16 samples is an image"),
    ],
)
def test_what_cannot_be_converted_is_told_in_one_line_and_not_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str, says: str
) -> None:
    block = module(tmp_path, SOURCE + BAD.replace("CHANGE", change), "bad")
    out = tmp_path / "out" / "g.onnx"
    out.parent.mkdir()
    assert main(["convert", str(spec_file(tmp_path, block)), "--to", "onnx", str(out)]) == ExitCode.BAD_SPEC
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1 and re.search(says, err), err
    assert not list(out.parent.iterdir())


def test_what_needs_no_conversion_or_has_none_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").touch()
    stylegan = of_kind("stylegan", tmp_path)
    refused = [
        ({"kind": "onnx", "path": "g.onnx", "latent": {"dim": 8}}, "onnx", "o", "is data"),
        (of_kind("torch_export", tmp_path), "safetensors", "o", "`module` only"),
        (of_kind("torch_export", tmp_path), "onnx", "taken", "is there already"),
        (of_kind("torch_export", tmp_path), "onnx", "nowhere/o", "its folder is not"),
        (of_kind("torch_export", tmp_path) | {"trust": []}, "onnx", "o", "trust is empty"),
        (stylegan | {"seeds": "nvlabs"}, "onnx", "o", "NVlabs' seeds"),
        (stylegan | {"factors": {"truncation": [0.5]}}, "onnx", "o", "one truncation"),
    ]
    for block, to, out, says in refused:
        path = spec_file(tmp_path, block)
        assert main(["convert", str(path), "--to", to, str(tmp_path / out)]) == ExitCode.BAD_SPEC
        err = capsys.readouterr().err
        assert says in err and len(err.splitlines()) == 1
    assert (tmp_path / "taken").read_bytes() == b"" and not (tmp_path / "o").exists()
