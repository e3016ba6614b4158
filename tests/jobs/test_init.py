"""`idleak init` on three layouts of files: the spec that it writes is one that `plan` accepts."""

from __future__ import annotations

import base64
import io
import json
import os
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from distributed.stages.proposing.generator import likely_range
from distributed.stages.proposing.people import people_block
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from jobs.init import SCHEMA
from schemas.errors import SpecError
from schemas.spec.load import load_spec
from tests.support.models import tiny_generator, tiny_recognizer
from tests.support.networks import Plain, package
from tests.support.recordio import write_insightface
from tests.support.stand_in import checkout
from tests.support.tiny_detectors import centre_detector
from tests.support.tiny_models import flattener, save

PEOPLE, PHOTOS, SIDE = 12, 2, 96
KEY = base64.b64encode(bytes(32)).decode()


def photo(person: int, number: int, side: int = SIDE) -> Image.Image:
    """Two photos of a person differ little."""
    coarse = np.random.default_rng(person).integers(0, 256, (7, 7, 3), dtype=np.uint8)
    other = np.random.default_rng(1000 + 10 * person + number).integers(0, 256, (7, 7, 3), dtype=np.uint8)
    first, second = (Image.fromarray(values).resize((side, side)) for values in (coarse, other))
    return Image.blend(first, second, 0.1)


def save_models(folder: Path) -> None:
    """A detector, a recogniser, and what else lies in an InsightFace pack."""
    folder.mkdir(exist_ok=True)
    save(centre_detector(64), folder / "det.onnx")
    tiny_recognizer(folder / "rec.onnx", dim=64)
    save(flattener(shape=(1, 3, 192, 192)), folder / "1k3d68.onnx")
    (folder / "._rec.onnx").write_bytes(b"\x00\x05\x16\x07 Mac OS X")


def folders(root: Path, first: int, side: int = SIDE) -> Path:
    for person in range(first, first + PEOPLE):
        folder = root / f"p{person}"
        folder.mkdir(parents=True)
        for number in range(PHOTOS):
            photo(person, number, side).save(folder / f"{number}.png")
    return root


def flat(root: Path, first: int) -> Path:
    root.mkdir(parents=True)
    for person in range(first, first + PEOPLE):
        for number in range(PHOTOS):
            photo(person, number).save(root / f"Person_{person}_{number:04d}.png")
    return root


def celeba(root: Path, first: int) -> Path:
    """Images in a folder of their own, and a list without a header beside it."""
    (root / "img_align_celeba").mkdir(parents=True)
    lines = []
    for index, (person, number) in enumerate(np.ndindex(PEOPLE, PHOTOS)):
        photo(first + person, number).save(root / "img_align_celeba" / f"{index:06d}.png")
        lines.append(f"{index:06d}.png {first + person}")
    (root / "identity_CelebA.txt").write_text("\n".join(lines), encoding="utf-8")
    (root / "list_eval_partition.txt").write_text("000000.png 0\n", encoding="utf-8")
    return root


def recordio(path: Path, first: int) -> Path:
    def encoded(image: Image.Image) -> bytes:
        file = io.BytesIO()
        image.save(file, "PNG")
        return file.getvalue()

    people = {
        person: [encoded(photo(person, number)) for number in range(PHOTOS)]
        for person in range(first, first + PEOPLE)
    }
    return write_insightface(path, people)


def init(folder: Path, words: Sequence[object], monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What it has written, which `plan` has accepted."""
    monkeypatch.chdir(folder)
    output = next((str(words[i + 1]) for i, word in enumerate(words) if word == "--output"), "audit.yaml")
    assert main(["init", *map(str, words)]) == ExitCode.OK
    assert main(["plan", output]) == ExitCode.OK
    text = Path(output).read_text(encoding="utf-8")
    assert text.splitlines()[0] == f"# yaml-language-server: $schema={SCHEMA.as_uri()}"
    spec: dict[str, object] = yaml.safe_load(text)
    # As an editor would; the authorisation is left to a person.
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_bytes())).validate(spec)
    return spec


def test_the_readme_s_layout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_models(tmp_path / "models")
    tiny_generator(tmp_path / "models" / "my generator.onnx")
    folders(tmp_path / "candidates", 0, side=112)
    folders(tmp_path / "cohort", 50, side=112)
    (tmp_path / "candidates" / "p0" / "notes.txt").write_text("no photo", encoding="utf-8")
    (tmp_path / "candidates" / "p1" / "1.png").write_text("<html>404</html>", encoding="utf-8")
    (tmp_path / "labels.csv").write_text("identity,member\np0,1\np1,0\n", encoding="utf-8")
    monkeypatch.delenv("IDLEAK_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    assert main(["init", "models/my generator.onnx", "candidates", "cohort"]) == ExitCode.OK
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1] == "Next: idleak plan audit.yaml"
    assert "generator.output: 3×32×32, nchw, range [-1.0, 1.0]" in printed
    assert "candidate: 12 people, 24 photos" in printed
    assert "candidate: left out: 1 file, no image by name or first bytes" in printed
    assert "det.onnx finds a face in 47 of 48 photos; the detector's family is SCRFD" in printed
    assert "WARNING: 1 of these photos are no images: it is a web page" in printed
    assert "passed over: 1k3d68.onnx: neither a detector nor a recogniser" in printed
    assert "to be checked by you: authorisation" in printed
    assert "export IDLEAK_KEY=" in printed
    spec = yaml.safe_load((tmp_path / "audit.yaml").read_text(encoding="utf-8"))
    assert spec["generator"]["path"] == "models/my generator.onnx"
    assert spec["generator"]["latent"] == {"dim": 8, "distribution": "normal"}
    assert spec["faces"]["detector"] == {"path": "models/det.onnx", "sizes": [64]}
    assert spec["gallery"]["candidates"] == {"images": "candidates"}
    assert spec["gallery"]["labels"] == "labels.csv"
    monkeypatch.setenv("IDLEAK_KEY", KEY)
    assert main(["plan", "audit.yaml"]) == ExitCode.OK
    assert main(["init", "models/my generator.onnx", "candidates", "cohort"]) == ExitCode.BAD_SPEC
    assert "audit.yaml is there already: give another --output" in capsys.readouterr().err


def test_nothing_is_left_of_a_spec_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As of a full disk, or of a folder that was taken away meanwhile."""
    save_models(tmp_path / "models")
    tiny_generator(tmp_path / "generator.onnx")
    folders(tmp_path / "candidates", 0, side=112)
    folders(tmp_path / "cohort", 50, side=112)
    monkeypatch.chdir(tmp_path)

    def cut_off(path: Path) -> None:
        assert path.is_file()
        raise SpecError("the spec cannot be read")

    monkeypatch.setattr("jobs.init.load_spec", cut_off)
    assert main(["init", "generator.onnx", "candidates", "cohort"]) == ExitCode.BAD_SPEC
    assert capsys.readouterr().err.splitlines()[-1] == "idleak: the spec cannot be read"
    assert not list(tmp_path.glob("*.yaml*"))


def test_images_of_a_generator_and_one_folder_of_flat_sides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "made").mkdir()
    for index in range(40):
        photo(200 + index, 0).save(tmp_path / "made" / f"{index}.png")
    save_models(tmp_path / "elsewhere")
    flat(tmp_path / "people" / "candidates", 0)
    flat(tmp_path / "people" / "cohort", 50)
    spec = init(tmp_path, ["made", "people", "--models", "elsewhere"], monkeypatch)
    assert spec["generator"] == {"kind": "images", "path": "made"}
    assert spec["samples"] == 40
    gallery = {side: {"kind": "flat", "path": f"people/{side}"} for side in ("candidates", "cohort")}
    assert spec["gallery"] == gallery


def test_templates_of_a_generator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_models(tmp_path / "models")
    np.save(tmp_path / "served.npy", np.random.default_rng(0).normal(size=(40, 64)))
    folders(tmp_path / "candidates", 0)
    folders(tmp_path / "cohort", 50)
    spec = init(tmp_path, ["served.npy", "candidates", "cohort"], monkeypatch)
    assert spec["generator"] == {"kind": "templates", "path": "served.npy"} and spec["samples"] == 40


def test_a_list_a_recordio_and_a_spec_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_models(tmp_path / "models")
    tiny_generator(tmp_path / "g.onnx")
    celeba(tmp_path / "celeba", 100)
    (tmp_path / "ms1m").mkdir()
    recordio(tmp_path / "ms1m" / "train.rec", 500)
    (tmp_path / "specs").mkdir()
    words = ["g.onnx", "celeba", "ms1m", "--output", "specs/a.yaml"]
    init(tmp_path, words, monkeypatch)
    gallery = load_spec(tmp_path / "specs" / "a.yaml").gallery
    images, table = (str(tmp_path / "celeba" / name) for name in ("img_align_celeba", "identity_CelebA.txt"))
    given = gallery.candidates.model_dump()
    assert (given["kind"], given["path"], given["list"]) == ("list", images, table)
    assert gallery.cohort.model_dump()["path"] == str(tmp_path / "ms1m" / "train.rec")


def test_a_state_dict_beside_its_code_is_a_spec_but_for_what_only_a_person_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_models(tmp_path / "models")
    folders(tmp_path / "candidates", 0)
    folders(tmp_path / "cohort", 50)
    package(tmp_path / "code")
    torch.save(Plain().state_dict(), tmp_path / "netG.pth")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IDLEAK_KEY", KEY)
    assert main(["init", "netG.pth", "candidates", "cohort"]) == ExitCode.OK
    output = capsys.readouterr().out
    assert "generator.trust (of the folder `code`): read the code, since it is run" in output
    assert "generator.latent.distribution: what the training drew latents from" in output
    generator = yaml.safe_load((tmp_path / "audit.yaml").read_text(encoding="utf-8"))["generator"]
    assert generator["code"] == "code" and generator["weights"] == "netG.pth"
    assert generator["factory"] in output or "generator.factory: `package.module:name`" in output
    assert main(["plan", "audit.yaml"]) == ExitCode.BAD_SPEC
    assert "sha256:" in capsys.readouterr().err.splitlines()[-1]


def test_photos_of_telephones_and_a_network_pickle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pillow_heif: Any = pytest.importorskip("pillow_heif")
    save_models(tmp_path / "models")
    folders(tmp_path / "cohort", 50)
    for person, number in np.ndindex(PEOPLE, PHOTOS):
        (tmp_path / "candidates" / f"p{person}").mkdir(parents=True, exist_ok=True)
        path = tmp_path / "candidates" / f"p{person}" / f"IMG_{number}.HEIC"
        pillow_heif.from_pillow(photo(person, number)).save(path)
    (tmp_path / "ffhq.pkl").write_bytes(pickle.dumps({"G_ema": None}))
    checkout(tmp_path / "stylegan3")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IDLEAK_KEY", KEY)
    assert main(["init", "ffhq.pkl", "candidates", "cohort"]) == ExitCode.OK
    output = capsys.readouterr().out
    assert "finds a face in 48 of 48 photos" in output and "generator.code:" not in output
    assert "Next: decide what stands above; then idleak plan audit.yaml" in output
    assert main(["plan", "audit.yaml"]) == ExitCode.BAD_SPEC
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "stylegan3 is code, which would run here" in error


@pytest.mark.parametrize(
    ("low", "high", "range_"),
    [
        (-0.98, 0.97, (-1, 1)),
        (-0.02, 0.02, (-1, 1)),
        (-0.9, 0.1, (-1, 1)),
        (0.03, 0.8, (0, 1)),
        (-0.07, 1.15, (0, 1)),
        (1.0, 254.0, (0, 255)),
        (-12.0, 270.0, (0, 255)),
        (-9.0, 9.0, (-1, 1)),
    ],
)
def test_the_range_of_a_generator_s_values(low: float, high: float, range_: tuple[float, float]) -> None:
    assert likely_range(low, high) == range_


REFUSED: Mapping[str, tuple[Sequence[str], str]] = {
    "no cohort": (["g.onnx", "candidates"], "give a second source of people, the cohort"),
    "no models": (
        ["g.onnx", "candidates", "cohort", "--models", "empty"],
        "no detector and no recogniser",
    ),
    "no folder": (["g.onnx", "candidates", "nowhere"], "there is no file or folder nowhere"),
    "no people": (["g.onnx", "candidates", "empty"], "no source of people that idleak knows"),
    "no generator": (["models/w.bin", "candidates", "cohort"], "of no kind that idleak knows"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_found_out_is_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_models(tmp_path / "models")
    (tmp_path / "models" / "w.bin").write_bytes(os.urandom(100))
    tiny_generator(tmp_path / "g.onnx")
    (tmp_path / "empty").mkdir()
    folders(tmp_path / "candidates", 0)
    folders(tmp_path / "cohort", 50)
    monkeypatch.chdir(tmp_path)
    words, message = REFUSED[name]
    assert main(["init", *words]) == ExitCode.BAD_SPEC
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "audit.yaml").exists()


def test_a_csv_beside_folders_of_people_is_no_list(tmp_path: Path) -> None:
    folders(tmp_path / "people", 0)
    (tmp_path / "people" / "notes.csv").write_text("identity,age\np0,30\n", encoding="utf-8")
    assert people_block(tmp_path / "people") == {"images": str(tmp_path / "people")}
    with pytest.raises(SpecError, match="no source of people"):
        people_block(tmp_path / "people" / "notes.csv")
