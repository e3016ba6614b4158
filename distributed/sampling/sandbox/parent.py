"""Code that came with a generator runs in a process of its own, which is given only what it needs."""

from __future__ import annotations

import json
import logging
import os
import select
import shutil
import signal
import struct
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from distributed.runtime.device_memory import generator_bytes
from distributed.runtime.offline import VARIABLES
from distributed.sampling.generator import Image, InvalidImage
from schemas.errors import DeviceError, IdleakError, ModelError, SpecError
from schemas.run.tables import Outcome
from schemas.spec.generators.base import Generator
from schemas.spec.locations import locations_of

LOG = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parents[3]
LOAD_SECONDS, SAMPLE_SECONDS, CONVERT_SECONDS, END_SECONDS = 600.0, 600.0, 1800.0, 5.0
HEADER = struct.Struct("<Q")
LONGEST_HEADER = 1 << 24
LAST_BYTES = 2000
KEPT_VARIABLES = (
    "CUDA_HOME",
    "CUDA_VISIBLE_DEVICES",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "NVIDIA_DRIVER_CAPABILITIES",
    "NVIDIA_VISIBLE_DEVICES",
    "PATH",
    "SYSTEMROOT",
    "TZ",
)
"""All others stay outside: they may hold credentials."""

ERRORS: Mapping[str, type[IdleakError]] = {
    kind.__name__: kind for kind in (DeviceError, ModelError, SpecError)
}


class GeneratorCrashedError(Exception):
    """The generator's process ended, hung, or sent what is no answer. The next call starts a new one."""


class SharedBytes(Protocol):
    """What `distributed.sampling.device.shared_memory` makes."""

    @property
    def description(self) -> dict[str, Any]:
        """In JSON's types: a file's `descriptor` or a CUDA `handle`, and the `count` of bytes."""


class SandboxedSource:
    """An image source whose adapter runs in a child process.

    The child gets the generator's part of the spec and the seed: no gallery, no run folder, none of the
    parent's environment but KEPT_VARIABLES, a home and a working folder of its own, and, where the platform
    allows it, no network (`network` says whether it has one) and no files but `readable_paths` and those of
    Python and the system (`confined` says so). Where that is not so, it runs as the same user, and may read
    what that user may; this is said once in the log.
    """

    def __init__(
        self,
        spec: Generator,
        seed: int,
        *,
        device: str,
        threads: int,
        sample_seconds: float = SAMPLE_SECONDS,
    ) -> None:
        """Raises ModelError, SpecError or DeviceError if the generator cannot be loaded."""
        self._order = {
            "spec": spec.model_dump(mode="json"),
            "seed": seed,
            "device": device,
            "threads": threads,
            "readable": readable_paths(spec),
            "share": None,
            "cuda_bytes": generator_bytes(),
        }
        self._threads, self._sample_seconds = threads, sample_seconds
        self._child: _Child | None = None
        self._begun = False
        self.shared: SharedBytes | None = None
        self.network, self.confined = self._started().network, self._started().confined
        if not self.confined:
            _say_unconfined()

    def sample(self, ids: NDArray[np.int64]) -> list[Image | InvalidImage]:
        """As the adapter gives them. Raises GeneratorCrashedError if its process ends or takes too long."""
        header, body = self._exchange({"ids": ids.tolist()}, self._sample_seconds)
        return list(_images(header["images"], body))

    def convert(self, to: str) -> tuple[memoryview, dict[str, Any]]:
        """The generator in the format `to`, and what a spec of it must say beside what this one does.

        Raises ModelError if that cannot be, GeneratorCrashedError as `sample`.
        """
        header, body = self._exchange({"convert": to}, CONVERT_SECONDS)
        return body, header["facts"]

    def share(self, memory: SharedBytes) -> None:
        """Memory that `begin_batch` writes to.

        Raises DeviceError if the process cannot open it, GeneratorCrashedError as `sample`.
        """
        description = memory.description
        if "descriptor" in description:
            # A process gets a file's descriptor when it starts.
            self.close()
        else:
            self._exchange({"share": description}, self._sample_seconds)
        self._order["share"], self.shared = description, memory

    def begin_batch(self, ids: NDArray[np.int64], start: int, size: tuple[int, int]) -> None:
        """Have the images of `ids`, uint8 (n, 3, height, width), written to the memory from byte `start` on.

        `end_batch` says when that is done. Raises GeneratorCrashedError as `sample`.
        """
        self._begin({"ids": ids.tolist(), "start": start, "size": size})

    def end_batch(self, count: int) -> tuple[list[int], dict[int, str]] | None:
        """Of the `count` samples begun last: of each its outcome, a place in Outcome, and reasons by place.

        None if they have another size. Raises GeneratorCrashedError as `sample`.
        """
        self._begun = False
        header, _ = self._answered(self._sample_seconds)
        if header.get("uneven"):
            return None
        state, reasons = header.get("state"), header.get("reasons")
        if not (
            isinstance(state, list)
            and len(state) == count
            and all(isinstance(place, int) and 0 <= place < len(Outcome) for place in state)
            and isinstance(reasons, dict)
        ):
            self.close()
            raise GeneratorCrashedError("the generator's process sent what is no answer")
        return state, {int(place): str(reason) for place, reason in reasons.items()}

    def close(self) -> None:
        """End the process."""
        self._begun = False
        if self._child is not None:
            self._child.end()
            self._child = None

    def _exchange(self, request: Mapping[str, Any], seconds: float) -> tuple[dict[str, Any], memoryview]:
        self._begin(request)
        self._begun = False
        return self._answered(seconds)

    def _begin(self, request: Mapping[str, Any]) -> None:
        if self._begun:
            self._forget()
        child = self._started()
        try:
            child.send(request)
        except GeneratorCrashedError:
            self.close()
            raise
        self._begun = True

    def _forget(self) -> None:
        """A batch that was begun, and that nobody has asked for: it may have failed."""
        self._begun = False
        with suppress(IdleakError, GeneratorCrashedError):
            self._answered(self._sample_seconds)

    def _answered(self, seconds: float) -> tuple[dict[str, Any], memoryview]:
        assert self._child is not None, "a request has begun"
        try:
            return self._child.answer(seconds)
        except GeneratorCrashedError:
            self.close()
            raise

    def _started(self) -> _Child:
        if self._child is None:
            self._child = _Child(self._order, self._threads)
        return self._child


class _Child:
    """The process, and the messages to it and from it."""

    def __init__(self, order: Mapping[str, Any], threads: int) -> None:
        self._folder = Path(mkdtemp(prefix="generator-"))
        with (self._folder / "stderr").open("wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-B", "-u", "-m", "distributed.sampling.sandbox.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=self._folder,
                env=_environment(self._folder, threads),
                start_new_session=True,
                pass_fds=[order["share"]["descriptor"]] if "descriptor" in (order["share"] or {}) else [],
            )
        # Ends it, too, where its owner is forgotten or the interpreter ends.
        self.end = weakref.finalize(self, _end, self._process, self._folder)
        try:
            self.send(order)
            header, _ = self.answer(LOAD_SECONDS)
        except BaseException:
            # Also Ctrl-C: a process that runs code of others must not outlive who started it. Raised again.
            self.end()
            raise
        self.network, self.confined = bool(header.get("network")), bool(header.get("confined"))

    def send(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        text = json.dumps(message).encode()
        try:
            self._process.stdin.write(HEADER.pack(len(text)) + text)
            self._process.stdin.flush()
        except OSError as error:
            raise self._crashed("ended") from error

    def answer(self, seconds: float) -> tuple[dict[str, Any], memoryview]:
        """The next message and its bytes. Raises the error that the message tells."""
        end = time.monotonic() + seconds
        length = HEADER.unpack(self._read(HEADER.size, end))[0]
        if length > LONGEST_HEADER:
            raise self._crashed("sent what is no answer")
        header: dict[str, Any] = json.loads(bytes(self._read(length, end)))
        if "error" in header:
            kind = ERRORS.get(header["error"])
            raise kind(header["message"]) if kind else self._crashed(f"failed: {header['message']}")
        return header, self._read(header["bytes"], end)

    def _read(self, count: int, end: float) -> memoryview:
        assert self._process.stdout is not None
        room = memoryview(bytearray(count))
        done, pipe = 0, self._process.stdout.fileno()
        while done < count:
            left = end - time.monotonic()
            if left <= 0 or not select.select([pipe], [], [], left)[0]:
                raise self._crashed("did not answer in time, and was ended")
            got = os.readv(pipe, [room[done:]])
            if got == 0:
                raise self._crashed("ended")
            done += got
        return room

    def _crashed(self, what: str) -> GeneratorCrashedError:
        with suppress(subprocess.TimeoutExpired):
            what += f" with exit code {self._process.wait(1.0)}"
        said = (self._folder / "stderr").read_bytes()[-LAST_BYTES:].decode(errors="replace")
        last = said.strip().splitlines()[-1] if said.strip() else "it said nothing"
        return GeneratorCrashedError(f"the generator's process {what}: {last}")


def readable_paths(spec: Generator) -> list[str]:
    """The files and folders that the generator's code may read: those that the generator's spec names.

    A text in `arguments` counts if it is an absolute path: it is how a factory is told of its files.
    """
    arguments = getattr(spec, "arguments", {}).values()
    argument_paths = [
        argument for argument in arguments if isinstance(argument, str) and Path(argument).is_absolute()
    ]
    return [*locations_of(spec), *argument_paths]


@cache
def _say_unconfined() -> None:
    LOG.warning(
        "this system has no Landlock (Linux 5.13 or newer): a generator's code may read what this user may, "
        "so run code that you do not know as a user who cannot read the gallery"
    )


def _end(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Kill the process and all that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(END_SECONDS)
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with suppress(OSError):
                stream.close()
    shutil.rmtree(folder, ignore_errors=True)


def _environment(folder: Path, threads: int) -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    own = {
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "PYTHONPATH": str(ROOT),
        # torch names a folder after the user, and would look them up in files.
        "LOGNAME": "generator",
    }
    return {**kept, **limits, **VARIABLES, **own}


def _images(entries: Sequence[Mapping[str, Any]], body: memoryview) -> Iterator[Image | InvalidImage]:
    start = 0
    for entry in entries:
        if "reason" in entry:
            yield InvalidImage(str(entry["reason"]), Outcome(entry["outcome"]))
            continue
        height, width = entry["size"]
        stop = start + height * width * 3
        yield np.frombuffer(body[start:stop], np.uint8).reshape(height, width, 3)
        start = stop
