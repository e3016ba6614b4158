"""Which detector, recogniser and preprocessing serve photos best, by trial."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed.embedding.detectors.known import detector_text
from distributed.embedding.known_models import known_model
from distributed.embedding.licences import UNKNOWN
from distributed.embedding.usual_inputs import usual_inputs
from distributed.gallery.photos import Photo
from distributed.sampling.generator import InvalidImage
from distributed.sampling.images.decode import decode
from distributed.sampling.images.places import PlaceReader
from distributed.stages.enrolling.gallery_check import input_text, trial_text
from distributed.stages.enrolling.input_trial import Trial, merit, try_inputs
from distributed.stages.proposing.models import ModelsThere, TriedDetector, model_name, try_detector
from distributed.statistics.people.separation import FMR, Quality
from schemas.errors import ModelError, SpecError
from schemas.spec.audit import AuditSpec
from schemas.spec.faces import RecognizerInput
from schemas.spec.load import parse_spec

log = logging.getLogger(__name__)
CROP = (112, 112)

Block = dict[str, Any]


@dataclass(frozen=True)
class RecognizerTrial:
    """search: whether the detector has searched the photos; else they were taken as aligned crops."""

    path: Path
    search: bool
    trial: Trial

    @property
    def merit(self) -> tuple[float, float]:
        """Between recognisers every pair counts."""
        mated = self.trial.separation.mated
        return (0.0 if mated is None else mated.tar, self.trial.separation.decidability)


class FaceTrials:
    """Every detector and recogniser that is there, tried on the same few photos.

    frame: of a spec, without faces and gallery. Raises SpecError without photos, ModelError if no detector
    that is there can be used.
    """

    def __init__(
        self, frame: Block, gallery: Block, photos: Sequence[Photo], there: ModelsThere, fmr: float = FMR
    ) -> None:
        if not photos:
            raise SpecError("there are no photos to try the models on: write the spec by hand (examples/)")
        self._frame, self._gallery, self._there = frame, gallery, there
        self._photos, self._fmr = photos, fmr
        self._threads = os.cpu_count() or 1
        self.detector, self._others = self._best_detector()

    def best(self) -> tuple[Block, Block, list[str]]:
        """`faces`, `gallery`, and why. Raises ModelError if no recogniser gives templates."""
        trials = [ranked[0] for path in self._there.recognizers if (ranked := self._usable(path))]
        if not trials:
            raise ModelError("no recogniser that is there gives templates of the photos: see docs/models.md")
        chosen = max(trials, key=lambda tried: tried.merit)
        faces = self.faces(chosen.path, input_block(chosen.trial.input))
        gallery = self._gallery if chosen.search else self._gallery | {"detector": False}
        return (
            faces,
            gallery,
            [*self.detector_lines(search=chosen.search), *_recognizer_lines(trials, chosen)],
        )

    def ranked(self, path: Path) -> list[RecognizerTrial]:
        """The usual preprocessings of a recogniser that give templates, best first. Raises ModelError."""
        log.info("trying the usual preprocessings of %s on %d photos", path.name, len(self._photos))
        ranked: list[RecognizerTrial] = []
        for search in self._searches():
            spec = self._spec(path, search)
            recognizer = spec.faces.recognizers[0]
            trials = try_inputs(
                spec, recognizer, self._photos, "cpu", self._threads, usual_inputs(), fmr=self._fmr
            )
            ranked += [RecognizerTrial(path, search, trial) for trial in trials]
        return sorted(ranked, key=lambda tried: merit(tried.trial), reverse=True)

    def _usable(self, path: Path) -> list[RecognizerTrial]:
        try:
            return self.ranked(path)
        except ModelError as error:
            self._there.others.append(str(error))
            return []

    def _searches(self) -> list[bool]:
        """Aligned crops are tried both ways, if the detector finds faces in them."""
        are_crops = self.detector.faces == 0 or self._are_crops()
        return [False, True] if are_crops and self.detector.faces else [not are_crops]

    def _best_detector(self) -> tuple[TriedDetector, list[TriedDetector]]:
        tried = []
        for path in self._there.detectors:
            log.info("trying the detector %s on %d photos", path.name, len(self._photos))
            try:
                tried.append(try_detector(path, self._photos, self._threads))
            except ModelError as error:
                self._there.others.append(str(error))
        if not tried:
            raise ModelError(f"no detector that is there can be used: {'; '.join(self._there.others)}")
        chosen = max(tried, key=lambda detector: (detector.faces, -detector.seconds))
        return chosen, [detector for detector in tried if detector != chosen]

    def _are_crops(self) -> bool:
        reader = PlaceReader()
        images = (decode(reader.encoded(photo.place)) for photo in self._photos)
        shapes = {image.shape[:2] for image in images if not isinstance(image, InvalidImage)}
        return shapes == {CROP}

    def _spec(self, path: Path, search: bool) -> AuditSpec:
        gallery = self._gallery | {"detector": search}
        content = self._frame | {"faces": self.faces(path, {}), "gallery": gallery}
        return parse_spec(content, "the proposed spec", Path.cwd())

    def faces(self, path: Path, given: Block) -> Block:
        """The block of a spec. given: the recogniser's input."""
        recognizer: Block = {"name": model_name(path), "path": str(path)}
        return {
            "detector": {"path": str(self.detector.path), "sizes": list(self.detector.sizes)},
            "recognizers": [recognizer | ({"input": given} if given else {})],
        }

    def detector_lines(self, *, search: bool) -> list[str]:
        """Which detector was taken, and how many faces each has found."""
        detector, others = self.detector, [f"{other.path.name} {other.faces}" for other in self._others]
        named = f" ({', '.join(others)})" if others else ""
        share = f"finds a face in {detector.faces} of {len(self._photos)} photos{named}"
        lines = [
            f"faces.detector: {detector.path.name} {share}; {detector_text(detector.path)}; "
            f"licence: {licence_text(detector.path)}"
        ]
        if detector.unread:
            lines.append(
                f"WARNING: {len(detector.unread)} of these photos are no images: {detector.unread[0]}"
            )
        if not search:
            lines.append("gallery.detector: false, as the photos are aligned crops already")
        return lines


def licence_text(path: Path) -> str:
    """What is known of a file's licence. Raises ModelError for a file that is missing."""
    known = known_model(path)
    if known is None:
        return f"{UNKNOWN}: see docs/models.md, and state it as `license`"
    return f"{known.license} ({known.name})"


def input_block(chosen: RecognizerInput) -> Block:
    """As a spec has it, with one number where the three are the same."""
    scales = {"mean": chosen.mean, "std": chosen.std}
    short = {key: values[0] if len(set(values)) == 1 else list(values) for key, values in scales.items()}
    return {"channels": chosen.channels, **short}


def _recognizer_lines(trials: Sequence[RecognizerTrial], chosen: RecognizerTrial) -> list[str]:
    lines = [
        f"faces.recognizers: {chosen.path.name}, {trial_text(chosen.trial)} on these photos; "
        f"licence: {licence_text(chosen.path)}"
    ]
    lines += [
        f"faces.recognizers: not {other.path.name}, {trial_text(other.trial)}; "
        f"licence: {licence_text(other.path)}"
        for other in trials
        if other.path != chosen.path
    ]
    if chosen.trial.separation.quality is Quality.UNUSABLE:
        lines.append(
            f"WARNING: with {input_text(chosen.trial.input)}, its best, it does not tell these people apart"
        )
    return lines
