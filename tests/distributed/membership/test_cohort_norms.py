from __future__ import annotations

import numpy as np

from distributed.membership import cohort_norms
from distributed.membership.cohort_norms import (
    cohort_norm,
    cohort_people,
    norm_inputs,
    s_norm,
    t_norm,
    z_norm,
)
from distributed.reduce.neighbours import search
from tests.support.template_worlds import unit


def test_norms_equal_their_definitions_without_the_own_identity() -> None:
    random = np.random.default_rng(0)
    gallery = unit(random.standard_normal((70, 16)).astype(np.float32))
    identity = np.repeat(np.arange(35), 2)
    samples = unit(random.standard_normal((50, 16)).astype(np.float32))
    cohort = np.arange(5, 35)
    near = search(gallery, identity, samples, np.arange(50), k=6, threshold=0.5).neighbours
    inputs = norm_inputs(
        gallery, identity, near, np.arange(50), samples, cohort_people(gallery, identity, cohort)
    )
    photos, points = gallery.astype(np.float64), samples.astype(np.float64)
    for row in (0, 9, 11, 69):
        others = [person for person in cohort if person != identity[row]]

        def towards(point: np.ndarray, others: list[np.int64] = others) -> np.ndarray:
            return np.array([np.mean(photos[identity == other] @ point) for other in others])

        own_impostors = towards(photos[row])
        s = points[near.sample_id[row]] @ photos[row]
        impostors = [towards(points[sample]) for sample in near.sample_id[row]]
        t = [(a - b.mean()) / b.std() for a, b in zip(s, impostors, strict=True)]
        z = (s - own_impostors.mean()) / own_impostors.std()
        best = [a - np.sort(b)[-cohort_norms.NEAREST :].mean() for a, b in zip(s, impostors, strict=True)]
        np.testing.assert_allclose(z_norm(inputs)[row], z[0], atol=1e-5)
        np.testing.assert_allclose(t_norm(inputs)[row], max(t), atol=1e-5)
        np.testing.assert_allclose(s_norm(inputs)[row], max((z + t) / 2), atol=1e-5)
        np.testing.assert_allclose(cohort_norm(inputs)[row], max(best), atol=1e-6)


def test_fewer_samples_than_neighbours_are_no_evidence() -> None:
    random = np.random.default_rng(1)
    gallery = unit(random.standard_normal((10, 8)).astype(np.float32))
    samples = unit(random.standard_normal((2, 8)).astype(np.float32))
    near = search(gallery, np.arange(10), samples, np.arange(2), k=5, threshold=0.5).neighbours
    people = cohort_people(gallery, np.arange(10), np.arange(3, 10))
    inputs = norm_inputs(gallery, np.arange(10), near, np.arange(2), samples, people)
    for norm in (z_norm, t_norm, s_norm, cohort_norm):
        assert np.isfinite(norm(inputs)).all()


def test_people_who_look_like_everybody_lose_their_lead() -> None:
    random = np.random.default_rng(2)
    middle = unit(random.standard_normal((1, 64)).astype(np.float32))
    pull = np.repeat([0.6, 0.1], [20, 280])[:, None]
    people = unit(
        pull * middle + np.sqrt(1 - pull**2) * unit(random.standard_normal((300, 64)).astype(np.float32))
    )
    towards = np.repeat([0.6, 0.1], [800, 3200])[:, None]
    noise = unit(random.standard_normal((4000, 64)).astype(np.float32))
    samples = unit((towards * middle + np.sqrt(1 - towards**2) * noise).astype(np.float32))
    near = search(people, np.arange(300), samples, np.arange(4000), k=16, threshold=0.5).neighbours
    cohort = cohort_people(people, np.arange(300), np.arange(150, 300))
    inputs = norm_inputs(people, np.arange(300), near, np.arange(4000), samples, cohort)
    raw, normed = near.similarity[:, 0], cohort_norm(inputs)
    first = [np.isin(np.argsort(-score)[:20], np.arange(20)).mean() for score in (raw, normed)]
    assert first[0] == 1.0 and first[1] < 1.0
