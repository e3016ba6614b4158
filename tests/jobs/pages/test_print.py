"""The report on paper: no word is broken in a table, nothing is cut off, and what is folded is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from distributed.storage.store import RunStore
from jobs.api.reporting import report_page
from jobs.cli.display import as_stored
from jobs.pages.finished_run import read_finished
from tests.support.small_world import SmallWorld

A4 = 680
"""Pixels between the margins."""
BROKEN_WORDS = """
    const broken = [];
    for (const cell of document.querySelectorAll("thead th, th:not(.prose) bdi, td:not(.prose) bdi")) {
        const text = cell.firstChild;
        for (const word of text ? text.data.matchAll(/[A-Za-z]+/g) : []) {
            const range = document.createRange();
            range.setStart(text, word.index);
            range.setEnd(text, word.index + word[0].length);
            const lines = new Set([...range.getClientRects()].map(box => box.top));
            if (lines.size > 1) broken.push(word[0]);
        }
    }
    return broken;
"""
OVERHANG = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
COLOURS = """
    const style = getComputedStyle(document.body);
    return [style.color, style.backgroundColor];
"""
FOLDED = "return document.querySelector('details table').getBoundingClientRect().height"


@pytest.fixture
def printed(
    finished_world: SmallWorld, browser: webdriver.Chrome, tmp_path: Path
) -> Iterator[webdriver.Chrome]:
    page = tmp_path / "report.html"
    page.write_bytes(
        report_page(read_finished(RunStore(str(finished_world.run))), (), as_stored, face_maker=None)
    )
    size = {"width": A4, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": dark})
    browser.get(page.as_uri())
    yield browser
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_printed_report_breaks_no_word_and_cuts_nothing_off(printed: webdriver.Chrome) -> None:
    assert printed.execute_script(BROKEN_WORDS) == []
    assert printed.execute_script(OVERHANG) <= 0
    assert printed.execute_script(FOLDED) > 0
    assert printed.execute_script(COLOURS) == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"], "also of a dark screen"
