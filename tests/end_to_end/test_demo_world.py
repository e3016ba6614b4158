"""The demo's world: its people are deterministic, its roles disjoint, its models what the audit needs."""

from __future__ import annotations

import csv
import importlib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import numpy as np
import onnxruntime
import pytest
import yaml
from numpy.typing import NDArray

DEMO = Path(__file__).parents[2] / "examples" / "demo"
MODELS = DEMO / "models"


@pytest.fixture(scope="module")
def world() -> Iterator[ModuleType]:
    """The demo's modules import one another by their bare names, as when they are run as scripts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DEMO))
        yield importlib.import_module("world")


@pytest.fixture(scope="module")
def people(world: ModuleType) -> ModuleType:
    return importlib.import_module("people")


@pytest.fixture(scope="module")
def person(world: ModuleType) -> ModuleType:
    return importlib.import_module("person")


@pytest.fixture(scope="module")
def geometry(world: ModuleType) -> ModuleType:
    return importlib.import_module("geometry")


@pytest.fixture(scope="module")
def held_out(world: ModuleType) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Four photos each of 100 people that the recogniser was not trained on."""
    plan = world.gallery_photos(world.RECOGNIZER_HELD_OUT[:100], 4)
    return np.stack([world.photograph(*shot) for shot in plan]), np.array([seed for seed, _ in plan])


def session(name: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(MODELS / name), options, providers=["CPUExecutionProvider"])


def infer(name: str, batch: NDArray[np.float32]) -> NDArray[np.float32]:
    model = session(name)
    return np.asarray(model.run(None, {model.get_inputs()[0].name: batch})[0])


def as_input(photos: NDArray[np.uint8]) -> NDArray[np.float32]:
    return ((photos.astype(np.float32) - 127.5) / 127.5).transpose(0, 3, 1, 2)


def unit_templates(photos: NDArray[np.uint8]) -> NDArray[np.float32]:
    raw = infer("recognizer.onnx", as_input(photos))
    return np.asarray(raw / np.linalg.norm(raw, axis=1, keepdims=True))


def test_a_photo_is_a_function_of_identity_and_number(people: ModuleType) -> None:
    photo = people.photograph(5, 2)
    assert photo.shape == (112, 112, 3) and photo.dtype == np.uint8
    assert np.array_equal(photo, people.photograph(5, 2))
    assert not np.array_equal(photo, people.photograph(5, 3))
    assert not np.array_equal(photo, people.photograph(6, 2))


def test_an_identity_has_at_least_sixteen_parameters_that_differ(person: ModuleType) -> None:
    names = [field.name for field in fields(person.Person)]
    assert len(names) >= 16 and set(names) == set(person.RANGES)
    drawn, other = person.draw_person(1), person.draw_person(2)
    assert all(getattr(drawn, name) != getattr(other, name) for name in names)
    assert drawn == person.draw_person(1)


def test_every_pose_puts_the_landmarks_near_the_template(person: ModuleType, geometry: ModuleType) -> None:
    for seed in range(20):
        drawn, shot = person.draw_person(seed), person.draw_shot(np.random.default_rng(seed))
        pose = geometry.pose_of(drawn, shot)
        seen = geometry.landmarks(drawn) @ pose.matrix.T + pose.shift
        assert np.abs(seen - geometry.TEMPLATE).max() < 12
        assert np.allclose(seen.mean(axis=0), geometry.TEMPLATE.mean(axis=0))


def test_roles_are_disjoint(world: ModuleType) -> None:
    roles = [
        world.CANDIDATES,
        world.SPARE_NON_MEMBERS,
        world.COHORT,
        world.RECOGNIZER_TRAINING,
        world.RECOGNIZER_HELD_OUT,
    ]
    everybody = [seed for role in roles for seed in role]
    assert len(set(everybody)) == len(everybody)
    assert set(world.members()) < set(world.CANDIDATES)
    assert 2 * len(world.members()) <= len(world.CANDIDATES)


def test_the_cohort_can_flag_a_single_candidate(world: ModuleType) -> None:
    fdr = yaml.safe_load((DEMO / "audit.yaml").read_text())["membership"]["fdr"]
    assert len(world.COHORT) >= len(world.CANDIDATES) / fdr - 1


def test_one_member_has_ten_times_the_photos(world: ModuleType) -> None:
    seeds = [seed for seed, _ in world.training_photos()]
    counts = {seed: seeds.count(seed) for seed in world.members()}
    usual = {count for seed, count in counts.items() if seed != world.OVER_REPRESENTED}
    assert usual == {counts[world.OVER_REPRESENTED] // 10}


def test_gallery_photos_are_no_training_photos(world: ModuleType) -> None:
    gallery = set(world.gallery_photos(world.CANDIDATES, 4))
    assert gallery.isdisjoint(world.training_photos())
    member = world.OVER_REPRESENTED
    shown = world.photograph(*world.gallery_photos([member], 1)[0])
    trained = [shot for shot in world.training_photos() if shot[0] == member]
    assert len(trained) == 300
    assert not any(np.array_equal(shown, world.photograph(*shot)) for shot in trained[:40])


def test_the_gallery_has_folders_and_labels(
    world: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = importlib.import_module("gallery")
    monkeypatch.setattr(gallery, "COHORT", world.COHORT[:2])
    gallery.main(tmp_path)
    assert len(list((tmp_path / "candidates").glob("person-*/*.png"))) == 4 * len(world.CANDIDATES)
    assert sorted(path.name for path in (tmp_path / "cohort").iterdir()) == ["person-10000", "person-10001"]
    rows = list(csv.DictReader((tmp_path / "labels.csv").read_text().splitlines()))
    truth = {world.name_of(seed) for seed in world.members()}
    assert {row["identity"] for row in rows if row["member"] == "1"} == truth
    assert len(rows) == len(world.CANDIDATES)


def test_the_recognizer_tells_strangers_apart(held_out: tuple[NDArray[np.uint8], NDArray[np.int64]]) -> None:
    photos, identities = held_out
    unit = unit_templates(photos)
    rows, columns = np.triu_indices(len(unit), 1)
    similarity, mated = (unit @ unit.T)[rows, columns], identities[rows] == identities[columns]
    threshold = np.quantile(similarity[~mated], 1 - 1e-3)
    assert np.mean(similarity[mated] > threshold) >= 0.9


def test_the_recognizer_takes_any_batch(held_out: tuple[NDArray[np.uint8], NDArray[np.int64]]) -> None:
    photos, _ = held_out
    together = unit_templates(photos[:5])
    alone = np.concatenate([unit_templates(photos[i : i + 1]) for i in range(5)])
    assert np.allclose(together, alone, atol=1e-4)


def test_the_generator_gives_images_in_range() -> None:
    spec = yaml.safe_load((DEMO / "audit.yaml").read_text())["generator"]
    latents = np.random.default_rng(0).standard_normal((7, spec["latent"]["dim"]), dtype=np.float32)
    images = infer("generator.onnx", latents)
    assert images.shape == (7, 3, 32, 32) and images.dtype == np.float32
    assert np.abs(images).max() <= 1 and images.std() > 0.1
    assert np.allclose(infer("generator.onnx", latents[:1]), images[:1], atol=1e-4)


def test_the_specs_landmarks_are_the_template_in_the_generators_frame(geometry: ModuleType) -> None:
    spec = yaml.safe_load((DEMO / "audit.yaml").read_text())
    assert np.allclose(spec["faces"]["landmarks"], (geometry.TEMPLATE + 0.5) * 32 / 112 - 0.5, atol=1e-3)


def test_the_models_are_small() -> None:
    assert sum(path.stat().st_size for path in MODELS.glob("*.onnx")) <= 10_000_000
