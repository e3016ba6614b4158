"""`idleak inspect PATH`: what a file is, without running it; --gallery: how a recogniser is used best."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import yaml

from distributed.sampling.inspected import ONNX, Inspection
from distributed.sampling.inspection import inspect
from jobs.cli.arguments import FILE, StrictCommand
from jobs.cli.exit_codes import ExitCode
from jobs.cli.say import say, say_next
from schemas.errors import SpecError

if TYPE_CHECKING:
    from distributed.stages.proposing.face_model import FaceModel

MODELS = Path("models")
PACK, PIPELINE = "*.onnx", "model_index.json"


@click.command("inspect", cls=StrictCommand, help=__doc__)
@click.argument("path", type=FILE, metavar="PATH", help="a model file, or a folder of images, models or code")
@click.option(
    "--gallery",
    type=FILE,
    metavar="FOLDER",
    help="photos of people, to try a recogniser's usual preprocessings on: this runs the model",
)
@click.option(
    "--detector",
    type=FILE,
    metavar="FILE",
    help="finds the faces in these photos; else what lies in `models` and beside the recogniser",
)
def command(path: Path, gallery: Path | None, detector: Path | None) -> ExitCode:
    if gallery is not None:
        say(*_trial_lines(path, gallery, [detector] if detector else _usual_places(path)))
        say_next("put this block into the audit's spec, then idleak plan SPEC", beside_data=True)
        return ExitCode.OK
    for model in _models_of(path):
        say(*_lines(model))
    say_next("idleak init GENERATOR PEOPLE COHORT writes a whole spec", beside_data=True)
    return ExitCode.OK


def _models_of(path: Path) -> list[Path]:
    """The models of an unpacked pack, or the path itself."""
    if not path.is_dir() or (path / PIPELINE).exists():
        return [path]
    return sorted(file for file in path.glob(PACK) if not file.name.startswith(".")) or [path]


def _usual_places(path: Path) -> list[Path]:
    return [folder for folder in (MODELS, path.parent) if folder.is_dir()]


def _trial_lines(path: Path, gallery: Path, detectors: list[Path]) -> list[str]:
    # Torch and onnxruntime, which take seconds to import.
    from distributed.stages.proposing.face_model import face_model, try_on

    model = face_model(path)
    if model is None or "recognizers" not in model.block:
        raise SpecError(f"{path} is no recogniser of faces: --gallery tries recognisers alone")
    lines, block = try_on(path, gallery, detectors)
    return [*lines, *_fact_lines(model.facts[1:2]), "", *_yaml({"faces": block})]


def _lines(path: Path) -> list[str]:
    inspection = inspect(path)
    kind = "code: loading it runs what its maker wrote" if inspection.is_code else "data"
    faces = _face_model(path, inspection)
    lines = [f"{path}: {inspection.what}{'' if faces is None else f', {faces.what}'}", f"  this is {kind}"]
    lines += [f"  {inspection.digest}"] if inspection.digest else []
    facts = [fact for fact in inspection.facts if faces is None or not fact[0].startswith("output")]
    lines += [*_fact_lines(facts), *(f"  ! {risk}" for risk in inspection.risks)]
    if faces is not None:
        return [*lines, *_fact_lines(faces.facts), "", *_decide(faces.decide), *_yaml({"faces": faces.block})]
    if inspection.block is None:
        return [*lines, "No kind of generator reads this file."]
    return [*lines, "", *_decide(inspection.decide), *_yaml({"generator": dict(inspection.block)})]


def _face_model(path: Path, inspection: Inspection) -> FaceModel | None:
    if inspection.what != ONNX:
        return None
    from distributed.stages.proposing.face_model import face_model

    return face_model(path)


def _fact_lines(facts: Iterable[tuple[str, str]]) -> list[str]:
    return [f"  {name}: {text}" for name, text in facts]


def _decide(keys: Sequence[str]) -> list[str]:
    return [f"# decide: {', '.join(keys)}"] if keys else []


def _yaml(content: dict[str, Any]) -> list[str]:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=False).splitlines()
