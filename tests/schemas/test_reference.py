from __future__ import annotations

from pathlib import Path

import yaml

from schemas.reference import spec_reference
from schemas.spec import AuditSpec

ROOT = Path(__file__).resolve().parents[2]


def test_the_readme_holds_the_reference_as_the_models_give_it() -> None:
    assert spec_reference() in (ROOT / "README.md").read_text(encoding="utf-8"), (
        "put the output of `idleak spec` between the spec marks of README.md"
    )


def test_every_key_is_described() -> None:
    rows = [line for line in spec_reference().splitlines()[2:]]
    assert all(not row.endswith("| None |") for row in rows)
    assert any(row.startswith("| `faces.recognizers[].input.mean` |") for row in rows)


def test_the_example_holds_every_key_and_is_a_spec() -> None:
    raw = yaml.safe_load((ROOT / "examples" / "audit.yaml").read_text(encoding="utf-8"))
    AuditSpec.model_validate(raw)
    assert set(raw) == set(AuditSpec.model_fields)
