"""The bench of encryption, on a small audit. Never how fast it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jobs.__main__ import main
from tests.jobs.benchmarks.test_bench_reduce import numbers_of, rows_of
from tests.support.small_world import SmallWorld


@pytest.mark.usefixtures("ray_session")
def test_shards_are_made_and_reduced_with_and_without_encryption(
    small_world: SmallWorld, tmp_path: Path
) -> None:
    output = tmp_path / "encryption.md"
    spec = str(small_world.spec_path())
    code = main(["bench", "encryption", spec, "--images", "200", "--repeats", "2", "--output", str(output)])
    text = output.read_text(encoding="utf-8")
    rows = rows_of(text)
    assert [row[0] for row in rows[:4]] == [
        f"{stage}, {how}" for stage in ("make shards", "reduce shards") for how in ("encrypted", "plain")
    ]
    assert all(0 < seconds < 60 for row in rows[:4] for seconds in numbers_of(row[1]))
    assert len(rows) == 7 and code == int(any(row[-1] == "FAILS" for row in rows[4:]))
    part = text.split("bytes of the shards: ")[1]
    encrypted, plain = (int(count.replace(",", "")) for count in re.findall(r"[\d,]+\d", part)[:2])
    assert plain < encrypted < 2 * plain and not small_world.run.exists()
