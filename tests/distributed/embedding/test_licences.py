"""Terms of models: what the spec states, what is known of a file, what a commercial audit is warned of."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from distributed.embedding.inferred import faces_notices
from distributed.embedding.known_models import KNOWN_MODELS, KnownModel, known_model
from distributed.embedding.licences import Terms, licence_warnings, licences
from distributed.runtime.digests import digest_file
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from schemas.errors import ModelError
from schemas.spec.faces import FacesSpec
from schemas.spec.protection import AuthorisationSpec
from tests.support.assets import MODELS, needs_assets
from tests.support.models import tiny_recognizer
from tests.support.small_world import AUTHORISATION, SmallWorld
from tests.support.tiny_detectors import centre_detector
from tests.support.tiny_models import save

RESEARCH = KnownModel("a lab's model", "CC BY-NC-SA 4.0", False)


def faces(folder: Path, **recognizer: Any) -> FacesSpec:
    save(centre_detector(64), folder / "det.onnx")
    tiny_recognizer(folder / "rec.onnx")
    return FacesSpec.model_validate(
        {
            "detector": {"path": str(folder / "det.onnx"), "sizes": [64], "license": "MIT"},
            "recognizers": [{"name": "r", "path": str(folder / "rec.onnx"), **recognizer}],
        }
    )


def authorised(commercial: bool | None) -> AuthorisationSpec:
    words = dict.fromkeys(("purpose", "legal_basis", "controller", "approver"), "x")
    return AuthorisationSpec(**words, expires=date(2100, 1, 1), commercial=commercial)


def test_a_file_is_known_by_its_digest_and_only_as_long_as_it_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = faces(tmp_path)
    path = tmp_path / "rec.onnx"
    assert known_model(path) is None
    monkeypatch.setitem(KNOWN_MODELS, digest_file(path), RESEARCH)
    assert licences(spec) == {
        "detector": Terms("MIT", None),
        "recognizer r": Terms("CC BY-NC-SA 4.0 (a lab's model)", False),
    }
    assert faces_notices(spec)[-1] == "licence of the recognizer r: CC BY-NC-SA 4.0 (a lab's model)"
    tiny_recognizer(path, seed=1, dim=32)
    assert known_model(path) is None
    path.unlink()
    with pytest.raises(ModelError, match="correct the path"):
        known_model(path)


@pytest.mark.parametrize(
    ("license", "warned"),
    [
        (None, "is not known: state it"),
        ("CC BY-NC-SA 4.0", "non-commercial: CC BY-NC-SA 4.0"),
        ("for research purposes only", "is non-commercial"),
        ("noncommercial", "is non-commercial"),
        ("Apache-2.0", None),
        ("contract 17 of 2026 with InsightFace", None),
    ],
)
def test_a_commercial_audit_is_warned_by_what_the_spec_states(
    tmp_path: Path, license: str | None, warned: str | None
) -> None:
    spec = faces(tmp_path, license=license)
    assert licence_warnings(spec, None) == []
    assert licence_warnings(spec, authorised(None)) == licence_warnings(spec, authorised(False)) == []
    warnings = licence_warnings(spec, authorised(True))
    assert [warned in warning for warning in warnings] == [True] if warned else not warnings


def test_insightfaces_packs_are_known_without_a_download() -> None:
    pack = {"path": "insightface:buffalo_l", "accept_license": True}
    spec = FacesSpec.model_validate({"detector": pack, "recognizers": [{"name": "b", **pack}]})
    assert [terms.commercial for terms in licences(spec).values()] == [False, False]


def test_plan_says_the_licences_and_warns(
    small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(KNOWN_MODELS, digest_file(small_world.folder / "recognizer.onnx"), RESEARCH)
    path = small_world.spec_path(authorisation=AUTHORISATION | {"commercial": True})
    assert main(["plan", str(path)]) == ExitCode.OK
    table = " ".join(re.sub("[─-╿]", " ", capsys.readouterr().out).split())
    assert "licence of the recognizer tiny: CC BY-NC-SA 4.0 (a lab's model)" in table
    assert "WARNING: the audit is commercial" in table and "non-commercial: CC BY-NC-SA" in table


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("commercial", [True, False])
def test_audit_warns_before_its_first_photo(
    small_world: SmallWorld,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    commercial: bool,
) -> None:
    monkeypatch.setitem(KNOWN_MODELS, digest_file(small_world.folder / "recognizer.onnx"), RESEARCH)
    # What is wrong with labels is told before a photo is enrolled, too: the audit ends there.
    (small_world.folder / "labels.csv").write_text("identity,member\nperson-000,1\n", encoding="utf-8")
    path = small_world.spec_path(authorisation=AUTHORISATION | {"commercial": commercial})
    assert main(["audit", str(path)]) == ExitCode.BAD_SPEC
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == commercial
    assert all(
        "the licence of the recognizer tiny is non-commercial: CC BY-NC-SA" in line for line in warnings
    )


@needs_assets
@pytest.mark.assets
def test_the_files_at_hand_are_the_published_ones() -> None:
    known = {name: known_model(MODELS / f"{name}.onnx") for name in ("det_500m", "mobilefacenet_foamliu")}
    assert known["det_500m"] is not None and not known["det_500m"].commercial
    foamliu = known["mobilefacenet_foamliu"]
    assert foamliu is not None and foamliu.input is not None and foamliu.input.channels == "rgb"
