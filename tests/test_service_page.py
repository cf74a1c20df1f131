"""The page of the service in a real browser, from a file to captions; skipped where there is none."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from earwitness.models.model_file import save_model
from earwitness.store.read import Store
from headless_browser import chromium
from in_process import run
from made_media import encode, sweep
from made_models import deciding
from page_browser import SETTLED, barriers, choose, dress, open_page, slide, wait_for
from running_service import Running, running
from running_service import model as model

SECONDS = 11.3


@pytest.fixture(scope="module")
def service(model: Path) -> Iterator[Running]:
    with running(model, max_megabytes=5, decoders=1) as one:
        yield one


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def browser(downloads: Path) -> Iterator[Any]:
    with chromium(downloads=downloads) as chrome:
        yield chrome


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "a &amp; b.flac"
    return encode(path, "flac", 44_100, sweep(44_100, SECONDS))


@pytest.fixture
def page(browser: Any, service: Running, sound: Path) -> Any:
    """With a finished timeline."""
    dress(browser)
    open_page(browser, service.address)
    choose(browser, sound)
    assert browser.find_element("id", "error").text == ""
    yield browser
    assert browser.get_log("browser") == []


def rows(browser: Any) -> list[tuple[str, str, str]]:
    shown = browser.execute_script(
        "return [...document.querySelectorAll('#events tr')].map((row) => [...row.cells].map((c) => c.textContent))"
    )
    return [(start, stop, label) for start, stop, label, _ in shown]


def position(browser: Any) -> float:
    return float(browser.execute_script("return document.querySelector('#player audio').currentTime"))


def clock(seconds: float) -> str:
    return f"{int(round(seconds, 1) // 60)}:{round(seconds, 1) % 60:04.1f}"


def test_lanes_and_list_hold_what_the_service_hears(page: Any, service: Running, sound: Path) -> None:
    for hop, place in ((0.48, 2), (0.12, 0), (0.96, 3)):
        slide(page, "hop", place)
        wait_for(page, SETTLED)
        assert page.find_element("id", "hop-value").text == f"{hop:.2f} s"
        for threshold in (0.3, 0.5, 0.66):
            slide(page, "threshold", threshold)
            asked = f"/v1/timeline?threshold={threshold}&hop_seconds={hop}"
            wanted = service.post(asked, sound.read_bytes()).json["events"]
            lanes = page.execute_script(
                "return [...document.querySelectorAll('#lanes li')].map((l) => l.dataset.labelId)"
            )
            assert sorted(lanes) == sorted({event["label_id"] for event in wanted})
            listed = sorted((clock(e["start_seconds"]), clock(e["stop_seconds"]), e["label_name"]) for e in wanted)
            assert sorted(rows(page)) == listed
    slide(page, "threshold", 0.99)
    assert page.find_element("id", "nothing").is_displayed()
    assert page.find_element("id", "title").text == sound.name


def test_click_on_a_lane_goes_there(page: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    slide(page, "threshold", 0.3)
    for selector in ("#lanes canvas", "#spectrogram", "#axis"):
        track = page.find_element("css selector", selector)
        ActionChains(page).move_to_element_with_offset(track, 0, 3).click().perform()
        assert position(page) == pytest.approx(SECONDS / 2, abs=0.1)
        cursor = page.execute_script("return document.getElementById('cursor').getBoundingClientRect().x")
        middle = track.rect["x"] + track.rect["width"] / 2
        assert cursor == pytest.approx(middle, abs=3)
        page.execute_script("document.querySelector('#player audio').currentTime = 0")
    slide(page, "zoom", 1)
    assert page.find_element("id", "zoom-value").text == "0:05 of 0:11"
    ActionChains(page).move_to_element(page.find_element("css selector", "#lanes canvas")).click().perform()
    assert position(page) == pytest.approx(2.5, abs=0.1)


def test_keyboard_goes_everywhere(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    slide(page, "threshold", 0.5)
    picture = page.find_element("id", "spectrogram")
    for keys, wanted in (
        ((Keys.END,), SECONDS),
        ((Keys.HOME, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT), 2.0),
        ((Keys.ARROW_LEFT,), 1.0),
        ((Keys.PAGE_UP,), 11.0),
    ):
        picture.send_keys(*keys)
        assert position(page) == pytest.approx(wanted, abs=0.05)
        assert float(picture.get_attribute("aria-valuenow")) == pytest.approx(wanted, abs=0.1)
    assert picture.get_attribute("aria-valuetext") == "0:11.0 of 0:11.3"
    picture.send_keys(Keys.HOME)
    button = page.find_element("css selector", "#lanes button")
    starts = [
        float(b.get_attribute("data-seconds"))
        for b in page.find_elements("css selector", "#events button")
        if b.find_element("xpath", "../../td[3]").get_attribute("textContent") == button.text.splitlines()[0]
    ]
    wanted = next((start for start in starts if start > 0.05), starts[0])
    button.send_keys(Keys.ENTER)
    assert position(page) == pytest.approx(wanted, abs=0.05)
    assert "Go to the next time." in button.get_attribute("textContent")


def test_plays_under_a_moving_cursor(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    page.find_element("id", "spectrogram").send_keys(" ")
    where = "return document.getElementById('cursor').getBoundingClientRect().x"
    places = []
    for _ in range(4):
        places.append(page.execute_script(where))
        time.sleep(0.4)
    assert places == sorted(set(places))
    page.find_element("id", "spectrogram").send_keys(" ", Keys.HOME)


@pytest.mark.parametrize("form", ["vtt", "csv"])
def test_downloads_are_those_of_the_command_line(
    page: Any, model: Path, sound: Path, downloads: Path, tmp_path: Path, form: str
) -> None:
    slide(page, "threshold", 0.4)
    page.find_element("css selector", f"[data-form={form}]").click()
    written = downloads / f"{sound.stem}.{form}"
    deadline = time.monotonic() + 20
    while not written.exists():
        assert time.monotonic() < deadline, list(downloads.iterdir())
        time.sleep(0.05)
    run("timeline", model, sound, "--threshold", 0.4, "--out", tmp_path / f"x.{form}")
    assert written.read_text() == (tmp_path / f"x.{form}").read_text().replace(str(sound), sound.name)


def test_the_models_own_thresholds(browser: Any, made_store: Store, sound: Path, tmp_path: Path) -> None:
    save_model(deciding(made_store), tmp_path / "deciding.safetensors")
    with running(tmp_path / "deciding.safetensors", decoders=1) as service:
        open_page(browser, service.address)
        choose(browser, sound)
        own = browser.find_element("id", "own")
        assert own.is_selected()
        assert not browser.find_element("id", "threshold").is_enabled()
        wanted = service.post("/v1/timeline", sound.read_bytes()).json["events"]
        assert len(rows(browser)) == len(wanted) > 0
        assert barriers(browser) == []
        own.click()
        slide(browser, "threshold", 0.02)
        assert len(browser.find_elements("css selector", "#lanes li")) == 3
    assert browser.get_log("browser") == []


DROP = """
const data = new DataTransfer();
for (let i = 0; i < arguments.length; i += 2) data.items.add(new File([arguments[i]], arguments[i + 1]));
document.getElementById('drop').dispatchEvent(
  new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
"""


def test_dropped_files_and_things_that_are_none(page: Any, service: Running) -> None:
    page.execute_script(DROP, "hello", "note.txt")
    wait_for(page, SETTLED)
    assert page.find_element("id", "error").text == "note.txt: is a text file, not media"
    assert not page.find_element("id", "result").is_displayed()
    assert barriers(page) == []
    page.execute_script(DROP)
    assert page.find_element("id", "error").text == "What was dropped is no file."
    page.execute_script(DROP, "hello", "note.txt", "hello", "other.txt")
    assert page.find_element("id", "error").text == "2 files were dropped; drop one at a time."
    large = "x" * 5_000_001
    page.execute_script(DROP, large, "large.wav")
    assert "larger than the 5 MB" in page.find_element("id", "error").text
    [entry] = page.get_log("browser")  # Chromium notes every answer that is an error
    assert "422" in entry["message"]


def test_the_file_before_is_given_up(page: Any) -> None:
    page.execute_script(
        "const { text } = Blob.prototype;"
        "Blob.prototype.text = function () {"
        "  return new Promise((resolve) => { window.go = () => resolve(text.call(this)); });"
        "}"
    )
    slide(page, "hop", 3)
    wait_for(page, "return Boolean(window.go)")
    assert page.find_element("id", "work").is_displayed()
    page.execute_script(DROP, "x" * 5_000_001, "large.wav")
    page.execute_script("window.go()")
    wait_for(page, SETTLED)
    assert "larger than the 5 MB" in page.find_element("id", "error").text
    assert not page.find_element("id", "result").is_displayed()


def test_what_takes_too_long_is_not_asked_for_again(browser: Any, model: Path, sound: Path) -> None:
    with running(model, decoders=1, answer_seconds=0.001) as service:
        open_page(browser, service.address)
        choose(browser, sound)
        assert browser.find_element("id", "error").text.startswith("there was no answer within 0.001 s")
        counted = service.get("/metrics").content.decode()
        assert 'earwitness_requests_total{route="/v1/timeline",status="503"} 1' in counted
    browser.get_log("browser")


def test_records_with_the_microphone(browser: Any, service: Running) -> None:
    open_page(browser, service.address)
    button = browser.find_element("id", "record")
    button.click()
    wait_for(browser, "return /0:02/.test(document.getElementById('record').textContent)")
    button.click()
    wait_for(browser, SETTLED)
    assert browser.find_element("id", "error").text == ""
    assert browser.find_element("id", "title").text.startswith("recording ")
    length = browser.execute_script("return document.querySelector('#player audio').duration")
    assert 2 <= length < 6
    spread = browser.execute_script(
        "const canvas = document.querySelector('#spectrogram canvas');"
        "return new Set(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data).size"
    )
    assert spread > 50, "the fake microphone beeps"
    assert browser.get_log("browser") == []


def test_what_the_browser_cannot_play_is_shown(browser: Any, service: Running, tmp_path: Path) -> None:
    open_page(browser, service.address)
    choose(browser, encode(tmp_path / "old.au", "pcm_s16be", 16_000, sweep(16_000, 3, channels=1)))
    wait_for(browser, "return !document.getElementById('unplayable').hidden")
    slide(browser, "threshold", 0.02)
    assert browser.find_elements("css selector", "#lanes li")
    browser.find_element("css selector", "#lanes button").click()
    browser.get_log("browser")


def test_asks_for_a_key(browser: Any, model: Path, sound: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("correct-horse-battery")
    with running(model, api_key_file=tmp_path / "key", decoders=1) as guarded:
        browser.get(guarded.address)
        wait_for(browser, "return !document.getElementById('key-form').hidden")
        assert barriers(browser) == []
        field = browser.find_element("id", "key")
        field.send_keys("wrong\n")
        wait_for(browser, "return !document.getElementById('error').hidden")
        assert browser.find_element("id", "error").text.startswith("the key is not the one")
        field.clear()
        field.send_keys("correct-horse-battery\n")
        wait_for(browser, "return !document.getElementById('drop').hidden")
        choose(browser, sound)
        assert browser.find_element("id", "result").is_displayed()
    browser.get_log("browser")


@pytest.mark.parametrize("is_dark", [False, True])
@pytest.mark.parametrize("width", [None, 390])
def test_no_barriers_and_no_wider_than_the_screen(
    page: Any, service: Running, is_dark: bool, width: int | None
) -> None:
    dress(page, is_dark=is_dark, width=width)
    slide(page, "threshold", 0.3)
    page.execute_script("document.querySelector('details').open = true")
    assert barriers(page) == []
    wide = "const { scrollWidth, clientWidth } = document.documentElement; return scrollWidth <= clientWidth"
    assert page.execute_script(wide)
    for path in ("/", "/docs"):
        page.get(service.address + path)
        wait_for(page, "return document.querySelectorAll('main h2').length > 0")
        assert barriers(page) == []
        assert page.execute_script(wide)
    dress(page)


def test_nothing_comes_from_elsewhere(page: Any, service: Running) -> None:
    asked = page.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert asked
    assert all(name.startswith((service.address, "blob:")) for name in asked), asked
    page.get(f"{service.address}/docs")
    wait_for(page, "return document.querySelectorAll('main section').length")
    titles = page.execute_script("return [...document.querySelectorAll('.address')].map((each) => each.textContent)")
    assert set(titles) == {
        *("POST /v1/tag", "POST /v1/timeline", "POST /v1/embed", "GET /v1/labels", "GET /health", "GET /metrics")
    }
    assert json.loads(service.get("/openapi.json").content)["info"]["title"] == "earwitness"
