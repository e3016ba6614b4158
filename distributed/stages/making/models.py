"""The images and the models of faces that a setup names, opened."""

from __future__ import annotations

import numpy as np

from distributed.embedding.detector import Detector
from distributed.embedding.extractor import TemplateExtractor
from distributed.embedding.locator import AlignedCrops, DetectorLocator, FixedLandmarks, Locator
from distributed.embedding.recognizer import Recognizer
from distributed.embedding.zoo import resolve_model
from distributed.sampling.adapters import open_generator
from distributed.sampling.generator import ImageSource
from distributed.sampling.images.places import PlacedImages
from distributed.stages.making.setup import Setup


def open_source(setup: Setup) -> ImageSource:
    """The images: the generator's samples, or the gallery's photos."""
    if setup.photos is not None:
        return PlacedImages(setup.photos, setup.spec.limits.pixels)
    return open_generator(
        setup.spec.generator,
        setup.spec.seed,
        device=setup.device,
        threads=setup.threads,
        pixels=setup.spec.limits.pixels,
        prepared=setup.prepared,
        run=setup.spec.output,
    )


def open_extractor(setup: Setup) -> TemplateExtractor:
    """The recognisers, and how the face in an image is found."""
    recognizers = [
        Recognizer(
            recognizer.name,
            resolve_model(recognizer.path, task="recognition"),
            recognizer.input,
            device=setup.device,
            threads=setup.threads,
            batch=None if setup.spec.resources.batch == "auto" else setup.spec.resources.batch,
        )
        for recognizer in setup.spec.faces.recognizers
    ]
    return TemplateExtractor(recognizers, _locator(setup))


def _locator(setup: Setup) -> Locator:
    faces = setup.spec.faces
    if setup.photos is not None and not setup.spec.gallery.detector:
        return AlignedCrops()
    if setup.photos is None and faces.landmarks is not None:
        return FixedLandmarks(np.asarray(faces.landmarks, np.float64))
    assert faces.detector is not None, "the spec's validators demand a detector here"
    path = resolve_model(faces.detector.path, task="detection")
    detector = Detector(
        path,
        sizes=faces.detector.sizes,
        threshold=faces.detector.threshold,
        search=faces.detector.search if setup.photos is None else "all",
        device=setup.device,
        threads=setup.threads,
    )
    return DetectorLocator(detector)
