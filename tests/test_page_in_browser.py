"""Pages with thousands of labels in a real browser: they load without a complaint, sort, search, and obey the keyboard.

Skipped where Chromium, its driver or selenium is missing.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from earwitness.report.comparison_facts import ComparisonFacts
from earwitness.report.comparison_page import write_comparison_page
from earwitness.report.evaluation_facts import EvaluationFacts
from earwitness.report.evaluation_page import write_evaluation_page
from headless_browser import chromium
from made_evaluations import made_comparison, made_evaluation
from test_evaluation_page import facts_of, measured
from test_page import HOSTILE

NUM_LABELS = 3_087
ROW = ".virtual tbody tr:not(.space)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium(width=1100, height=1000) as chrome:
        yield chrome


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("browser") / "page.html"
    evaluation = made_evaluation(NUM_LABELS)
    write_evaluation_page(path, EvaluationFacts(title="made", evaluation=evaluation, baseline=evaluation))
    return path


def opened(browser: Any, path: Path) -> Any:
    browser.get(path.as_uri())
    assert browser.get_log("browser") == []
    return browser


def names(browser: Any) -> list[str]:
    """Of the rows that are there, from the first."""
    shown: list[str] = browser.execute_script(
        f"return [...document.querySelectorAll('{ROW}')].map((row) => row.cells[0].textContent)"
    )
    return shown


def sort_by(browser: Any, column: str) -> str:
    """Click on a head; how the column is then sorted."""
    how: str = browser.execute_script(
        "const head = document.querySelector(`[data-column=${arguments[0]}]`); head.querySelector('button').click();"
        "return head.ariaSort",
        column,
    )
    return how


def search(browser: Any, text: str) -> str:
    """Type into the field; what the page then says."""
    browser.execute_script(
        "const field = document.querySelector('.search'); field.value = arguments[0];"
        "field.dispatchEvent(new Event('input'))",
        text,
    )
    said: str = browser.execute_script("return document.querySelector('.count').textContent")
    return said


def test_sorts_and_searches(browser: Any, page: Path) -> None:
    opened(browser, page)
    labels = made_evaluation(NUM_LABELS).labels
    defined = [label for label in labels if label.is_defined]
    best = sorted(defined, key=lambda label: -round(label.average_precision, 4))
    assert names(browser)[:5] == [label.name for label in best[:5]]
    assert len(names(browser)) < 60, "rows are made as they are needed"
    assert sort_by(browser, "positives") == "descending"
    assert names(browser)[0] == max(labels, key=lambda label: label.num_positives).name
    assert sort_by(browser, "positives") == "ascending"
    assert sort_by(browser, "name") == "ascending"
    assert names(browser)[0] == min(label.name for label in labels)
    found = [label for label in labels if "choir" in label.name]
    assert search(browser, "  CHOIR ") == f"{len(found)} of 3,087 labels"
    assert names(browser)[0] == min(label.name for label in found)
    assert browser.execute_script("return document.querySelector('.virtual').ariaRowCount") == str(len(found) + 1)
    marked = browser.execute_script("return document.querySelector('.hits').getAttribute('d')")
    assert marked.count("M") == sum(label.is_defined for label in found)
    assert search(browser, "no such label") == "0 of 3,087 labels"
    assert names(browser) == []
    assert search(browser, "") == "3,087 labels"
    sort_by(browser, "average_precision")
    assert sort_by(browser, "average_precision") == "ascending"
    browser.execute_script("const view = document.querySelector('.viewport'); view.scrollTop = view.scrollHeight")
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    assert names(browser)[-1] in [label.name for label in labels if not label.is_defined], "undefined ones come last"
    assert browser.get_log("browser") == []


def test_keyboard_goes_from_label_to_label(browser: Any, page: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    opened(browser, page)
    labels = made_evaluation(NUM_LABELS).labels
    best = sorted((label for label in labels if label.is_defined), key=lambda label: -round(label.average_precision, 4))
    browser.find_element("css selector", ".viewport").send_keys(Keys.ARROW_DOWN)

    def chosen() -> tuple[str, str]:
        focused, title = browser.execute_script(
            "return [document.activeElement.cells[0].textContent, document.querySelector('.chosen h3').textContent]"
        )
        return focused, title

    assert chosen() == (best[1].name,) * 2
    browser.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    assert chosen() == (best[2].name,) * 2
    browser.switch_to.active_element.send_keys(Keys.END)
    assert chosen()[0] == labels[NUM_LABELS - 1 - (NUM_LABELS - 1 - 96) % 97].name
    browser.switch_to.active_element.send_keys(Keys.ARROW_UP * 3, Keys.HOME)
    assert chosen() == (best[0].name,) * 2
    assert browser.execute_script("return document.activeElement.ariaSelected") == "true"
    assert browser.execute_script("return document.activeElement.ariaRowIndex") == "2"


def test_dots_are_chosen_by_a_click(browser: Any, page: Path) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    opened(browser, page)
    label = made_evaluation(NUM_LABELS).labels[5]
    assert search(browser, label.id) == "1 of 3,087 labels"
    dots = browser.find_element("css selector", ".dots")
    browser.execute_script("arguments[0].scrollIntoView()", dots)
    x, y = (
        float(number)
        for number in browser.execute_script("return document.querySelector('.hits').getAttribute('d')")[1:-2].split()
    )
    box = dots.rect
    pointer = ActionChains(browser).move_to_element_with_offset(
        dots, round(x / 640 * box["width"] - box["width"] / 2), round(y / 432 * box["height"] - box["height"] / 2)
    )
    pointer.perform()
    tip = browser.find_element("css selector", ".tip")
    assert label.name in tip.text
    pointer.click().perform()
    assert browser.find_element("css selector", ".chosen h3").text == label.name
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("width", [390, 1100])
def test_no_page_is_wider_than_the_screen(browser: Any, page: Path, tmp_path: Path, width: int) -> None:
    evaluation, evidence, look = measured(clips=400)
    write_evaluation_page(tmp_path / "hostile.html", facts_of(evaluation), evidence=evidence, look=look)
    facts = ComparisonFacts(name_a=HOSTILE, name_b="b", comparison=made_comparison(NUM_LABELS))
    write_comparison_page(tmp_path / "comparison.html", facts)
    size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        for path in (page, tmp_path / "hostile.html", tmp_path / "comparison.html"):
            opened(browser, path)
            assert browser.execute_script(
                "const { scrollWidth, clientWidth } = document.documentElement; return scrollWidth <= clientWidth"
            )
            assert browser.execute_script("return document.querySelectorAll('script').length") == 2
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_names_are_shown_as_they_are(browser: Any, tmp_path: Path) -> None:
    evaluation, evidence, look = measured()
    write_evaluation_page(tmp_path / "hostile.html", facts_of(evaluation), evidence=evidence, look=look)
    opened(browser, tmp_path / "hostile.html")
    wanted = {json.loads(json.dumps(label.name)).encode("utf-8", "replace").decode() for label in evaluation.labels}
    assert set(names(browser)) == wanted


@pytest.mark.parametrize("width", [390, 1100, 1400])
def test_nothing_is_cut_or_out_of_sight(browser: Any, page: Path, tmp_path: Path, width: int) -> None:
    """The page is no wider than the window, all columns of the measures are in it, and no interval is cut."""
    facts = ComparisonFacts(name_a="a", name_b="b", comparison=made_comparison(60))
    compared = tmp_path / "compare.html"
    write_comparison_page(compared, facts)
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        for path in (page, compared):
            opened(browser, path)
            assert browser.execute_script("return document.documentElement.scrollWidth") <= width
            right = browser.execute_script(
                "return Math.max(...[...document.querySelectorAll('.measures td')]"
                ".map(x => x.getBoundingClientRect().right))"
            )
            assert 0 < right <= width
            cut = browser.execute_script(
                "return [...document.querySelectorAll('.virtual td.number')].filter(x => x.offsetParent && "
                "x.scrollWidth > x.clientWidth).map(x => x.textContent)"
            )
            assert cut == []
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
