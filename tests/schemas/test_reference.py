from __future__ import annotations

from pathlib import Path

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


def test_the_spec_is_told_as_its_models_give_it() -> None:
    assert spec_reference() in (ROOT / "docs" / "spec.md").read_text(encoding="utf-8"), (
        "put the output of `idleak spec` between the spec marks of docs/spec.md"
    )


def test_the_kinds_of_generators_are_told_as_the_models_give_them() -> None:
    assert generator_reference() in (ROOT / "docs" / "generators.md").read_text(encoding="utf-8"), (
        "put the output of `idleak spec --generators` between the spec marks of docs/generators.md"
    )


def test_the_kinds_of_people_are_told_as_the_models_give_them() -> None:
    assert people_reference() in (ROOT / "docs" / "people.md").read_text(encoding="utf-8"), (
        "put the output of `idleak spec --people` between the people marks of docs/people.md"
    )


def test_the_fleet_is_told_as_its_models_give_it() -> None:
    assert fleet_reference() in (ROOT / "docs" / "nightly.md").read_text(encoding="utf-8"), (
        "put the output of `idleak spec --fleet` between the fleet marks of docs/nightly.md"
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
