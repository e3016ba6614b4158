"""What calls what as an audit runs: down through the rooms, as imports go, but to what was handed down."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple

import pytest

from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from tests.support.small_world import SmallWorld
from tests.test_architecture import EXECUTION, MODULES, layer_of, room_of

PATHS = {str(path): module for module, path in MODULES.items()}
LAZY = ("<genexpr>", "<lambda>")
"""Bodies that a caller wrote where it calls, and that run where they are asked for."""

HANDED_DOWN = {
    ("distributed.stages", "jobs.cli.progress"): "the observer of a stage, which shows its progress",
    ("distributed.stages.audit", "jobs.api.auditing"): "on_enrolled: what is said before the long work",
    ("distributed.membership.parts", "jobs.cli.progress"): "the observer of a judgement's steps",
    ("distributed.membership", "distributed.stages.passes"): "the passes over samples that it asks for",
    ("distributed.reduce", "distributed.stages.passes"): "a search among them, once for all people",
    ("distributed.storage", "distributed.sampling.images.packed_places"): "a sequence of photos has a length",
}
"""Calls against the direction of imports: to objects of a protocol that lies below both."""


class Call(NamedTuple):
    caller: str
    callee: str
    function: str


@contextmanager
def calls_recorded() -> Iterator[set[Call]]:
    """Calls of this thread from one of our modules to another."""
    calls: set[Call] = set()

    def record(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_back is not None:
            callee = PATHS.get(frame.f_code.co_filename)
            caller = PATHS.get(frame.f_back.f_code.co_filename)
            if callee is not None and caller is not None and callee != caller:
                calls.add(Call(caller, callee, frame.f_code.co_qualname))

    sys.setprofile(record)
    try:
        yield calls
    finally:
        sys.setprofile(None)


def is_upward(call: Call) -> bool:
    rooms = room_of(call.caller), room_of(call.callee)
    if {EXECUTION, "distributed"} & {*rooms}:
        return False
    return layer_of(rooms[1]) < layer_of(rooms[0]) and not call.function.endswith(LAZY)


def is_handed_down(call: Call) -> bool:
    return any(
        f"{call.caller}.".startswith(f"{caller}.") and call.callee == callee for caller, callee in HANDED_DOWN
    )


@pytest.mark.usefixtures("in_process")
def test_an_audit_calls_upwards_what_it_was_given_alone(small_world: SmallWorld) -> None:
    with calls_recorded() as calls:
        assert main(["audit", str(small_world.spec_path(samples=100))]) == ExitCode.OK
    assert len({call.callee for call in calls}) > 100, "the whole audit was seen"
    upward = {call for call in calls if is_upward(call)}
    assert not [call for call in upward if not is_handed_down(call)]
    assert len({(call.caller, call.callee) for call in upward}) <= 12
    assert {call.callee for call in upward} == {callee for _, callee in HANDED_DOWN}
