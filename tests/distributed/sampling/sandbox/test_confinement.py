"""What a generator's own process sees, reaches and may do, and what its end costs."""

from __future__ import annotations

import json
import py_compile
import socket
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distributed.sampling.sandbox.landlock import SCOPED_SINCE, landlock_version
from distributed.sampling.sandbox.parent import GeneratorCrashedError, SandboxedSource
from schemas.errors import ModelError
from tests.support.networks import DIM, SIZE, SOURCE, bad_module, package, trusted_generator

IDS = np.array([0, 5, 2, 10**9], np.int64)
SEED = 3


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
    report = seen(bad_module(tmp_path, SEEING.replace("$PORT", str(server.getsockname()[1]))))
    assert not {"AWS_SECRET_ACCESS_KEY", "RAY_AUTH_TOKEN"} & set(report["environment"])
    assert report["folder"] == report["home"] != str(Path.home())
    opened = SandboxedSource(bad_module(tmp_path, CRASHING), SEED, device="cpu", threads=1)
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
    report = seen(trusted_generator(**fields, arguments={"given": str(given)}))
    allowed = ("own code", "own folder", "its file")
    assert report == {name: "done" if name in allowed else "denied" for name in report}
    assert secret.read_text() == "canary"
    assert [file.name for file in secret.parent.iterdir()] == ["person.png"]


def test_what_runs_is_the_source_that_is_trusted(tmp_path: Path) -> None:
    code = package(tmp_path / "code")
    fields = {"kind": "module", "code": str(code), "factory": "tiny_faces.net:make"}
    spec = trusted_generator(**fields, arguments={"dim": DIM, "size": SIZE})
    other = tmp_path / "net.py"
    other.write_text("raise ValueError('compiled from something else')\n", encoding="utf-8")
    planted = cache_from_source(str(code / "tiny_faces" / "net.py"))
    py_compile.compile(
        str(other), planted, doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
    )
    opened = SandboxedSource(spec, SEED, device="cpu", threads=1)
    assert [np.asarray(image).shape for image in opened.sample(IDS)] == [(SIZE, SIZE, 3)] * len(IDS)
    opened.close()


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
    assert seen(bad_module(tmp_path, SIGNALLING)) == {"signal": "denied"}


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
    opened = SandboxedSource(bad_module(tmp_path, source), SEED, device="cpu", threads=1, sample_seconds=5.0)
    before = opened.sample(IDS)
    flag.touch()
    with pytest.raises(GeneratorCrashedError, match=says):
        opened.sample(IDS)
    flag.unlink()
    after = opened.sample(IDS)
    assert all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(before, after, strict=True))
    opened.close()
