"""Work in a process that may take little more memory than it has, which says how much it took."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import run_apart

SCRIPT = """
import resource, sys
from pathlib import Path
{imports}

def kib(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))

before = kib("VmHWM")
limit = kib("VmSize") * 1024 + ({room} << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
{work}
print((kib("VmHWM") - before) >> 10)
"""


@dataclass(frozen=True)
class Confined:
    """What the work printed, and the MiB that it took beyond those of its imports."""

    lines: Sequence[str]
    mebibytes: int


def confined(imports: str, work: str, *arguments: str | Path, room: int) -> Confined:
    """Run the work, to which `sys.argv[1:]` are the arguments, with `room` MiB. It must not fail."""
    done = run_apart(
        sys.executable,
        "-c",
        SCRIPT.format(imports=imports, work=work, room=room),
        *map(str, arguments),
        environment={"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    *lines, taken = done.stdout.splitlines()
    return Confined(lines, int(taken))
