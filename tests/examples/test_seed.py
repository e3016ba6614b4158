"""The pieces of examples/seed: the trend test, the diffusion, and what a cell is made of."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def protocol() -> Iterator[ModuleType]:
    """Its modules import one another, and the demo's, by their bare names."""
    with pytest.MonkeyPatch.context() as patch:
        for folder in ("demo", "seed"):
            patch.syspath_prepend(str(EXAMPLES / folder))
        yield importlib.import_module("protocol")


@pytest.mark.parametrize("groups", [[[1, 4], [3, 6], [2, 5, 7]], [[3, 1], [2], [4, 5, 6]], [[5, 6], [1, 2]]])
def test_the_trend_is_that_of_all_permutations(protocol: ModuleType, groups: list[list[float]]) -> None:
    trend = importlib.import_module("trend")

    def statistic(values: tuple[float, ...]) -> int:
        group = np.repeat(np.arange(len(groups)), [len(each) for each in groups])
        pairs = [(i, j) for i in range(len(group)) for j in range(len(group)) if group[i] < group[j]]
        return sum(values[i] < values[j] for i, j in pairs)

    values = tuple(value for group in groups for value in group)
    observed, p_value = trend.jonckheere_terpstra(groups)
    assert observed == statistic(values)
    assert p_value == pytest.approx(np.mean([statistic(order) >= observed for order in permutations(values)]))


def test_ties_make_a_trend_no_surer(protocol: ModuleType) -> None:
    trend = importlib.import_module("trend")
    assert trend.jonckheere_terpstra([[1.0, 1.0], [1.0, 1.0]]) == (2.0, pytest.approx(4 / 6))


def test_components_give_pictures_back(protocol: ModuleType) -> None:
    diffusion = importlib.import_module("diffusion")
    pictures = torch.randn(12, 300, generator=torch.Generator().manual_seed(0))
    components = diffusion.Components.of(pictures)
    numbers = components.numbers(pictures)
    assert numbers.shape == (12, 11)
    assert torch.allclose(numbers.square().mean(dim=0), torch.ones(11), atol=1e-4)
    assert torch.allclose(components.pictures(numbers), pictures, atol=1e-4)


def test_a_diffusion_of_two_photos_draws_them(protocol: ModuleType) -> None:
    diffusion = importlib.import_module("diffusion")
    photos = np.zeros((2, 4, 4, 3), np.uint8)
    photos[1] = 255
    torch.manual_seed(0)
    samples = diffusion.train_diffusion(photos, 12_000, 200, torch.Generator().manual_seed(0))
    means = samples.reshape(200, -1).mean(axis=1)
    assert ((means < 40) | (means > 215)).mean() > 0.7
    assert 0.3 < (means < 40).mean() < 0.7


def test_every_cell_differs_in_one_thing_and_equal_photos_are_equal(protocol: ModuleType) -> None:
    world, drawn_people = importlib.import_module("world"), importlib.import_module("drawn_people")
    cells = list(protocol.cells(["gan", "diffusion"], 5))
    assert len(cells) == len(set(cells)) == 50
    for cell in cells:
        plan = world.training_photos(cell.identities, cell.times, drawn_people.PHOTOS)
        photos = np.bincount([seed for seed, _ in plan])
        assert (photos > 0).sum() == cell.identities
        assert photos[world.OVER_REPRESENTED] == cell.times * drawn_people.PHOTOS
        assert sorted({*photos.tolist()} - {0}) == sorted({4, 4 * cell.times})
    trained = {
        (seed, photo) for cell in cells for seed, photo in world.training_photos(cell.identities, 10, 4)
    }
    compared = set(drawn_people.other_photos(drawn_people.everybody()))
    assert not trained & compared
    assert not {seed for seed, _ in trained} & set(drawn_people.OTHERS)


def test_a_line_of_a_cell_is_read_as_it_was_written(protocol: ModuleType, tmp_path: Path) -> None:
    success = importlib.import_module("success")
    cell = protocol.Cell("gan", 64, 3, 2)
    measured = success.Success(0.9, 0.95, 0.01, 0.002, 1 / 129)
    for trained in (protocol.Trained(cell, 12.5, measured), protocol.Trained(cell, 1.0, measured)):
        protocol.append(tmp_path / "cells.csv", trained)
    assert [trained.seconds for trained in protocol.read_cells(tmp_path / "cells.csv")] == [12.5, 1.0]
    assert protocol.read_cells(tmp_path / "cells.csv")[0].success == measured
