"""Aligned faces themselves, before a recogniser makes templates of them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from distributed.embedding.extractor import TemplateExtractor
from distributed.sampling.generator import Image, InvalidImage
from distributed.stages.making.embedder import DECODED_IMAGES
from distributed.stages.making.models import open_extractor, open_source
from distributed.stages.making.setup import Setup
from distributed.statistics.people.pictures import COMPARED_SIZE, prepared
from distributed.statistics.similarity import Singles


def aligned_faces(setup: Setup, size: int) -> tuple[NDArray[np.uint8], list[int]]:
    """The aligned faces of the setup's photos, uint8 n×size×size×3, and which photos they are of."""
    source, extractor = open_source(setup), open_extractor(setup)
    crops, rows = [np.empty((0, size, size, 3), np.uint8)], []
    count = len(setup.photos or ())
    for first in range(0, count, DECODED_IMAGES):
        ids = np.arange(first, min(first + DECODED_IMAGES, count))
        images = source.sample(ids)
        usable = [
            (row, image)
            for row, image in zip(ids, images, strict=True)
            if not isinstance(image, InvalidImage)
        ]
        faces = extractor.crops([image for _, image in usable], size)
        for (row, _), face in zip(usable, faces, strict=True):
            if face is not None:
                crops.append(face[None])
                rows.append(int(row))
    return np.concatenate(crops), rows


def face_of(extractor: TemplateExtractor, image: Image | InvalidImage) -> Singles | None:
    """The aligned face as `picture_similarity` takes it; None without one face."""
    if isinstance(image, InvalidImage):
        return None
    crop = extractor.crops([image], 2 * COMPARED_SIZE)[0]
    if crop is None:
        return None
    small = cv2.resize(crop, (COMPARED_SIZE, COMPARED_SIZE), interpolation=cv2.INTER_AREA)
    return prepared(np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.float32))
