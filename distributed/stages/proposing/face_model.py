"""What an ONNX file is for, where it is a model of faces, and which of the usual preprocessings suits it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from distributed.embedding.detectors.known import detector_text
from distributed.embedding.known_models import known_model
from distributed.embedding.usual_inputs import PLAIN, input_of
from distributed.embedding.zoo import task_of
from distributed.gallery.people.adapters import list_source
from distributed.gallery.photos import Photo
from distributed.runtime.onnx_graph import input_shape, read_model, shape_of
from distributed.sampling.inspected import shape_text
from distributed.stages.enrolling.gallery_check import input_text
from distributed.stages.enrolling.input_trial import few_photos
from distributed.stages.proposing.models import ModelsThere, is_detector, model_name, models_there
from distributed.stages.proposing.people import people_block
from distributed.stages.proposing.trials import FaceTrials, RecognizerTrial, input_block, licence_text
from distributed.statistics.people.separation import resolved_fmr
from schemas.errors import ModelError, SpecError
from schemas.run.tables import Role
from schemas.spec.faces import RecognizerInput
from schemas.spec.gallery import GallerySpec

Block = dict[str, Any]
GALLERY_PEOPLE, GALLERY_PHOTOS = 100, 4
"""Of a folder that a recogniser is tried on: about 80,000 non-mated pairs."""


@dataclass(frozen=True)
class FaceModel:
    """facts: pairs to print. block: `faces` of a spec. decide: keys of it that the file does not tell."""

    what: str
    facts: Sequence[tuple[str, str]]
    block: Block
    decide: Sequence[str]


def face_model(path: Path) -> FaceModel | None:
    """None for an ONNX file that is neither a detector nor a recogniser. Raises ModelError for one that
    cannot be read."""
    if is_detector(path):
        facts = [("detector", detector_text(path)), ("licence", licence_text(path))]
        return FaceModel("a detector of faces", facts, {"detector": {"path": str(path)}}, ())
    model = read_model(path)
    if task_of(path) != "recognition" or not any(map(_is_vector, model.graph.output)):
        return None
    shape = input_shape(model)
    chosen, why = _preprocessing(path, model)
    recognizer: Block = {"name": model_name(path), "path": str(path)}
    recognizer |= {} if chosen is None else {"input": input_block(chosen)}
    facts = [
        ("recogniser", f"of crops {shape_text(shape or ())}: five landmarks on ArcFace's template"),
        ("licence", licence_text(path)),
        ("preprocessing", why if chosen is None else f"{input_text(chosen)}, {why}"),
    ]
    return FaceModel(
        "a recogniser of faces",
        facts,
        {"recognizers": [recognizer]},
        () if chosen else ("recognizers.input",),
    )


def _is_vector(output: onnx.ValueInfoProto) -> bool:
    """Whether it can be a template; an image is not."""
    sizes = shape_of(output)[1:]
    return not sizes or sum(size != 1 for size in sizes) == 1


def _preprocessing(path: Path, model: onnx.ModelProto) -> tuple[RecognizerInput | None, str]:
    known = known_model(path)
    if known is not None and known.input is not None:
        return known.input, f"as {known.name} is used"
    trial = f"try the usual ones on photos of people: idleak inspect {path} --gallery FOLDER"
    if _normalises(model.graph):
        return input_of(
            "rgb", PLAIN
        ), f"as the graph subtracts and scales by itself; for the channels, {trial}"
    return None, f"not known by the file; {trial}"


def _normalises(graph: onnx.GraphProto) -> bool:
    """Whether the first two nodes that the image passes subtract and scale, as InsightFace's package takes
    it (model_zoo/arcface_onnx.py) for MXNet's exports."""
    initial = {tensor.name for tensor in graph.initializer}
    value = next((entry.name for entry in graph.input if entry.name not in initial), "")
    passed: set[str] = set()
    for _ in range(2):
        node = next((node for node in graph.node if value in node.input), None)
        if node is None:
            return False
        passed.add(node.op_type)
        value = node.output[0]
    return bool(passed & {"Sub", "Add"}) and bool(passed & {"Mul", "Div"})


def try_on(path: Path, gallery: Path, detectors: Sequence[Path]) -> tuple[list[str], Block]:
    """The usual preprocessings of a recogniser on photos of people, a line each, best first, and the block
    of the best. detectors: files, or folders of them.

    Raises ModelError or SpecError for what cannot be used, or if there is no detector.
    """
    source = people_block(gallery)
    sides = {"candidates": source, "cohort": source}
    listed = list_source(GallerySpec.model_validate(sides).candidates)
    photos = few_photos(
        [Photo(photo.identity, photo.name, Role.CANDIDATE, photo.place) for photo in listed.photos],
        GALLERY_PEOPLE,
        GALLERY_PHOTOS,
    )
    people = len({photo.identity for photo in photos})
    if people < 2:
        raise SpecError(f"{gallery} has photos of {people} people: give a source of two people or more")
    frame: Block = {"name": "trial", "generator": {"kind": "images", "path": str(gallery)}, "samples": 1}
    there = ModelsThere(_detectors(detectors), [path], [])
    fmr = resolved_fmr(len(photos), people)
    trials = FaceTrials(frame | {"output": "trial"}, sides, photos, there, fmr)
    ranked = trials.ranked(path)
    if not ranked:
        raise ModelError(f"{path} gives no templates of these photos under any of the usual preprocessings")
    lines = [f"{len(photos):,} photos of {people:,} people", *trials.detector_lines(search=ranked[0].search)]
    return [*lines, *map(_line, ranked)], trials.faces(path, input_block(ranked[0].trial.input))


def _detectors(places: Sequence[Path]) -> list[Path]:
    files = [place for place in places if place.is_file()]
    folders = [place for place in places if place.is_dir()]
    detectors = [*files, *models_there(folders, Path()).detectors] if folders else files
    if not detectors:
        raise SpecError(
            f"there is no detector below {', '.join(map(str, places)) or 'models'}: give one by --detector "
            "(docs/models.md)"
        )
    return detectors


def _line(tried: RecognizerTrial) -> str:
    separation, crop = tried.trial.separation, "" if tried.search else ", photos taken as aligned crops"
    mated = separation.mated
    figures = f"mean cosine of different people {separation.mean:.3f}"
    if mated is not None:
        figures = (
            f"TAR {mated.tar:.3f} at FMR {mated.fmr:g} (95 %: {mated.low:.3f} to {mated.high:.3f}), mean "
            f"cosine of one person {mated.mean_similarity:.3f}, of different people {separation.mean:.3f}"
        )
    return f"{input_text(tried.trial.input)}{crop}: {figures}"
