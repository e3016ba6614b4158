"""What a synthetic person looks like, and what differs between two photos of them: numbers, no pixels yet."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

IDENTITY_STREAM = 11


@dataclass(frozen=True)
class Person:
    """What stays the same in every photo of somebody. Lengths in template pixels, the rest without unit."""

    face_width: float
    jaw_width: float
    chin_length: float
    jaw_power: float
    skin_tone: float
    skin_red: float
    eye_distance: float
    eye_width: float
    eye_height: float
    eye_slant: float
    eye_hue: float
    eye_light: float
    brow_height: float
    brow_thickness: float
    brow_arch: float
    brow_slant: float
    nose_length: float
    nose_width: float
    nose_bridge: float
    nose_depth: float
    mouth_drop: float
    mouth_width: float
    lip_upper: float
    lip_lower: float
    lip_red: float
    hair_light: float
    hair_red: float
    hair_line: float
    hair_part: float
    hair_fringe: float
    hair_volume: float
    hair_length: float
    ear_size: float
    beard: float
    moustache: float
    beard_rise: float
    mole_x: float
    mole_y: float
    mole_size: float
    second_mole_x: float
    second_mole_y: float
    second_mole_size: float
    glasses: float
    glasses_width: float
    glasses_height: float
    glasses_power: float
    glasses_dark: float
    cheeks: float


RANGES: dict[str, tuple[float, float]] = {
    "face_width": (36, 46), "jaw_width": (0.72, 1.0), "chin_length": (54, 68), "jaw_power": (0.55, 1.15),
    "skin_tone": (0, 1), "skin_red": (-1, 1),
    "eye_distance": (15, 20), "eye_width": (6.2, 9.5), "eye_height": (2.2, 4.6), "eye_slant": (-0.22, 0.22),
    "eye_hue": (0, 1), "eye_light": (0, 1),
    "brow_height": (7.5, 13), "brow_thickness": (0.9, 3.2), "brow_arch": (-0.5, 4), "brow_slant": (-0.2, 0.2),
    "nose_length": (16, 24), "nose_width": (5, 10.5), "nose_bridge": (1.5, 4), "nose_depth": (8, 17),
    "mouth_drop": (37, 45), "mouth_width": (10.5, 18.5), "lip_upper": (1.2, 4.5), "lip_lower": (1.8, 6),
    "lip_red": (0, 1),
    "hair_light": (0, 1), "hair_red": (0, 1), "hair_line": (-42, -20), "hair_part": (-1, 1),
    "hair_fringe": (-10, 10), "hair_volume": (1, 13), "hair_length": (-25, 75), "ear_size": (5, 12),
    "beard": (-1.2, 0.8), "moustache": (-1.2, 0.9), "beard_rise": (0, 1),
    "mole_x": (-30, 30), "mole_y": (8, 48), "mole_size": (-1.0, 2.2),
    "second_mole_x": (-30, 30), "second_mole_y": (-28, 40), "second_mole_size": (-1.6, 2.0),
    "glasses": (-1.6, 1), "glasses_width": (9.5, 14.5), "glasses_height": (7, 12),
    "glasses_power": (0.35, 1), "glasses_dark": (0, 1), "cheeks": (0, 1),
}  # fmt: skip


@dataclass(frozen=True)
class Shot:
    """What differs between two photos of somebody. Angles in radians."""

    yaw: float
    pitch: float
    roll: float
    light_x: float
    light_y: float
    ambient: float
    exposure: float
    warmth: float
    smile: float
    mouth_open: float
    blink: float
    gaze: float
    blur: float
    noise: float


def draw_person(seed: int) -> Person:
    """The identity of `seed`: each parameter uniform in its range, independent of the others."""
    rng = np.random.default_rng([IDENTITY_STREAM, seed])
    return Person(**{field.name: float(rng.uniform(*RANGES[field.name])) for field in fields(Person)})


def draw_shot(rng: np.random.Generator) -> Shot:
    """Pose, light, expression and camera of one photo."""
    normal = rng.standard_normal(6)
    return Shot(
        yaw=float(np.clip(0.20 * normal[0], -0.5, 0.5)), pitch=float(np.clip(0.10 * normal[1], -0.25, 0.25)),
        roll=float(0.05 * normal[2]), light_x=float(rng.uniform(-0.8, 0.8)),
        light_y=float(rng.uniform(-0.8, 0.3)), ambient=float(rng.uniform(0.55, 0.85)),
        exposure=float(1 + 0.08 * normal[3]), warmth=float(0.03 * normal[4]),
        smile=float(rng.uniform(-0.3, 1)), mouth_open=float(max(0.0, rng.uniform(-1, 1))),
        blink=float(rng.uniform(0.75, 1.05)),
        gaze=float(0.4 * normal[5]), blur=float(rng.uniform(0, 0.9)), noise=float(rng.uniform(0, 5)),
    )  # fmt: skip
