"""docs/schemas/: what other programs may rely on."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from schemas.json_schema import DESCRIBED, json_schema
from schemas.run.artefacts import RESULTS_FILE
from tests.support.small_world import SmallWorld

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "schemas"


@pytest.mark.parametrize("name", DESCRIBED)
def test_the_published_schemas_are_those_of_the_models(name: str) -> None:
    published = (FOLDER / f"{name}.json").read_text(encoding="utf-8")
    assert published == json_schema(name), f"idleak spec --schema {name} > docs/schemas/{name}.json"
    jsonschema.Draft202012Validator.check_schema(json.loads(published))
    assert json.loads(published)["$id"].endswith(f":{name}:{DESCRIBED[name][1]}")


def test_a_run_keeps_its_contract(finished_template: SmallWorld) -> None:
    validator = jsonschema.Draft202012Validator(json.loads(json_schema("results")))
    results = json.loads((finished_template.run / RESULTS_FILE).read_bytes())
    validator.validate(results)
    del results["scores"]
    assert not validator.is_valid(results)
