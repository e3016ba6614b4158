"""The process that a generator's own code runs in: images on request, over the standard streams."""

from __future__ import annotations

import ctypes
import json
import os
import struct
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

# Both before the files are left: their folder, the root, is not listed afterwards.
import distributed
import schemas
from distributed.sampling.sandbox.landlock import confine
from schemas.errors import first_line

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
HEADER = struct.Struct("<Q")
LIBRARY_VARIABLES = ("LD_LIBRARY_PATH", "CUDA_HOME")
SYSTEM = [
    Path(path)
    for path in (
        *("/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc/ld.so.cache", "/etc/localtime"),
        *("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/version", "/proc/devices"),
        *("/proc/driver/nvidia", "/proc/sys/vm", "/sys/devices", "/sys/bus/pci", "/sys/fs/cgroup"),
    )
]
OWN_THREADS = [Path("/proc/self/task")]
"""CUDA gives its threads names there, and does not start where it cannot. They are this process's own."""
DEVICES = [Path("/dev", name) for name in ("null", "zero", "full", "random", "urandom")]


def main() -> None:
    """Read an order, then requests, until the parent goes away."""
    # Before anything else starts a thread: only a process with a single one may leave its namespaces.
    network = not _leave_network()
    answers, requests = _own_streams()
    try:
        order = _receive(requests)
        confined = _leave_files([Path(path) for path in order["readable"]])
        from distributed.sampling.sandbox import served

        source = served.opened(order)
        shared = served.shared_bytes(order["share"])
    except Exception as error:
        _send(answers, _error_message(error))
        return
    _send(answers, {"network": network, "confined": confined, "bytes": 0})
    while request := _receive(requests):
        try:
            if "convert" in request:
                content, facts = source.convert(request["convert"])
                _send(answers, {"facts": facts, "bytes": len(content)}, [content])
            elif "share" in request:
                shared = served.shared_bytes(request["share"])
                _send(answers, {"bytes": 0})
            elif "start" in request:
                _send(answers, served.written(source, request, shared) | {"bytes": 0})
            else:
                _send(answers, *served.sent(source, request["ids"]))
        except Exception as error:
            _send(answers, _error_message(error))


def _leave_network() -> bool:
    """Whether this process now has a network of its own, with nothing in it."""
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return any(libc.unshare(flags) == 0 for flags in (CLONE_NEWNET, CLONE_NEWUSER | CLONE_NEWNET))


def _leave_files(readable: Sequence[Path]) -> bool:
    """Whether this process can now read nothing but `readable` and what Python and torch are made of.

    It writes to its own folder only. Of idleak's root, where a gallery may lie, it keeps its own packages;
    those that are imported already are found again below it, others elsewhere.
    """
    root = Path(__file__).resolve().parents[3]
    python = [
        Path(place) for place in (sys.prefix, sys.base_prefix, *sys.path) if place and Path(place) != root
    ]
    libraries = [
        Path(part) for name in LIBRARY_VARIABLES for part in os.environ.get(name, "").split(":") if part
    ]
    own = [Path(schemas.__file__ or "").parent, Path(distributed.__file__ or "").parent]
    here = Path.cwd()
    kept = [library for library in (*SYSTEM, *python, *libraries, *own, *readable) if library != here]
    cards = list(Path("/dev").glob("nvidia*"))
    return confine(kept, [here, *(OWN_THREADS if cards else ())], [*DEVICES, *cards])


def _own_streams() -> tuple[IO[bytes], IO[bytes]]:
    """Streams to the parent that a print of the generator's code cannot reach."""
    answers, requests = os.fdopen(os.dup(1), "wb"), os.fdopen(os.dup(0), "rb")
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    return answers, requests


def _error_message(error: Exception) -> dict[str, Any]:
    first, known = first_line(error), type(error).__name__
    return {"error": known, "message": first if known.endswith("Error") and first else f"{known}: {first}"}


def _send(answers: IO[bytes], header: Mapping[str, Any], parts: Sequence[Any] = ()) -> None:
    text = json.dumps(header).encode()
    answers.write(HEADER.pack(len(text)) + text)
    for part in parts:
        answers.write(memoryview(part).cast("B"))
    answers.flush()


def _receive(requests: IO[bytes]) -> dict[str, Any]:
    """The next message; empty if the parent is gone."""
    head = requests.read(HEADER.size)
    if len(head) < HEADER.size:
        return {}
    message: dict[str, Any] = json.loads(requests.read(HEADER.unpack(head)[0]))
    return message


if __name__ == "__main__":
    main()
