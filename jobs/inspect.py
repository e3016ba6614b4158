"""`idleak inspect PATH`: what a model file or folder is, without running any of it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import yaml

from distributed.sampling.inspection import Inspection, inspect
from jobs.cli.command import guarded
from jobs.cli.exit_codes import ExitCode
from jobs.cli.say import say


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="idleak inspect", description=__doc__)
    parser.add_argument("path", type=Path, metavar="PATH", help="a model file, or a folder of images or code")
    chosen = parser.parse_args(argv)
    return guarded(lambda: _run(chosen.path))


def _run(path: Path) -> ExitCode:
    say(*_lines(path, inspect(path)))
    return ExitCode.OK


def _lines(path: Path, found: Inspection) -> list[str]:
    kind = "code: loading it runs what its maker wrote" if found.is_code else "data"
    lines = [f"{path}: {found.what}", f"  this is {kind}"]
    lines += [f"  {found.digest}"] if found.digest else []
    lines += [f"  {name}: {text}" for name, text in found.facts]
    lines += [f"  ! {one}" for one in found.risks]
    if found.block is None:
        return [*lines, "No kind of generator reads this file."]
    block = yaml.safe_dump({"generator": dict(found.block)}, sort_keys=False, allow_unicode=False)
    decide = [f"# decide: {', '.join(found.decide)}"] if found.decide else []
    return [*lines, "", *decide, *block.splitlines()]
