"""`idleak compare RUN_A RUN_B`: generators, versions or nights, audited with one gallery, side by side."""

from __future__ import annotations

from collections.abc import Sequence

import click
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from distributed.storage.store import RunStore
from jobs.cli.arguments import LOCATION, StrictCommand, reveal_option
from jobs.cli.display import PSEUDONYM_SHOWN, Shown, as_stored, displayed
from jobs.cli.exit_codes import ExitCode
from jobs.cli.runs import open_to_read
from jobs.cli.say import say, say_next
from jobs.pages.comparison.content import reason_text, sections_of, summary_of
from jobs.pages.comparison.figures import draw_comparison
from jobs.pages.comparison.result import comparison_result
from jobs.pages.comparison.run_comparison import PersonPair, RunComparison, compare_runs
from jobs.pages.comparison.unlearned import with_unlearned
from jobs.pages.figure_files import files_of
from jobs.pages.finished_run import read_finished
from jobs.pages.page import render
from schemas.printable import printable
from schemas.run.artefacts import COMPARISON_FIGURES_PREFIX, COMPARISON_FILE, COMPARISON_RESULT_FILE
from schemas.run.tables import Verdict
from schemas.wording import probability, rate

TEMPLATE = "comparison.html"
LEAST_PRINTED = 10
WIDEST_VERDICT = max(map(len, Verdict))


@click.command("compare", cls=StrictCommand, help=__doc__)
@click.argument("first", type=LOCATION, metavar="RUN_A", help="a finished run's folder or bucket address")
@click.argument("second", type=LOCATION, metavar="RUN_B", help="another one of the same gallery")
@click.option(
    "--output",
    type=LOCATION,
    metavar="DIR",
    default=".",
    help=f"where {COMPARISON_FILE}, {COMPARISON_RESULT_FILE} and {COMPARISON_FIGURES_PREFIX}/ are put",
)
@click.option(
    "--unlearned",
    metavar="PSEUDONYM",
    multiple=True,
    help="a candidate who was to be removed after RUN_A: whether RUN_B still shows them; may be given again",
)
@reveal_option
def command(first: str, second: str, *, output: str, unlearned: Sequence[str], reveal: bool) -> ExitCode:
    opened = [open_to_read(location, "compare", reveal=reveal) for location in (first, second)]
    comparison = compare_runs(*(read_finished(store) for store, _ in opened))
    comparison = with_unlearned(comparison, unlearned)
    shown = opened[0][1]
    print_comparison(comparison, shown=shown)
    write_comparison(comparison, RunStore(output), shown=shown)
    say(f"{output}/{COMPARISON_FILE}: the whole comparison; {COMPARISON_RESULT_FILE} and figures beside it")
    say_next("open the page in a browser; idleak explore RUN shows everybody's nearest samples in one run")
    return ExitCode.OK


def write_comparison(comparison: RunComparison, store: RunStore, *, shown: Shown = as_stored) -> None:
    """Write `comparison.html`, `comparison.json` and the figures. shown: identity as stored -> as shown."""
    name = printable(f"{comparison.first.results.name} and {comparison.second.results.name}")
    figures = list(draw_comparison(comparison))
    sections = sections_of(comparison, figures, displayed(shown))
    page = render(TEMPLATE, name=name, summary=summary_of(comparison), sections=sections)
    for path, data in files_of(figures, COMPARISON_FIGURES_PREFIX).items():
        store.write(path, data)
    store.write(
        COMPARISON_RESULT_FILE, (comparison_result(comparison).model_dump_json(indent=2) + "\n").encode()
    )
    store.write(COMPARISON_FILE, page)


def print_comparison(comparison: RunComparison, *, shown: Shown = as_stored) -> None:
    """Print whom a run flags, and others whom there is reason to show up to LEAST_PRINTED."""
    show, summary = displayed(shown), summary_of(comparison)
    identity = Column("identity", min_width=PSEUDONYM_SHOWN)
    verdicts = [Column(name, min_width=WIDEST_VERDICT) for name in ("verdict A", "verdict B")]
    table = Table(identity, *verdicts, "p A", "p B", "hits/M A", "hits/M B", box=SIMPLE, padding=(0, 1, 0, 0))
    flagged = sum(any(pair.is_leaked) for pair in comparison.pairs)
    for pair in comparison.shown[: max(LEAST_PRINTED, flagged)]:
        table.add_row(*map(escape, (show(pair.identity), *_cells(pair))))
    if comparison.shown:
        Console().print(table)
    for line in (
        reason_text(comparison),
        summary.verdict,
        summary.counts,
        *(f"warning: {each}" for each in comparison.warnings),
    ):
        say(line)


def _cells(pair: PersonPair) -> Sequence[str]:
    return [
        pair.first["verdict"],
        pair.second["verdict"],
        probability(pair.first["p_value"]),
        probability(pair.second["p_value"]),
        rate(pair.hits_first["per_million"]),
        rate(pair.hits_second["per_million"]),
    ]
