"""Model paths and packs. Nothing here needs a network: the download's failure is a real one."""

from __future__ import annotations

import time
from pathlib import Path

import onnx
import pytest
from onnx import helper

from distributed.embedding import zoo
from distributed.embedding.zoo import resolve_model
from schemas.errors import ModelError
from tests.support.tiny_detectors import retinaface
from tests.support.tiny_models import flattener, make_model, save


def detector_like() -> onnx.ModelProto:
    names = [f"out{i}" for i in range(9)]
    nodes = [helper.make_node("Relu", ["x"], [name]) for name in names]
    return make_model(nodes, shape=(1, 3, "h", "w"), outputs={name: (1, 3, "h", "w") for name in names})


def unpack(folder: Path) -> Path:
    """A pack as buffalo_l is laid out: landmarks, attributes, detection, recognition."""
    folder.mkdir(parents=True)
    for name, side in (("1k3d68", 192), ("genderage", 96), ("w600k_r50", 112)):
        save(flattener(shape=(1, 3, side, side)), folder / f"{name}.onnx")
    save(detector_like(), folder / "det_10g.onnx")
    return folder


def test_a_path_is_taken_as_it_is() -> None:
    assert resolve_model("models/a.onnx", task="recognition") == Path("models/a.onnx")
    assert resolve_model("/abs/a.onnx", task="detection") == Path("/abs/a.onnx")


@pytest.mark.parametrize("inner", ["", "buffalo_l"])
def test_a_pack_that_is_there_is_searched(tmp_path: Path, inner: str) -> None:
    folder = unpack(tmp_path / "models" / "buffalo_l" / inner)
    model = resolve_model("insightface:buffalo_l", task="recognition", root=tmp_path)
    assert model == folder / "w600k_r50.onnx"
    model = resolve_model("insightface:buffalo_l", task="detection", root=tmp_path)
    assert model == folder / "det_10g.onnx"


@pytest.mark.parametrize("inner", ["", "antelopev2"])
def test_a_folder_is_searched_and_macos_s_files_are_passed_over(tmp_path: Path, inner: str) -> None:
    folder = unpack(tmp_path / "antelopev2" / inner)
    for name in ("det_10g", "w600k_r50"):
        (folder / f"._{name}.onnx").write_bytes(b"\x00\x05\x16\x07 Mac OS X")
    (tmp_path / "antelopev2" / "._antelopev2.onnx").write_bytes(b"\x00\x05\x16\x07")
    pack = str(tmp_path / "antelopev2")
    assert resolve_model(pack, task="recognition") == folder / "w600k_r50.onnx"
    assert resolve_model(pack, task="detection") == folder / "det_10g.onnx"


def test_a_retinaface_is_no_recogniser(tmp_path: Path) -> None:
    save(retinaface(fixed=640), tmp_path / "a.onnx")
    save(flattener(shape=(1, 3, 112, 112)), tmp_path / "b.onnx")
    assert resolve_model(str(tmp_path), task="detection") == tmp_path / "a.onnx"
    assert resolve_model(str(tmp_path), task="recognition") == tmp_path / "b.onnx"


def test_the_licence_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    unpack(tmp_path / "models" / "told")
    for _ in range(2):
        resolve_model("insightface:told", task="recognition", root=tmp_path)
    assert [record.message for record in caplog.records if "non-commercial" in record.message] != []
    assert len(caplog.records) == 1


def test_a_pack_without_the_task_is_refused(tmp_path: Path) -> None:
    (tmp_path / "models" / "empty").mkdir(parents=True)
    with pytest.raises(ModelError, match="holds no detection model: give the path"):
        resolve_model("insightface:empty", task="detection", root=tmp_path)


def test_a_failed_download_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A proxy at a closed port: the failure is real, and the same with and without a network.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    start = time.monotonic()
    with pytest.raises(
        ModelError, match=r"cannot download insightface:buffalo_l .*connected machine"
    ) as caught:
        resolve_model("insightface:buffalo_l", task="recognition", root=tmp_path)
    assert time.monotonic() - start < 20
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "models" / "buffalo_l") in str(caught.value)
    assert not (tmp_path / "models" / "buffalo_l").exists()


def test_the_first_of_two_downloads_wins(tmp_path: Path) -> None:
    there = unpack(tmp_path / "models" / "pack")
    late = unpack(tmp_path / "partial" / "pack")
    (late / "late.onnx").touch()
    zoo._put_in_place(late, there)
    assert not (there / "late.onnx").exists()
