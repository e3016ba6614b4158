"""`idleak bench worlds`: the method's promises, measured on simulated worlds whose truth is known."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from jobs.benchmarks.worlds.counts import hit_intervals, identity_counts
from jobs.benchmarks.worlds.exchangeability import adjusted, roles
from jobs.benchmarks.worlds.false_flags import false_discoveries, nights, null_p_values, null_worlds
from jobs.benchmarks.worlds.measures import Bench, ClaimResult, Row
from jobs.benchmarks.worlds.repeats import exactness
from jobs.benchmarks.worlds.silence import cleared, sensitivity, upper_bounds
from jobs.benchmarks.worlds.standing import standing
from jobs.benchmarks.worlds.strength import example, power
from jobs.cli.exit_codes import ExitCode

TABLE_FILE = "worlds.md"


def bench_worlds(worlds: int, seed: int, output: Path, claims: Sequence[str]) -> ExitCode:
    """Measure the claims; write `worlds.md` and a plot of each. FAILED if a claim does not hold."""
    output.mkdir(parents=True, exist_ok=True)
    bench, rows, start = Bench(worlds, seed), list[Row](), time.perf_counter()
    for name in claims:
        began = time.perf_counter()
        result = CLAIMS[name](bench)
        rows += result.rows
        (output / TABLE_FILE).write_text(markdown(rows), encoding="utf-8")
        _save_plot(result, output / f"{name}.png")
        for row in result.rows:
            print(f"{row.verdict:8}  {row.claim}: {row.measured}", flush=True)
        print(f"[{name}: {time.perf_counter() - began:.0f} s]", flush=True)
    print(f"{output / TABLE_FILE}: {len(rows)} rows in {time.perf_counter() - start:.0f} s")
    return ExitCode.FAILED if any(row.holds is False for row in rows) else ExitCode.OK


def markdown(rows: Sequence[Row]) -> str:
    lines = ["| claim | bar | measured | worlds | verdict |", "|---|---|---|---|---|"]
    lines += [
        f"| {row.claim} | {row.bar} | {row.measured} | {row.worlds:,} | {row.verdict} |" for row in rows
    ]
    return "\n".join(lines) + "\n"


def _save_plot(result: ClaimResult, path: Path) -> None:
    figure = Figure(figsize=(8, 5), layout="constrained")
    result.draw(figure.subplots())
    figure.savefig(path, dpi=100)


CLAIMS: dict[str, Callable[[Bench], ClaimResult]] = {
    "null": null_worlds,
    "discoveries": false_discoveries,
    "p_values": null_p_values,
    "power": power,
    "hits": hit_intervals,
    "identities": identity_counts,
    "sensitivity": sensitivity,
    "upper_bounds": upper_bounds,
    "standing": standing,
    "roles": roles,
    "adjusted": adjusted,
    "cleared": cleared,
    "nights": nights,
    "exactness": exactness,
    "example": example,
}
