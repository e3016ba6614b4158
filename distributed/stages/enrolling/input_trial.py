"""Which of the usual preprocessings make a recogniser tell people apart, tried on a few photos of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from distributed.embedding.usual_inputs import embed_under, open_under, usual_inputs
from distributed.embedding.zoo import resolve_model
from distributed.gallery.photos import Photo
from distributed.stages.making.crops import aligned_faces
from distributed.stages.making.setup import Setup
from distributed.statistics.people.separation import FMR, Separation, chosen_photos, measure_separation
from schemas.spec.audit import AuditSpec
from schemas.spec.faces import RecognizerInput, RecognizerSpec

TRIED_PEOPLE, TRIED_PHOTOS = 40, 2


@dataclass(frozen=True)
class Trial:
    """What the tried photos show of a recogniser under one preprocessing."""

    input: RecognizerInput
    separation: Separation


def few_photos(photos: Sequence[Photo], people: int = TRIED_PEOPLE, each: int = TRIED_PHOTOS) -> list[Photo]:
    """`each` photos of so many people, those with two photos first; the same at every call."""
    # Numbers of people in the order of names; numpy would hold millions of names at the longest one's length.
    numbers = {key: row for row, key in enumerate(sorted({_owner(photo) for photo in photos}))}
    owners = np.fromiter((numbers[_owner(photo)] for photo in photos), np.int64, len(photos))
    return [photos[row] for row in chosen_photos(owners, people, each)]


def _owner(photo: Photo) -> str:
    return f"{photo.role}/{photo.identity}"


def other_inputs(recognizer: RecognizerSpec) -> list[RecognizerInput]:
    """The usual preprocessings, without the spec's own."""
    return [chosen for chosen in usual_inputs() if chosen != recognizer.input]


def try_inputs(
    spec: AuditSpec,
    recognizer: RecognizerSpec,
    photos: Sequence[Photo],
    device: str,
    threads: int,
    inputs: Sequence[RecognizerInput],
    fmr: float = FMR,
) -> list[Trial]:
    """Those of the preprocessings that give templates, best first, by the TAR at `fmr`.

    photos: of the gallery, from `few_photos`. Empty if fewer than two people have a usable photo. Raises
    ModelError or DeviceError if a model cannot be loaded.
    """
    path = resolve_model(recognizer.path, task="recognition")
    size = open_under(recognizer.input, path, device=device, threads=threads).size
    places = tuple(photo.place for photo in photos)
    crops, rows = aligned_faces(Setup(spec, device, threads, places), size)
    people = np.unique([photos[row].identity for row in rows], return_inverse=True)[1].astype(np.int64)
    if len(np.unique(people)) < 2:
        return []
    trials = []
    for chosen in inputs:
        templates = embed_under(chosen, path, crops, device=device, threads=threads)
        if templates is not None:
            trials.append(Trial(chosen, measure_separation(templates, people, fmr=fmr)))
    return sorted(trials, key=merit, reverse=True)


def merit(trial: Trial) -> tuple[float, float]:
    mated = trial.separation.mated
    # Of two that differ by a pair or so, the one that keeps people further apart.
    return (0.0 if mated is None else round(mated.tar, 1), trial.separation.decidability)
