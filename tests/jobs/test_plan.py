"""`idleak plan`: what its probe says of the samples and of the gallery before anything is written."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from tests.support.assets import ASSETS, MODELS, needs_assets
from tests.support.models import periodic_recognizer
from tests.support.small_world import SmallWorld, default_spec

pytestmark = pytest.mark.usefixtures("in_process")

NO_KEY = {"key": "file:nowhere.key"}


def plan(capsys: pytest.CaptureFixture[str], spec: Path) -> tuple[int, str, str]:
    """The exit code, the table as one line of text, and what was printed to stderr."""
    capsys.readouterr()
    code = main(["plan", str(spec)])
    printed = capsys.readouterr()
    assert not (spec.parent / "runs").exists()
    return code, " ".join(re.sub("[─-╿]", " ", printed.out).split()), printed.err


def test_a_sound_audit_has_its_figures_and_no_warning(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    narrow(small_world, 0.4)
    code, table, error = plan(capsys, small_world.spec_path())
    assert code == ExitCode.OK and error == ""
    assert "recogniser tiny TAR 0.9" in table or "recogniser tiny TAR 1.00" in table
    assert "over 40 people" in table and "of generator.output.range -1 to 1" in table
    assert "faces in samples not searched for" in table and "no images" not in table
    assert "WARNING" not in table and "NOT USABLE" not in table


def test_a_recogniser_that_the_audit_would_refuse_ends_the_plan_alike(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    periodic_recognizer(small_world.folder / "recognizer.onnx")
    raw = {"name": "raw", "path": "recognizer.onnx", "input": {"mean": 0, "std": 1}}
    faces = {**default_spec()["faces"], "recognizers": [raw]}
    code, table, error = plan(capsys, small_world.spec_path(faces=faces))
    assert code == ExitCode.BAD_SPEC
    assert "recogniser raw NOT USABLE: TAR 0.0" in table
    assert "flagged alone, at most" in table
    assert "idleak: recogniser raw does not tell the gallery's people apart" in error
    assert "correct faces.recognizers.input" in error


def test_what_an_audit_refuses_of_the_folders_and_the_key_a_plan_refuses(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    candidates, cohort = small_world.folder / "candidates", small_world.folder / "cohort"
    shutil.copy(candidates / "person-003" / "1.png", cohort / "other-004" / "9.png")
    code, _, error = plan(capsys, small_world.spec_path())
    assert code == ExitCode.BAD_SPEC and "the same photos under two people" in error
    (cohort / "other-004" / "9.png").unlink()
    code, _, error = plan(capsys, small_world.spec_path(protection=default_spec()["protection"] | NO_KEY))
    assert code == ExitCode.BAD_SPEC and error.count("\n") == 1 and "nowhere.key" in error


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"gallery": {"labels": "other.csv"}}, "other.csv, line 2: member must be 0 or 1"),
        ({"gallery": {"attributes": "other.csv"}, "membership": {"strata": ["age"]}}, "no column 'age'"),
        (
            {"generator": {"kind": "images", "path": "cohort"}, "samples": 1000},
            "has 240 images: lower samples",
        ),
        (
            {"membership": {"placebo": {"kind": "images", "path": "candidates"}}},
            "has 40 images: lower samples",
        ),
    ],
)
def test_what_an_audit_refuses_before_its_first_photo_or_sample_a_plan_refuses(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], says: str
) -> None:
    (small_world.folder / "other.csv").write_text("identity,member\nperson-000,perhaps\n", encoding="utf-8")
    content = {
        key: default_spec()[key] | value if isinstance(value, dict) and key != "generator" else value
        for key, value in changes.items()
    }
    code, _, error = plan(capsys, small_world.spec_path(**content))
    assert code == ExitCode.BAD_SPEC and error.count("\n") == 1 and says in error


def test_photos_that_cannot_be_read_are_told_and_a_whole_side_of_them_ends_the_plan(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = sorted((small_world.folder / "candidates").rglob("*.png"))
    for photo in photos[::2]:
        photo.write_bytes(b"<html>404</html>" + photo.parent.name.encode())
    code, table, _ = plan(capsys, small_world.spec_path())
    assert code == ExitCode.OK
    assert re.search(r"WARNING: no images: [1-9]\d* of \d+ of the candidate side: it is a web page", table)
    for photo in photos:
        photo.write_bytes(photo.name.encode() + photo.parent.name.encode())
    code, _, error = plan(capsys, small_world.spec_path())
    assert code == ExitCode.BAD_SPEC
    assert "no photo of the candidate side that was tried can be read: UnidentifiedImageError" in error


def test_what_is_no_sample_is_told(small_world: SmallWorld, capsys: pytest.CaptureFixture[str]) -> None:
    (small_world.folder / "cohort" / "metadata.jsonl").write_text("{}", encoding="utf-8")
    images = {"kind": "images", "path": "cohort"}
    code, output, _ = plan(capsys, small_world.spec_path(generator=images, samples=200))
    assert code == ExitCode.OK
    assert "warning: generator: left out as no images, by name and first bytes: metadata.jsonl" in output


def test_samples_that_are_all_no_images_are_told_and_refused(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small_world.folder / "generated"
    folder.mkdir()
    for index in range(40):
        (folder / f"{index}.png").write_bytes(np.random.default_rng(index).bytes(100))
    images = {"kind": "images", "path": "generated"}
    code, table, error = plan(capsys, small_world.spec_path(generator=images, samples=40))
    assert code == ExitCode.FAILED
    assert "no images 40 of 40 probed (100%): 0: " in table and "limits.invalid_samples is 1.00%" in table
    assert "40 of 40 probed samples are no images" in error


def test_a_few_bad_images_are_told_and_do_not_refuse(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small_world.folder / "generated"
    folder.mkdir()
    random = np.random.default_rng(0)
    for index in range(40):
        Image.fromarray(random.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(folder / f"{index}.png")
    (folder / "7.png").write_bytes(b"no image")
    images = {"kind": "images", "path": "generated"}
    code, table, _ = plan(capsys, small_world.spec_path(generator=images, samples=40))
    assert code == ExitCode.OK
    assert "no images 1 of 40 probed (2%)" in table and "of the pixels' range 0 to 255" in table


def narrow(world: SmallWorld, factor: float) -> None:
    """Let the generator's last layer be softer, so that its values are spread over their range."""
    path = world.folder / "generator.onnx"
    model = onnx.load(str(path))
    weights = next(tensor for tensor in model.graph.initializer if tensor.name == "w")
    values = onnx.numpy_helper.to_array(weights) * np.float32(factor)
    weights.CopyFrom(onnx.numpy_helper.from_array(values, "w"))
    onnx.save(model, str(path))


@pytest.mark.parametrize(
    ("stated", "warning"),
    [
        ([-3, 1], "they fill little of it: is generator.output.range right?"),
        ([0, 1], "many are clipped: is generator.output.range right?"),
    ],
)
def test_a_range_that_is_not_the_generators_is_told(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str], stated: list[float], warning: str
) -> None:
    narrow(small_world, 0.2)
    generator: dict[str, Any] = default_spec()["generator"]
    output = {**generator["output"], "range": stated}
    code, table, _ = plan(capsys, small_world.spec_path(generator=generator | {"output": output}))
    assert code == ExitCode.OK
    assert f"of generator.output.range {stated[0]} to {stated[1]};" in table and warning in table


@pytest.mark.assets
@needs_assets
def test_samples_without_a_face_and_the_detectors_share_are_told(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tiny generator makes noise: a real detector finds nobody in it, and everybody in photos."""
    real = {"name": "real", "path": str(MODELS / "mobilefacenet_y1.onnx")}
    faces = {
        "detector": {"path": str(MODELS / "det_500m.onnx"), "sizes": [160]},
        "recognizers": [real | {"input": {"channels": "bgr", "mean": 0, "std": 1}}],
    }
    sides = {name: {"images": str(ASSETS / "faces" / name)} for name in ("candidates", "cohort")}
    spec = small_world.spec_path(faces=faces, gallery=sides)
    code, table, error = plan(capsys, spec)
    assert code == ExitCode.FAILED
    assert "faces in samples 0 of 64 probed images (0%); WARNING" in table
    assert "none of 64 probed samples has a face that can be compared (64 no_face)" in error
    assert "faces in photos a face was found in 80 of 80 photos" in table
    assert "recogniser real TAR 0.9" in table or "recogniser real TAR 1.00" in table
