"""Photos as a generator's images would show them: reduced and blurred to its samples, never sharpened."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from distributed.embedding.extractor import TemplateExtractor
from distributed.stages.making.models import open_extractor
from distributed.stages.making.setup import Setup
from jobs.__main__ import main
from jobs.benchmarks.planted.look import Look, look_of
from jobs.cli.exit_codes import ExitCode
from schemas.errors import SpecError
from tests.jobs.benchmarks.test_bench_reduce import rows_of
from tests.support.small_world import SmallWorld

SIZE, BLUR = 112, 2.0


@pytest.fixture
def crops(small_world: SmallWorld) -> TemplateExtractor:
    """Takes pictures as aligned crops."""
    return open_extractor(Setup(small_world.spec(), "cpu", 1, photos=()))


def noise(count: int, size: int = SIZE) -> list[NDArray[np.uint8]]:
    return list(np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8))


def blurred(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), BLUR), np.uint8)


def detail(image: NDArray[np.uint8]) -> float:
    return float(np.abs(np.diff(image.astype(float), axis=1)).mean())


def test_photos_become_as_blurred_as_the_samples_are(crops: TemplateExtractor) -> None:
    photos = noise(30)
    look = look_of(crops, [blurred(photo) for photo in photos], crops, photos)
    shown = look.shown(photos[0], SIZE)
    assert look.size == SIZE and shown.shape == photos[0].shape
    assert detail(shown) == pytest.approx(detail(blurred(photos[0])), abs=0.02 * detail(photos[0]))
    frequency = np.array([8, 14, 20])
    expected = np.exp(-2 * (np.pi * BLUR * frequency / SIZE) ** 2)  # of a Gaussian
    assert look.gain[frequency] / look.gain[4] == pytest.approx(expected, rel=0.3)


def test_nothing_is_sharpened_beyond_the_photos(crops: TemplateExtractor) -> None:
    photos = noise(30)
    look = look_of(crops, photos, crops, [blurred(photo) for photo in photos])
    assert look.gain.max() == 1
    assert detail(look.shown(blurred(photos[0]), SIZE)) <= detail(blurred(photos[0]))


def test_a_look_without_blur_changes_only_the_number_of_pixels() -> None:
    face = noise(1, 32)[0]
    plain = Look(32, np.zeros(17)).unblurred
    assert np.array_equal(plain.shown(face, 32), face)
    assert plain.shown(face, SIZE).shape == (SIZE, SIZE, 3)


def test_a_size_is_not_told_by_few_faces(crops: TemplateExtractor) -> None:
    with pytest.raises(SpecError, match="19 of 19 samples have a face, and 20 are needed"):
        look_of(crops, noise(19), crops, noise(1))


def test_the_bench_says_how_alike_pictures_and_samples_are(
    finished_world: SmallWorld, tmp_path: Path
) -> None:
    output = tmp_path / "likeness.md"
    code = main(["bench", "likeness", str(finished_world.spec_path()), "--output", str(output)])
    rows = rows_of(output.read_text(encoding="utf-8"))
    assert code == ExitCode.OK
    assert [row[0] for row in rows] == [
        "photos as they are",
        "reduced to 32 pixels",
        "reduced, and as sharp as samples",
        "template law (assumed)",
        "of 0 flagged people",
    ]
    own = [float(row[1].split()[0]) for row in rows[:4]]
    assert own[0] == 1 >= own[1] > own[2] > 0.5 and own[3] == 0.6
    assert rows[0][4] == "1.00"
