"""Whole audits of generators that are code: they crash and misbehave, and cost no more than an attempt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from PIL import Image
from torch import nn

from distributed.sampling.adapters import open_generator
from distributed.sampling.sandbox.trust import code_digests
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from schemas.run.artefacts import REPORT_FILE
from tests.support.networks import exported, package, torchscript
from tests.support.pages import Page
from tests.support.people import pseudonyms
from tests.support.small_world import (
    DIM,
    LANDMARKS,
    MEMBERS,
    PHOTOS,
    SEED,
    SIZE,
    SmallWorld,
    default_spec,
    file_bytes,
)
from tests.support.stand_in import checkout, network

MEMBER_NAMES = set(pseudonyms(f"person-{index:03d}" for index in range(MEMBERS)))
SOURCE = """
import os
import numpy as np
import torch
from torch import nn

class Copy(nn.Module):
    def __init__(self, weights):
        super().__init__()
        self.weights = nn.Parameter(torch.from_numpy(np.load(weights)))

    def forward(self, z):
        MISBEHAVE
        return torch.tanh(z @ self.weights).reshape(-1, 3, SIZE, SIZE)

def make(weights):
    return Copy(weights)
"""


@pytest.fixture
def weights(small_world: SmallWorld) -> Path:
    """Those of the small world's generator."""
    model = onnx.load(str(small_world.folder / "generator.onnx"))
    path = small_world.folder / "weights.npy"
    (weight,) = (tensor for tensor in model.graph.initializer if tensor.name == "w")
    np.save(path, numpy_helper.to_array(weight))
    return path


def spec_of(small_world: SmallWorld, weights: Path, misbehave: str = "pass", **changes: Any) -> str:
    source = SOURCE.replace("SIZE", str(SIZE)).replace("MISBEHAVE", misbehave)
    code = package(small_world.folder / "code", source)
    generator = {
        "kind": "module",
        "code": "code",
        "factory": "tiny_faces.net:make",
        "arguments": {"weights": str(weights)},
        "latent": {"dim": DIM},
    }
    bare = small_world.spec(generator=generator)
    trust = [code_digests(bare.generator)[str(code)]]
    return str(small_world.spec_path(generator=generator | {"trust": trust}, **changes))


def flagged(small_world: SmallWorld) -> set[str]:
    scores = pq.read_table(small_world.run / "scores.parquet").to_pylist()
    return {row["identity"] for row in scores if row["verdict"] == "leaked" and row["score_name"] == "max"}


class Twin(nn.Module):
    """The network of the small world's ONNX file: latents N × DIM to images N × 3 × SIZE × SIZE."""

    def __init__(self, weights: NDArray[np.float32]) -> None:
        super().__init__()
        self.size = SIZE
        self.weights = nn.Parameter(torch.from_numpy(weights))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return torch.tanh(z @ self.weights).reshape(-1, 3, self.size, self.size)


@pytest.mark.slow
@pytest.mark.usefixtures("in_process")
def test_code_finds_whom_its_onnx_twin_finds_and_a_report_runs_no_other_code(
    small_world: SmallWorld, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", spec_of(small_world, weights)]) == ExitCode.OK
    assert flagged(small_world) == MEMBER_NAMES
    with_faces = ["report", str(small_world.run), "--with-faces"]
    assert main(with_faces) == ExitCode.OK
    page = (small_world.run / REPORT_FILE).read_text(encoding="utf-8")
    assert sum(image.startswith("data:image/png") for image in Page(page).images) > MEMBERS
    spec_of(small_world, weights, "pass  # and no more")
    capsys.readouterr()
    assert main(with_faces) == ExitCode.BAD_SPEC
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "is code, which would run here" in err
    assert (small_world.run / REPORT_FILE).read_text(encoding="utf-8") == page


@pytest.mark.usefixtures("in_process")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["torchscript", "torch_export"])
def test_a_saved_network_finds_whom_its_onnx_twin_finds(
    small_world: SmallWorld, weights: Path, kind: str
) -> None:
    path = {"torchscript": torchscript, "torch_export": exported}[kind](
        small_world.folder / "saved", Twin(np.load(weights))
    )
    generator = {"kind": kind, "path": str(path), "latent": {"dim": DIM}}
    trust = list(code_digests(small_world.spec(generator=generator).generator).values())
    assert main(["audit", str(small_world.spec_path(generator=generator | {"trust": trust}))]) == ExitCode.OK
    assert flagged(small_world) == MEMBER_NAMES


@pytest.mark.usefixtures("in_process")
@pytest.mark.slow
def test_people_whose_photos_a_network_pickle_makes_are_found(small_world: SmallWorld) -> None:
    code = checkout(small_world.folder / "checkout")
    generator = {"kind": "stylegan", "path": str(network(code)), "code": str(code), "seeds": "nvlabs"}
    trust = list(code_digests(small_world.spec(generator=generator).generator).values())
    changes: dict[str, Any] = {"generator": generator | {"trust": trust}}
    landmarks = ((np.array(LANDMARKS) + 0.5) * 8 / SIZE - 0.5).tolist()
    changes["faces"] = default_spec()["faces"] | {"landmarks": landmarks}
    source = open_generator(small_world.spec(**changes).generator, SEED, device="cpu", threads=1)
    for place, image in enumerate(source.sample(np.arange(MEMBERS * PHOTOS) * 9)):
        person, photo = divmod(place, PHOTOS)
        path = small_world.folder / "candidates" / f"person-{person:03d}" / f"{photo}.png"
        Image.fromarray(np.asarray(cv2.resize(np.asarray(image, np.uint8), (112, 112)), np.uint8)).save(path)
    assert main(["audit", str(small_world.spec_path(**changes))]) == ExitCode.OK
    assert flagged(small_world) == MEMBER_NAMES


@pytest.mark.usefixtures("ray_session")
@pytest.mark.slow
def test_a_crash_costs_an_attempt_and_no_byte(small_world: SmallWorld, weights: Path) -> None:
    # The code can write nothing that its next process would find, but it can change a mode.
    flag = small_world.folder / "crashed"
    flag.touch(0o600)
    again = f"os.stat({str(flag)!r}).st_mode & 0o100 == 0"
    crash = f"if len(z) > 30 and {again}: os.chmod({str(flag)!r}, 0o700); os.abort()"
    assert main(["sample", spec_of(small_world, weights, crash)]) == ExitCode.OK
    assert flag.stat().st_mode & 0o100
    crashed = file_bytes(small_world.run / "samples")
    assert (
        main(["sample", spec_of(SmallWorld(small_world.folder), weights, crash, output="runs/again")])
        == ExitCode.OK
    )
    assert file_bytes(small_world.folder / "runs" / "again" / "samples") == crashed


@pytest.mark.usefixtures("in_process")
def test_a_run_whose_images_are_bad_fails_with_the_reason(
    small_world: SmallWorld, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = "z = z.clone(); z[::10] = float('nan')"
    spec = spec_of(small_world, weights, bad)
    assert main(["sample", spec]) == ExitCode.FAILED
    err = capsys.readouterr().err
    assert "values that are no numbers" in err and "limits.invalid_samples, 1.00%" in err
    assert (
        main(["sample", spec_of(small_world, weights, bad, limits={"invalid_samples": 0.2})]) == ExitCode.OK
    )
    outcomes = pq.read_table(small_world.run / "samples")["outcome"].to_pylist()
    assert 60 <= outcomes.count("not_finite") <= 120 and len(outcomes) == 600


def test_code_that_is_not_trusted_stops_the_audit_before_anything_runs(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    package(small_world.folder / "code")
    generator = {"kind": "module", "code": "code", "factory": "tiny_faces.net:make", "latent": {"dim": DIM}}
    assert main(["audit", str(small_world.spec_path(generator=generator))]) == ExitCode.BAD_SPEC
    assert "generator.trust is empty" in capsys.readouterr().err
    assert not small_world.run.exists() or not list(small_world.run.rglob("*.parquet"))
