"""What is inferred of a detector is said before an audit, and kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from schemas.run.record import RunRecord
from tests.support.small_world import SmallWorld
from tests.support.tiny_detectors import retinaface, yunet
from tests.support.tiny_models import save


def with_detector(world: SmallWorld, **detector: object) -> Path:
    faces = {
        "recognizers": [{"name": "tiny", "path": "recognizer.onnx"}],
        "detector": {"path": "d.onnx", **detector},
    }
    return world.spec_path(samples=4, shard_size=4, faces=faces)


@pytest.mark.usefixtures("in_process")
def test_the_record_says_which_family_a_detector_is_of(small_world: SmallWorld) -> None:
    save(yunet(640), small_world.folder / "d.onnx")
    assert main(["sample", str(with_detector(small_world, sizes=[64]))]) == ExitCode.OK
    text, *others = RunRecord.model_validate_json((small_world.run / "run.json").read_bytes()).faces
    assert others == [
        "licence of the detector: not stated",
        "licence of the recognizer tiny: not stated",
    ]
    assert text == (
        "the detector's family is YuNet, by its 12 outputs: it is given bgr mean (0, 0, 0) std 1, and boxes "
        "that overlap by more than 0.3 are of one face"
    )


def test_plan_refuses_a_size_that_the_detector_does_not_take(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    save(retinaface(fixed=64), small_world.folder / "d.onnx")
    assert main(["plan", str(with_detector(small_world))]) == ExitCode.BAD_SPEC
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.endswith("set faces.detector.sizes to [64], or export it with free height and width")
