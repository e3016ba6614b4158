from __future__ import annotations

import numpy as np

from distributed.statistics.people.copies import closest, largest_mated
from tests.support.template_worlds import unit


def people(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """60 people with three photos each, mated cosine about 0.6."""
    random = np.random.default_rng(seed)
    identity = np.repeat(np.arange(60), 3)
    centres = unit(random.standard_normal((60, 64)).astype(np.float32))[identity]
    noise = unit(random.standard_normal((180, 64)).astype(np.float32))
    return unit(0.77 * centres + 0.64 * noise), identity


def test_the_largest_mated_similarity_is_the_brute_force_one() -> None:
    templates, identity = people(0)
    largest = largest_mated(templates, identity, np.arange(60))
    for person in (0, 17, 59):
        rows = templates[identity == person].astype(np.float64)
        assert np.isclose(
            largest[person], max(rows[0] @ rows[1], rows[0] @ rows[2], rows[1] @ rows[2]), atol=1e-6
        )
    assert np.isnan(largest_mated(templates[:1], identity[:1], np.array([0]))).all()


def test_a_sample_that_copies_a_photo_suggests_a_copy_and_another_photo_does_not() -> None:
    templates, identity = people(1)
    mated = np.tile(largest_mated(templates, identity, np.arange(1, 60)), 2)
    photos = np.array([0, 1, 2])
    random = np.random.default_rng(2)
    others = unit(random.standard_normal((5, 64)).astype(np.float32))
    noise = unit(random.standard_normal(64).astype(np.float32)[None])[0]
    copied = unit((templates[1] + 0.02 * noise)[None])
    ids = np.arange(6) + 7
    copy = closest(photos, templates[:3], ids, np.concatenate([others, copied]), mated)
    assert (copy.photo, copy.sample_id, copy.suggests_copy) == (1, 12, True)
    assert copy.p_value == 1 / (len(mated) + 1)
    assert copy.mated_similarity is not None and copy.mated_similarity < copy.similarity
    alike = unit((templates[1] + 1.3 * noise)[None])
    assert not closest(photos, templates[:3], ids, np.concatenate([others, alike]), mated).suggests_copy
