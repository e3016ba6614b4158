from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distributed.gallery.source import gallery_source
from distributed.stages.fingerprints import sampling_fingerprint
from distributed.storage.store import RunStore
from schemas.run.record import RunRecord
from tests.support.models import tiny_generator, tiny_recognizer
from tests.support.small_world import DIM, LANDMARKS, SmallWorld
from tests.support.tiny_models import bright_square_detector, save

Change = Callable[[Path], dict[str, Any]]


def moved(folder: Path) -> dict[str, Any]:
    shifted = [[x + 1, y] for x, y in LANDMARKS]
    return {"faces": {"landmarks": shifted, "recognizers": [{"name": "tiny", "path": "recognizer.onnx"}]}}


def other_mean(folder: Path) -> dict[str, Any]:
    recognizer = {"name": "tiny", "path": "recognizer.onnx", "input": {"mean": 100}}
    return {"faces": {"landmarks": LANDMARKS, "recognizers": [recognizer]}}


def other_generator(folder: Path) -> dict[str, Any]:
    tiny_generator(folder / "generator.onnx", dim=DIM, seed=1)
    return {}


def other_recognizer(folder: Path) -> dict[str, Any]:
    tiny_recognizer(folder / "recognizer.onnx", seed=1)
    return {}


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        (lambda folder: {"seed": 8}, {"seed"}),
        (lambda folder: {"shard_size": 50}, {"shard_size"}),
        (other_generator, {"generator.sha256"}),
        (other_recognizer, {"faces.recognizers.tiny.sha256"}),
        (other_mean, {"faces.recognizers.tiny.input"}),
        (moved, {"faces.landmarks"}),
        (lambda folder: {"resources": {"device": "cpu", "workers": 1}}, set()),
        (lambda folder: {"samples": 900}, set()),
        (lambda folder: {"name": "another", "output": "runs/another"}, set()),
        (lambda folder: {"membership": {"scores": ["max"], "topk": 3, "fdr": 0.1}}, set()),
    ],
)
def test_what_changes_a_byte_changes_the_fingerprint_and_nothing_else_does(
    small_world: SmallWorld, change: Change, fields: set[str]
) -> None:
    before = sampling_fingerprint(small_world.spec())
    after = sampling_fingerprint(small_world.spec(**change(small_world.folder)))
    assert {line.split(" is ")[0] for line in after.differences(before)} == fields


def test_how_sizes_are_searched_is_of_the_samples_alone(small_world: SmallWorld) -> None:
    """And `all`, as every version up to 0.1 searched, has no field: such runs go on."""
    path = save(bright_square_detector(), small_world.folder / "detector.onnx")
    recognizer = {"name": "tiny", "path": "recognizer.onnx"}
    gallery = small_world.spec().gallery.model_dump(mode="json") | {"detector": True}

    def fields(**search: str) -> tuple[dict[str, str], dict[str, str]]:
        faces = {"detector": {"path": path.name, **search}, "recognizers": [recognizer]}
        spec = small_world.spec(faces=faces, gallery=gallery)
        photos = gallery_source(spec, RunStore(spec.output)).fingerprint
        return dict(sampling_fingerprint(spec).fields), dict(photos.fields)

    of_samples, of_photos = fields()
    assert of_samples["faces.detector.search"] == "first" and "faces.detector.search" not in of_photos
    assert fields(search="all") == (
        {name: value for name, value in of_samples.items() if name != "faces.detector.search"},
        of_photos,
    )


def test_a_record_of_an_earlier_version_searches_as_it_did(small_world: SmallWorld) -> None:
    save(bright_square_detector(), small_world.folder / "detector.onnx")
    faces = {
        "detector": {"path": "detector.onnx"},
        "recognizers": [{"name": "tiny", "path": "recognizer.onnx"}],
    }
    written = json.loads(RunRecord(spec=small_world.spec(faces=faces), fingerprint={}).model_dump_json())
    assert written["spec"]["faces"]["detector"].pop("search") == "first"
    read = RunRecord.model_validate_json(json.dumps(written))
    assert read.spec.faces.detector is not None and read.spec.faces.detector.search == "all"


def test_the_gallery_is_its_photos_and_how_they_are_embedded(small_world: SmallWorld) -> None:
    spec = small_world.spec()
    before = gallery_source(spec, None).fingerprint
    assert gallery_source(spec, None).fingerprint == before
    photo = small_world.folder / "cohort" / "other-001" / "0.png"
    photo.write_bytes(photo.read_bytes() + b"\0")
    after = gallery_source(spec, None).fingerprint
    assert [line.split(" is ")[0] for line in after.differences(before)] == ["gallery.photos"]
