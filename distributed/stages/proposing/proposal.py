"""A whole spec from a generator, people and the models that are there, and what it rests on."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed.embedding.detectors.known import detector_text
from distributed.embedding.usual_inputs import usual_inputs
from distributed.gallery.people.listing import counted
from distributed.gallery.photos import ListedGallery, list_gallery
from distributed.sampling.images.decode import decode
from distributed.sampling.images.places import PlaceReader
from distributed.stages.gallery_check import input_text, trial_text
from distributed.stages.input_trial import Trial, few_photos, try_inputs
from distributed.stages.proposing.generator import propose_generator
from distributed.stages.proposing.models import ModelsThere, TriedDetector, models_there, try_detector
from distributed.stages.proposing.people import labels_beside, people_block, sides_of
from distributed.statistics.people.separation import Quality
from schemas.errors import ModelError, SpecError
from schemas.run.tables import Role
from schemas.spec.audit import AuditSpec
from schemas.spec.gallery import GallerySpec
from schemas.spec.load import parse_spec

log = logging.getLogger(__name__)
CROP = (112, 112)

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
        "name": _name(generator),
        "generator": made.block,
        "samples": made.samples,
        "output": f"runs/{_name(generator)}",
    }
    faces, gallery, chosen = _Trials(frame, gallery, listed, there).best()
    inferred = [
        *made.inferred,
        *lines,
        *_people_lines(listed),
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


def _people_lines(listed: ListedGallery) -> list[str]:
    lines = []
    for role in Role:
        photos = [photo for photo in listed.photos if photo.role is role]
        people = len({photo.identity for photo in photos})
        lines.append(f"{role}: {people:,} people, {counted(len(photos), 'photo')}")
    return lines


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


def _name(path: Path) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", path.stem).lstrip("-._") or "audit"


class _Trials:
    """Every detector and recogniser that is there, tried on the same few photos."""

    def __init__(self, frame: Block, gallery: Block, listed: ListedGallery, there: ModelsThere) -> None:
        self._frame, self._gallery, self._there = frame, gallery, there
        self._photos = few_photos(listed.photos)
        self._threads = os.cpu_count() or 1

    def best(self) -> tuple[Block, Block, list[str]]:
        """`faces`, `gallery`, and why."""
        if not self._photos:
            raise SpecError("there are no photos to try the models on: write the spec by hand (examples/)")
        detector = self._detector()
        are_crops = detector.found == 0 or self._are_crops()
        choices = [False, True] if are_crops and detector.found else [not are_crops]
        trials = [
            (path, search, trial) for search in choices for path, trial in self._recognizers(detector, search)
        ]
        if not trials:
            raise ModelError("no recogniser that is there gives templates of the photos: see docs/models.md")
        path, search, trial = max(trials, key=lambda tried: _tar(tried[2]))
        faces = self._faces(detector, path, input_block(trial))
        gallery = self._gallery if search else self._gallery | {"detector": False}
        return (
            faces,
            gallery,
            [*self._detector_lines(detector, search=search), *_recognizer_lines(trials, path, trial)],
        )

    def _detector(self) -> TriedDetector:
        tried = []
        for path in self._there.detectors:
            log.info("trying the detector %s on %d photos", path.name, len(self._photos))
            try:
                tried.append(try_detector(path, self._photos, self._threads))
            except ModelError as error:
                self._there.others.append(str(error))
        if not tried:
            raise ModelError(f"no detector that is there can be used: {'; '.join(self._there.others)}")
        chosen = max(tried, key=lambda detector: (detector.found, -detector.seconds))
        self._tried = [f"{detector.path.name} {detector.found}" for detector in tried if detector != chosen]
        return chosen

    def _are_crops(self) -> bool:
        reader = PlaceReader()
        images = (decode(reader.encoded(photo.place)) for photo in self._photos)
        return all(getattr(image, "shape", (0, 0))[:2] == CROP for image in images)

    def _recognizers(self, detector: TriedDetector, search: bool) -> list[tuple[Path, Trial]]:
        best = []
        for path in self._there.recognizers:
            log.info("trying the usual preprocessings of %s on %d photos", path.name, len(self._photos))
            spec = self._spec(detector, path, search)
            recognizer = spec.faces.recognizers[0]
            try:
                trials = try_inputs(spec, recognizer, self._photos, "cpu", self._threads, usual_inputs())
            except ModelError as error:
                self._there.others.append(str(error))
                continue
            best += [(path, trial) for trial in trials[:1]]
        return best

    def _spec(self, detector: TriedDetector, path: Path, search: bool) -> AuditSpec:
        gallery = self._gallery | {"detector": search}
        faces = self._faces(detector, path, {})
        return parse_spec(self._frame | {"faces": faces, "gallery": gallery}, "the proposed spec", Path.cwd())

    def _faces(self, detector: TriedDetector, path: Path, given: Block) -> Block:
        recognizer: Block = {"name": _name(path), "path": str(path)}
        return {
            "detector": {"path": str(detector.path), "sizes": list(detector.sizes)},
            "recognizers": [recognizer | ({"input": given} if given else {})],
        }

    def _detector_lines(self, detector: TriedDetector, *, search: bool) -> list[str]:
        others = f" ({', '.join(self._tried)})" if self._tried else ""
        share = f"finds a face in {detector.found} of {len(self._photos)} photos{others}"
        lines = [f"faces.detector: {detector.path.name} {share}; {detector_text(detector.path)}"]
        if not search:
            lines.append("gallery.detector: false, as the photos are aligned crops already")
        return lines


def _tar(trial: Trial) -> tuple[float, float]:
    """Between recognisers every pair counts."""
    mated = trial.separation.mated
    return (0.0 if mated is None else mated.tar, trial.separation.decidability)


def input_block(trial: Trial) -> Block:
    """As a spec has it, with one number where the three are the same."""
    chosen = trial.input
    scales = {"mean": chosen.mean, "std": chosen.std}
    short = {key: values[0] if len(set(values)) == 1 else list(values) for key, values in scales.items()}
    return {"channels": chosen.channels, **short}


def _recognizer_lines(trials: Sequence[tuple[Path, bool, Trial]], path: Path, chosen: Trial) -> list[str]:
    lines = [f"faces.recognizers: {path.name}, {trial_text(chosen)} on these photos"]
    others = [(other, trial) for other, _, trial in trials if other != path]
    lines += [f"faces.recognizers: not {other.name}, {trial_text(trial)}" for other, trial in others]
    if chosen.separation.quality is Quality.UNUSABLE:
        lines.append(
            f"WARNING: with {input_text(chosen.input)}, its best, it does not tell these people apart"
        )
    return lines
