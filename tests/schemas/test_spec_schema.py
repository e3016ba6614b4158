"""The JSON Schemas of the spec and of a fleet: what they accept, and that editors are led to them."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from schemas.json_schema import FLEET, SPEC, json_schema
from schemas.spec.fleet import load_fleet
from schemas.spec.load import load_spec
from schemas.spec.yaml_text import read_yaml
from tests.support.small_world import default_spec

ROOT = Path(__file__).resolve().parents[2]
WRITTEN = sorted([*(ROOT / "examples").rglob("*.yaml"), *(ROOT / "deploy" / "kubernetes").glob("*.yaml")])
EXAMPLES = [path for path in WRITTEN if "\ngallery:" in path.read_text("utf-8")]
FLEETS = [path for path in WRITTEN if "\naudits:" in path.read_text("utf-8")]


@cache
def validator(name: str = SPEC) -> Any:
    return jsonschema.Draft202012Validator(json.loads(json_schema(name)))


def as_json(document: object) -> Any:
    """With dates as an editor reads them."""
    return json.loads(json.dumps(document, default=str))


def require_editors_are_led(path: Path, name: str) -> None:
    validator(name).validate(as_json(read_yaml(path, "a file")))
    mark, _, schema = path.read_text("utf-8").splitlines()[0].partition("$schema=")
    assert mark == "# yaml-language-server: "
    assert (path.parent / schema).resolve() == ROOT / "docs" / "schemas" / f"{name}.json"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_that_loads_is_accepted_and_names_the_schema(path: Path) -> None:
    load_spec(path)
    require_editors_are_led(path, SPEC)


@pytest.mark.parametrize("path", FLEETS, ids=lambda path: path.parent.name)
def test_a_fleet_is_accepted_and_names_its_schema(path: Path) -> None:
    load_fleet(path)
    require_editors_are_led(path, FLEET)
    wrong = as_json(read_yaml(path, "a fleet"))
    wrong["audits"][0]["per_nite"] = 1
    assert not validator(FLEET).is_valid(wrong)


SHORT_FORMS: list[dict[str, Any]] = [
    {
        "faces": default_spec()["faces"]
        | {"detector": {"path": "insightface:buffalo_l", "accept_license": True}}
    },
    {
        "gallery": {
            "candidates": {"kind": "flat", "path": "a"},
            "cohort": {"parquet": "gallery.parquet"},
            "detector": False,
        }
    },
    {"membership": {"photos": 2, "correction": "by", "strata": ["quality"]}},
    {"resources": {"workers": 3, "threads_per_worker": "auto", "batch": 4}, "shard_size": 7},
    {"authorisation": None, "ledger": None, "protection": {"key": "{file:/key}", "kms": None}},
]


@pytest.mark.parametrize("changes", SHORT_FORMS)
def test_forms_that_load_are_accepted(changes: dict[str, Any], tmp_path: Path) -> None:
    document = default_spec() | {"output": "run"} | changes
    validator().validate(as_json(document))
    (tmp_path / "audit.yaml").write_text(json.dumps(document), encoding="utf-8")
    load_spec(tmp_path / "audit.yaml")


Change = Callable[[dict[str, Any]], object]
WRONG: dict[str, Change] = {
    "a key that is missing": lambda spec: spec.pop("samples"),
    "a key that is misspelt": lambda spec: spec.update(sampels=1),
    "a key below that is misspelt": lambda spec: spec["membership"].update(score=["max"]),
    "no samples": lambda spec: spec.update(samples=0),
    "samples as text": lambda spec: spec.update(samples="many"),
    "a kind that is none": lambda spec: spec["generator"].update(kind="onxx"),
    "a kind without its keys": lambda spec: spec.update(generator={"kind": "onnx"}),
    "keys of another kind": lambda spec: spec["generator"].update(trust="sha256:0"),
    "a range of one value": lambda spec: spec["generator"]["output"].update(range=[1]),
    "a word that is none": lambda spec: spec["membership"].update(correction="bonferroni"),
    "a rate beyond one": lambda spec: spec["membership"].update(fdr=2),
    "four landmarks": lambda spec: spec["faces"]["landmarks"].pop(),
    "no recogniser": lambda spec: spec["faces"].update(recognizers=[]),
    "two means": lambda spec: spec["faces"]["recognizers"][0].update(input={"mean": [1, 2]}),
    "a side without a source": lambda spec: spec["gallery"].update(cohort={}),
    "a side of no kind": lambda spec: spec["gallery"].update(cohort={"kind": "folder", "path": "a"}),
    "a key in the clear": lambda spec: spec["protection"].update(key="c2VjcmV0"),
    "half an authorisation": lambda spec: spec["authorisation"].pop("expires"),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG.keys())
def test_what_does_not_load_is_refused(change: Change) -> None:
    document = deepcopy(default_spec()) | {"output": "run"}
    validator().validate(as_json(document))
    change(document)
    assert not validator().is_valid(as_json(document))
