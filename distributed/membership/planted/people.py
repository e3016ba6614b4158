"""Samples of people of the cohort as the generator might make them: what a search would find of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from distributed.membership.frame import Frame
from distributed.reduce.centring import centred
from distributed.reduce.margins import Lists, Twins, margins
from distributed.reduce.search import listed_people
from distributed.statistics.matching import Group
from distributed.statistics.similarity import Floats, Integers, Pairs, Singles

MOST_PEOPLE = 500
"""Of a group's cohort, evenly spaced: a chance of 0.95 is then known to about 0.01."""
LEAST_SPARE = 100
"""People whose template has as many photos as the audit's; else they are not much like those it compares."""
VARIANTS = 16
"""Samples made of each person, of the held-out photos in turn."""
SEED = 0


@dataclass(frozen=True)
class HeldOut:
    """Photos that are in no template, float32 (k, VARIANTS, d), and templates of their people, of the same
    shape. person: int64 (k,), rising.

    A person with more photos than the group uses has the others held out, and the template that the audit
    compares. Of one with just as many, each photo is held out in turn, and the template is of the rest.
    """

    person: Integers
    photo: Singles
    template: Singles


def held_out(frame: Frame, recognizer: str, group: Group, centre: Floats) -> HeldOut:
    """Of at most MOST_PEOPLE of the group's cohort: those with more photos than the group uses, if these are
    LEAST_SPARE, else those with two."""
    gallery, used = frame.gallery, group.photos
    counts = gallery.photos_per_identity()
    people, spared = (group.cohort[counts[group.cohort] > least] for least in (1, used))
    people = _spaced(spared if len(spared) >= LEAST_SPARE else people)
    rows = np.flatnonzero(np.isin(gallery.identity, people))
    rows = rows[np.lexsort((gallery.rank[rows], gallery.identity[rows]))]
    photos = centred(gallery.templates[recognizer][rows], centre)
    first, has = np.searchsorted(gallery.identity[rows], people), counts[people]
    spare = np.where(has > used, has - used, has)
    place = (first + has - spare)[:, None] + np.arange(VARIANTS) % spare[:, None]
    sums = np.empty((len(people), 1, photos.shape[1]))
    for row, start in enumerate(first):
        sums[row, 0] = photos[start : start + min(used, has[row])].sum(axis=0, dtype=np.float64)
    inside = (has <= used)[:, None, None]
    template = sums - inside * photos[place]
    return HeldOut(people, photos[place], _unit(template).astype(np.float32))


def _spaced(people: Integers) -> Integers:
    places = np.linspace(0, len(people) - 1, min(len(people), MOST_PEOPLE))
    return people[places.round().astype(np.int64)]


def _unit(rows: Floats) -> Floats:
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    unit: Floats = rows / np.where(lengths > 0, lengths, 1.0)
    return unit


@dataclass(frozen=True)
class Planted:
    """What a search would find of samples of k people, VARIANTS of each.

    person: int64 (k,), rising. similarity, margin: float32 (k, VARIANTS), to the person's template, as in
    `reduce.partial.Neighbours`. lead: float64 (k, VARIANTS), by how much the sample is more similar to the
    person than to anybody else.
    """

    person: Integers
    similarity: Singles
    margin: Singles
    lead: Floats


def planted(kept: HeldOut, people: Singles, twins: Twins, samples: Singles, likeness: float) -> Planted:
    """Make samples of the held-out photos and compare them with all people.

    A sample is likeness · photo + √(1 − likeness²) · s, made unit length, s being one of `samples` (n, d) at
    random, which the generator has made: as much as `likeness` of it is like a photo, and the rest is what
    samples have. people: float32 (P, d), templates that the audit compares.
    """
    shape = kept.photo.shape
    made = kept.photo.reshape(-1, shape[2]).astype(np.float64)
    if likeness < 1:
        rest = samples[np.random.default_rng(SEED).integers(0, len(samples), len(made))]
        made = _unit(likeness * made + np.sqrt(1 - likeness**2) * rest)
    own = (made * kept.template.reshape(made.shape)).sum(axis=1).astype(np.float32)
    owner, rows = kept.person.repeat(shape[1]), np.arange(len(made))
    lists = listed_people(people, made.astype(np.float32))
    margin, _ = margins(Pairs(owner, rows, own), lists, rows, twins)
    lead = own - _best_other(lists, owner, twins)
    return Planted(*(kept.person, own.reshape(shape[:2]), margin.reshape(shape[:2]), lead.reshape(shape[:2])))


def _best_other(lists: Lists, owner: Integers, twins: Twins) -> Floats:
    """The similarity of the best listed person who is not the owner or a twin; 0 without any, as in
    `Lists.leaders`."""
    others = ~twins.are(np.broadcast_to(owner[:, None], lists.person.shape), lists.person)
    best = np.where(others & (lists.person >= 0), lists.similarity, -np.inf).max(axis=1).astype(np.float64)
    return np.where(np.isfinite(best), best, 0.0)
