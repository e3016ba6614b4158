"""A stage without a terminal writes a line every so often, also while nothing gets done."""

from __future__ import annotations

import logging
import time

import pytest

from jobs.cli import progress_bar
from jobs.cli.progress_bar import ProgressBar


def test_lines_come_while_nothing_gets_done_and_after_all_is_done(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(progress_bar, "PLAIN_SECONDS", 0.2)
    caplog.set_level(logging.INFO)
    with ProgressBar("reducing", 10, "samples", {}) as bar:
        time.sleep(0.5)
        bar.advance(5)
        time.sleep(0.5)
        bar.advance(5)
        time.sleep(0.5)
    lines = [record.message for record in caplog.records]
    waiting = [line for line in lines if ": 0 of 10" in line]
    half = [line for line in lines if "5 of 10" in line and "left" in line]
    done = [line for line in lines if "10 of 10" in line]
    after = [line for line in lines if "all 10 samples are done; putting the results together" in line]
    assert waiting and half and len(done) == 1 and after
    assert [*waiting, *half, *done, *after] == lines
