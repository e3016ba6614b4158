"""Refuse an audit that its own gallery shows to be blind, before the long work; say what would mend it."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

import pyarrow as pa

from distributed.execution.cluster import Capacity, Cluster
from distributed.gallery.photos import Photo
from distributed.gallery.quality import GalleryQuality, face_text, measure_gallery, separation_text
from distributed.stages.input_trial import Trial, few_photos, try_inputs
from distributed.statistics.separation import FMR, MatedRate, Quality, Separation
from jobs.cli.log import tell
from schemas.errors import RecognizerError
from schemas.run.results import Interval, MatedResult, SeparationResult
from schemas.spec.audit import AuditSpec, RecognizerInput, RecognizerSpec

MOST_NAMED = 2


def require_usable_gallery(
    spec: AuditSpec, table: pa.Table, photos: Sequence[Photo], cluster: Cluster
) -> GalleryQuality:
    """Raise RecognizerError, a line for all that is wrong, if a recogniser cannot tell the gallery's people
    apart or the detector finds hardly a face. What is poor, but can be used, is logged.

    table: of `gallery.parquet`. photos: those of it that are at hand, to try other preprocessings on.
    """
    quality = gallery_quality(spec, table)
    if is_unusable(quality):
        capacity = cluster.capacity(spec.resources)
        raise RecognizerError(cluster.call(capacity, complaint, spec, quality, photos, capacity))
    for warning in quality.warnings():
        tell("weak_gallery", f"warning: {warning}", logging.WARNING)
    return quality


def gallery_quality(spec: AuditSpec, table: pa.Table) -> GalleryQuality:
    return measure_gallery(table, [one.name for one in spec.faces.recognizers])


def separation_result(one: Separation) -> SeparationResult:
    """As `results.json` keeps it."""
    return SeparationResult(
        quality=one.quality,
        people=one.people,
        photos=one.photos,
        non_mated_mean=one.mean,
        non_mated_deviation=one.deviation,
        mated=None if one.mated is None else _mated_result(one.mated),
    )


def _mated_result(one: MatedRate) -> MatedResult:
    return MatedResult(
        people=one.people,
        fmr=FMR,
        threshold=one.threshold,
        tar=Interval(value=one.tar, low=one.low, high=one.high),
        mean_similarity=one.mean_similarity,
    )


def measured_lines(spec: AuditSpec, table: pa.Table) -> list[str]:
    """What each recogniser was measured at, for a terminal."""
    measured = gallery_quality(spec, table).recognizers
    return [f"recogniser {name}: {separation_text(one)}" for name, one in measured.items()]


def is_unusable(quality: GalleryQuality) -> bool:
    faces = [] if quality.faces is None else [quality.faces.quality]
    return Quality.UNUSABLE in [*faces, *(one.quality for one in quality.recognizers.values())]


def complaint(spec: AuditSpec, quality: GalleryQuality, photos: Sequence[Photo], capacity: Capacity) -> str:
    """What cannot be used, why that is likely so, and which preprocessing would work: one line."""
    lines = []
    if quality.faces is not None and quality.faces.quality is Quality.UNUSABLE:
        lines.append(
            f"{face_text(quality.faces)} of the gallery: correct faces.detector (its file, sizes, threshold) "
            "or, if the photos are aligned crops already, set gallery.detector: false"
        )
    for one in spec.faces.recognizers:
        measured = quality.recognizers.get(one.name)
        if measured is not None and measured.quality is Quality.UNUSABLE:
            lines.append(
                f"recogniser {one.name} does not tell the gallery's people apart: "
                f"{separation_text(measured)}; {_cause(spec, one, photos, capacity)}"
            )
    return "; ".join(lines)


def _cause(spec: AuditSpec, recognizer: RecognizerSpec, photos: Sequence[Photo], capacity: Capacity) -> str:
    if not photos:
        return (
            "its input (channels, mean, std) or the alignment of the photos is wrong; to have the usual "
            "preprocessings tried, enroll from images instead of an earlier gallery.parquet"
        )
    chosen = few_photos(photos)
    tell("trying", f"recogniser {recognizer.name}: trying the usual preprocessings on {len(chosen)} photos")
    threads = capacity.threads if capacity.device != "cpu" else os.cpu_count() or 1
    trials = try_inputs(spec, recognizer, chosen, capacity.device, threads)
    working = [one for one in trials if one.separation.quality is Quality.GOOD]
    if working:
        named = ", ".join(map(_trial_text, working[:MOST_NAMED]))
        return f"on {len(chosen)} of its photos, {named}: correct faces.recognizers.input"
    return _other_cause(spec, recognizer, trials)


def _trial_text(trial: Trial) -> str:
    mated = trial.separation.mated
    figure = f"the mean cosine is {trial.separation.mean:.2f}" if mated is None else f"TAR is {mated.tar:.2f}"
    return f"with {input_text(trial.input)} {figure}"


def input_text(chosen: RecognizerInput) -> str:
    """As a spec says it."""
    mean, std = (_numbers(one) for one in (chosen.mean, chosen.std))
    return f"input: {{channels: {chosen.channels}, mean: {mean}, std: {std}}}"


def _numbers(values: Sequence[float]) -> str:
    texts = [f"{one:g}" for one in values]
    return texts[0] if len(set(texts)) == 1 else f"[{', '.join(texts)}]"


def _other_cause(spec: AuditSpec, recognizer: RecognizerSpec, trials: Sequence[Trial]) -> str:
    best = f" (best: {_trial_text(trials[0])})" if trials else ""
    if spec.gallery.detector:
        likely = "the model file, or a preprocessing that is none of these, is the likely cause"
    else:
        likely = (
            "the crop is the likely cause: with gallery.detector: false the photos must be square, and "
            "aligned to ArcFace's five landmarks; else set it to true and give faces.detector"
        )
    return f"none of the usual preprocessings of {recognizer.name} helps{best}, so {likely}"
