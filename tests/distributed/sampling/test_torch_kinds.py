"""TorchScript, exported programs and the user's own Python: the module's images, and only if trusted."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from distributed.sampling.adapters import generator_fields, open_generator
from distributed.sampling.generator import InvalidImage
from distributed.sampling.networks.latents import standard_normal
from distributed.sampling.networks.torch_export import on_device
from schemas.errors import ModelError, TrustError
from tests.support.networks import (
    CLASSES,
    DIM,
    SIZE,
    SOURCE,
    Labelled,
    Plain,
    a_generator,
    bad_module,
    exported,
    package,
    torchscript,
    trusted_generator,
)

IDS = np.array([0, 5, 2, 10**9], np.int64)
SEED = 3


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Saving TorchScript is deprecated, which does not matter here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def images(spec: Any, ids: np.ndarray = IDS) -> np.ndarray:
    source = open_generator(spec, SEED, device="cpu", threads=1)
    samples = source.sample(ids)
    assert not any(isinstance(sample, InvalidImage) for sample in samples), samples
    return np.stack([np.asarray(sample) for sample in samples])


def expected(module: torch.nn.Module, *others: torch.Tensor) -> np.ndarray:
    with torch.inference_mode():
        raw = module.eval()(torch.from_numpy(standard_normal(SEED, IDS, DIM)), *others).numpy()
    return np.asarray(np.rint((np.clip(raw, -1, 1) + 1) * 127.5).astype(np.uint8).transpose(0, 2, 3, 1))


def close(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and bool(np.abs(a.astype(int) - b.astype(int)).max() <= 1)


def test_a_torchscript_file_gives_the_images_of_its_module(tmp_path: Path) -> None:
    path = torchscript(tmp_path / "g.pt", Plain())
    assert close(images(trusted_generator(kind="torchscript", path=str(path))), expected(Plain()))


def test_an_exported_program_gives_the_images_of_its_module(tmp_path: Path) -> None:
    path = exported(tmp_path / "g.pt2", Plain())
    assert close(images(trusted_generator(kind="torch_export", path=str(path))), expected(Plain()))


def test_the_users_own_python_is_called_and_given_its_weights(tmp_path: Path) -> None:
    code = package(tmp_path / "code")
    fields = {
        "kind": "module",
        "code": str(code),
        "factory": "tiny_faces.net:make",
        "arguments": {"dim": DIM, "size": SIZE},
    }
    plain = images(trusted_generator(**fields))
    names = ("body.0.weight", "body.0.bias", "body.2.weight", "body.2.bias")
    source = dict(zip(names, Plain().state_dict().values(), strict=True))
    save_file(source | {"classes.weight": torch.zeros(1, DIM)}, tmp_path / "w.safetensors")
    weighted = images(trusted_generator(**fields, weights=str(tmp_path / "w.safetensors")))
    assert close(weighted, expected(Plain())) and close(plain, expected(Plain()))


@pytest.mark.slow
def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    save_file({"other": torch.zeros(1)}, tmp_path / "bad.safetensors")
    spec = bad_module(tmp_path, BAD).model_copy(update={"weights": str(tmp_path / "bad.safetensors")})
    with pytest.raises(ModelError, match="does not fit the module"):
        images(spec)


@pytest.mark.slow
@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_weights_of_torch_save_are_read_as_data(tmp_path: Path, legacy: bool, prefix: str) -> None:
    code, path = package(tmp_path / "code"), tmp_path / "g.pth"
    arguments = {"dim": DIM, "size": SIZE}
    fields = {"kind": "module", "code": str(code), "factory": "tiny_faces.net:make", "arguments": arguments}
    fields["weights"] = str(path)
    names = ("body.0.weight", "body.0.bias", "body.2.weight", "body.2.bias")
    torch.manual_seed(3)
    changed = {
        name: torch.randn_like(tensor)
        for name, tensor in zip(names, Plain().state_dict().values(), strict=True)
    }
    state = {
        f"{prefix}{name}": value
        for name, value in (changed | {"classes.weight": torch.zeros(1, DIM)}).items()
    }
    torch.save({"g_ema": state, "epoch": 3}, path, _use_new_zipfile_serialization=not legacy)
    module = Plain()
    module.load_state_dict(changed)
    assert close(images(trusted_generator(**fields, weights_key="g_ema")), expected(module))
    with pytest.raises(ModelError, match=r"set generator\.weights_key to its state dict"):
        images(trusted_generator(**fields))
    with pytest.raises(ModelError, match="has no 'ema'"):
        images(trusted_generator(**fields, weights_key="ema"))
    torch.save(Plain(), path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ModelError, match="is no file of tensors alone, and nothing else is unpickled"):
        images(trusted_generator(**fields))


def test_classes_are_crossed_with_samples(tmp_path: Path) -> None:
    path = torchscript(tmp_path / "g.pt", Labelled())
    label = {"kind": "class", "classes": CLASSES}
    swept = trusted_generator(
        kind="torchscript", path=str(path), inputs={"label": label}, factors={"label": [0, 2]}
    )
    crossed = images(swept, np.repeat(IDS, 2) * 2 + np.tile([0, 1], len(IDS)))
    for index, value in enumerate((0, 2)):
        assert close(crossed[index::2], expected(Labelled(), torch.full((len(IDS),), value)))


def test_the_constants_of_an_exported_program_come_along_to_a_device() -> None:
    """To the one device that every machine has besides the CPU: `meta`, which computes shapes alone."""

    class Shifted(torch.nn.Module):
        def forward(self, z: torch.Tensor) -> torch.Tensor:
            return z + torch.arange(4.0)

    program = torch.export.export(Shifted(), (torch.zeros(2, 4),))
    assert on_device(program, "cpu") is program
    moved = on_device(program, "meta")
    assert {str(constant.device) for constant in moved.constants.values()} <= {"meta"}
    assert moved.module()(torch.zeros(2, 4, device="meta")).device.type == "meta"


@pytest.mark.parametrize("kind", ["torchscript", "torch_export", "module"])
def test_code_that_is_not_named_is_not_run(tmp_path: Path, kind: str) -> None:
    marker = tmp_path / "ran"
    (tmp_path / "g").write_bytes(b"anything")
    code = package(tmp_path / "code", f"open({str(marker)!r}, 'w')\n" + SOURCE)
    fields = {"kind": kind, "path": str(tmp_path / "g")}
    if kind == "module":
        fields = {"kind": kind, "code": str(code), "factory": "tiny_faces.net:make"}
    with pytest.raises(TrustError, match=r"idleak inspect .* sha256:"):
        images(a_generator(**fields))
    other = "sha256:" + "0" * 64
    with pytest.raises(TrustError, match="names others"):
        images(a_generator(**fields, trust=other))
    assert not marker.exists()


def test_changed_code_is_not_trusted_any_more(tmp_path: Path) -> None:
    code = package(tmp_path / "code")
    fields = {"kind": "module", "code": str(code), "factory": "tiny_faces.net:make"}
    spec = trusted_generator(**fields, arguments={"dim": DIM, "size": SIZE})
    images(spec)
    before = generator_fields(spec)
    (code / "tiny_faces" / "net.py").write_text(SOURCE + "\n", encoding="utf-8")
    assert generator_fields(spec) != before
    with pytest.raises(TrustError):
        images(spec)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("raise ValueError('no luck')", "no luck"),
        ("return 3", "gives a int"),
        ("return Tiny(5, 16)", "correct generator.latent"),
    ],
)
def test_a_factory_that_fails_is_told_in_one_line(tmp_path: Path, body: str, says: str) -> None:
    with pytest.raises(ModelError, match=says) as error:
        images(bad_module(tmp_path, f"def bad():\n    {body}\n"))
    assert "\n" not in str(error.value)


BAD = """
class Bad(nn.Module):
    def forward(self, z):
        images = torch.zeros(len(z), 3, 16, 16) + z[:, :1, None, None].clamp(-1, 1) * torch.linspace(0, 1, 16)
        if len(z) > 1:
            images[0, 0, 3, 3] = float("nan")
            images[1] = 200 * images[1] + 50
            images[2] = 0.5
            images = images[:4]
        return images

def bad():
    return Bad()
"""


def test_each_bad_image_has_its_own_outcome(tmp_path: Path) -> None:
    source = open_generator(bad_module(tmp_path, BAD), SEED, device="cpu", threads=1)
    samples = source.sample(np.arange(6, dtype=np.int64))
    outcomes = [sample.outcome.value if isinstance(sample, InvalidImage) else "image" for sample in samples]
    assert outcomes == ["not_finite", "wrong_range", "constant", "image", "missing", "missing"]


@pytest.mark.parametrize("kind", ["torchscript", pytest.param("torch_export", marks=pytest.mark.slow)])
def test_a_file_of_another_kind_is_told(tmp_path: Path, kind: str) -> None:
    (tmp_path / "g.pt").write_bytes(b"PK nothing")
    with pytest.raises(ModelError, match="idleak inspect"):
        images(trusted_generator(kind=kind, path=str(tmp_path / "g.pt")))
