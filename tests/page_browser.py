"""What a test does with the page of the service in a browser: give it a file, wait, move a slider, dress it."""

from pathlib import Path
from typing import Any

import pytest

STARTED = "return !document.getElementById('limits').textContent.startsWith('\\u00a0')"
SETTLED = (
    "return document.getElementById('work').hidden && "
    "!(document.getElementById('result').hidden && document.getElementById('error').hidden)"
)


def wait_for(browser: Any, script: str, *, seconds: float = 60) -> Any:
    """Until a script gives something true."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, seconds, poll_frequency=0.05).until(lambda chrome: chrome.execute_script(script))


def open_page(browser: Any, address: str) -> None:
    """The page, ready for a file."""
    browser.get(address)
    wait_for(browser, STARTED)


def choose(browser: Any, path: Path) -> None:
    """Give it a file, and wait for what it says."""
    browser.find_element("id", "file").send_keys(str(path))
    wait_for(browser, SETTLED)


def slide(browser: Any, name: str, value: float) -> None:
    """Move a slider, and let go of it."""
    browser.execute_script(
        "const slider = document.getElementById(arguments[0]); slider.value = arguments[1];"
        "for (const type of ['input', 'change']) slider.dispatchEvent(new Event(type))",
        name,
        value,
    )


def dress(browser: Any, *, is_dark: bool = False, width: int | None = None, height: int = 844) -> None:
    """Light or dark; as wide as the window, or as a phone."""
    scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    if width is None:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    else:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")


def barriers(browser: Any) -> list[str]:
    """What axe-core finds on the page that keeps people from using it."""
    axe_core_python = pytest.importorskip("axe_core_python", reason="pip install 'earwitness[test]' brings axe-core")
    program = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    browser.execute_script(program)
    found = browser.execute_async_script("axe.run().then((found) => arguments[0](found.violations))")
    return [f"{rule['impact']} {rule['id']}: {[node['html'] for node in rule['nodes']][:3]}" for rule in found]
