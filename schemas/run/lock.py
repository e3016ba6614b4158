"""`run.lock`: which process works on a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field


@dataclass(frozen=True)
class Lock:
    """started: seconds since 1970. token: tells one lock of a process from another."""

    host: str
    pid: Annotated[int, Field(ge=0, lt=1 << 31)]
    started: float
    token: str = ""
