"""The page of the service: how soon the first lanes are there, whether it stays fluid, and pictures of it.

    python benchmarks/service_page.py MODEL FILE [--pictures docs/pictures] [--seconds 20]

Needs Chromium with its driver, and selenium. Starts `earwitness serve MODEL` at a free port, and prints

- the seconds from choosing a file of five minutes (FILE again and again) to the first frame with lanes, first and
  second time, beside those of `earwitness timeline MODEL FILE`, which begins with an empty process;
- the tasks of the page that took more than 50 ms and more than 100 ms while a file of an hour is loaded, and while it
  is played for SECONDS, zoomed in, with the threshold moved in between.

--pictures: writes the page with FILE in light and dark, as wide as a phone, and with an error, as small PNGs.
"""

import argparse
import contextlib
import io
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.io import wavfile
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from earwitness.audio.decode import read_waveform

RATE_HZ = 16_000
FIRST_LANES = """
const done = arguments[0], started = performance.now();
const shown = () => !document.getElementById('result').hidden && document.querySelector('#lanes li');
const look = () => requestAnimationFrame(shown() ? () => done((performance.now() - started) / 1000) : look);
look();
"""
WATCH = """
window.tasks = [];
new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map((task) => task.duration)))
  .observe({ type: 'longtask', buffered: false });
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--seconds", type=float, default=20)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, served(asked.model) as address, chromium() as browser:
        if asked.pictures is not None:
            take_pictures(browser, address, asked.file, asked.pictures)
        first_lanes(browser, address, asked.model, repeated(asked.file, 300, Path(folder)))
        fluidity(browser, address, repeated(asked.file, 3_600, Path(folder)), asked.seconds)


def repeated(file: Path, seconds: int, folder: Path) -> Path:
    waveform = read_waveform(file, sample_rate_hz=RATE_HZ)
    long = np.resize(waveform, seconds * RATE_HZ)
    path = folder / f"{seconds} seconds.wav"
    wavfile.write(path, RATE_HZ, (long.clip(-1, 1) * 32_767).astype(np.int16))
    return path


@contextlib.contextmanager
def served(model: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "earwitness", "serve", str(model), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"http://[\d.:]+", process.stdout.readline())
        if found is None:
            raise SystemExit("the service did not start")
        try:
            yield found[0]
        finally:
            process.terminate()


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "window-size=1000,1200"):
        options.add_argument(f"--{argument}")
    options.add_argument("--autoplay-policy=no-user-gesture-required")
    with webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver"))) as browser:
        browser.set_script_timeout(600)
        yield browser


def first_lanes(browser: Any, address: str, model: Path, file: Path) -> None:
    seconds = []
    for _ in range(2):
        open_page(browser, address)
        started = time.monotonic()
        browser.find_element("id", "file").send_keys(str(file))
        browser.execute_async_script(FIRST_LANES)
        seconds.append(time.monotonic() - started)
    started = time.monotonic()
    command = [sys.executable, "-m", "earwitness", "timeline", str(model), str(file)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    alone = time.monotonic() - started
    print(
        f"five minutes: first lanes after {seconds[0]:.2f} s, then {seconds[1]:.2f} s; the command takes {alone:.2f} s"
    )


def fluidity(browser: Any, address: str, file: Path, seconds: float) -> None:
    open_page(browser, address)
    browser.execute_script(WATCH)
    browser.find_element("id", "file").send_keys(str(file))
    browser.execute_async_script(FIRST_LANES)
    say_tasks(browser, "an hour, loading")
    browser.execute_script("window.tasks.length = 0; document.querySelector('#player :is(audio, video)').play()")
    for share in (0.0, 0.5, 1.0):
        slide(browser, "zoom", share)
        for threshold in (0.3, 0.5, 0.2):
            slide(browser, "threshold", threshold)
            time.sleep(seconds / 9)
    played = browser.execute_script("return document.querySelector('#player :is(audio, video)').currentTime")
    lanes = browser.execute_script("return document.querySelectorAll('#lanes li').length")
    say_tasks(browser, f"an hour, {played:.0f} s played, {lanes} lanes")


def say_tasks(browser: Any, when: str) -> None:
    tasks = browser.execute_script("return window.tasks")
    print(
        f"{when}: {len(tasks)} tasks over 50 ms, {sum(task > 100 for task in tasks)} over 100 ms, "
        f"longest {max(tasks, default=0):.0f} ms"
    )


def take_pictures(browser: Any, address: str, file: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, is_dark, width in (("light", False, 1_000), ("dark", True, 1_000), ("phone", False, 390)):
        open_page(browser, address)
        browser.find_element("id", "file").send_keys(str(file))
        browser.execute_async_script(FIRST_LANES)
        slide(browser, "threshold", 0.4)
        browser.execute_script("document.querySelector('#player :is(audio, video)').currentTime = 6")
        dress(browser, is_dark=is_dark, width=width)
        save(browser, folder / f"service_{name}.png", width)
    with tempfile.TemporaryDirectory() as place:
        note = Path(place) / "note.txt"
        note.write_text("This is a note, no sound.\n")
        open_page(browser, address)
        dress(browser, is_dark=False, width=1_000)
        browser.find_element("id", "file").send_keys(str(note))
        time.sleep(1)
        save(browser, folder / "service_error.png", 1_000)


def save(browser: Any, path: Path, width: int) -> None:
    """All of the page, in 128 colours."""
    height = browser.execute_script("return Math.ceil(document.body.getBoundingClientRect().height)")
    dress(browser, width=width, height=min(height, 1_500))
    time.sleep(0.5)
    picture = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    picture.quantize(128).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


def dress(browser: Any, *, is_dark: bool | None = None, width: int, height: int = 800) -> None:
    if is_dark is not None:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def open_page(browser: Any, address: str) -> None:
    browser.get(address)
    while not browser.find_element("id", "model").text.strip():
        time.sleep(0.02)


def slide(browser: Any, name: str, value: float) -> None:
    browser.execute_script(
        "const slider = document.getElementById(arguments[0]); slider.value = arguments[1];"
        "slider.dispatchEvent(new Event('input'))",
        name,
        value,
    )


if __name__ == "__main__":
    main()
