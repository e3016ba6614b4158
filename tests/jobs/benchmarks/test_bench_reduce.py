"""The bench of the search on a few templates, and what all benches of speed share. Never how fast it is."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest

from jobs.__main__ import main
from jobs.benchmarks.reduce import (
    NUMPY_PRODUCT,
    OURS,
    TORCH_PRODUCT,
    Sizes,
    disagreement,
    exact,
    make_problem,
)
from jobs.benchmarks.table import Bar, Measured, Report, Table, figure, interleaved, publish
from jobs.cli.exit_codes import ExitCode

PEERS = ("FAISS IndexFlatIP", "numpy product and argpartition", "torch product and topk")
CONTENDERS = (OURS, NUMPY_PRODUCT, TORCH_PRODUCT, *PEERS)
SMALL = (
    "--people",
    "40",
    "--samples",
    "900",
    "--dim",
    "32",
    "--topk",
    "5",
    "--repeats",
    "2",
    "--threads",
    "1",
)


def rows_of(markdown: str) -> list[list[str]]:
    """The cells of every line of every table, heads and rules left out."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    rules = {place for place, row in enumerate(cells) if set(row[0]) == {"-"}}
    return [row for place, row in enumerate(cells) if not {place, place + 1} & rules]


def numbers_of(cell: str) -> list[float]:
    """Median, least and most."""
    matched = re.fullmatch(r"([\d.e,+-]+) \(([\d.e,+-]+)–([\d.e,+-]+)\)", cell)
    assert matched is not None, cell
    return [float(group.replace(",", "")) for group in matched.groups()]


def test_every_contender_is_timed_at_every_size_and_agrees(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["bench", "reduce", *SMALL, "--output", str(tmp_path / "deep" / "reduce.md")])
    report = (tmp_path / "deep" / "reduce.md").read_text(encoding="utf-8")
    assert capsys.readouterr().out == report
    rows = rows_of(report)
    for name in CONTENDERS:
        timed = [row for row in rows if row[0] == name]
        assert len(timed) == 4, name
        for row in timed:
            for cell in row[1:4]:
                assert all(math.isfinite(seconds) and seconds > 0 for seconds in numbers_of(cell))
            assert (name in PEERS) == (row[4] != "") and float(row[4] or 0) < 1e-5
    bars = {row[0]: row for row in rows if row[-1] in ("holds", "FAILS")}
    searches = [name for name in bars if "search ÷" in name]
    assert len(searches) == 1 and searches[0].startswith("40 people × 900 samples, 32 numbers")
    assert sum("difference" in name for name in bars) == 4
    assert all(row[-1] == "holds" for name, row in bars.items() if "difference" in name or "cosine" in name)
    assert code == int(any(row[-1] == "FAILS" for row in bars.values()))
    for part in ("processor: ", "faiss ", "command: `idleak bench reduce --people 40", "GB/s"):
        assert part in report


def test_a_wrong_neighbour_is_noticed() -> None:
    problem = make_problem(Sizes(10, 500, 32, 4, 1))
    products = problem.people.astype(np.float64) @ problem.samples.astype(np.float64).T
    ids = np.argsort(-products, axis=1)[:, :4]
    ours = (np.take_along_axis(products, ids, axis=1).astype(np.float32), ids)
    np.testing.assert_allclose(exact(problem, 3, ids[3]), ours[0][3], rtol=1e-6)
    assert disagreement(problem, ours, ours) < 1e-7
    other = ids.copy()
    other[7, 2] = np.argsort(-products[7])[40]
    assert disagreement(problem, ours, (ours[0], other)) > 1e-3
    assert disagreement(problem, ours, (ours[0] - np.float32(0.01), ids)) > 1e-3


def test_more_neighbours_than_samples_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "reduce", "--samples", "10", "--topk", "11"]) == ExitCode.BAD_SPEC
    assert "lower --topk" in capsys.readouterr().err


def test_contenders_take_turns() -> None:
    order: list[str] = []

    def contender(name: str) -> float:
        order.append(name)
        return float(len(order))

    timings = interleaved({"a": lambda: contender("a"), "b": lambda: contender("b")}, 3)
    assert "".join(order) == "ababab"
    assert timings == {"a": Measured((1, 3, 5)), "b": Measured((2, 4, 6))}


def test_ratios_are_taken_repeat_by_repeat() -> None:
    ratio = Measured((2.0, 30.0, 4.0)).per(Measured((1.0, 10.0, 4.0)))
    assert ratio == Measured((2.0, 3.0, 1.0)) and ratio.median == 2.0 and str(ratio) == "2 (1–3)"
    assert Measured((2.0, 4.0)).over(8) == Measured((4.0, 2.0))
    assert [figure(value) for value in (12345.6, 99.96, 0.98765, 1.8512)] == [
        "12,346",
        "100",
        "0.988",
        "1.85",
    ]


@pytest.mark.parametrize(("limit", "at_most", "code"), [(2.0, False, 0), (2.1, False, 1), (1.9, True, 1)])
def test_a_bar_is_held_by_the_median(
    tmp_path: Path, limit: float, at_most: bool, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    bar = Bar("claim", Measured((1.0, 2.0, 9.0)), limit, at_most)
    table = Table("T", ("a", "b"), [("one", "two")])
    assert publish(Report(["reduce"], 3, [table], [bar], ["note"]), tmp_path / "r.md") == code
    report = (tmp_path / "r.md").read_text(encoding="utf-8")
    assert rows_of(report) == [["one", "two"], list(bar.cells)] and "- note" in report
    assert bar.cells[-1] == ("FAILS" if code else "holds")
