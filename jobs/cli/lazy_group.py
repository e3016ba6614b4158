"""Groups of commands: listed in their order, a line each, and loaded when they are called."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click
from click.shell_completion import CompletionItem

from jobs.cli.checkout import shadowing


class ListedGroup(click.Group):
    """Lists its commands in the order of their definition, and cuts no line."""

    def texts(self) -> Mapping[str, str]:
        """Name of a command -> one line about it."""
        return {name: command.help or "" for name, command in self.commands.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.texts())

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, self.texts()))
        with formatter.section("Commands"):
            for name, text in self.texts().items():
                formatter.write(f"{'':{formatter.current_indent}}{name:<{width}}  {text}\n")


class LazyGroup(ListedGroup):
    """Command `name` is `command` of the module `<package>.<name>`, which is imported once it is called."""

    def __init__(self, name: str, package: str, texts: Mapping[str, str], **attributes: Any) -> None:
        """texts: name -> one line about it, so that the list loads no command."""
        super().__init__(name, **attributes)
        self._package, self._texts = package, texts

    def texts(self) -> Mapping[str, str]:
        return self._texts

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Raises ClickException if another package `distributed` is in the way."""
        if cmd_name not in self._texts:
            return None
        if (problem := shadowing()) is not None:
            raise click.ClickException(problem)
        command: click.Command = importlib.import_module(f"{self._package}.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Raises NoSuchCommand, which suggests names that are near."""
        if args[0] not in self._texts and not ctx.resilient_parsing:
            raise click.NoSuchCommand(args[0], possibilities=self._texts, ctx=ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """By the texts: click's own would load every command for them."""
        names = [name for name in self._texts if name.startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [CompletionItem(name, help=self._texts[name]) for name in names] + options
