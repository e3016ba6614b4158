"""`idleak explore RUN`: look at a finished run in a browser on this machine, and nowhere else."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import webbrowser
from contextlib import closing
from typing import TYPE_CHECKING

import click

from distributed.execution.stopping import stop_requested, stop_signals
from distributed.storage.store import RunStore
from jobs.cli.arguments import StrictCommand, reveal_option, run_argument
from jobs.cli.exit_codes import ExitCode
from jobs.cli.runs import open_to_read
from jobs.cli.say import say, say_next
from jobs.pages.explorer.gate import Gate
from jobs.pages.explorer.judge import Judge
from jobs.pages.explorer.server import ExplorerServer, listening, serving
from jobs.pages.explorer.tables import Explorer
from schemas.errors import UsageError

if TYPE_CHECKING:
    from jobs.pages.explorer.faces import Faces

PAIRS = 30


@click.command("explore", cls=StrictCommand, help=__doc__)
@run_argument
@click.option("--port", type=int, default=0, help="of 127.0.0.1; 0 takes a free one")
@click.option("--with-faces", is_flag=True, help="show photos, and samples made again; kept in the audit log")
@click.option("--no-browser", is_flag=True, help="print the address, open no browser")
@reveal_option
@click.option(
    "--judge",
    metavar="REVIEWER",
    help="show pairs of a person and a sample, blind to names and verdicts, and keep what REVIEWER says of "
    "each: same, different or unsure; `idleak report` counts it",
)
@click.option("--pairs", type=click.IntRange(1, 10_000), default=PAIRS, show_default=True, help="of --judge")
def command(
    run: str, *, port: int, with_faces: bool, no_browser: bool, reveal: bool, judge: str | None, pairs: int
) -> ExitCode:
    _require_blind(judge, reveal=reveal)
    with_faces = with_faces or judge is not None
    with _listening(port) as at:
        gate = Gate(at.getsockname()[1])
        judging = {} if judge is None else {"reviewer": judge}
        store, shown = open_to_read(run, "explore", reveal=reveal, faces=with_faces, **judging)
        with closing(Explorer(store, shown)) as explorer:
            reviewing = None if judge is None else Judge(store, explorer, judge, pairs)
            server = ExplorerServer(explorer, gate, _faces(store) if with_faces else None, reviewing)
            if not stop_requested():
                asyncio.run(_serve(server, gate, at, open_browser=not no_browser))
    return ExitCode.OK


def _require_blind(reviewer: str | None, *, reveal: bool) -> None:
    """Raises UsageError for a reviewer without a name, or one who would see names."""
    if reviewer is not None and not reviewer.strip():
        raise UsageError("--judge: give the reviewer's name, by which their judgements are kept")
    if reviewer is not None and reveal:
        raise UsageError("--judge with --reveal: a reviewer must not know whom they judge; leave one out")


def _faces(store: RunStore) -> Faces:
    # What generators need takes seconds to import.
    from jobs.pages.explorer.faces import Faces

    return Faces(store)


def _listening(port: int) -> socket.socket:
    if not 0 <= port < 1 << 16:
        raise UsageError(f"--port {port}: give one below {1 << 16}, or 0")
    try:
        return listening(port)
    except OSError as error:
        raise UsageError(f"--port {port}: {error}; give another, or 0") from error


async def _serve(server: ExplorerServer, gate: Gate, at: socket.socket, *, open_browser: bool) -> None:
    """Until SIGINT, SIGTERM or SIGHUP."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for stop_signal in (signal.SIGINT, *stop_signals()):
        loop.add_signal_handler(stop_signal, stop.set)
    async with serving(server, at):
        say(f"{gate.url}")
        say("only this machine can open it")
        say_next("open this address in a browser; Ctrl-C here ends it")
        sys.stdout.flush()
        if open_browser and _has_desktop():
            await asyncio.to_thread(webbrowser.open, gate.invitation())
        await stop.wait()


def _has_desktop() -> bool:
    """Without one, `webbrowser` would take over the terminal."""
    return sys.platform in ("darwin", "win32") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
