"""Photos and samples as PNG: made when they are looked at, the last ones kept in memory."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from distributed.gallery.source import photo_places
from distributed.sampling.adapters import open_again
from distributed.sampling.generator import Image, InvalidImage
from distributed.sampling.images.places import decode_at
from distributed.sampling.sandbox.parent import GeneratorCrashedError
from distributed.storage.run_record import read_record
from distributed.storage.store import RunStore
from jobs.pages.looking import device_to_look_with
from jobs.pages.report.faces import small_png

LONGEST_SIDE = 512
KEPT = 256


class Faces:
    """The pictures of a run. To be asked by one thread at a time."""

    def __init__(self, store: RunStore) -> None:
        """Of what the run's record says it was made from.

        Raises SpecError, ModelError or DeviceError without photos, their key, or the generator.
        """
        spec = read_record(store).spec
        device = device_to_look_with(spec)
        self._places = photo_places(spec)
        self._pixels = spec.limits.pixels
        self._generator = open_again(spec.generator, spec.seed, device=device, run=store.location)
        self.photo = lru_cache(KEPT)(self._photo)
        self.sample = lru_cache(KEPT)(self._sample)

    def _photo(self, identity: str, photo: str) -> bytes | None:
        """A photo, named as tables name it; None if there is none."""
        place = self._places.get((identity, photo))
        return None if place is None else _png(decode_at(place, self._pixels))

    def _sample(self, sample_id: int) -> bytes | None:
        """A sample, made again; None if the generator gives no image."""
        try:
            return _png(self._generator.sample(np.array([sample_id], np.int64))[0])
        except GeneratorCrashedError:
            return None


def _png(image: Image | InvalidImage) -> bytes | None:
    return None if isinstance(image, InvalidImage) else small_png(image, LONGEST_SIDE)
