"""`idleak spec`: print the reference of the spec's keys, as Markdown."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from jobs.exit_codes import ExitCode
from schemas.reference import spec_reference


def main(argv: Sequence[str]) -> int:
    argparse.ArgumentParser(prog="idleak spec", description=__doc__).parse_args(argv)
    print(spec_reference(), end="")
    return ExitCode.OK
