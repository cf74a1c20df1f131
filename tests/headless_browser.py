"""A real Chromium without a window, with a microphone that is none."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def chromium(*, width: int = 1100, height: int = 1400, downloads: Path | None = None) -> Iterator[Any]:
    """A browser with a window of this size in pixels, which keeps its log; skips where there is none."""
    pytest.importorskip("selenium", reason="selenium is not installed: pip install 'earwitness[test]'")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    program = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in (
        *("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", f"window-size={width},{height}"),
        *("use-fake-ui-for-media-stream", "use-fake-device-for-media-stream"),
        "autoplay-policy=no-user-gesture-required",
    ):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with webdriver.Chrome(options=options, service=Service(driver)) as chrome:
        chrome.set_page_load_timeout(60)
        chrome.set_script_timeout(60)
        if downloads is not None:
            behaviour = {"behavior": "allow", "downloadPath": str(downloads)}
            chrome.execute_cdp_cmd("Browser.setDownloadBehavior", behaviour)
        yield chrome
