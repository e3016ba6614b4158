"""WCAG 2.1 AA, by axe-core in a real browser: contrast, labels, names of what acts; and keys that go on."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from distributed.storage.store import RunStore
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from jobs.pages.explorer.faces import Faces
from tests.support.exploring import served
from tests.support.people import pseudonym
from tests.support.small_world import PHOTOS, SmallWorld

AXE = (files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]


def violations(browser: webdriver.Chrome) -> list[str]:
    """What axe finds on the page that is open: rule and element."""
    # axe is another's script, so it is not asked for by the page, whose policy allows none.
    browser.execute_script(AXE)
    problems: list[dict[str, Any]] = browser.execute_async_script(
        "axe.run({runOnly: arguments[0]}).then(result => arguments[1](result.violations))", RULES
    )
    return [f"{each['id']}: {node['html'][:150]}" for each in problems for node in each["nodes"]]


def in_colours(browser: webdriver.Chrome, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def test_axe_finds_what_is_wrong(browser: webdriver.Chrome) -> None:
    browser.get("data:text/html,<html><body><img src=x><p style='color:%23ccc;background:%23fff'>pale")
    problems = " ".join(violations(browser))
    assert "image-alt" in problems and "color-contrast" in problems and "html-has-lang" in problems


def require_accessible(browser: webdriver.Chrome, address: str) -> None:
    """In light and in dark colours."""
    browser.get(address)
    for scheme in ("light", "dark"):
        in_colours(browser, scheme)
        assert violations(browser) == [], (address, scheme)


def pressed(browser: webdriver.Chrome, key: str) -> str:
    """The heading of the page that a key leads to."""
    before = browser.find_element(By.TAG_NAME, "h1").text
    browser.find_element(By.CSS_SELECTOR, f"a[accesskey='{key}']").send_keys("\n")
    wait = WebDriverWait(browser, 20, ignored_exceptions=[StaleElementReferenceException])
    wait.until(lambda _: browser.find_element(By.TAG_NAME, "h1").text != before)
    return browser.find_element(By.TAG_NAME, "h1").text


def test_the_explorer_is_accessible_and_goes_on_by_keys(
    finished_world: SmallWorld, browser: webdriver.Chrome
) -> None:
    person, faces = pseudonym("person-000"), Faces(RunStore(str(finished_world.run)))
    with served(finished_world.run, faces=faces) as gate:
        browser.get(gate.url)
        base = gate.url.split("/?")[0]
        sample = f"/sample?id=0&of={person}"
        for path in ("/", "/?find=nobody", sample, "/sample?id=-1", f"/identity?id={person}"):
            require_accessible(browser, base + path)
        first = browser.find_element(By.TAG_NAME, "h1").text
        pressed(browser, "n")
        assert pressed(browser, "p") == first
        browser.find_element(By.CSS_SELECTOR, "figcaption a").click()
        assert len(browser.find_elements(By.CSS_SELECTOR, ".beside img")) == PHOTOS + 1
        pressed(browser, "n")


def test_the_judges_pages_are_accessible(finished_world: SmallWorld, browser: webdriver.Chrome) -> None:
    faces = Faces(RunStore(str(finished_world.run)))
    with served(finished_world.run, faces=faces, judge="anna") as gate:
        require_accessible(browser, gate.url)


@pytest.mark.slow  # all figures are drawn twice
@pytest.mark.usefixtures("in_process")
def test_report_and_comparison_are_accessible(finished_world: SmallWorld, browser: webdriver.Chrome) -> None:
    run = str(finished_world.run)
    assert main(["report", run]) == main(["compare", run, run, "--output", run]) == ExitCode.OK
    for page in ("report.html", "comparison.html"):
        require_accessible(browser, (finished_world.run / page).as_uri())
