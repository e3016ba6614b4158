"""Samples of a run made again, and photos of its gallery, as pictures of aligned faces."""

from __future__ import annotations

from distributed.gallery.enrolled import EnrolledGallery
from distributed.gallery.source import photo_places
from distributed.sampling.adapters import open_again
from distributed.sampling.images.places import decode_at
from distributed.stages.making.crops import face_of
from distributed.stages.making.models import open_extractor
from distributed.stages.making.setup import Setup
from distributed.statistics.similarity import Integers, Singles
from schemas.spec.audit import AuditSpec


class Pictures:
    """As `picture_similarity` takes them; None where there is no picture, or not one face in it."""

    def __init__(self, spec: AuditSpec, gallery: EnrolledGallery, device: str) -> None:
        self._gallery = gallery
        self._generator = open_again(spec.generator, spec.seed, device=device, run=spec.output)
        self._samples = open_extractor(Setup(spec, device, 1))
        self._photos = open_extractor(Setup(spec, device, 1, photos=()))
        self._places = photo_places(spec)

    def samples(self, ids: Integers) -> list[Singles | None]:
        """In the order of ids."""
        return [face_of(self._samples, image) for image in self._generator.sample(ids)]

    def photo(self, row: int) -> Singles | None:
        """row: of the gallery."""
        name = self._gallery.names[int(self._gallery.identity[row])]
        place = self._places.get((name, self._gallery.photos[row]))
        return None if place is None else face_of(self._photos, decode_at(place))
