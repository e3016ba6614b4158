"""The photos of a finished audit's gallery as pictures, and how its generator's faces look beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from distributed.embedding.extractor import TemplateExtractor
from distributed.gallery.source import photo_places
from distributed.sampling.adapters import open_generator
from distributed.sampling.generator import Image, InvalidImage
from distributed.sampling.images.places import Place, decode_at
from distributed.stages.making.models import open_extractor
from distributed.stages.making.setup import Setup
from distributed.statistics.similarity import Singles
from jobs.benchmarks.planted.finished_audit import FinishedAudit
from jobs.benchmarks.planted.look import Look, face_at, look_of
from schemas.errors import SpecError
from schemas.spec.audit import AuditSpec

LOOKED_AT = 200
"""Samples, and photos, whose sharpness is measured."""


@dataclass(frozen=True)
class Photos:
    """The photos of a gallery as pictures. places: of each; extractor: that finds and embeds their faces."""

    places: Sequence[Place]
    extractor: TemplateExtractor

    @property
    def frame(self) -> int:
        return self.extractor.recognizers[0].size

    def faces(self, size: int) -> list[Image]:
        """Of all photos, uint8 size×size×3."""
        return [face_at(self.extractor, _image(place), size) for place in self.places]

    def templates(self, faces: Sequence[Image], look: Look) -> Singles:
        """Of faces of this look's size, as it shows them, float32 (g, d)."""
        recognizer = self.extractor.recognizers[0]
        return np.concatenate([recognizer.embed(look.shown(face, self.frame)[None]) for face in faces])

    def look(self, spec: AuditSpec) -> Look:
        """How the faces of a spec's generator look, beside these photos."""
        generator = open_generator(spec.generator, spec.seed, device="cpu", threads=1)
        of_samples = open_extractor(Setup(spec, "cpu", 1))
        images = generator.sample(np.arange(min(LOOKED_AT, spec.samples)))
        places = self.places[:: max(1, len(self.places) // LOOKED_AT)]
        return look_of(of_samples, images, self.extractor, [_image(place) for place in places])


def photos_of(audit: FinishedAudit) -> Photos:
    """Raises SpecError if a side of the gallery is templates."""
    places: Mapping[tuple[str, str], Place] = photo_places(audit.spec)
    gallery = audit.gallery
    keys = [
        (gallery.names[person], photo) for person, photo in zip(gallery.identity, gallery.photos, strict=True)
    ]
    if not audit.spec.generator.has_images or not places.keys() >= set(keys):
        raise SpecError("this bench needs a generator of images, and photos of everybody in the gallery")
    extractor = open_extractor(Setup(audit.spec, "cpu", 1, photos=()))
    return Photos([places[key] for key in keys], extractor)


def _image(place: Place) -> Image:
    image = decode_at(place)
    if isinstance(image, InvalidImage):
        raise SpecError(f"a photo that was enrolled cannot be read any more: {image.reason}")
    return image
