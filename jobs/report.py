"""`idleak report RUN`: what a run found, as one page for people, with its figures."""

from __future__ import annotations

from pathlib import Path

import click

from distributed.storage.store_faults import store_error
from jobs.cli.arguments import FILE, StrictCommand, require_writable, reveal_option, run_argument
from jobs.cli.exit_codes import ExitCode
from jobs.cli.runs import open_to_read
from jobs.cli.say import say, say_next
from jobs.pages.finished_run import read_finished
from jobs.pages.report.annex import annex_markdown


@click.command("report", cls=StrictCommand, help=__doc__)
@run_argument
@click.option(
    "--with-faces",
    is_flag=True,
    help="show a photo of each person on the page beside the nearest samples, made again",
)
@reveal_option
@click.option(
    "--annex",
    type=FILE,
    metavar="FILE.md",
    help="write the evidence annex as Markdown too, with a block for a model card; nobody is named in it",
)
def command(run: str, *, with_faces: bool, reveal: bool, annex: Path | None) -> ExitCode:
    # matplotlib and scipy.stats take a second to import.
    from jobs.api.reporting import record_report

    require_writable(annex, "--annex")
    store, shown = open_to_read(run, "report", reveal=reveal, faces=with_faces)
    page = record_report(store, with_faces=with_faces, shown=shown)
    say(f"{page}: {'with' if with_faces else 'without'} faces, figures beside it")
    if annex is not None:
        try:
            annex.write_text(annex_markdown(read_finished(store)), encoding="utf-8")
        except OSError as error:
            raise store_error("write", str(annex), error) from error
        say(f"{annex}: the evidence annex")
    say_next(f"open the page in a browser; idleak explore {store.location} shows everybody's nearest samples")
    return ExitCode.OK
