"""`idleak inspect` on models of faces: what they are, and with --gallery how a recogniser is best used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from distributed.embedding.known_models import KNOWN_MODELS, KnownModel
from distributed.embedding.usual_inputs import IMAGENET, input_of
from distributed.runtime.digests import digest_file
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from schemas.spec.faces import FacesSpec
from tests.support.assets import ASSETS, MODELS, needs_assets
from tests.support.models import tiny_generator, tiny_recognizer
from tests.support.tiny_detectors import centre_detector
from tests.support.tiny_models import flattener, save

PEOPLE = 12


def people(root: Path) -> Path:
    for person in range(PEOPLE):
        colours = np.random.default_rng(person).integers(0, 256, (7, 7, 3))
        (root / f"p{person}").mkdir(parents=True)
        for number in range(2):
            noise = np.random.default_rng(100 + 2 * person + number).integers(-12, 12, (7, 7, 3))
            small = Image.fromarray(np.clip(colours + noise, 0, 255).astype(np.uint8))
            small.resize((96, 96)).save(root / f"p{person}" / f"{number}.png")
    return root


def inspected(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[str, FacesSpec | None]:
    """What is printed, and its block as a spec takes it, beside what a recogniser needs."""
    assert main(["inspect", *map(str, words)]) == ExitCode.OK
    printed = capsys.readouterr().out
    block = yaml.safe_load(printed[printed.index("\nfaces:") :])["faces"]
    return printed, FacesSpec.model_validate(block) if len(block) == 2 else None


def test_a_pack_is_listed_with_what_each_model_is_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    save(centre_detector(64), tmp_path / "det.onnx")
    tiny_recognizer(tmp_path / "rec.onnx")
    (tmp_path / "._rec.onnx").write_bytes(b"\x00\x05\x16\x07 Mac OS X")
    assert main(["inspect", str(tmp_path)]) == ExitCode.OK
    printed = capsys.readouterr().out
    assert "det.onnx: an ONNX file, a detector of faces" in printed and "SCRFD" in printed
    assert "rec.onnx: an ONNX file, a recogniser of faces" in printed
    assert "  licence: not stated: see docs/models.md" in printed
    assert "# decide: recognizers.input" in printed and "--gallery FOLDER" in printed
    known = KnownModel("somebody's", "MIT", True, input_of("bgr", IMAGENET))
    monkeypatch.setitem(KNOWN_MODELS, digest_file(tmp_path / "rec.onnx"), known)
    assert main(["inspect", str(tmp_path / "rec.onnx")]) == ExitCode.OK
    printed = capsys.readouterr().out
    assert "licence: MIT (somebody's)" in printed and "decide" not in printed
    assert "channels: bgr, mean: [103.53, 116.28, 123.675]" in printed


def test_a_network_from_images_to_images_is_no_recogniser(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_generator(tmp_path / "g.onnx")
    assert main(["inspect", str(tmp_path / "g.onnx")]) == ExitCode.OK
    assert "generator:" in capsys.readouterr().out
    assert main(["inspect", str(tmp_path / "g.onnx"), "--gallery", str(tmp_path)]) == ExitCode.BAD_SPEC
    assert "is no recogniser of faces" in capsys.readouterr().err


def test_the_preprocessing_that_separates_people_comes_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    gallery = people(tmp_path / "people")
    # It subtracts mid-grey by itself: under any other preprocessing its templates are all alike.
    tiny_recognizer(tmp_path / "rec.onnx", dim=64, grey=127.5)
    words = [tmp_path / "rec.onnx", "--gallery", gallery]
    assert main(["inspect", *map(str, words)]) == ExitCode.BAD_SPEC
    assert "there is no detector below" in capsys.readouterr().err
    save(centre_detector(64), tmp_path / "det.onnx")
    printed, spec = inspected(capsys, *words)
    rows = [line for line in printed.splitlines() if line.startswith("input: ")]
    assert len(rows) == 10 and "mean: 0, std: 1}: TAR 1.000 at FMR 0.01" in rows[0]
    assert "mean: 0, std: 1}" in rows[1] and "of different people 1.000" in rows[-1]
    assert spec is not None and spec.detector is not None and spec.detector.sizes == (64,)
    assert spec.recognizers[0].input.mean == (0.0, 0.0, 0.0)


def test_one_person_and_a_model_of_landmarks_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(centre_detector(64), tmp_path / "det.onnx")
    tiny_recognizer(tmp_path / "rec.onnx")
    gallery = people(tmp_path / "all")
    (tmp_path / "one").mkdir()
    (gallery / "p0").rename(tmp_path / "one" / "p0")
    assert main(["inspect", str(tmp_path / "rec.onnx"), "--gallery", str(tmp_path / "one")]) == 2
    assert "give a source of two people or more" in capsys.readouterr().err
    save(flattener(shape=(1, 3, 192, 192)), tmp_path / "1k3d68.onnx")
    assert main(["inspect", str(tmp_path / "1k3d68.onnx"), "--gallery", str(gallery)]) == 2
    assert "is no recogniser of faces" in capsys.readouterr().err


@needs_assets
@pytest.mark.assets
@pytest.mark.slow
def test_the_preprocessing_of_a_real_recogniser_is_found(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = [MODELS / "mobilefacenet_y1.onnx", "--gallery", ASSETS / "faces" / "cohort", "--detector"]
    printed, spec = inspected(capsys, *words, MODELS / "det_500m.onnx")
    assert spec is not None and spec.recognizers[0].input == input_of("bgr", (0, 1))
    assert "TAR 0.99" in printed.splitlines()[2]
