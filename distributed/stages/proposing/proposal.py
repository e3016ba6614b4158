"""A whole spec from a generator, people and the models that are there, and what it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed.gallery.photos import list_gallery
from distributed.stages.enrolling.input_trial import few_photos
from distributed.stages.proposing.generator import propose_generator
from distributed.stages.proposing.models import ModelsThere, model_name, models_there
from distributed.stages.proposing.people import labels_beside, people_block, sides_of
from distributed.stages.proposing.trials import FaceTrials
from schemas.errors import SpecError
from schemas.spec.gallery import GallerySpec

Block = dict[str, Any]


@dataclass(frozen=True)
class Proposal:
    """spec: its keys, paths as they were given. inferred: sentences. undecided: keys to be checked."""

    spec: Block
    inferred: list[str]
    undecided: list[str]


def propose(generator: Path, people: tuple[Path, Path | None], models: Sequence[Path]) -> Proposal:
    """people: candidates and cohort, or one folder of both. models: folders that are searched for ONNX files.

    Tries the models on a few photos. Raises SpecError or ModelError for what cannot be used, or is missing.
    """
    made = propose_generator(generator)
    gallery, lines = _gallery(*people)
    listed = list_gallery(GallerySpec.model_validate(gallery))
    there = models_there(models, generator)
    _require_models(there, models)
    frame: Block = {
        "name": model_name(generator),
        "generator": made.block,
        "samples": made.samples,
        "output": f"runs/{model_name(generator)}",
    }
    faces, gallery, chosen = FaceTrials(frame, gallery, few_photos(listed.photos), there).best()
    inferred = [
        *made.inferred,
        *lines,
        *listed.counts(),
        *(notice.text for notice in listed.notices if notice.warns),
        *chosen,
        *map("passed over: {}".format, there.others),
    ]
    undecided = [*(f"generator.{key}" for key in made.undecided), "authorisation"]
    return Proposal(_ordered(frame, faces, gallery), inferred, undecided)


def _ordered(frame: Block, faces: Block, gallery: Block) -> Block:
    output = {"output": frame["output"]}
    rest = {key: value for key, value in frame.items() if key != "output"}
    return rest | {"faces": faces, "gallery": gallery} | output


def _gallery(first: Path, second: Path | None) -> tuple[Block, list[str]]:
    candidates, cohort = sides_of(first, second)
    gallery: Block = {"candidates": people_block(candidates), "cohort": people_block(cohort)}
    lines = [f"gallery.{side}: {_kind(gallery[side])}" for side in ("candidates", "cohort")]
    labels = labels_beside(candidates)
    if labels is not None:
        gallery["labels"] = str(labels)
        lines.append(f"gallery.labels: {labels.name}, beside the candidates; for evaluation only")
    return gallery, lines


def _kind(block: Block) -> str:
    if "images" in block:
        return "a folder of photos for each person"
    return (
        "a gallery enrolled before" if "parquet" in block and "kind" not in block else f"kind {block['kind']}"
    )


def _require_models(there: ModelsThere, folders: Sequence[Path]) -> None:
    missing = [
        task
        for task, paths in (("detector", there.detectors), ("recogniser", there.recognizers))
        if not paths
    ]
    if missing:
        named = ", ".join(map(str, folders))
        raise SpecError(
            f"there is no {' and no '.join(missing)} (ONNX) below {named}: docs/models.md says where to get "
            "them; give their folder by --models"
        )
