"""The explorer's pages, served to a test."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from distributed.storage.store import RunStore
from jobs.cli.display import Shown, as_stored
from jobs.cli.exit_codes import ExitCode
from jobs.pages.explorer.faces import Faces
from jobs.pages.explorer.gate import Gate
from jobs.pages.explorer.judge import Judge
from jobs.pages.explorer.server import ExplorerServer, listening, serving
from jobs.pages.explorer.tables import Explorer
from tests.support.processes import ROOT, inherited_environment

PAIRS = 15


@contextmanager
def served(
    run: Path,
    shown: Shown = as_stored,
    faces: Faces | None = None,
    judge: str | None = None,
    pairs: int = PAIRS,
) -> Iterator[Gate]:
    """The pages of a run, on a thread of this process. judge: who is shown pairs instead."""
    at, store = listening(0), RunStore(str(run))
    gate, explorer = Gate(at.getsockname()[1]), Explorer(store, shown)
    reviewing = None if judge is None else Judge(store, explorer, judge, pairs)
    loop, ready = asyncio.new_event_loop(), threading.Event()
    end = asyncio.Event()

    async def serve() -> None:
        async with serving(ExplorerServer(explorer, gate, faces, reviewing), at):
            ready.set()
            await end.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(20)
    try:
        yield gate
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(20)
        loop.close()
        explorer.close()


@contextmanager
def visitor(gate: Gate) -> Iterator[httpx.Client]:
    """Whoever has opened the printed address."""
    with httpx.Client(base_url=f"http://127.0.0.1:{gate.port}", follow_redirects=True) as client:
        assert client.get(gate.url).status_code == 200
        yield client


@contextmanager
def exploring(run: Path, *options: str) -> Iterator[str]:
    """The address that `idleak explore` prints; at the end it is told to stop, and must end well and
    without a word on stderr."""
    process = subprocess.Popen(
        [sys.executable, "-m", "jobs", "explore", str(run), "--no-browser", *options],
        cwd=ROOT,
        env=inherited_environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        with process:
            # `communicate` would miss what the first line's reading has already taken in.
            out, err = process.stdout.read(), process.stderr.read()
        assert (process.returncode, err) == (ExitCode.OK, ""), f"{process.returncode}: {err}"
        assert "\nNext: " in out
