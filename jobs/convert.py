"""`idleak convert SPEC_OR_FILE --to onnx OUT`: code as data, once, so that audits need not trust it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from distributed.sampling.conversion import Conversion, convert
from distributed.sampling.inspection import inspect
from jobs.cli.command import guarded
from jobs.cli.exit_codes import ExitCode
from jobs.cli.say import say
from schemas.errors import SpecError
from schemas.spec.audit import load_generator
from schemas.spec.generators import GeneratorSpec
from schemas.spec.generators.base import Generator

SPECS = (".yaml", ".yml")


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="idleak convert", description=__doc__)
    parser.add_argument(
        "source",
        type=Path,
        metavar="SPEC_OR_FILE",
        help="an audit's YAML, a YAML with `generator` alone, or a TorchScript or .pt2 file",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="the file to write; it must not be there yet")
    parser.add_argument("--to", choices=["onnx", "safetensors"], required=True)
    parser.add_argument("--trust", action="append", default=[], help="of a FILE: its sha256:…, as in a spec")
    parser.add_argument("--dim", type=int, help="of a FILE: the length of a latent, if the file does not say")
    chosen = parser.parse_args(argv)
    return guarded(lambda: _run(chosen))


def _run(chosen: argparse.Namespace) -> ExitCode:
    is_spec = chosen.source.suffix.lower() in SPECS
    if is_spec and (chosen.trust or chosen.dim):
        raise SpecError("--trust and --dim are for a FILE: a spec says both itself")
    spec = load_generator(chosen.source) if is_spec else _of_file(chosen)
    done = convert(spec, chosen.to, chosen.out.absolute())
    base = chosen.source.resolve().parent if is_spec else Path.cwd()
    say(*_lines(done, chosen.out, base))
    return ExitCode.OK


def _of_file(chosen: argparse.Namespace) -> GeneratorSpec:
    """The generator in a file that says itself what it takes. Raises SpecError for one that does not."""
    found = inspect(chosen.source)
    if found.block is None or found.block["kind"] not in ("torchscript", "torch_export"):
        raise SpecError(f"{chosen.source} is {found.what}: give a YAML file with its `generator`")
    decide = set(found.decide) - {"trust", "output.range"} - ({"latent.dim"} if chosen.dim else set())
    if decide:
        told = "give --dim" if decide == {"latent.dim"} else "give a YAML file with its `generator`"
        raise SpecError(f"{chosen.source} does not say {', '.join(sorted(decide))}: {told}")
    latent = {"dim": chosen.dim} if chosen.dim else found.block["latent"]
    block = dict(found.block) | {
        "trust": chosen.trust,
        "latent": latent,
        "path": str(chosen.source.absolute()),
    }
    return _validated(block)


def _validated(block: dict[str, Any]) -> GeneratorSpec:
    try:
        spec: GeneratorSpec = TypeAdapter(GeneratorSpec).validate_python(block)
    except ValidationError as error:
        raise SpecError(f"--trust or --dim: {error.errors()[0]['msg']}") from error
    return spec


def _lines(done: Conversion, out: Path, base: Path) -> list[str]:
    levels = f"the greatest difference is {done.difference} of 255 levels"
    block = yaml.safe_dump({"generator": _block(done.generator, base)}, sort_keys=False, allow_unicode=False)
    checked = f"{done.samples} samples give the original's images: {levels}"
    alone = ["  its code fixes the batch, so that samples are made one by one"] if done.one_by_one else []
    return [f"{out}: {done.digest}", f"  {checked}", *alone, "", *block.splitlines()]


def _block(generator: Generator, base: Path) -> dict[str, Any]:
    """What a spec in the folder `base` says of it."""
    return generator.with_paths(lambda one: _relative(one, base)).model_dump(
        mode="json", exclude_defaults=True
    )


def _relative(path: str, base: Path) -> str:
    return os.path.relpath(path, base) if Path(path).is_relative_to(base) else path
