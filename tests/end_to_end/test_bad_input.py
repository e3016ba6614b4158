"""Every bad input: one line that says what to do, an exit code that is not 0, and nothing lost."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from tests.support.models import tiny_generator
from tests.support.people import pseudonym
from tests.support.small_world import COHORT, DIM, PHOTOS, SmallWorld, file_bytes

pytestmark = pytest.mark.usefixtures("in_process")


def refusal(capsys: pytest.CaptureFixture[str], spec: Path, job: str = "audit") -> tuple[int, str]:
    """The exit code, and the one line that says why."""
    capsys.readouterr()
    code = main([job, str(spec)])
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("idleak:")]
    assert len(lines) == 1, lines
    assert "Traceback" not in lines[0]
    return code, lines[0]


def test_a_wrong_key(small_world: SmallWorld, capsys: pytest.CaptureFixture[str]) -> None:
    code, line = refusal(capsys, small_world.spec_path(sample=3))
    assert code == ExitCode.BAD_SPEC
    assert "sample: no such key" in line


def test_a_missing_spec(small_world: SmallWorld, capsys: pytest.CaptureFixture[str]) -> None:
    code, line = refusal(capsys, small_world.folder / "nowhere.yaml")
    assert code == ExitCode.BAD_SPEC and "nowhere.yaml" in line


@pytest.mark.parametrize("name", ["generator.onnx", "recognizer.onnx"])
def test_a_missing_model(small_world: SmallWorld, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (small_world.folder / name).unlink()
    code, line = refusal(capsys, small_world.spec_path())
    assert code == ExitCode.BAD_SPEC
    assert name in line and "correct the path" in line


@pytest.mark.parametrize("name", ["generator.onnx", "recognizer.onnx"])
@pytest.mark.parametrize("keep", [0, 100, -50])
def test_a_truncated_model(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str], name: str, keep: int
) -> None:
    path = small_world.folder / name
    path.write_bytes(path.read_bytes()[:keep])
    code, line = refusal(capsys, small_world.spec_path())
    assert code == ExitCode.BAD_SPEC
    assert name in line and "truncated" in line


def test_a_generator_of_the_wrong_output_shape(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    generator = {
        "kind": "onnx",
        "path": "generator.onnx",
        "latent": {"dim": DIM},
        "output": {"layout": "nhwc", "range": [-1, 1], "channels": "rgb"},
    }
    code, line = refusal(capsys, small_world.spec_path(generator=generator))
    assert code == ExitCode.BAD_SPEC
    assert "generator.onnx" in line and "layout" in line


def test_a_generator_of_another_latent_length(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_generator(small_world.folder / "generator.onnx", dim=DIM + 1)
    code, line = refusal(capsys, small_world.spec_path())
    assert code == ExitCode.BAD_SPEC
    assert f"generator.latent.dim to it, not {DIM}" in line


def test_a_corrupt_photo_is_listed_and_the_others_are_kept(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = small_world.folder / "cohort" / "other-003" / "1.png"
    photo.write_bytes(photo.read_bytes()[:200])
    assert main(["enroll", str(small_world.spec_path())]) == ExitCode.OK
    printed = capsys.readouterr().out
    assert re.search(
        rf"refused \(invalid_image\): cohort {pseudonym('other-003')}/\w+: .*not a readable image\n", printed
    )
    assert "other-003" not in printed
    total = 20 * PHOTOS + COHORT * PHOTOS
    assert f"{total - 1} of {total} photos enrolled" in printed


@pytest.mark.parametrize("side", ["candidates", "cohort"])
def test_a_folder_without_images(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str], side: str
) -> None:
    shutil.rmtree(small_world.folder / side)
    (small_world.folder / side).mkdir()
    code, line = refusal(capsys, small_world.spec_path())
    assert code == ExitCode.BAD_SPEC
    assert f"{side} holds no images" in line


def test_what_is_no_photo_is_left_out_counted_and_named_on_request(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    cohort = small_world.folder / "cohort"
    (cohort / "nobody").mkdir()
    (cohort / "other-003" / "Thumbs.db").write_bytes(b"no image")
    (cohort / "beside.png").write_bytes((cohort / "other-003" / "0.png").read_bytes())
    spec = str(small_world.spec_path())
    for options in ([], ["--reveal"]):
        assert main(["enroll", spec, *options]) == ExitCode.OK
        printed = capsys.readouterr().out
        for text, name in (
            ("cohort: left out: 1 file beside the folders of people", "  beside.png\n"),
            ("cohort: left out: 1 folder without a photo", "  nobody\n"),
            ("cohort: left out: 1 file, no image by name or first bytes", "  other-003/Thumbs.db\n"),
        ):
            assert f"warning: {text}" in printed and (name in printed) is bool(options)
    assert main(["sample", spec]) == main(["reduce", spec]) == ExitCode.OK
    assert "cohort: left out: 1 folder without a photo" in (small_world.run / "run.json").read_text()


def test_an_output_that_is_no_folder(small_world: SmallWorld, capsys: pytest.CaptureFixture[str]) -> None:
    (small_world.folder / "taken").write_text("a file")
    code, line = refusal(capsys, small_world.spec_path(output="taken/run"))
    assert code == ExitCode.BAD_SPEC
    assert "taken" in line and "give a folder" in line
    assert (small_world.folder / "taken").read_text() == "a file"


def test_images_that_are_no_images(small_world: SmallWorld, capsys: pytest.CaptureFixture[str]) -> None:
    folder = small_world.folder / "generated"
    folder.mkdir()
    for index in range(20):
        (folder / f"{index}.png").write_bytes(np.random.default_rng(index).bytes(100))
    spec = small_world.spec_path(generator={"kind": "images", "path": "generated"}, samples=20)
    code, line = refusal(capsys, spec)
    assert code == ExitCode.FAILED
    assert "20 of 20 samples are no images" in line
    assert main(["enroll", str(spec)]) == ExitCode.OK
    code, line = refusal(capsys, spec, "reduce")
    assert code == ExitCode.FAILED
    assert "20 of 20 samples are no images" in line


def test_labels_that_cannot_serve_are_refused_before_the_long_work(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    (small_world.folder / "labels.csv").write_text("identity,member\nperson-001,1\nsomebody,0\n")
    code, line = refusal(capsys, small_world.spec_path())
    assert code == ExitCode.BAD_SPEC
    assert "labels 1 candidates as members and 0 as others" in line
    assert not (small_world.run / "samples").exists()


def test_more_samples_than_images(small_world: SmallWorld, capsys: pytest.CaptureFixture[str]) -> None:
    spec = small_world.spec_path(generator={"kind": "images", "path": "cohort"}, samples=5000)
    code, line = refusal(capsys, spec)
    assert code == ExitCode.BAD_SPEC and "lower samples from 5000" in line


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda world: {"seed": 8}, "seed is 7 there, 8 in this spec"),
        (lambda world: {"shard_size": 50}, "shard_size is 100 there, 50 in this spec"),
        (lambda world: _swap_generator(world), "generator.sha256"),
    ],
)
def test_a_run_of_another_spec_is_refused_and_kept(
    finished_world: SmallWorld,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[SmallWorld], dict[str, Any]],
    field: str,
) -> None:
    before = kept_files(finished_world)
    code, line = refusal(capsys, finished_world.spec_path(**change(finished_world)))
    assert code == ExitCode.REFUSED
    assert field in line
    assert kept_files(finished_world) == before


def kept_files(world: SmallWorld) -> dict[str, bytes]:
    """All but the trail, to which the attempt is added."""
    files = file_bytes(world.run, "**/*.*")
    return {path: data for path, data in files.items() if not path.startswith("trail/")}


def _swap_generator(world: SmallWorld) -> dict[str, Any]:
    tiny_generator(world.folder / "generator.onnx", dim=DIM, seed=99)
    return {}


def test_a_gallery_that_has_changed_is_refused_and_kept(
    finished_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    (finished_world.folder / "candidates" / "person-000" / "0.png").unlink()
    code, line = refusal(capsys, finished_world.spec_path(), "enroll")
    assert code == ExitCode.REFUSED and "gallery.photos" in line


def test_reduce_before_sample(small_world: SmallWorld, capsys: pytest.CaptureFixture[str]) -> None:
    code, line = refusal(capsys, small_world.spec_path(), "reduce")
    assert code == ExitCode.BAD_SPEC and "run `idleak sample` first" in line


@pytest.mark.usefixtures("on_ray")
def test_more_workers_than_the_machine_has(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    many = {"device": "cpu", "workers": 99, "threads_per_worker": 1}
    code, line = refusal(capsys, small_world.spec_path(resources=many))
    assert code == ExitCode.BAD_SPEC and "lower resources.workers" in line


@pytest.mark.usefixtures("on_ray")
def test_cuda_without_a_gpu_is_refused_never_replaced(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    cuda = {"device": "cuda", "workers": "auto", "threads_per_worker": "auto"}
    code, line = refusal(capsys, small_world.spec_path(resources=cuda))
    assert code == ExitCode.FAILED and "no GPU was found" in line


def test_an_unknown_job(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["adit"]) == ExitCode.BAD_SPEC
    assert "no such command 'adit'. Did you mean 'audit'?" in capsys.readouterr().err
