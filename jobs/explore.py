"""`idleak explore RUN`: look at a finished run in a browser on this machine, and nowhere else."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
import webbrowser
from collections.abc import Sequence
from typing import TYPE_CHECKING

from distributed.execution.stopping import stop_requested, stop_signals
from distributed.storage.store import RunStore
from jobs.cli.command import guarded
from jobs.cli.exit_codes import ExitCode
from jobs.cli.reading import add_reveal, open_to_read
from jobs.cli.say import say
from jobs.pages.explorer.gate import Gate
from jobs.pages.explorer.server import ExplorerServer, listening, serving
from jobs.pages.explorer.tables import Explorer
from schemas.errors import SpecError

if TYPE_CHECKING:
    from jobs.pages.explorer.faces import Faces


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="idleak explore", description=__doc__)
    parser.add_argument("run", metavar="RUN", help="the run's folder or bucket address: the spec's `output`")
    parser.add_argument("--port", type=int, default=0, help="of 127.0.0.1; 0, the default, takes a free one")
    parser.add_argument(
        "--with-faces", action="store_true", help="show photos, and samples made again; kept in the trail"
    )
    parser.add_argument("--no-browser", action="store_true", help="print the address, open no browser")
    add_reveal(parser)
    return guarded(lambda: _run(parser.parse_args(argv)))


def _run(chosen: argparse.Namespace) -> ExitCode:
    with _listening(chosen.port) as at:
        gate = Gate(at.getsockname()[1])
        store, shown = open_to_read(chosen.run, "explore", reveal=chosen.reveal, faces=chosen.with_faces)
        explorer = Explorer(store, shown)
        server = ExplorerServer(explorer, gate, _faces(store) if chosen.with_faces else None)
        if not stop_requested():
            asyncio.run(_serve(server, gate, at, open_browser=not chosen.no_browser))
    return ExitCode.OK


def _faces(store: RunStore) -> Faces:
    # What generators need takes seconds to import.
    from jobs.pages.explorer.faces import faces_of

    return faces_of(store)


def _listening(port: int) -> socket.socket:
    if not 0 <= port < 1 << 16:
        raise SpecError(f"--port {port}: give one below {1 << 16}, or 0")
    try:
        return listening(port)
    except OSError as error:
        raise SpecError(f"--port {port}: {error}; give another, or 0") from error


async def _serve(server: ExplorerServer, gate: Gate, at: socket.socket, *, open_browser: bool) -> None:
    """Until SIGINT, SIGTERM or SIGHUP."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for one in (signal.SIGINT, *stop_signals()):
        loop.add_signal_handler(one, stop.set)
    async with serving(server, at):
        say(f"{gate.url}")
        say("only this machine can open it; Ctrl-C ends it")
        sys.stdout.flush()
        if open_browser and _has_desktop():
            await asyncio.to_thread(webbrowser.open, gate.invitation())
        await stop.wait()


def _has_desktop() -> bool:
    """Without one, `webbrowser` would take over the terminal."""
    return sys.platform in ("darwin", "win32") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
