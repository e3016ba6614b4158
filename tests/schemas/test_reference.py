from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from schemas.spec.audit import AuditSpec
from schemas.spec.fleet import FleetAudit, FleetSpec, load_fleet
from schemas.spec.reference import (
    fleet_reference,
    generator_reference,
    people_reference,
    spec_reference,
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("reference", "option", "marks", "page"),
    [
        (spec_reference, "", "spec", "spec.md"),
        (generator_reference, " --generators", "spec", "generators.md"),
        (people_reference, " --people", "people", "people.md"),
        (fleet_reference, " --fleet", "fleet", "nightly.md"),
    ],
)
def test_keys_are_told_as_their_models_give_them(
    reference: Callable[[], str], option: str, marks: str, page: str
) -> None:
    assert reference() in (ROOT / "docs" / page).read_text(encoding="utf-8"), (
        f"put the output of `idleak spec{option}` between the {marks} marks of docs/{page}"
    )


def test_the_example_fleet_holds_every_key_and_loads() -> None:
    path = ROOT / "examples" / "fleet.yaml"
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(raw) == set(FleetSpec.model_fields)
    assert set(raw["audits"][0]) == set(FleetAudit.model_fields)
    assert load_fleet(path).entries[0].spec.resources.workers == 2
    assert (path.parent / raw["hook"][1]).is_file()


def test_every_key_is_described() -> None:
    rows = [
        *spec_reference().splitlines(),
        *generator_reference().splitlines(),
        *people_reference().splitlines(),
        *fleet_reference().splitlines(),
    ]
    assert all(not row.endswith("| None |") for row in rows)
    assert any(row.startswith("| `faces.recognizers[].input.mean` |") for row in rows)


def test_the_example_holds_every_key_and_is_a_spec() -> None:
    raw = yaml.safe_load((ROOT / "examples" / "audit.yaml").read_text(encoding="utf-8"))
    AuditSpec.model_validate(raw)
    assert set(raw) == set(AuditSpec.model_fields)
