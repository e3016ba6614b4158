"""`idleak init GENERATOR PEOPLE [COHORT]`: write a whole spec from what is there; says what it inferred."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import yaml

from jobs.cli.arguments import FILE, StrictCommand
from jobs.cli.checkout import ROOT
from jobs.cli.exit_codes import ExitCode
from jobs.cli.say import say, say_next
from schemas.errors import SpecError
from schemas.file_names import require_file_name
from schemas.spec.load import load_spec

if TYPE_CHECKING:
    from distributed.stages.proposing.proposal import Proposal

AUTHORISATION = """\
# Nobody but you knows who has allowed this; without it `idleak audit` refuses.
# authorisation:
#   purpose: find out whom our generator leaks
#   legal_basis: GDPR Art. 6(1)(f) and 9(2)(j)
#   controller: Example GmbH
#   approver: the data protection officer
#   expires: 2027-12-31
"""
SCHEMA = ROOT / "docs" / "schemas" / "spec.json"
DECISIONS = {
    "latent.distribution": "what the training drew latents from: normal, uniform, sphere or truncated",
    "latent.dim": "how many numbers a latent has",
    "output.range": "the values of black and white",
    "output.name": "the output that is the image",
    "factory": "`package.module:name` of the class or function that makes the network",
    "trust": "read the code, since it is run, then give the digest that `idleak inspect CODE` prints",
    "code": "the folder of the code that makes the network",
    "truncation": "psi, as it is deployed",
    "generator.prompt": "what the images are asked for with, as it is deployed",
    "generator.label": "the class; `factors` for several",
    "weights_key": "which of the checkpoint's state dicts",
    "inputs.": "what this input takes",
    "authorisation": "who has allowed this audit, at the end of the spec",
}
"""Part of a key -> what an auditor decides; the first that fits."""
STOPPING = ("generator.code", "generator.factory", "generator.trust (")
"""Keys without which no plan can be made."""
MODELS = "models"
PATHS = frozenset({"path", "images", "parquet", "list", "labels", "code", "weights"})
"""Keys whose values are files or folders."""


@click.command("init", cls=StrictCommand, help=__doc__)
@click.argument(
    "generator", type=FILE, metavar="GENERATOR", help="a model file, or a folder of images or code"
)
@click.argument(
    "people", type=FILE, metavar="PEOPLE", help="the candidates, or a folder of `candidates` and `cohort`"
)
@click.argument(
    "cohort",
    type=FILE,
    required=False,
    metavar="[COHORT]",
    help="people who were certainly not in the training data",
)
@click.option(
    "--models",
    type=FILE,
    metavar="FOLDER",
    help="where detectors and recognisers lie; else `models`, and the generator's own folder",
)
@click.option("--output", type=FILE, default=Path("audit.yaml"), metavar="SPEC", help="the spec to write")
def command(
    generator: Path, people: Path, cohort: Path | None, models: Path | None, output: Path
) -> ExitCode:
    for path in (generator, people, cohort, models, output):
        if path is not None:
            require_file_name(str(path.absolute()))
    # Torch and onnxruntime, which take seconds to import.
    from distributed.stages.proposing.proposal import propose

    if output.exists():
        raise SpecError(f"{output} is there already: give another --output, or move it away")
    if models is not None and not models.is_dir():
        raise SpecError(f"{models} is not a folder: give the folder of the models by --models")
    folders = [models] if models is not None else _usual_folders(generator)
    proposal = propose(generator, (people, cohort), folders)
    _write(output, spec_text(proposal, output.parent))
    say(*proposal.inferred, "", f"{output} is written.")
    say(*(f"  to be checked by you: {key}{_how(key)}" for key in proposal.undecided))
    if "IDLEAK_KEY" not in os.environ:
        say("  to be set, for pseudonyms: export IDLEAK_KEY=$(openssl rand -base64 32)")
    first = "decide what stands above; then " if any(map(_stops_plan, proposal.undecided)) else ""
    say_next(f"{first}idleak plan {output}")
    return ExitCode.OK


def _write(output: Path, text: str) -> None:
    """Write a spec that can be read. Nothing is left of another one. Raises OSError, and as `load_spec`."""
    try:
        output.write_text(text, encoding="utf-8")
        load_spec(output)
    except BaseException:
        output.unlink(missing_ok=True)
        raise


def _stops_plan(key: str) -> bool:
    return key.startswith(STOPPING)


def _how(key: str) -> str:
    """What there is to decide, if the key alone does not say it."""
    return next((f": {text}" for part, text in DECISIONS.items() if part in key), "")


def _usual_folders(generator: Path) -> list[Path]:
    folders = [Path(MODELS), generator.parent]
    return [folder for folder in folders if folder.is_dir()]


def spec_text(proposal: Proposal, folder: Path) -> str:
    """The spec's file, its paths relative to its own folder where they lie in it."""
    document = {key: _relative(value, folder) for key, value in proposal.spec.items()}
    body = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100, default_flow_style=None)
    head = [f"# {line}" for line in ("Written by `idleak init`, which inferred:", *proposal.inferred)]
    return "\n".join([*schema_line(), *head, body.rstrip(), AUTHORISATION])


def schema_line() -> list[str]:
    """By which editors complete and check the keys, where this checkout has the schema."""
    return [f"# yaml-language-server: $schema={SCHEMA.as_uri()}"] if SCHEMA.is_file() else []


def _relative(value: Any, folder: Path, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _relative(part, folder, name) for name, part in value.items()}
    if isinstance(value, list):
        return [_relative(part, folder) for part in value]
    if key not in PATHS or not isinstance(value, str):
        return value
    absolute, root = Path(value).resolve(), folder.resolve()
    return str(absolute.relative_to(root)) if absolute.is_relative_to(root) else str(absolute)
