"""Synthetic people: a seed is an identity, a photo number is one photograph of it.

Every face is drawn from geometry. No photograph of anybody was used, so nobody's face can leak.
What a person looks like is in person.py, the shape of a head and the coordinates in geometry.py.
"""

from __future__ import annotations

import cv2
import numpy as np
from geometry import HEAD_CENTRE_Y, Points, Pose, band, face_outline, flat, lift, oval, pose_of
from numpy.typing import NDArray
from person import Person, Shot, draw_person, draw_shot

Image = NDArray[np.uint8]  # height × width × 3, RGB
Colour = NDArray[np.float64]  # three values of 0..255

SIZE = 112
SUPERSAMPLE = 2
SUBPIXEL_BITS = 4
PHOTO_STREAM = 12


def photograph(seed: int, photo: int) -> Image:
    """Photo number `photo` of identity `seed`: 112 × 112 × 3, aligned to the template. A pure function."""
    rng = np.random.default_rng([PHOTO_STREAM, seed, photo])
    person, shot = draw_person(seed), draw_shot(rng)
    canvas = Canvas(backdrop(rng), pose_of(person, shot))
    draw_face(canvas, person, shot)
    occlude(canvas, rng)
    return develop(canvas, shot, rng)


def draw_face(canvas: Canvas, person: Person, shot: Shot) -> None:
    """Everything that belongs to the head, from the back to the front."""
    draw_back(canvas, person)
    draw_head(canvas, person)
    draw_beard(canvas, person)
    draw_nose(canvas, person)
    draw_mouth(canvas, person, shot)
    for side in (-1.0, 1.0):
        draw_eye(canvas, person, shot, side)
        draw_brow(canvas, person, side)
    draw_moles(canvas, person)
    draw_hair(canvas, person)
    draw_glasses(canvas, person)


# ---- colours


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """`share` of the second colour, the rest of the first."""
    return first + (second - first) * share


def skin_colour(person: Person) -> Colour:
    """From very dark to very light, with a little red or yellow."""
    dark, light = np.array([74.0, 48.0, 36.0]), np.array([246.0, 212.0, 188.0])
    return mix(dark, light, person.skin_tone) + np.array([6.0, -5.0, -9.0]) * person.skin_red


def hair_colour(person: Person) -> Colour:
    """Black over brown or red to blond; grey is blond without red."""
    dark, light = np.array([22.0, 18.0, 18.0]), np.array([206.0, 200.0, 192.0])
    warm = np.array([30.0, -12.0, -75.0]) * person.hair_red * min(1.0, 2.2 * person.hair_light)
    return np.clip(mix(dark, light, person.hair_light**1.5) + warm, 5, 250)


def iris_colour(person: Person) -> Colour:
    """Brown, green or blue."""
    brown, green, blue = (
        np.array([92.0, 56.0, 28.0]),
        np.array([84.0, 118.0, 70.0]),
        np.array([72.0, 118.0, 170.0]),
    )
    two = (
        mix(brown, green, 2 * person.eye_hue)
        if person.eye_hue < 0.5
        else mix(green, blue, 2 * person.eye_hue - 1)
    )
    return np.asarray(two * (0.65 + 0.6 * person.eye_light))


# ---- drawing


class Canvas:
    """A supersampled picture, and the pose in which everything is drawn on it."""

    def __init__(self, image: Image, pose: Pose) -> None:
        self.image, self.pose = image, pose

    def project(self, points: Points) -> NDArray[np.int32]:
        """N × 3 to N × 2 fixed-point pixels of the supersampled picture."""
        seen = points @ self.pose.matrix.T + self.pose.shift
        scaled = (seen + 0.5) * SUPERSAMPLE - 0.5
        return np.asarray(np.rint(scaled * 2**SUBPIXEL_BITS), dtype=np.int32)

    def fill(self, points: Points, colour: Colour) -> None:
        """A closed polygon."""
        cv2.fillPoly(self.image, [self.project(points)], colour.tolist(), cv2.LINE_AA, SUBPIXEL_BITS)

    def stroke(self, points: Points, colour: Colour, width: float, closed: bool = False) -> None:
        """A line `width` template pixels wide."""
        thickness = max(1, round(width * SUPERSAMPLE))
        cv2.polylines(
            self.image, [self.project(points)], closed, colour.tolist(), thickness, cv2.LINE_AA, SUBPIXEL_BITS
        )

    def glaze(self, points: Points, colour: Colour, alpha: float, softness: float) -> None:
        """A polygon with soft edges and only `alpha` of its colour."""
        corners = self.project(points)
        left, top, right, bottom = self._box(corners, 2 * softness * SUPERSAMPLE)
        if right <= left or bottom <= top:
            return
        mask = np.zeros((bottom - top, right - left), np.uint8)
        cv2.fillPoly(
            mask, [corners - np.array([left, top]) * 2**SUBPIXEL_BITS], 255, cv2.LINE_8, SUBPIXEL_BITS
        )
        kernel = 2 * int(softness * SUPERSAMPLE) + 1
        weight = cv2.blur(cv2.blur(mask, (kernel, kernel)), (kernel, kernel))[:, :, None] * np.float32(
            alpha / 255
        )
        patch = self.image[top:bottom, left:right]
        patch += ((colour.astype(np.float32) - patch) * weight).astype(np.int16).astype(np.uint8)

    def _box(self, corners: NDArray[np.int32], margin: float) -> tuple[int, int, int, int]:
        low = np.floor(corners.min(axis=0) / 2**SUBPIXEL_BITS - margin).astype(int)
        high = np.ceil(corners.max(axis=0) / 2**SUBPIXEL_BITS + margin).astype(int)
        edge = SIZE * SUPERSAMPLE
        return max(0, low[0]), max(0, low[1]), min(edge, high[0]), min(edge, high[1])


def backdrop(rng: np.random.Generator) -> Image:
    """A blurred room: smooth random colours."""
    base = rng.uniform(30, 225) + rng.normal(0, 26, 3) + rng.normal(0, 18, (4, 4, 3))
    side = SIZE * SUPERSAMPLE
    return np.ascontiguousarray(
        cv2.resize(np.clip(base, 0, 255).astype(np.uint8), (side, side), interpolation=cv2.INTER_LINEAR)
    )


def draw_back(canvas: Canvas, person: Person) -> None:
    """Hair behind the head, neck and ears."""
    hair, skin = hair_colour(person), skin_colour(person)
    width = person.face_width + person.hair_volume
    crown = oval(0, HEAD_CENTRE_Y - 6, width, 58 + person.hair_volume, count=40)
    canvas.fill(flat(crown[crown[:, 1] < sideburn(person)], -2), hair * 0.85)
    if person.hair_length > 0:
        fall = np.array(
            [
                [-width, -10],
                [width, -10],
                [width * 1.02, person.hair_length],
                [-width * 1.02, person.hair_length],
            ]
        )
        canvas.fill(flat(fall, -12), hair * 0.72)
    neck = person.face_width * person.jaw_width * 0.72
    canvas.fill(
        flat(np.array([[-neck, 40], [neck, 40], [neck * 1.1, 95], [-neck * 1.1, 95]]), -8), skin * 0.74
    )
    for side in (-1.0, 1.0):
        x = side * (person.face_width + 0.15 * person.ear_size)
        canvas.fill(flat(oval(x, 10, 0.55 * person.ear_size, 1.15 * person.ear_size), -4), skin * 0.90)
        canvas.fill(flat(oval(x, 10, 0.3 * person.ear_size, 0.7 * person.ear_size), -4), skin * 0.76)


def draw_head(canvas: Canvas, person: Person) -> None:
    """The skin, and the soft shadows that do not depend on the light."""
    skin = skin_colour(person)
    canvas.fill(flat(face_outline(person), 6), skin)
    canvas.glaze(flat(oval(0, person.chin_length + 2, 30, 9)), skin * 0.7, 0.5, 3)
    for side in (-1.0, 1.0):
        canvas.glaze(lift(oval(side * person.eye_distance, -1, person.eye_width + 5, 7)), skin * 0.72, 0.4, 3)
        rouge = skin * [1.02, 0.82, 0.80]
        canvas.glaze(
            lift(oval(side * 0.6 * person.face_width, 22, 9, 8)), rouge, 0.2 + 0.5 * person.cheeks, 4
        )


def draw_beard(canvas: Canvas, person: Person) -> None:
    """A beard along the jaw and a moustache, as dense as the person's are."""
    colour = hair_colour(person) * 0.85
    if person.beard > 0:
        outline = face_outline(person)[20:]
        drop = np.sin(np.linspace(0, np.pi, len(outline)))[:, None]
        inner = outline * [0.78, 1] - drop * [0, 8 + 8 * person.beard_rise]
        canvas.glaze(flat(np.concatenate([outline, inner[::-1]]), 12), colour, 0.35 + 0.6 * person.beard, 1.5)
    if person.moustache > 0:
        x = np.linspace(-1, 1, 13) * person.mouth_width * 0.95
        top = person.mouth_drop - person.lip_upper - 5 + 4 * (x / person.mouth_width) ** 2
        canvas.glaze(lift(band(x, top, top + 4)), colour, 0.3 + 0.65 * person.moustache, 0.7)


def draw_nose(canvas: Canvas, person: Person) -> None:
    """Bridge, wings, nostrils and a highlight on the tip."""
    skin, length, width, depth = skin_colour(person), person.nose_length, person.nose_width, person.nose_depth
    for side in (-1.0, 1.0):
        ridge = np.array([[side * person.nose_bridge, 1.0], [side * 0.55 * width, length - 3]])
        foot = np.array([[side * width, length + 1], [side * (person.nose_bridge + 2.5), 2.0]])
        wing = np.concatenate(
            [lift(ridge, depth * np.array([0.3, 0.8])), lift(foot, depth * np.array([0.15, 0.2]))]
        )
        canvas.glaze(wing, skin * 0.74, 0.65, 0.8)
        canvas.fill(
            lift(oval(side * 0.68 * width, length + 0.5, 0.34 * width, 2.8), 0.4 * depth), skin * 0.90
        )
    canvas.fill(lift(oval(0, length - 0.5, 0.6 * width, 3.9), 0.85 * depth), skin * 0.98)
    canvas.glaze(
        lift(oval(0, length - 2, 0.28 * width, 2.2), depth), np.minimum(skin * 1.18 + 6, 255), 0.9, 0.8
    )
    for side in (-1.0, 1.0):
        canvas.fill(
            lift(oval(side * 0.45 * width, length + 2.6, 0.24 * width, 1.1), 0.5 * depth), skin * 0.36
        )


def draw_mouth(canvas: Canvas, person: Person, shot: Shot) -> None:
    """Two lips; a smile raises the corners, an open mouth shows teeth."""
    t = np.linspace(-1, 1, 17)
    half = person.mouth_width * (1 + 0.07 * shot.smile)
    x, closed = half * t, 1 - t**2
    line = person.mouth_drop + 1.5 * shot.smile * (closed - 0.6)
    gap = 3.0 * shot.mouth_open * closed
    bow = person.lip_upper * (closed**0.6) * (1 - 0.28 * np.exp(-((t / 0.16) ** 2)))
    lip = mix(skin_colour(person) * [0.86, 0.66, 0.64], np.array([172.0, 52.0, 62.0]), 0.55 * person.lip_red)
    canvas.fill(lift(band(x, line - gap, line + gap), 4), np.array([58.0, 18.0, 22.0]))
    if shot.mouth_open > 0.25:
        canvas.fill(lift(band(0.75 * x, line - gap, line + 0.1 * gap), 4), np.array([232.0, 226.0, 214.0]))
    canvas.fill(lift(band(x, line - gap - bow, line - gap + 0.3), 4), lip * 0.9)
    canvas.fill(lift(band(x, line + gap - 0.3, line + gap + person.lip_lower * closed**0.7), 4), lip)
    canvas.stroke(lift(np.column_stack([x, line - gap]), 4), lip * 0.5, 0.5)


def draw_eye(canvas: Canvas, person: Person, shot: Shot, side: float) -> None:
    """Eyeball, iris, pupil, a glint, and the upper lid's line."""
    x, upper, lower = eye_curves(person, shot, side)
    skin = skin_colour(person)
    canvas.fill(lift(band(x, upper - 0.6, lower + 0.5)), skin * 0.66)
    canvas.fill(lift(band(x, upper, lower)), np.array([236.0, 232.0, 228.0]))
    centre = side * person.eye_distance + 1.6 * shot.gaze
    for radius, colour in ((3.7, iris_colour(person)), (1.7, np.array([12.0, 10.0, 10.0]))):
        disc = oval(centre, -0.2, radius, radius, count=24)
        disc[:, 1] = np.clip(disc[:, 1], np.interp(disc[:, 0], x, upper), np.interp(disc[:, 0], x, lower))
        canvas.fill(lift(disc), colour)
    canvas.fill(lift(oval(centre + 1.1, -1.2, 0.8, 0.8, count=8)), np.array([250.0, 250.0, 250.0]))
    canvas.stroke(lift(np.column_stack([x, upper])), np.minimum(skin, 110) * 0.32, 1.0)
    canvas.stroke(lift(np.column_stack([x, upper - 2.4])), skin * 0.70, 0.5)


def eye_curves(
    person: Person, shot: Shot, side: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """x from left to right, and the edges of the upper and of the lower lid over it."""
    t = np.linspace(-1, 1, 15)
    x = side * person.eye_distance + person.eye_width * t
    tilt = -side * person.eye_slant * person.eye_width * t
    open_ = person.eye_height * shot.blink * (1 - 0.12 * max(shot.smile, 0)) * (1 - t**2) ** 0.8
    return x, tilt - open_, tilt + 0.72 * open_


def draw_brow(canvas: Canvas, person: Person, side: float) -> None:
    """An arc over the eye, thicker towards the nose."""
    t = np.linspace(-1, 1, 13)
    outward = t * side
    x = side * (person.eye_distance + 0.5) + (person.eye_width + 2.5) * t
    middle = -person.brow_height - person.brow_arch * (1 - t**2) - person.brow_slant * 10 * outward
    thickness = person.brow_thickness * (1 - 0.55 * np.maximum(outward, 0)) * (1 - 0.5 * t**4)
    canvas.fill(
        lift(band(x, middle - thickness, middle + thickness), 2),
        mix(hair_colour(person) * 0.75, skin_colour(person), 0.15),
    )


def draw_moles(canvas: Canvas, person: Person) -> None:
    """Up to two dark spots."""
    spots = (
        (person.mole_x, person.mole_y, person.mole_size),
        (person.second_mole_x, person.second_mole_y, person.second_mole_size),
    )
    for x, y, size in spots:
        if size > 0:
            canvas.fill(lift(oval(x, y, 0.6 + size, 0.6 + size, count=10)), skin_colour(person) * 0.42)


def draw_hair(canvas: Canvas, person: Person) -> None:
    """Hair over the forehead and beside the face, with strands."""
    hair = hair_colour(person)
    cap, line = hair_cap(person)
    canvas.fill(flat(cap, 14), hair)
    for share in np.linspace(0.06, 0.94, 9):
        root = np.array([person.hair_part * 14, HEAD_CENTRE_Y - 66.0])
        tip = line[round(share * (len(line) - 1))]
        strand = root + (tip - root) * np.array([[0.15], [0.6], [0.95]])
        canvas.stroke(
            flat(strand, 14), np.minimum(hair * 1.18 + 8, 255) if round(share * 100) % 2 else hair * 0.82, 0.8
        )


def hair_cap(person: Person) -> tuple[Points, Points]:
    """The hair's outline, and the part of it that runs over the forehead."""
    t = np.linspace(-1, 1, 21)
    width = person.face_width
    part = np.clip(t - 0.6 * person.hair_part, -2, 2)
    forehead = (
        person.hair_line + person.hair_fringe * np.abs(part) ** 1.3 + 0.25 * (22 + person.hair_line) * t**2
    )
    line = np.column_stack([t * width * 0.98, np.maximum(forehead, -47) + sideburn(person) * np.abs(t) ** 9])
    angle = np.linspace(0, np.pi, 21)
    outer_x = np.cos(angle) * (width + person.hair_volume)
    outer_y = HEAD_CENTRE_Y - 6 - np.sin(angle) * (58 + person.hair_volume)
    return np.concatenate([line, np.column_stack([outer_x, outer_y])]), line


def sideburn(person: Person) -> float:
    """How far the hair comes down before the ears."""
    return 14.0 + 0.32 * max(person.hair_length, -20.0)


def draw_glasses(canvas: Canvas, person: Person) -> None:
    """Two rims and a bridge, for those who wear them in every photo."""
    if person.glasses <= 0:
        return
    colour = mix(np.array([24.0, 22.0, 26.0]), np.array([176.0, 140.0, 96.0]), person.glasses_dark)
    width, stroke = min(person.glasses_width, person.eye_distance - 1.5), 0.8 + 1.6 * person.glasses
    for side in (-1.0, 1.0):
        rim = lift(
            oval(side * person.eye_distance, 1, width, person.glasses_height, person.glasses_power, 28), 6
        )
        canvas.stroke(rim, colour, stroke, closed=True)
        arm = np.array([[side * (person.eye_distance + width), -1], [side * (person.face_width + 1), -2]])
        canvas.stroke(np.concatenate([lift(arm[:1], 6), flat(arm[1:], 4)]), colour, stroke)
    gap = person.eye_distance - width
    canvas.stroke(lift(np.array([[-gap, -1], [0, -2.2], [gap, -1]]), 8), colour, stroke)


def occlude(canvas: Canvas, rng: np.random.Generator) -> None:
    """Sometimes something covers a part of the face."""
    colour, angle, distance = rng.uniform(20, 230, 3), rng.uniform(0, 2 * np.pi), rng.uniform(44, 58)
    if rng.random() > 0.12:
        return
    centre = np.array([np.cos(angle), np.sin(angle)]) * distance
    canvas.fill(flat(oval(centre[0], centre[1] + 15, rng.uniform(12, 24), rng.uniform(12, 24)), 0), colour)


# ---- light and camera


def develop(canvas: Canvas, shot: Shot, rng: np.random.Generator) -> Image:
    """Light, downsampling, lens blur and sensor noise: the finished 112 × 112 photo."""
    small = cv2.resize(canvas.image, (SIZE, SIZE), interpolation=cv2.INTER_AREA).astype(np.float32)
    small *= shading(canvas.pose, shot)
    small = np.asarray(cv2.GaussianBlur(small, (5, 5), 0.3 + shot.blur), dtype=np.float32)
    small += rng.standard_normal(small.shape, dtype=np.float32) * np.float32(shot.noise)
    return np.clip(np.rint(small), 0, 255).astype(np.uint8)


def shading(pose: Pose, shot: Shot) -> NDArray[np.float32]:
    """112 × 112 × 3 factors: a Lambertian ellipsoid under one lamp and ambient light."""
    centre = (pose.matrix @ np.array([0, HEAD_CENTRE_Y, 0]) + pose.shift).astype(np.float32)
    scale = np.float32(np.sqrt(np.abs(np.linalg.det(pose.matrix[:, :2]))))
    axis = np.arange(SIZE, dtype=np.float32)
    x = np.clip((axis - centre[0]) / (scale * 52), -1, 1)[None, :]
    y = np.clip((axis - centre[1]) / (scale * 74), -1, 1)[:, None]
    z = np.sqrt(np.maximum(1 - x**2 - y**2, 0.02))
    lamp = unit(np.array([shot.light_x, shot.light_y, 1.0], np.float32))
    diffuse = np.maximum(x * lamp[0] + y * lamp[1] + z * lamp[2], 0)
    light = (shot.ambient + (1.08 - shot.ambient) * diffuse) * shot.exposure
    return np.asarray(light[:, :, None] * np.array([1 + shot.warmth, 1, 1 - shot.warmth], np.float32))


def unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """The vector at length one."""
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)
