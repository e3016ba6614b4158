"""Factors crossed with samples: their columns, and what each setting shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from distributed.sampling.adapters import open_generator
from distributed.storage.results_file import read_results
from distributed.storage.store import RunStore
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from schemas.errors import SpecError
from schemas.spec.generators.base import Sweep
from tests.support.models import tiny_labelled_generator
from tests.support.small_world import DIM, MEMBERS, SIZE, SmallWorld

INPUTS = {
    "label": {"kind": "class", "classes": 2},
    "psi": {"kind": "number", "value": 1.0},
}


def generator(**changes: Any) -> dict[str, Any]:
    return {"kind": "onnx", "path": "labelled.onnx", "latent": {"dim": DIM}, "inputs": INPUTS} | changes


def test_settings_alternate_and_share_their_draws() -> None:
    sweep, ids = Sweep({"a": (1, 2), "b": ("x", "y", "z")}), np.arange(12)
    assert sweep.draws(ids).tolist() == [0] * 6 + [1] * 6
    assert sweep.column("a", ids).count(1) == 6
    assert [tuple(setting.values()) for setting in sweep.settings_of(ids[:4])] == [
        (1, "x"),
        (1, "y"),
        (1, "z"),
        (2, "x"),
    ]
    assert Sweep({}).settings == ({},) and Sweep({}).draws(ids).tolist() == ids.tolist()


@pytest.mark.parametrize("batch", ["n", 1])
def test_further_inputs_are_given_by_name(small_world: SmallWorld, batch: str | int) -> None:
    tiny_labelled_generator(small_world.folder / "labelled.onnx", dim=DIM, size=SIZE, batch=batch)
    swept = small_world.spec(generator=generator(factors={"label": [0, 1], "psi": [1.0, 0.5]}))
    plain = open_generator(small_world.spec().generator, swept.seed, device="cpu", threads=1)
    source = open_generator(swept.generator, swept.seed, device="cpu", threads=1)
    images = [np.asarray(sample).astype(float) - 127.5 for sample in source.sample(np.arange(12))]
    originals = [np.asarray(sample).astype(float) - 127.5 for sample in plain.sample(np.arange(3))]
    for draw in range(3):
        first, half, other, _ = images[4 * draw : 4 * draw + 4]
        assert np.abs(first - originals[draw]).max() <= 1
        assert np.abs(half - first / 2).max() <= 1
        assert np.abs(other - first).mean() > 20
    again = source.sample(np.array([7, 2]))
    assert np.array_equal(np.asarray(again[0]).astype(float) - 127.5, images[7])


def test_classes_that_are_not_given_are_drawn_evenly(small_world: SmallWorld) -> None:
    tiny_labelled_generator(small_world.folder / "labelled.onnx", dim=DIM, size=SIZE)
    drawn = small_world.spec(generator=generator())
    fixed = [
        small_world.spec(generator=generator(inputs=INPUTS | {"label": INPUTS["label"] | {"value": value}}))
        for value in (0, 1)
    ]
    ids = np.arange(400)
    images, *per_class = [
        np.stack(
            [
                np.asarray(sample)
                for sample in open_generator(spec.generator, 7, device="cpu", threads=1).sample(ids)
            ]
        )
        for spec in (drawn, *fixed)
    ]
    is_first, is_second = ((images == of_class).all(axis=(1, 2, 3)) for of_class in per_class)
    assert (is_first ^ is_second).all() and 140 < is_first.sum() < 260


def test_each_setting_is_scored_by_its_own_samples(
    small_world: SmallWorld, in_process: None, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_labelled_generator(small_world.folder / "labelled.onnx", dim=DIM, size=SIZE)
    spec = small_world.spec_path(generator=generator(factors={"label": [0, 1]}), samples=400)
    assert main(["audit", str(spec)]) == ExitCode.OK
    samples = pq.read_table(small_world.run / "samples")
    assert samples["factor_label"].to_pylist() == [0, 1] * 200
    store = RunStore(str(small_world.run))
    first, second = read_results(store).scores[0].settings
    assert (first.factors, first.samples) == ({"label": 0}, 200)
    assert len(first.flagged) == MEMBERS and not second.flagged
    assert f"with label 0: {MEMBERS} flagged by its own 200 samples" in capsys.readouterr().out
    rows = store.read_table("settings.parquet").to_pylist()
    flagged = {row["identity"] for row in rows if row["factor_label"] == 0 and row["verdict"] == "leaked"}
    assert set(first.flagged) <= flagged
    best = max(row["score"] for row in rows if row["factor_label"] == 1 and row["score_name"] == "max")
    assert best < min(
        row["score"]
        for row in rows
        if row["factor_label"] == 0 and row["score_name"] == "max" and row["identity"] in first.flagged
    )


@pytest.mark.parametrize(
    ("factors", "says"),
    [
        ({"nothing": [1]}, "must be the name of a class or number"),
        ({"label": [0, 2]}, "whole numbers from 0 to 1"),
        ({"label": [0, 0]}, "must be given once"),
        ({"psi": ["high"]}, "must be numbers"),
    ],
)
def test_factors_that_cannot_be_are_refused(small_world: SmallWorld, factors: Any, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        small_world.spec(generator=generator(factors=factors))


def test_inputs_that_the_model_has_not_are_refused(small_world: SmallWorld, tmp_path: Path) -> None:
    tiny_labelled_generator(small_world.folder / "labelled.onnx", dim=DIM, size=SIZE)
    for inputs, says in ((INPUTS | {"noise": INPUTS["psi"]}, "no input 'noise'"), ({}, "give the others")):
        spec = small_world.spec(generator=generator(inputs=inputs))
        with pytest.raises(SpecError, match=says):
            open_generator(spec.generator, 0, device="cpu", threads=1)
