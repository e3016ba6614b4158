"""Five-point face alignment to the ArcFace template."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

TEMPLATE_SIZE = 112
# Left eye, right eye, nose, left and right corner of the mouth, as seen in the picture: pixels of the 112×112
# crop that InsightFace's recognisers are trained on (insightface.utils.face_align.arcface_dst).
ARCFACE_TEMPLATE: NDArray[np.float64] = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
SMALLEST_SPREAD = 1e-6


def similarity_transform(landmarks: ArrayLike, size: int) -> NDArray[np.float64]:
    """The 2×3 matrix of the similarity that best takes (5, 2) `landmarks` to the size×size template.

    Least squares, Umeyama 1991 (IEEE TPAMI 13(4), eq. 40-42). In the plane, with points as complex numbers z
    and w, a similarity without reflection is w = az + b, so the minimum is the plain regression below; no SVD
    is needed. The template of another size than 112 is the 112 one, scaled. Raises ValueError if the
    landmarks are not five finite, different points.
    """
    points = np.asarray(landmarks, np.float64)
    if points.shape != (5, 2) or not np.isfinite(points).all():
        raise ValueError(f"landmarks must be five finite points, got {points.tolist()}")
    z = points @ (1, 1j)
    w = ARCFACE_TEMPLATE @ (1, 1j) * (size / TEMPLATE_SIZE)
    centred = z - z.mean()
    spread = np.vdot(centred, centred).real
    if spread <= SMALLEST_SPREAD:
        raise ValueError(f"landmarks must not all be one point, got {points.tolist()}")
    a = np.vdot(centred, w) / spread
    b = w.mean() - a * z.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def align(image: NDArray[np.uint8], landmarks: ArrayLike, size: int = TEMPLATE_SIZE) -> NDArray[np.uint8]:
    """The size×size×3 crop of `image` (uint8, H×W×3) with its landmarks on the template, black outside."""
    matrix = similarity_transform(landmarks, size)
    crop = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderValue=0)
    return np.asarray(crop, np.uint8)
