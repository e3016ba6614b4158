"""Points of a synthetic head, and its projection onto the picture.

Coordinates are in pixels of the ArcFace 112 × 112 template, measured from the point between the eyes:
x to the right, y down, z towards the camera. Pixel centres are at whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from person import Person, Shot

Points = NDArray[np.float64]  # N × 2, or N × 3 once lifted

TEMPLATE: Points = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
RADII = np.array([45.0, 62.0, 42.0])  # the ellipsoid on which the features lie
HEAD_CENTRE_Y = 12.0


@dataclass(frozen=True)
class Pose:
    """An affine projection: template pixels = matrix @ (x, y, z) + shift."""

    matrix: NDArray[np.float64]
    shift: NDArray[np.float64]


def pose_of(person: Person, shot: Shot) -> Pose:
    """The head turned as the shot says, then aligned to the template by its five landmarks."""
    turn = rotation(shot)[:2]
    seen = landmarks(person) @ turn.T
    similarity, shift = fit_similarity(seen, TEMPLATE)
    return Pose(similarity @ turn, shift)


def rotation(shot: Shot) -> NDArray[np.float64]:
    """3 × 3: yaw, then pitch. Roll is left to the alignment, which would undo most of it."""
    (cy, sy), (cp, sp) = (np.cos(shot.yaw), np.sin(shot.yaw)), (np.cos(shot.pitch), np.sin(shot.pitch))
    yaw = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    pitch = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    return np.asarray(roll_matrix(shot.roll * 0.5) @ pitch @ yaw)


def roll_matrix(angle: float) -> NDArray[np.float64]:
    """3 × 3 rotation in the image plane."""
    return np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])


def landmarks(person: Person) -> Points:
    """5 × 3: eyes, tip of the nose, corners of the mouth."""
    p = person
    flat = np.array(
        [
            [-p.eye_distance, 0],
            [p.eye_distance, 0],
            [0, p.nose_length],
            [-p.mouth_width, p.mouth_drop],
            [p.mouth_width, p.mouth_drop],
        ]
    )
    return lift(flat, np.array([0, 0, p.nose_depth, 0, 0]))


def fit_similarity(source: Points, target: Points) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least-squares rotation, scale and shift from source to target (Umeyama 1991, without reflection)."""
    p, q = source @ [1, 1j], target @ [1, 1j]
    centred = p - p.mean()
    factor = np.vdot(centred, q - q.mean()) / np.vdot(centred, centred)
    shift = q.mean() - factor * p.mean()
    matrix = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return matrix, np.array([shift.real, shift.imag])


def lift(points: Points, bulge: float | NDArray[np.float64] = 0.0) -> Points:
    """N × 2 onto the front of the head: N × 3, raised by `bulge`."""
    x, y = points[:, 0] / RADII[0], (points[:, 1] - HEAD_CENTRE_Y) / RADII[1]
    z = RADII[2] * np.sqrt(np.maximum(1 - x**2 - y**2, 0.04))
    return np.column_stack([points, z + bulge])


def flat(points: Points, depth: float = 0.0) -> Points:
    """N × 2 on a plane through the head: N × 3."""
    return np.column_stack([points, np.full(len(points), depth)])


@lru_cache(maxsize=64)
def circle(count: int, power: float) -> Points:
    """`count` points of a unit superellipse; power 1 is round, towards 0 it is square."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.column_stack([np.sign(cos) * np.abs(cos) ** power, np.sign(sin) * np.abs(sin) ** power])


def oval(x: float, y: float, width: float, height: float, power: float = 1.0, count: int = 20) -> Points:
    """A superellipse about (x, y) with these half-axes."""
    return np.asarray(circle(count, round(power, 2)) * np.array([width, height]) + np.array([x, y]))


def band(x: NDArray[np.float64], upper: NDArray[np.float64], lower: NDArray[np.float64]) -> Points:
    """The region between two curves over the same x."""
    return np.column_stack([np.concatenate([x, x[::-1]]), np.concatenate([upper, lower[::-1]])])


def face_outline(person: Person) -> Points:
    """The edge of the face: half an ellipse above, a jaw of its own shape below."""
    angle = np.linspace(0, np.pi, 20)
    cos, sin = np.cos(angle), np.sin(angle)
    top = np.column_stack([-cos * person.face_width, HEAD_CENTRE_Y - sin * 62])
    taper = person.jaw_width + (1 - person.jaw_width) * (1 - sin)
    jaw = np.sign(cos) * np.abs(cos) ** person.jaw_power * person.face_width * taper
    low = np.column_stack([jaw, HEAD_CENTRE_Y + sin * (person.chin_length - HEAD_CENTRE_Y)])
    return np.concatenate([top, low])
