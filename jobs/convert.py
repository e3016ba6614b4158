"""`idleak convert SPEC_OR_FILE --to onnx OUT`: code as data, once, so that audits need not trust it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from distributed.sampling.conversion import Conversion, Format, convert
from distributed.sampling.inspection import inspect
from jobs.cli.arguments import FILE, StrictCommand
from jobs.cli.exit_codes import ExitCode
from jobs.cli.say import say, say_next
from schemas.errors import SpecError, UsageError
from schemas.spec.generators import GeneratorSpec
from schemas.spec.load import load_generator
from schemas.spec.locations import with_locations

SPECS = (".yaml", ".yml")


@click.command("convert", cls=StrictCommand, help=__doc__)
@click.argument(
    "source",
    type=FILE,
    metavar="SPEC_OR_FILE",
    help="an audit's YAML, a YAML with `generator` alone, or a TorchScript or .pt2 file",
)
@click.argument("out", type=FILE, metavar="OUT", help="the file to write; it must not be there yet")
@click.option("--to", type=click.Choice(["onnx", "safetensors"]), required=True)
@click.option("--trust", multiple=True, help="of a FILE: its sha256:…, as in a spec")
@click.option("--dim", type=int, help="of a FILE: the length of a latent, if the file does not say")
def command(source: Path, out: Path, *, to: Format, trust: tuple[str, ...], dim: int | None) -> ExitCode:
    is_spec = source.suffix.lower() in SPECS
    if is_spec and (trust or dim):
        raise UsageError("--trust and --dim are for a FILE: a spec says both itself")
    spec = load_generator(source) if is_spec else _of_file(source, trust, dim)
    done = convert(spec, to, out.absolute())
    base = source.resolve().parent if is_spec else Path.cwd()
    say(*_lines(done, out, base))
    say_next("put this `generator` into the audit's spec, then idleak plan SPEC", beside_data=True)
    return ExitCode.OK


def _of_file(path: Path, trust: Sequence[str], dim: int | None) -> GeneratorSpec:
    """The generator in a file that says itself what it takes. Raises SpecError for one that does not."""
    inspection = inspect(path)
    if inspection.block is None or inspection.block["kind"] not in ("torchscript", "torch_export"):
        raise SpecError(f"{path} is {inspection.what}: give a YAML file with its `generator`")
    decide = (
        set(inspection.decide)
        - {"trust", "output.range", "latent.distribution"}
        - ({"latent.dim"} if dim else set())
    )
    if decide:
        advice = "give --dim" if decide == {"latent.dim"} else "give a YAML file with its `generator`"
        raise SpecError(f"{path} does not say {', '.join(sorted(decide))}: {advice}")
    latent = {"dim": dim} if dim else inspection.block["latent"]
    block = dict(inspection.block) | {
        "trust": list(trust),
        "latent": latent,
        "path": str(path.absolute()),
    }
    return _validated(block)


def _validated(block: dict[str, Any]) -> GeneratorSpec:
    try:
        spec: GeneratorSpec = TypeAdapter(GeneratorSpec).validate_python(block)
    except ValidationError as error:
        raise UsageError(f"--trust or --dim: {error.errors()[0]['msg']}") from error
    return spec


def _lines(done: Conversion, out: Path, base: Path) -> list[str]:
    levels = f"the greatest difference is {done.difference} of 255 levels"
    block = yaml.safe_dump({"generator": _block(done.generator, base)}, sort_keys=False, allow_unicode=False)
    checked = f"{done.samples} samples give the original's images: {levels}"
    alone = ["  its code fixes the batch, so that samples are made one by one"] if done.one_by_one else []
    return [f"{out}: {done.digest}", f"  {checked}", *alone, "", *block.splitlines()]


def _block(generator: BaseModel, base: Path) -> dict[str, Any]:
    """What a spec in the folder `base` says of it."""
    relative = with_locations(generator, lambda location: _relative(location, base))
    return relative.model_dump(mode="json", exclude_defaults=True)


def _relative(path: str, base: Path) -> str:
    return os.path.relpath(path, base) if Path(path).is_relative_to(base) else path
