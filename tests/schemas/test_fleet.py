from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.errors import SpecError
from schemas.spec.fleet import load_fleet
from schemas.spec.locations import locations_of
from tests.support.small_world import default_spec


def write(folder: Path, **changes: Any) -> Path:
    """A fleet of one audit that differs from the default one in `changes` of the audit's keys."""
    (folder / "audits").mkdir(exist_ok=True)
    (folder / "audits" / "one.yaml").write_text(yaml.safe_dump(default_spec()), encoding="utf-8")
    fleet = {
        "name": "ours",
        "state": "nightly",
        "audits": [{"key": "one", "spec": "audits/one.yaml"} | changes],
    }
    path = folder / "fleet.yaml"
    path.write_text(yaml.safe_dump(fleet), encoding="utf-8")
    return path


def test_paths_are_relative_to_the_file_that_they_stand_in(tmp_path: Path) -> None:
    fleet = load_fleet(write(tmp_path))
    assert fleet.state == str(tmp_path / "nightly")
    assert locations_of(fleet.entries[0].spec.gallery)[1] == str(tmp_path / "audits" / "cohort")
    whole = load_fleet(write(tmp_path, spec=None, overrides=default_spec()))
    assert locations_of(whole.entries[0].spec.gallery)[1] == str(tmp_path / "cohort")


def test_overrides_reach_to_any_depth_and_leave_the_rest(tmp_path: Path) -> None:
    overrides = {"generator": {"path": "other.onnx"}, "membership": {"scores": ["max"]}}
    spec = load_fleet(write(tmp_path, overrides=overrides, samples=800)).entries[0].spec
    assert spec.generator.model_dump()["path"] == str(tmp_path / "audits" / "other.onnx")
    assert spec.generator.model_dump()["latent"]["dim"] == 8
    assert (spec.membership.scores, spec.membership.topk, spec.samples) == (("max",), 4, 800)


def test_a_generator_of_another_kind_replaces_the_whole_of_the_specs(tmp_path: Path) -> None:
    images = {"kind": "images", "path": "pictures"}
    spec = load_fleet(write(tmp_path, overrides={"generator": images})).entries[0].spec
    path = str(tmp_path / "audits" / "pictures")
    assert spec.generator.model_dump(exclude_none=True) == images | {"path": path}


def test_samples_grow_to_the_maximum_and_never_shrink(tmp_path: Path) -> None:
    entry = load_fleet(write(tmp_path, per_night=200, maximum=1100)).entries[0]
    assert [entry.grown(samples) for samples in (100, 600, 1000, 1100, 2000)] == [600, 800, 1100, 1100, 2000]
    fixed = load_fleet(write(tmp_path)).entries[0]
    assert [fixed.grown(samples) for samples in (100, 600, 900)] == [600, 600, 900]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"per_night": 200}, "per_night needs a maximum"),
        ({"per_night": 150, "maximum": 1000}, "multiples of shard_size, 100"),
        (
            {"per_night": 100, "maximum": 1000, "overrides": {"shard_size": "auto"}},
            "give shard_size a number",
        ),
        ({"maximum": 500}, "maximum, 500, is below samples, 600"),
        ({"key": "A/B"}, "audits.0.key"),
        ({"spec": None}, "give spec"),
        ({"spec": "nowhere.yaml"}, "nowhere.yaml"),
        ({"overrides": {"sampels": 3}}, "audit one, audits/one.yaml: sampels: no such key"),
        ({"nights": 3}, "audits.0.nights: no such key"),
    ],
)
def test_a_bad_fleet_is_refused_in_one_line(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_fleet(write(tmp_path, **changes))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_key_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump(raw | {"audits": raw["audits"] * 2}), encoding="utf-8")
    with pytest.raises(SpecError, match="one is there twice"):
        load_fleet(path)
