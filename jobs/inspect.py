"""`idleak inspect PATH`: what a model file or folder is, without running any of it."""

from __future__ import annotations

from pathlib import Path

import click
import yaml

from distributed.sampling.inspected import Inspection
from distributed.sampling.inspection import inspect
from jobs.cli.arguments import FILE, StrictCommand
from jobs.cli.exit_codes import ExitCode, guarded
from jobs.cli.say import say


@click.command("inspect", cls=StrictCommand, help=__doc__)
@click.argument("path", type=FILE, metavar="PATH", help="a model file, or a folder of images or code")
def command(path: Path) -> int:
    return guarded(lambda: _run(path))


def _run(path: Path) -> ExitCode:
    say(*_lines(path, inspect(path)))
    return ExitCode.OK


def _lines(path: Path, inspection: Inspection) -> list[str]:
    kind = "code: loading it runs what its maker wrote" if inspection.is_code else "data"
    lines = [f"{path}: {inspection.what}", f"  this is {kind}"]
    lines += [f"  {inspection.digest}"] if inspection.digest else []
    lines += [f"  {name}: {text}" for name, text in inspection.facts]
    lines += [f"  ! {risk}" for risk in inspection.risks]
    if inspection.block is None:
        return [*lines, "No kind of generator reads this file."]
    block = yaml.safe_dump({"generator": dict(inspection.block)}, sort_keys=False, allow_unicode=False)
    decide = [f"# decide: {', '.join(inspection.decide)}"] if inspection.decide else []
    return [*lines, "", *decide, *block.splitlines()]
