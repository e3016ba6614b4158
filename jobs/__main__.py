"""idleak: which real people does a face generator leak?"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click
from click.exceptions import Exit, NoArgsIsHelpError
from click.shell_completion import shell_complete

from jobs.cli.exit_codes import ExitCode
from jobs.cli.lazy_group import LazyGroup
from jobs.cli.output import with_output_watched
from jobs.cli.say import print_error, say
from schemas.version import idleak_version

NAME = "idleak"
COMPLETE = "_IDLEAK_COMPLETE"
JOBS = {
    "audit": "everything below in one go; run again, it resumes",
    "sample": "draw the samples and embed their faces",
    "enroll": "embed the gallery's photos",
    "reduce": "neighbours, scores, verdicts, results.json",
    "init": "write a spec from a generator, people and the models that are there",
    "plan": "what an audit would cost and could find, without running it",
    "submit": "run an audit as a job of a Ray cluster, follow it, stop it",
    "nightly": "repeat the audits of a fleet, and tell what is new",
    "status": "how far a run is, from another terminal",
    "report": "what a run found, as one page for people, with its figures",
    "explore": "look at a finished run in a browser: search, filter, nearest samples",
    "compare": "two runs of one gallery, side by side",
    "verify": "check every file of a run",
    "repair": "make the damaged and missing shards of a run again",
    "retry": "try the failed shards again",
    "reveal": "who the pseudonyms of a run are, with its key; kept in its audit log",
    "purge": "erase a run, or one person from it",
    "inspect": "what a model file is, without running any of it, and the spec's block for it",
    "convert": "a generator that is code as ONNX or safetensors, once",
    "bench": "measure what idleak claims",
    "doctor": "check this machine",
    "spec": "print the reference of the spec's keys",
}


def _tell_version(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    if wanted:
        say(f"{NAME} {idleak_version()}")
        context.exit()


idleak = LazyGroup(
    NAME,
    "jobs",
    JOBS,
    help=__doc__,
    epilog=f"`{NAME} COMMAND --help` says more.",
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_tell_version,
            help="which idleak this is",
        )
    ],
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job that the first argument names with the rest; its exit code.

    argv: by default the process's own arguments, or what the shell asks for on TAB.
    """
    if argv is None and (instruction := os.environ.get(COMPLETE)):
        return with_output_watched(lambda: _completed(instruction))
    words = list(sys.argv[1:] if argv is None else argv)
    return with_output_watched(lambda: _run(words))


def _completed(instruction: str) -> int:
    try:
        return shell_complete(idleak, {}, NAME, COMPLETE, instruction)
    except (KeyError, ValueError):
        # Only a shell's completion script sets the variables that click reads.
        return ExitCode.BAD_SPEC


def _run(words: list[str]) -> int:
    try:
        with idleak.make_context(NAME, words) as context:
            return int(idleak.invoke(context))
    except Exit as end:
        return end.exit_code
    except NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        print_error(f"{NAME}: {_one_line(error)}")
        return error.exit_code


def _one_line(error: click.ClickException) -> str:
    message = " ".join(error.format_message().split()).rstrip(".")
    if not isinstance(error, click.UsageError) or error.ctx is None:
        return message
    if message[1:2].islower():
        message = message[0].lower() + message[1:]
    return f"{message} (`{error.ctx.command_path} --help` says more)"


if __name__ == "__main__":
    sys.exit(main())
