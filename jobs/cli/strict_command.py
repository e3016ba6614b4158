"""A command that takes no option's name for another option's value."""

from __future__ import annotations

import re

import click

NUMBER = re.compile(r"-\d*\.?\d+")
WORDS = "idleak.words"


class WordsOption(click.Option):
    """An option that takes all words up to the next option: `--shards 100 200`. Repeated, it takes more."""


class StrictCommand(click.Command):
    """Refuses `--receipt --if-due`, of which click would make a receipt in a file named `--if-due`.

    A value that begins with a dash is given as `--option=-value`; `-` itself and numbers are values.
    """

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
