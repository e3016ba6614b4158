"""TorchScript, exported programs and the user's own Python: the module's images, and only if trusted."""

from __future__ import annotations

import json
import py_compile
import socket
import warnings
from collections.abc import Iterator
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from safetensors.torch import save_file

from distributed.sampling.adapters import generator_fields, open_generator
from distributed.sampling.generator import InvalidImage
from distributed.sampling.networks.latents import standard_normal
from distributed.sampling.networks.torch_export import on_device
from distributed.sampling.sandbox.landlock import SCOPED_SINCE, landlock_version
from distributed.sampling.sandbox.parent import GeneratorCrashedError, SandboxedSource
from distributed.sampling.sandbox.trust import code_digests
from schemas.errors import ModelError, TrustError
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

IDS = np.array([0, 5, 2, 10**9], np.int64)
SEED = 3


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Saving TorchScript is deprecated, which does not matter here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def generator(**fields: Any) -> Any:
    return TypeAdapter(GeneratorSpec).validate_python({"latent": {"dim": DIM}} | fields)


def trusting(**fields: Any) -> Any:
    return generator(**fields, trust=list(code_digests(generator(**fields)).values()))


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
    assert close(images(trusting(kind="torchscript", path=str(path))), expected(Plain()))


def test_an_exported_program_gives_the_images_of_its_module(tmp_path: Path) -> None:
    path = exported(tmp_path / "g.pt2", Plain())
    assert close(images(trusting(kind="torch_export", path=str(path))), expected(Plain()))


def test_the_users_own_python_is_called_and_given_its_weights(tmp_path: Path) -> None:
    code = package(tmp_path / "code")
    fields = {
        "kind": "module",
        "code": str(code),
        "factory": "tiny_faces.net:make",
        "arguments": {"dim": DIM, "size": SIZE},
    }
    plain = images(trusting(**fields))
    names = ("body.0.weight", "body.0.bias", "body.2.weight", "body.2.bias")
    source = dict(zip(names, Plain().state_dict().values(), strict=True))
    save_file(source | {"classes.weight": torch.zeros(1, DIM)}, tmp_path / "w.safetensors")
    weighted = images(trusting(**fields, weights=str(tmp_path / "w.safetensors")))
    assert close(weighted, expected(Plain())) and close(plain, expected(Plain()))


@pytest.mark.slow
def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    save_file({"other": torch.zeros(1)}, tmp_path / "bad.safetensors")
    spec = module_spec(tmp_path, BAD).model_copy(update={"weights": str(tmp_path / "bad.safetensors")})
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
    assert close(images(trusting(**fields, weights_key="g_ema")), expected(module))
    with pytest.raises(ModelError, match=r"set generator\.weights_key to its state dict"):
        images(trusting(**fields))
    with pytest.raises(ModelError, match="has no 'ema'"):
        images(trusting(**fields, weights_key="ema"))
    torch.save(Plain(), path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ModelError, match="is no file of tensors alone, and nothing else is unpickled"):
        images(trusting(**fields))


def test_classes_are_crossed_with_samples(tmp_path: Path) -> None:
    path = torchscript(tmp_path / "g.pt", Labelled())
    label = {"kind": "class", "classes": CLASSES}
    swept = trusting(kind="torchscript", path=str(path), inputs={"label": label}, factors={"label": [0, 2]})
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
        images(generator(**fields))
    other = "sha256:" + "0" * 64
    with pytest.raises(TrustError, match="names others"):
        images(generator(**fields, trust=other))
    assert not marker.exists()


def test_changed_code_is_not_trusted_any_more(tmp_path: Path) -> None:
    code = package(tmp_path / "code")
    fields = {"kind": "module", "code": str(code), "factory": "tiny_faces.net:make"}
    spec = trusting(**fields, arguments={"dim": DIM, "size": SIZE})
    images(spec)
    before = generator_fields(spec)
    (code / "tiny_faces" / "net.py").write_text(SOURCE + "\n", encoding="utf-8")
    assert generator_fields(spec) != before
    with pytest.raises(TrustError):
        images(spec)


def module_spec(tmp_path: Path, source: str) -> Any:
    code = package(tmp_path / "code", SOURCE + source)
    return trusting(kind="module", code=str(code), factory="tiny_faces.net:bad")


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
        images(module_spec(tmp_path, f"def bad():\n    {body}\n"))
    assert "\n" not in str(error.value)


SEEING = """
import json, os, socket

def bad():
    print("this must not reach the parent")
    seen = {"environment": sorted(os.environ), "folder": os.getcwd(), "home": os.path.expanduser("~")}
    try:
        socket.create_connection(("127.0.0.1", $PORT), timeout=2).close()
        seen["network"] = True
    except OSError:
        seen["network"] = False
    raise ValueError(json.dumps(seen))
"""


def seen(spec: Any) -> dict[str, Any]:
    """What the factory says in the error that it raises: it can write nothing that is read by others."""
    with pytest.raises(ModelError) as error:
        SandboxedSource(spec, SEED, device="cpu", threads=1)
    text = str(error.value)
    report: dict[str, Any] = json.loads(text[text.index("{") : text.rindex("}") + 1])
    return report


def test_code_sees_no_secrets_and_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "canary")
    report = seen(module_spec(tmp_path, SEEING.replace("$PORT", str(server.getsockname()[1]))))
    assert not {"AWS_SECRET_ACCESS_KEY", "RAY_AUTH_TOKEN"} & set(report["environment"])
    assert report["folder"] == report["home"] != str(Path.home())
    opened = SandboxedSource(module_spec(tmp_path, CRASHING), SEED, device="cpu", threads=1)
    assert report["network"] == opened.network
    opened.close()
    server.close()


REACHING = """
import errno, json, os, subprocess

def attempt(action):
    try:
        action()
        return "done"
    except subprocess.CalledProcessError:
        return "denied"
    except OSError as error:
        return "denied" if error.errno in (errno.EPERM, errno.EACCES, errno.EXDEV) else repr(error)

def write(path):
    with open(path, "w") as file:
        file.write("1")

def bad(given):
    secret = $SECRET
    os.symlink(secret, "link")
    parent = f"/proc/{os.getppid()}"
    actions = {
        "read": lambda: open(secret).read(),
        "read by a link": lambda: open("link").read(),
        "read by another program": lambda: subprocess.run(["cat", secret], check=True, capture_output=True),
        "read by its root": lambda: open("/proc/self/root" + secret).read(),
        "list": lambda: os.listdir(os.path.dirname(secret)),
        "list the root of idleak": lambda: os.listdir(os.environ["PYTHONPATH"]),
        "change": lambda: write(secret),
        "shorten": lambda: os.truncate(secret, 0),
        "make": lambda: write(os.path.dirname(secret) + "/new"),
        "remove": lambda: os.remove(secret),
        "move": lambda: os.rename(secret, "here"),
        "link": lambda: os.link(secret, "hard"),
        "change its own code": lambda: write(__file__),
        "the parent's environment": lambda: open(parent + "/environ").read(),
        "the parent's memory": lambda: open(parent + "/mem").read(1),
        "passwords": lambda: open("/etc/passwd").read(),
        "shared memory": lambda: os.listdir("/dev/shm"),
        "own code": lambda: open(__file__).read(),
        "own folder": lambda: write("mine"),
        "its file": lambda: open(given).read(),
        "its file's neighbour": lambda: open(given + ".other").read(),
    }
    raise ValueError(json.dumps({name: attempt(action) for name, action in actions.items()}))
"""


@pytest.mark.skipif(landlock_version() == 0, reason="this kernel has no Landlock")
def test_code_reaches_no_files_but_its_own(tmp_path: Path) -> None:
    secret = tmp_path / "gallery" / "person.png"
    secret.parent.mkdir()
    secret.write_text("canary")
    given = tmp_path / "given"
    for path in (given, tmp_path / "given.other"):
        path.write_text("data")
    code = package(tmp_path / "code", SOURCE + REACHING.replace("$SECRET", repr(str(secret))))
    fields = {"kind": "module", "code": str(code), "factory": "tiny_faces.net:bad"}
    report = seen(trusting(**fields, arguments={"given": str(given)}))
    allowed = ("own code", "own folder", "its file")
    assert report == {name: "done" if name in allowed else "denied" for name in report}
    assert secret.read_text() == "canary"
    assert [file.name for file in secret.parent.iterdir()] == ["person.png"]


def test_what_runs_is_the_source_that_is_trusted(tmp_path: Path) -> None:
    code = package(tmp_path / "code")
    fields = {"kind": "module", "code": str(code), "factory": "tiny_faces.net:make"}
    spec = trusting(**fields, arguments={"dim": DIM, "size": SIZE})
    other = tmp_path / "net.py"
    other.write_text("raise ValueError('compiled from something else')\n", encoding="utf-8")
    planted = cache_from_source(str(code / "tiny_faces" / "net.py"))
    py_compile.compile(
        str(other), planted, doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
    )
    assert images(spec).shape == (len(IDS), SIZE, SIZE, 3)


SIGNALLING = """
import json, os

def bad():
    try:
        os.kill(os.getppid(), 0)
        raise ValueError(json.dumps({"signal": "sent"}))
    except PermissionError:
        raise ValueError(json.dumps({"signal": "denied"}))
"""


@pytest.mark.skipif(landlock_version() < SCOPED_SINCE, reason="this kernel's Landlock knows no scopes")
def test_code_sends_no_signal_to_its_parent(tmp_path: Path) -> None:
    assert seen(module_spec(tmp_path, SIGNALLING)) == {"signal": "denied"}


CRASHING = """
import os, time

class Moody(nn.Module):
    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, z):
        self.calls += 1
        if self.calls > 1 and os.path.exists("FLAG"):
            ACTION
        return torch.zeros(len(z), 3, 16, 16) + z[:, :1, None, None].clamp(-1, 1) * torch.linspace(0, 1, 16)

def bad():
    return Moody()
"""


@pytest.mark.parametrize(
    ("action", "says"),
    [
        ("os.kill(os.getpid(), 11)", "ended with exit code -11"),
        pytest.param("time.sleep(1000)", "did not answer in time", marks=pytest.mark.slow),
        pytest.param("os._exit(0)", "ended with exit code 0", marks=pytest.mark.slow),
    ],
)
def test_a_crash_or_a_hang_costs_one_call(tmp_path: Path, action: str, says: str) -> None:
    flag = tmp_path / "flag"
    source = CRASHING.replace("FLAG", str(flag)).replace("ACTION", action)
    opened = SandboxedSource(module_spec(tmp_path, source), SEED, device="cpu", threads=1, sample_seconds=5.0)
    before = opened.sample(IDS)
    flag.touch()
    with pytest.raises(GeneratorCrashedError, match=says):
        opened.sample(IDS)
    flag.unlink()
    after = opened.sample(IDS)
    assert all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(before, after, strict=True))
    opened.close()


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
    source = open_generator(module_spec(tmp_path, BAD), SEED, device="cpu", threads=1)
    samples = source.sample(np.arange(6, dtype=np.int64))
    outcomes = [sample.outcome.value if isinstance(sample, InvalidImage) else "image" for sample in samples]
    assert outcomes == ["not_finite", "wrong_range", "constant", "image", "missing", "missing"]


@pytest.mark.parametrize("kind", ["torchscript", pytest.param("torch_export", marks=pytest.mark.slow)])
def test_a_file_of_another_kind_is_told(tmp_path: Path, kind: str) -> None:
    (tmp_path / "g.pt").write_bytes(b"PK nothing")
    with pytest.raises(ModelError, match="idleak inspect"):
        images(trusting(kind=kind, path=str(tmp_path / "g.pt")))
