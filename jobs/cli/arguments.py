"""The arguments and options that several commands take, so that each help text stands once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from distributed.storage.authorisation import OVERRIDE

FILE = click.Path(path_type=Path, readable=False)
"""Nothing about the file is checked here: the command that opens it says more about what is wrong."""
LOCATION = click.Path(readable=False)
"""A folder or a bucket address, as text, unchecked."""

SPEC_HELP = "the audit's YAML file"
spec_argument = click.argument("spec", type=FILE, metavar="SPEC", help=SPEC_HELP)
optional_spec_argument = click.argument("spec", type=FILE, required=False, metavar="[SPEC]", help=SPEC_HELP)
run_argument = click.argument(
    "run", type=LOCATION, metavar="RUN", help="the run's folder or bucket address: the spec's `output`"
)
override_option = click.option(
    OVERRIDE,
    "override",
    metavar="REASON",
    help="run without a valid authorisation; the reason is kept in the results",
)
reveal_option = click.option(
    "--reveal", is_flag=True, help="show people by name; needs the key, and the run's audit log keeps it"
)


def require_at_most_one(given: Mapping[str, object]) -> None:
    """given: what the usage calls a parameter -> its value; None and False are not given.

    Raises click.UsageError for two of them.
    """
    names = _names_given(given)
    if len(names) > 1:
        raise click.UsageError(f"{names[0]} and {names[1]} exclude each other")


def require_exactly_one(given: Mapping[str, object]) -> None:
    """As `require_at_most_one`, and raises click.UsageError for none of them."""
    require_at_most_one(given)
    if not _names_given(given):
        raise click.UsageError(f"give one of {', '.join(given)}")


def _names_given(given: Mapping[str, object]) -> list[str]:
    return [name for name, value in given.items() if value is not None and value is not False]
