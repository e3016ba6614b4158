"""`--help` of every job, with a stdout that takes nothing: a pipe that nobody reads, a closed terminal, and
a full device.

    python -m tests.support.helps > a JSON object: a job and where its stdout leads -> its exit code

In one process, as to import what every job needs takes minutes: each job gets new streams. What is still in a
buffer when the process ends makes its exit code 120.
"""

from __future__ import annotations

import io
import json
import os
import pty
import sys

from jobs.__main__ import JOBS, main

PLACES = ("pipe", "terminal", "full")


def nowhere(where: str) -> int:
    """A descriptor that takes nothing. The terminal is nobody's controlling one: its end sends no signal."""
    if where == "full":
        return os.open("/dev/full", os.O_WRONLY)
    reader, writer = pty.openpty() if where == "terminal" else os.pipe()
    os.close(reader)
    return writer


def new_stdout(where: str) -> io.TextIOWrapper:
    """As the interpreter makes one."""
    os.dup2(nowhere(where), 1)
    return io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "wb", closefd=False)), encoding="utf-8")


def run() -> None:
    report, ends, streams = os.dup(1), {}, []
    for job in JOBS:
        for where in PLACES:
            stream = new_stdout(where)
            # Both names, as where a process begins.
            sys.stdout = vars(sys)["__stdout__"] = stream
            try:
                code = main([job, "--help"])
            except SystemExit as end:
                code = int(end.code or 0)
            ends[f"{job} {where}"] = code
            streams.append((stream, sys.stdout))
    os.write(report, json.dumps(ends).encode())


if __name__ == "__main__":
    run()
