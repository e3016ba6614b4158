"""How commands are given: strictly, and with arguments and options whose help text stands once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import click

from distributed.storage.authorisation import OVERRIDE
from jobs.cli.exit_codes import guarded
from schemas.errors import UsageError

NUMBER = re.compile(r"-\d*\.?\d+")
WORDS = "idleak.words"

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


class WordsOption(click.Option):
    """An option that takes all words up to the next option: `--shards 100 200`. Repeated, it takes more."""


class StrictCommand(click.Command):
    """A job: what its function returns, or raises on purpose, becomes its exit code.

    Refuses `--receipt --if-due`, of which click would make a receipt in a file named `--if-due`. A value that
    begins with a dash is given as `--option=-value`; `-` itself and numbers are values.
    """

    def invoke(self, ctx: click.Context) -> int:
        return guarded(lambda: super(StrictCommand, self).invoke(ctx))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[WORDS] = [ctx.info_name, *args]
        return super().parse_args(ctx, args if ctx.resilient_parsing else self._one_word_each(ctx, args))

    def _one_word_each(self, ctx: click.Context, words: list[str]) -> list[str]:
        """The words with the name of a WordsOption before each of its values."""
        options = {name: option for option in self.params if _takes_value(option) for name in option.opts}
        rest, plain = list(words), list[str]()
        while rest:
            plain.append(word := rest.pop(0))
            if word == "--":
                return plain + rest
            if (option := options.get(word)) is None:
                continue
            if not rest or _is_option(rest[0]):
                raise click.BadOptionUsage(word, f"Option {word!r} requires an argument.", ctx)
            plain.append(rest.pop(0))
            while isinstance(option, WordsOption) and rest and not _is_option(rest[0]):
                plain += [word, rest.pop(0)]
        return plain


def given_words() -> list[str]:
    """The name of the command that runs, and the words after it, as they were given."""
    words: list[str] = click.get_current_context().meta[WORDS]
    return words


def _takes_value(parameter: click.Parameter) -> bool:
    return isinstance(parameter, click.Option) and not parameter.is_flag


def _is_option(word: str) -> bool:
    return word.startswith("-") and word != "-" and " " not in word and not NUMBER.fullmatch(word)


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


def require_writable(copy: Path | None, option: str) -> None:
    """Raise UsageError, before anything is done, if the file that an option names would have no folder."""
    if copy is not None and not copy.resolve().parent.is_dir():
        raise UsageError(f"{option} {copy}: there is no folder {copy.resolve().parent}; make it")
