"""Refuse, before the long work, an audit whose gallery shows that it cannot work; say what would fix it."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

import pyarrow as pa

from distributed.execution.executor import Capacity, Executor
from distributed.gallery.photos import Photo
from distributed.gallery.quality import GalleryQuality, face_text, measure_gallery, separation_text
from distributed.stages.enrolling.input_trial import Trial, few_photos, other_inputs, try_inputs
from distributed.statistics.people.separation import Quality
from schemas.errors import RecognizerError
from schemas.spec.audit import AuditSpec
from schemas.spec.faces import RecognizerInput, RecognizerSpec

LOG = logging.getLogger(__name__)
MOST_NAMED = 2


def require_usable_gallery(
    spec: AuditSpec, table: pa.Table, photos: Sequence[Photo], executor: Executor
) -> GalleryQuality:
    """Raise RecognizerError, a line for all that is wrong, if a recogniser cannot tell the gallery's people
    apart or the detector finds almost no faces. What is poor, but can be used, is logged.

    table: of `gallery.parquet`. photos: those of it that are available, to try other preprocessings on.
    """
    quality = gallery_quality(spec, table)
    if is_unusable(quality):
        capacity = executor.capacity(spec.resources)
        raise RecognizerError(executor.call(capacity, complaint, spec, quality, photos, capacity))
    for warning in quality.warnings():
        LOG.warning("warning: %s", warning, extra={"event": "weak_gallery"})
    return quality


def gallery_quality(spec: AuditSpec, table: pa.Table) -> GalleryQuality:
    return measure_gallery(table, [recognizer.name for recognizer in spec.faces.recognizers])


def measured_lines(spec: AuditSpec, table: pa.Table) -> list[str]:
    """What each recogniser was measured at, for a terminal."""
    measured = gallery_quality(spec, table).recognizers
    return [f"recogniser {name}: {separation_text(separation)}" for name, separation in measured.items()]


def is_unusable(quality: GalleryQuality) -> bool:
    faces = [] if quality.faces is None else [quality.faces.quality]
    return Quality.UNUSABLE in [*faces, *(recognizer.quality for recognizer in quality.recognizers.values())]


def complaint(spec: AuditSpec, quality: GalleryQuality, photos: Sequence[Photo], capacity: Capacity) -> str:
    """What cannot be used, why that is likely so, and which preprocessing would work: one line."""
    lines = []
    if quality.faces is not None and quality.faces.quality is Quality.UNUSABLE:
        lines.append(
            f"{face_text(quality.faces)} of the gallery: correct faces.detector (its file, sizes, threshold) "
            "or, if the photos are aligned crops already, set gallery.detector: false"
        )
    for recognizer in spec.faces.recognizers:
        measured = quality.recognizers.get(recognizer.name)
        if measured is not None and measured.quality is Quality.UNUSABLE:
            lines.append(
                f"recogniser {recognizer.name} does not tell the gallery's people apart: "
                f"{separation_text(measured)}; {_cause(spec, recognizer, photos, capacity)}"
            )
    return "; ".join(lines)


def _cause(spec: AuditSpec, recognizer: RecognizerSpec, photos: Sequence[Photo], capacity: Capacity) -> str:
    if not photos:
        return (
            "its input (channels, mean, std) or the alignment of the photos is wrong; to have the usual "
            "preprocessings tried, enroll from images instead of an earlier gallery.parquet or templates"
        )
    chosen = few_photos(photos)
    LOG.info(
        f"recogniser {recognizer.name}: trying the usual preprocessings on {len(chosen)} photos",
        extra={"event": "trying"},
    )
    threads = capacity.threads if capacity.device != "cpu" else os.cpu_count() or 1
    trials = try_inputs(spec, recognizer, chosen, capacity.device, threads, other_inputs(recognizer))
    working = [trial for trial in trials if trial.separation.quality is Quality.GOOD]
    if working:
        named = ", ".join(map(trial_text, working[:MOST_NAMED]))
        return f"on {len(chosen)} of its photos, {named}: correct faces.recognizers.input"
    return _other_cause(spec, recognizer, trials)


def trial_text(trial: Trial) -> str:
    """Its preprocessing, and what it separates."""
    mated = trial.separation.mated
    figure = (
        f"the mean cosine is {trial.separation.mean:.2f}"
        if mated is None
        else f"TAR is {mated.tar:.2f} at FMR {mated.fmr:g}"
    )
    return f"with {input_text(trial.input)} {figure}"


def input_text(chosen: RecognizerInput) -> str:
    """As a spec says it."""
    mean, std = (_numbers(values) for values in (chosen.mean, chosen.std))
    return f"input: {{channels: {chosen.channels}, mean: {mean}, std: {std}}}"


def _numbers(values: Sequence[float]) -> str:
    texts = [f"{value:g}" for value in values]
    return texts[0] if len(set(texts)) == 1 else f"[{', '.join(texts)}]"


def _other_cause(spec: AuditSpec, recognizer: RecognizerSpec, trials: Sequence[Trial]) -> str:
    best = f" (best: {trial_text(trials[0])})" if trials else ""
    if spec.gallery.detector:
        likely = (
            "the model file, a preprocessing that is none of these, or the same people under two names is "
            "the likely cause"
        )
    else:
        likely = (
            "the crop is the likely cause: with gallery.detector: false the photos must be square, and "
            "aligned to ArcFace's five landmarks; else set it to true and give faces.detector"
        )
    return f"none of the usual preprocessings of {recognizer.name} helps{best}, so {likely}"
