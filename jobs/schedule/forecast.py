"""What tonight would do, and what it would cost. Writes nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date

from rich.console import Console
from rich.table import Column, Table

from distributed.stages.planning.plan import capacity_here, work_rows
from jobs.cli.exit_codes import ExitCode
from jobs.cli.say import cell
from jobs.schedule.night import state_of
from jobs.schedule.plan import NightPlan, missed_nights, plan_night
from schemas.spec.fleet import Entry, Fleet
from schemas.spec.generators.http import HttpGenerator


def forecast(fleet: Fleet, tonight: date) -> ExitCode:
    """Print a table for each key. Raises what is wrong with the first key that could not be audited."""
    for entry in fleet.entries:
        table = Table("", Column(cell(entry.key), overflow="fold"))
        for name, text in _rows(fleet, entry, tonight):
            table.add_row(name, cell(text))
        Console().print(table)
    return ExitCode.OK


def _rows(fleet: Fleet, entry: Entry, tonight: date) -> Iterator[tuple[str, str]]:
    state = state_of(fleet, entry)
    done = state.record_of(tonight)
    if done is not None and done.outcome != "failed":
        yield "tonight", f"nothing: the night of {tonight} was {done.outcome} already"
        return
    if missed := missed_nights(fleet, state, tonight):
        yield "missed", f"{len(missed)} nights since {missed[0]}; they are not made up for"
    plan = plan_night(fleet, entry, state)
    if (last := plan.unchanged()) is not None:
        yield "tonight", f"nothing: all is as on {last.night}"
        return
    yield "tonight", f"audit: {_reason(plan)}"
    yield "samples", f"{plan.spec.samples:,}, {plan.fresh:,} of them fresh"
    if plan.fresh:
        only_fresh = plan.spec.model_copy(update={"samples": plan.fresh})
        yield from work_rows(only_fresh, capacity_here(plan.spec))
        yield from _bill_rows(plan)
    yield "run", plan.spec.output


def _bill_rows(plan: NightPlan) -> Iterator[tuple[str, str]]:
    generator = plan.spec.generator
    if isinstance(generator, HttpGenerator):
        requests = math.ceil(plan.spec.samples / generator.batch)
        text = f"{requests:,} requests without retries, of a budget of {generator.budget.allowed:,}"
        yield "all nights of it", text


def _reason(plan: NightPlan) -> str:
    if plan.last is None:
        return "it is the first night"
    if plan.changed:
        return f"changed: {', '.join(plan.changed)}"
    return "it has to grow" if plan.fresh else "files of the last night are missing or were touched"
