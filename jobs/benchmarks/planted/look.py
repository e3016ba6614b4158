"""What a generator's images can show of a face: its size in pixels, and its sharpness."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from distributed.embedding.alignment import similarity_transform
from distributed.embedding.extractor import TemplateExtractor
from distributed.sampling.generator import Image, InvalidImage
from distributed.statistics.similarity import Floats
from schemas.errors import SpecError

OVERSIZE = 4
"""A face is aligned at so many times its size and then reduced by areas, so that nothing is aliased."""
COARSE = 32
"""Frequencies up to 1/COARSE of the size are what sharpness is relative to: contrast plays no part."""
LEAST_FACES = 20


@dataclass(frozen=True)
class Look:
    """size: pixels of the side of the recogniser's frame, as the generator draws faces. gain: float64
    (size // 2 + 1,), by which each frequency, in periods a frame, is less than in photos; at most 1."""

    size: int
    gain: Floats

    @property
    def unblurred(self) -> Look:
        return replace(self, gain=np.ones_like(self.gain))

    def shown(self, face: Image, frame: int) -> Image:
        """A face of this size, blurred, and enlarged to the recogniser's frame as a sample is."""
        half = self.size // 2
        padded = np.pad(face.astype(np.float64), ((half, half), (half, half), (0, 0)), mode="reflect")
        side = padded.shape[0]
        gain = np.interp(_radius(side) * self.size / side, np.arange(len(self.gain)), self.gain)
        blurred = np.fft.ifft2(np.fft.fft2(padded, axes=(0, 1)) * gain[:, :, None], axes=(0, 1)).real
        pixels = (
            blurred[half : half + self.size, half : half + self.size].round().clip(0, 255).astype(np.uint8)
        )
        return np.asarray(cv2.resize(pixels, (frame, frame), interpolation=cv2.INTER_LINEAR), np.uint8)


def face_at(extractor: TemplateExtractor, image: Image, size: int) -> Image:
    """The aligned face, uint8 size×size×3. Raises SpecError if there is none."""
    faces = _faces(extractor, [image], size)
    if not faces:
        raise SpecError("a photo that was enrolled has no face any more")
    return faces[0]


def look_of(
    of_samples: TemplateExtractor,
    samples: Iterable[Image | InvalidImage],
    of_photos: TemplateExtractor,
    photos: Sequence[Image],
) -> Look:
    """The size is the median over samples; the gain brings the photos' median spectrum to the samples'."""
    images = [image for image in samples if not isinstance(image, InvalidImage)]
    frame = of_samples.recognizers[0].size
    size = _size(of_samples, images, frame)
    plain = Look(size, np.ones(size // 2 + 1))
    spectra = [
        np.median([_spectrum(face) for face in _faces(extractor, pictures, size)], axis=0)
        for extractor, pictures in ((of_samples, images), (of_photos, photos))
    ]
    gain = np.sqrt(spectra[0] / spectra[1])
    coarse = gain[1 : 2 + size // COARSE]
    return replace(plain, gain=np.minimum(gain / np.exp(np.log(coarse).mean()), 1.0))


def _size(extractor: TemplateExtractor, images: Sequence[Image], frame: int) -> int:
    faces = [location.landmarks for location in extractor.locator.locate(images)]
    transforms = [similarity_transform(landmarks, frame) for landmarks in faces if landmarks is not None]
    if len(transforms) < LEAST_FACES:
        raise SpecError(
            f"{len(transforms)} of {len(images)} samples have a face, and {LEAST_FACES} are needed"
        )
    enlarged = np.median([np.hypot(transform[0, 0], transform[1, 0]) for transform in transforms])
    return min(frame, round(frame / float(enlarged)))


def _faces(extractor: TemplateExtractor, images: Sequence[Image], size: int) -> list[Image]:
    crops = extractor.crops(images, OVERSIZE * size)
    return [_smaller(crop, size) for crop in crops if crop is not None]


def _smaller(crop: Image, size: int) -> Image:
    return np.asarray(cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


def _spectrum(face: Image) -> Floats:
    """The mean power at each frequency up to half the size, in periods a frame, relative to all power."""
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY).astype(np.float64)
    side = len(grey)
    window = np.hanning(side + 2)[1:-1]
    power = np.abs(np.fft.fft2((grey - grey.mean()) * np.outer(window, window))) ** 2
    ring = _radius(side).round().astype(np.int64)
    means = np.bincount(ring.ravel(), power.ravel()) / np.bincount(ring.ravel())
    spectrum: Floats = means[: side // 2 + 1] / power.sum()
    return spectrum


def _radius(side: int) -> Floats:
    """Of each place of a Fourier transform, in periods a frame."""
    along = np.fft.fftfreq(side) * side
    radius: Floats = np.hypot(along[:, None], along[None, :])
    return radius
