"""What the page of an evaluation costs: to write, to open in a real browser, to sort and to search.

    python benchmarks/report_page.py
    python benchmarks/report_page.py --labels 527 3087 30871

Random scores of so many labels are evaluated, looked at closely, and written as a page with the baseline beside. The
page is opened in headless Chromium, which must be there with chromedriver and selenium, several times; the milliseconds
are those of the browser from the start of the navigation to the end of the load event, by when the script has made the
table. Sorting and searching are timed in the page up to the finished layout. The median and the slowest are printed.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from earwitness.evaluation.closer_look import look_closer
from earwitness.evaluation.positives import Positives
from earwitness.evaluation.score_source import ArrayScores
from earwitness.evaluation.summary import evaluate
from earwitness.labels import LabelSet
from earwitness.report.evaluation_facts import EvaluationFacts, Evidence
from earwitness.report.evaluation_page import labels_with_curves, write_evaluation_page

_SCORES = 40_000_000
"""Of a table: as many clips as that leaves room for, 20,000 at most."""
_CLIPS_PER_LABEL = 33
"""That carry a label, on average."""
_ACTIONS = {
    "search": "const field = document.querySelector('.search'); field.value = '7';"
    "field.dispatchEvent(new Event('input'))",
    "sort by number": "document.querySelector('[data-column=auc] button').click()",
    "sort by name": "document.querySelector('[data-column=name] button').click()",
    "scroll": "const view = document.querySelector('.viewport'); view.scrollTop = 0.6 * view.scrollHeight;"
    "view.dispatchEvent(new Event('scroll'))",
}


def main() -> None:
    """Make pages, open them, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=int, nargs="+", default=[527, 3_087, 30_871])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    browser = _browser()
    print(f"| labels | clips | page MB | seconds to write | ms to load (median, slowest) | {' | '.join(_ACTIONS)} |")
    print(f"|---:|---:|---:|---:|---:|{'---:|' * len(_ACTIONS)}")
    with tempfile.TemporaryDirectory() as folder, browser:
        for num_labels in arguments.labels:
            path = Path(folder) / f"{num_labels}.html"
            num_clips, seconds = _write(path, num_labels)
            loads, actions = [], []
            for _ in range(arguments.rounds):
                browser.get(path.as_uri())
                loads.append(browser.execute_script(_LOADED))
                actions.append([browser.execute_script(_timed(action)) for action in _ACTIONS.values()])
            complaints = browser.get_log("browser")
            cells = [
                f"{num_labels:,}",
                f"{num_clips:,}",
                f"{path.stat().st_size / 1e6:.1f}",
                f"{seconds:.1f}",
                f"{statistics.median(loads):.0f}, {max(loads):.0f}",
                *(f"{statistics.median(times):.0f}, {max(times):.0f}" for times in zip(*actions, strict=True)),
            ]
            print(f"| {' | '.join(cells)} |" + (f" complaints: {complaints}" if complaints else ""), flush=True)


_LOADED = "const { timing } = performance; return timing.loadEventEnd - timing.navigationStart"


def _timed(action: str) -> str:
    return f"const begun = performance.now(); {action}; document.body.offsetHeight; return performance.now() - begun"


def _write(path: Path, num_labels: int) -> tuple[int, float]:
    """A page of random scores; its clips, and the seconds that it took once the scores were evaluated."""
    rng = np.random.default_rng(num_labels)
    num_clips = min(20_000, _SCORES // num_labels)
    pairs = rng.geometric(1 / _CLIPS_PER_LABEL, size=num_labels)
    labels = np.repeat(np.arange(num_labels), pairs)
    positives = Positives.from_pairs(
        rng.integers(num_clips, size=len(labels)), labels, num_clips=num_clips, num_labels=num_labels
    )
    scores = rng.random((num_clips, num_labels), dtype=np.float32) * np.float32(0.7)
    for label in range(num_labels):
        scores[positives.of(label), label] += 0.3
    label_set = LabelSet(
        tuple(f"/m/{index:05x}" for index in range(num_labels)),
        tuple(f"Label {index} of a sound" for index in range(num_labels)),
    )
    source = ArrayScores(scores)
    evaluation = evaluate(source, positives, label_set=label_set)
    started = time.perf_counter()
    look = look_closer(source, positives, curves_of=labels_with_curves(evaluation), is_single_label=False)
    facts = EvaluationFacts(title="random scores", evaluation=evaluation, baseline=evaluation)
    write_evaluation_page(path, facts, evidence=Evidence(scores=source, positives=positives), look=look)
    return num_clips, time.perf_counter() - started


def _browser() -> Any:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "window-size=1100,1000"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver") or ""))


if __name__ == "__main__":
    main()
