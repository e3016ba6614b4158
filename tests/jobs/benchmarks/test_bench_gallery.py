"""The bench of a large gallery, on a small one: what it says, never how fast it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.__main__ import main

pytestmark = pytest.mark.usefixtures("ray_session")


def test_two_sizes_are_reduced_and_every_bar_is_measured(tmp_path: Path) -> None:
    sizes = ("--candidates", "60", "--cohort", "50", "--samples", "2500", "--dim", "16")
    code = main(["bench", "gallery", *sizes, "--output", str(tmp_path / "gallery.md")])
    report = (tmp_path / "gallery.md").read_text(encoding="utf-8")
    for part in (
        "60 candidates × 2 photos, cohort 50",
        "6 candidates × 2 photos, cohort 5",
        "driver's CPU s",
    ):
        assert part in report
    bars = [
        line for line in report.splitlines() if line.endswith("| holds   |") or line.endswith("| FAILS   |")
    ]
    assert len(bars) == 4 and code == int(any("FAILS" in bar for bar in bars))
