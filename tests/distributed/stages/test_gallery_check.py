"""A recogniser that cannot tell the gallery's people apart is refused before the long work."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from distributed.gallery.quality import GalleryQuality, face_share
from distributed.statistics.people.separation import Quality
from distributed.storage.results_file import read_results
from distributed.storage.store import RunStore
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from jobs.pages.finished_run import read_finished
from jobs.pages.page import GOOD, OPEN
from jobs.pages.report.summary import summary_of
from schemas.run.artefacts import GALLERY_FILE, RESULTS_FILE
from schemas.run.tables import Outcome, Verdict, template_column
from tests.support.assets import ASSETS, MODELS, needs_assets
from tests.support.models import periodic_recognizer, tiny_recognizer
from tests.support.small_world import (
    CANDIDATES,
    COHORT,
    SmallWorld,
    default_spec,
    photos_of_a_person,
    save_photos,
)

pytestmark = pytest.mark.usefixtures("in_process")

RAW = {"mean": 0, "std": 1}


def faces(*recognizers: dict[str, Any]) -> dict[str, Any]:
    return {**default_spec()["faces"], "recognizers": list(recognizers)}


def periodic(world: SmallWorld, **given: Any) -> dict[str, Any]:
    """A recogniser made for small inputs, under the preprocessing of `given`."""
    periodic_recognizer(world.folder / "periodic.onnx")
    return {"name": "periodic", "path": "periodic.onnx", "input": given}


def inputs_named(line: str) -> list[dict[str, Any]]:
    return [yaml.safe_load(text) for text in re.findall(r"input: ({[^}]*})", line)]


def refusal(capsys: pytest.CaptureFixture[str], spec: Path, job: str = "audit") -> str:
    """The one line that says why the job ends with the code of a bad spec."""
    capsys.readouterr()
    assert main([job, str(spec)]) == ExitCode.BAD_SPEC
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("idleak:")]
    assert len(lines) == 1
    return lines[0]


def keep_one_photo(world: SmallWorld) -> None:
    for photo in world.folder.glob("*/*/1.png"):
        photo.unlink()


def take_photos_again(world: SmallWorld, noise: float) -> None:
    """Other photos of everybody but the members, in which people differ from themselves by `noise`."""
    random = np.random.default_rng(1)
    others = [f"candidates/person-{index:03d}" for index in range(5, CANDIDATES)]
    for name in [*others, *(f"cohort/other-{index:03d}" for index in range(COHORT))]:
        shutil.rmtree(world.folder / name)
        save_photos(world.folder / name, photos_of_a_person(random, noise))


def test_a_wrong_preprocessing_is_refused_before_the_sampling_and_the_right_one_named(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refusal(capsys, small_world.spec_path(faces=faces(periodic(small_world, **RAW))))
    assert "recogniser periodic does not tell the gallery's people apart: TAR 0.0" in line
    assert "below 0.5" in line and "correct faces.recognizers.input" in line
    assert not (small_world.run / "samples").exists() and not (small_world.run / GALLERY_FILE).exists()
    # What the message names works, and the corrected spec runs in the same place.
    named = inputs_named(line)[0]
    assert named["std"] != 1
    assert main(["audit", str(small_world.spec_path(faces=faces(periodic(small_world, **named))))]) == 0
    measured = read_results(RunStore(str(small_world.run))).recognizers[0].separation
    assert measured is not None and measured.quality == "good"


def test_each_recogniser_that_fails_is_named_and_none_that_does_not(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    sound, broken = default_spec()["faces"]["recognizers"][0], periodic(small_world, **RAW)
    second = broken | {"name": "second", "input": RAW | {"channels": "bgr"}}
    line = refusal(capsys, small_world.spec_path(faces=faces(sound, broken, second)))
    assert "recogniser periodic does not" in line and "recogniser second does not" in line
    assert "tiny" not in line and len(inputs_named(line)) == 4


def test_without_a_second_photo_of_anybody_it_is_refused_for_people_all_alike(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_one_photo(small_world)
    tiny_recognizer(small_world.folder / "raw.onnx", grey=127.5)
    raw = {"name": "raw", "path": "raw.onnx"}
    line = refusal(capsys, small_world.spec_path(faces=faces(raw)))
    assert "photos of different people have a mean cosine of 1.000, above 0.6" in line
    assert all(given.items() >= RAW.items() for given in inputs_named(line)) and "the mean cosine is" in line
    right = faces(raw | {"input": RAW})
    assert main(["audit", str(small_world.spec_path(faces=right))]) == ExitCode.OK
    measured = read_results(RunStore(str(small_world.run))).recognizers[0].separation
    assert measured is not None and measured.mated is None and abs(measured.non_mated_mean) < 0.1
    assert measured.people == CANDIDATES + COHORT
    assert "no TAR, as fewer than two people have two photos" in capsys.readouterr().out


def test_photos_that_no_preprocessing_helps_name_the_crop(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    take_photos_again(small_world, noise=2000)
    line = refusal(capsys, small_world.spec_path())
    assert "none of the usual preprocessings of tiny helps" in line
    assert "the crop is the likely cause" in line and "gallery.detector: false" in line


def test_a_weak_recogniser_is_a_warning_wherever_results_are_shown(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    take_photos_again(small_world, noise=50)
    assert main(["audit", str(small_world.spec_path())]) == ExitCode.OK
    printed = capsys.readouterr()
    store = RunStore(str(small_world.run))
    results = read_results(store)
    measured = results.recognizers[0].separation
    assert measured is not None and measured.quality == "weak"
    assert measured.mated is not None and 0.5 < measured.mated.tar.value < 0.9
    assert measured.mated.tar.low < measured.mated.tar.value < measured.mated.tar.high
    warning = "recogniser tiny tells the gallery's people apart poorly"
    assert [gallery_warning.startswith(warning) for gallery_warning in results.gallery_warnings] == [True]
    # Before the long sampling, and among the findings.
    assert f"warning: {warning}" in printed.out
    assert printed.err.index(f"warning: {warning}") < printed.err.index("sampling:")
    summary = summary_of(read_finished(store), with_faces=False)
    assert summary.open_questions[0].startswith("Recogniser tiny tells the gallery's people apart poorly")


def test_an_all_clear_by_a_weak_recogniser_is_not_green(finished_world: SmallWorld) -> None:
    store = RunStore(str(finished_world.run))
    results = read_results(store)
    assert results.gallery_warnings == []
    verdicts = {Verdict.LEAKED: 0, Verdict.NOT_DETECTED: CANDIDATES, Verdict.INCONCLUSIVE: 0}
    scores = [score.model_copy(update={"verdicts": verdicts}) for score in results.scores]
    for warnings, tone in (([], GOOD), (["recogniser tiny is poor"], OPEN)):
        changed = results.model_copy(update={"scores": scores, "gallery_warnings": warnings})
        store.write(RESULTS_FILE, changed.model_dump_json().encode())
        assert summary_of(read_finished(store), with_faces=False).tone == tone


def break_gallery(world: SmallWorld) -> None:
    """Templates of `gallery.parquet` that are all alike, as an earlier version enrolled them."""
    store = RunStore(str(world.run))
    table, column = store.read_table(GALLERY_FILE), template_column("tiny")
    random = np.random.default_rng(0)
    kind = table.schema.field(column).type
    rows = (1 + 0.01 * random.standard_normal((table.num_rows, kind.list_size))).astype(np.float16)
    alike = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), type=kind)
    changed = table.set_column(table.schema.get_field_index(column), table.schema.field(column), alike)
    store.write_table(GALLERY_FILE, changed, store.read_footer(GALLERY_FILE))


def test_an_earlier_gallery_is_measured_though_there_are_no_photos_to_try(
    finished_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    break_gallery(finished_world)
    side = {"parquet": "runs/audit/gallery.parquet"}
    gallery = {"candidates": side, "cohort": side, "detector": False}
    spec = finished_world.spec_path("second", gallery=gallery)
    for job in ("audit", "plan"):
        line = refusal(capsys, spec, job)
        assert "recogniser tiny does not" in line and "instead of an earlier gallery.parquet" in line


def test_results_that_did_not_measure_it_are_made_anew_and_a_blind_audit_refused(
    finished_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = finished_world.spec_path()
    path = finished_world.run / RESULTS_FILE
    earlier = json.loads(path.read_text())
    del earlier["recognizers"][0]["separation"], earlier["gallery_warnings"]
    path.write_text(json.dumps(earlier))
    assert main(["audit", str(spec)]) == ExitCode.OK
    measured = read_results(RunStore(str(finished_world.run))).recognizers[0].separation
    assert measured is not None and measured.quality == "good"
    path.write_text(json.dumps(earlier))
    break_gallery(finished_world)
    for job in ("audit", "enroll", "reduce"):
        assert "recogniser tiny does not" in refusal(capsys, spec, job)


def photos_with(detected: int, missed: int) -> pa.Table:
    scores = pa.array([0.9] * detected + [None] * missed, pa.float32())
    outcome = [Outcome.OK] * detected + [Outcome.NO_FACE] * missed
    return pa.table({"outcome": pa.array([str(value) for value in outcome]), "detection_score": scores})


@pytest.mark.parametrize(
    ("detected", "missed", "quality"),
    [(100, 0, Quality.GOOD), (80, 20, Quality.GOOD), (50, 50, Quality.WEAK), (3, 97, Quality.UNUSABLE)],
)
def test_the_detectors_share_of_photos_is_judged(detected: int, missed: int, quality: Quality) -> None:
    share = face_share(photos_with(detected, missed))
    assert share is not None and (share.with_face, share.searched) == (detected, detected + missed)
    assert share.quality is quality
    warnings = GalleryQuality({}, share).warnings()
    assert len(warnings) == (quality is not Quality.GOOD)
    assert all(f"a face was found in {detected} of 100 photos" in warning for warning in warnings)


def test_three_photos_without_a_face_are_no_reason_to_refuse() -> None:
    share = face_share(photos_with(0, 3))
    assert share is not None and share.quality is Quality.WEAK


def test_aligned_crops_have_no_share_of_faces() -> None:
    crops = pa.table({"outcome": ["ok", "invalid_image"], "detection_score": pa.nulls(2, pa.float32())})
    assert face_share(crops) is None


def copy_people(folder: Path, side: str, people: int, photos: int) -> None:
    for person in sorted((ASSETS / "faces" / side).iterdir())[:people]:
        (folder / side / person.name).mkdir(parents=True)
        for photo in sorted(person.glob("*.jpg"))[:photos]:
            shutil.copyfile(photo, folder / side / person.name / photo.name)


@pytest.mark.assets
@needs_assets
@pytest.mark.slow
@pytest.mark.parametrize("model", ["mobilefacenet_y1", "omz_reid_0095"])
def test_a_real_recogniser_under_rgb_and_127_5_is_refused(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str], model: str
) -> None:
    """The fault that ended with exit 0 and "Nobody of 5 people was found exposed"."""
    shutil.rmtree(small_world.folder / "candidates")
    shutil.rmtree(small_world.folder / "cohort")
    copy_people(small_world.folder, "candidates", 5, 2)
    copy_people(small_world.folder, "cohort", 40, 2)
    detector = {"path": str(MODELS / "det_500m.onnx"), "sizes": [160]}
    gallery = {"candidates": {"images": "candidates"}, "cohort": {"images": "cohort"}}

    def spec(**given: Any) -> Path:
        recognizer = {"name": "real", "path": str(MODELS / f"{model}.onnx"), "input": given}
        changed = faces(recognizer) | {"detector": detector}
        return small_world.spec_path(faces=changed, gallery=gallery)

    line = refusal(capsys, spec(channels="rgb", mean=127.5, std=127.5))
    assert "recogniser real does not tell the gallery's people apart: TAR 0.0" in line
    first = line.split("with input: ")[1]
    assert first.startswith("{channels: bgr, mean: 0, std: 1} TAR is ")
    assert not (small_world.run / "samples").exists()
    assert main(["enroll", str(spec(channels="bgr", mean=0, std=1))]) == ExitCode.OK
    printed = capsys.readouterr()
    assert "recogniser real: TAR 0.9" in printed.out or "recogniser real: TAR 1.00" in printed.out
    assert "warning" not in printed.err
