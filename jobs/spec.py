"""`idleak spec`: print the reference of the spec's keys, or of the kinds of generators, as Markdown."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from jobs.exit_codes import ExitCode
from schemas.reference import generator_reference, spec_reference


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="idleak spec", description=__doc__)
    parser.add_argument("--generators", action="store_true", help="the keys of each kind of generator")
    chosen = parser.parse_args(argv)
    print(generator_reference() if chosen.generators else spec_reference(), end="")
    return ExitCode.OK
