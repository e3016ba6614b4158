"""`idleak spec`: print the reference of its keys, of generators, people, a fleet or commands, as Markdown;
or a JSON Schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import click

from jobs.cli.arguments import StrictCommand, require_at_most_one
from jobs.cli.exit_codes import ExitCode
from jobs.cli.say import say_next
from schemas.json_schema import DESCRIBED, json_schema
from schemas.spec.reference import fleet_reference, generator_reference, people_reference, spec_reference

HEAD = ("| word | what it is |", "|---|---|")


@click.command("spec", cls=StrictCommand, help=__doc__)
@click.option("--generators", is_flag=True, help="the keys of each kind of generator")
@click.option("--people", is_flag=True, help="the keys of each kind of source of people")
@click.option("--fleet", is_flag=True, help="the keys of a fleet of nightly audits")
@click.option("--commands", is_flag=True, help="the commands of idleak, with their options")
@click.option(
    "--schema",
    type=click.Choice(list(DESCRIBED)),
    help="the JSON Schema of a spec, of a fleet, or of this file of a run",
)
def command(schema: str | None, **wanted: bool) -> ExitCode:
    require_at_most_one({f"--{name}": given for name, given in wanted.items()} | {"--schema": schema})
    if schema is not None:
        print(json_schema(schema), end="")
        say_next("docs/pipelines.md says how an editor checks a file by its schema", beside_data=True)
        return ExitCode.OK
    name = next((name for name, given in wanted.items() if given), "")
    print(REFERENCES.get(name, spec_reference)(), end="")
    say_next(
        "idleak plan SPEC says what is wrong with a spec, and what its audit would cost", beside_data=True
    )
    return ExitCode.OK


def _commands() -> str:
    root = click.get_current_context().find_root()
    assert isinstance(root.command, click.Group)
    return command_reference(root.command, str(root.info_name))


REFERENCES: dict[str, Callable[[], str]] = {
    "generators": generator_reference,
    "people": people_reference,
    "fleet": fleet_reference,
    "commands": _commands,
}


def command_reference(root: click.Group, name: str) -> str:
    """A table of all commands, and for each a Markdown section: how it is called, its arguments and options.

    root: the group that `name` calls.
    """
    context = click.Context(root, info_name=name, **root.context_settings)
    commands = [(root.get_command(context, word), word) for word in root.list_commands(context)]
    contexts = [leaf for command, word in commands if command for leaf in _leaves(context, command, word)]
    lines = ["| command | does |", "|---|---|", *map(_row, contexts), ""]
    for leaf in contexts:
        lines += _section(leaf)
    return "\n".join(lines).rstrip() + "\n"


def _leaves(parent: click.Context, command: click.Command, word: str) -> Iterator[click.Context]:
    """The command's context, or those of a group's commands."""
    context = click.Context(command, info_name=word, parent=parent, show_default=parent.show_default)
    if not isinstance(command, click.Group):
        yield context
        return
    for below in command.list_commands(context):
        if (nested := command.get_command(context, below)) is not None:
            yield from _leaves(context, nested, below)


def _row(context: click.Context) -> str:
    path = context.command_path
    anchor = path.replace(" ", "-")
    return f"| [`{path.partition(' ')[2]}`](#{anchor}) | {_cell(_short(context.command))} |"


def _section(context: click.Context) -> list[str]:
    usage = " ".join(context.command.collect_usage_pieces(context))
    records = [parameter.get_help_record(context) for parameter in context.command.get_params(context)]
    rows = [f"| `{_cell(record[0])}` | {_cell(record[1])} |" for record in records if record]
    text = " ".join((context.command.help or "").split())
    return [
        f"### {context.command_path}",
        "",
        text,
        "",
        f"    {context.command_path} {usage}",
        "",
        *HEAD,
        *rows,
        "",
    ]


def _short(command: click.Command) -> str:
    """The help text without the name that a docstring begins with."""
    first, _, rest = " ".join((command.help or "").split()).partition(": ")
    return rest if first.startswith("`") and rest else " ".join((command.help or "").split())


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
