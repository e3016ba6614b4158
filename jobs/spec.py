"""`idleak spec`: print the reference of its keys, of the kinds of generators, or of a fleet, as Markdown."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from jobs.cli.exit_codes import ExitCode
from schemas.spec.reference import fleet_reference, generator_reference, spec_reference


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="idleak spec", description=__doc__)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--generators", action="store_true", help="the keys of each kind of generator")
    which.add_argument("--fleet", action="store_true", help="the keys of a fleet of nightly audits")
    chosen = parser.parse_args(argv)
    told = generator_reference if chosen.generators else fleet_reference if chosen.fleet else spec_reference
    print(told(), end="")
    return ExitCode.OK
