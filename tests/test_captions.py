"""Captions and other forms of events: by hand, by properties, and in a real player.

The player is Chromium; skipped where it, its driver or selenium is missing.
"""

import functools
import http.server
import json
import re
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earwitness.errors import SettingsError
from earwitness.listening.captions import LEAST_CAPTION_SECONDS, LEAST_SECONDS, captions, srt, webvtt
from earwitness.listening.event_files import write_events
from earwitness.listening.results import HeardEvent, HeardEvents
from headless_browser import chromium

HOSTILE = 'a <b>bold</b> & "x" --> {\\an8}\n\n1\tend'


def event(name: str, start: float, stop: float, peak: float = 0.9) -> HeardEvent:
    return HeardEvent(label_id=name, label_name=name, start_seconds=start, stop_seconds=stop, peak_score=peak)


def heard(*events: HeardEvent) -> HeardEvents:
    return HeardEvents(
        media="film.mp4",
        seconds=20.0,
        scored_seconds=19.2,
        num_patches=20,
        warnings=(),
        is_padded=False,
        events=events,
        hop_seconds=0.48,
        patch_seconds=0.96,
        is_calibrated=False,
        has_own_thresholds=False,
    )


def test_captions_by_hand() -> None:
    shown = captions([event("rain", 1.0, 9.0), event("dog", 3.0, 5.0), event("bell", 9.5, 9.7)])
    assert [(c.start_ms, c.stop_ms, c.lines) for c in shown] == [
        (1000, 3000, ("[rain]",)),
        (3000, 5000, ("[dog]", "[rain]")),
        (5000, 9000, ("[rain]",)),
        (9500, 10500, ("[bell]",)),
    ], "what began first stays at the bottom; a short one stays for a second"
    assert captions([]) == []
    assert srt([]) == ""
    assert webvtt([]) == "WEBVTT\n"


def test_no_caption_flashes() -> None:
    shown = captions([event("bell", 0.96, 1.92), event("dog", 1.92, 4.8), event("rain", 4.6, 6.0)])
    assert [(c.start_ms, c.stop_ms, c.lines) for c in shown] == [
        (960, 1920, ("[bell]",)),
        (1920, 4600, ("[dog]",)),
        (4600, 6000, ("[rain]",)),
    ], "the second of the bell ends where the dog begins; the dog where the rain does, 0.2 s early"
    [caption] = captions([event("a", 0.0, 0.1), event("b", 0.2, 0.3), event("a", 0.3, 0.4)])
    assert (caption.start_ms, caption.stop_ms, set(caption.lines)) == (0, 1200, {"[a]", "[b]"})


def test_most_lines_are_the_best() -> None:
    events = [event(name, 0.0, 4.0, peak) for name, peak in (("a", 0.2), ("b", 0.9), ("c", 0.5))]
    [caption] = captions(events, most_lines=2)
    assert set(caption.lines) == {"[b]", "[c]"}


def test_files_by_hand() -> None:
    events = [event("rain", 0.5, 3661.25), event("Tom & <Jerry>", 3660.0, 3661.25)]
    assert webvtt(events) == (
        "WEBVTT\n\n00:00:00.500 --> 01:01:00.000\n[rain]\n\n"
        "01:01:00.000 --> 01:01:01.250\n[Tom &amp; &lt;Jerry&gt;]\n[rain]\n"
    )
    assert srt(events) == (
        "1\n00:00:00,500 --> 01:01:00,000\n[rain]\n\n2\n01:01:00,000 --> 01:01:01,250\n[Tom & ‹Jerry›]\n[rain]\n"
    )


def test_every_format(tmp_path: Path) -> None:
    result = heard(event("rain", 0.0, 2.88), event("a\tb", 1.44, 2.4, 0.625))
    for name in ("json", "csv", "txt", "vtt", "srt"):
        write_events(result, tmp_path / f"e.{name}")
    assert (tmp_path / "e.txt").read_text() == "0.000000\t2.880000\train\n1.440000\t2.400000\ta b\n"
    assert (tmp_path / "e.csv").read_text().splitlines() == [
        "media,start_seconds,stop_seconds,label_id,label_name,peak_score",
        "film.mp4,0.000,2.880,rain,rain,0.9",
        "film.mp4,1.440,2.400,a\tb,a\tb,0.625",
    ]
    values = json.loads((tmp_path / "e.json").read_text())
    assert values["schema_version"] == 2
    assert values["events"][1] == {
        "label_id": "a\tb",
        "label_name": "a\tb",
        "start_seconds": 1.44,
        "stop_seconds": 2.4,
        "peak_score": 0.625,
    }
    assert (tmp_path / "e.vtt").read_text().startswith("WEBVTT\n")
    with pytest.raises(SettingsError, match=r"\.json, \.csv, \.txt, \.vtt, \.srt"):
        write_events(result, tmp_path / "e.doc")
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be written"):
        write_events(result, tmp_path / "file" / "e.json")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["rain", "dog", HOSTILE]), st.integers(0, 400), st.integers(1, 200), st.floats(0.1, 1.0)
        ),
        max_size=12,
    )
)
def test_captions_never_overlap_and_show_what_sounds(rows: list[tuple[str, int, int, float]]) -> None:
    events, ends = [], {}
    for name, start, length, peak in sorted(rows, key=lambda row: row[1]):
        if start < ends.get(name, 0):  # events of a label do not overlap
            continue
        ends[name] = start + length
        events.append(event(name, start / 20, (start + length) / 20, peak))
    shown = captions(events)
    for one, other in pairwise(shown):
        assert one.start_ms < one.stop_ms <= other.start_ms < other.stop_ms
    spans = [
        (f"[{' '.join(e.label_name.split())}]", round(e.start_seconds * 1000), round(e.stop_seconds * 1000))
        for e in events
    ]
    least, blink = round(LEAST_SECONDS * 1000), round(LEAST_CAPTION_SECONDS * 1000)
    for time in range(0, 32_000, 50):
        lines = {line for c in shown if c.start_ms <= time < c.stop_ms for line in c.lines}
        sounding = {line for line, start, stop in spans if start <= time < stop}
        soon = {line for line, start, stop in spans if start < time + blink and time < max(stop, start + least)}
        assert lines <= soon, "none late"
        assert {line for line in sounding if line in _all(spans, time, time + blink)} <= lines
    for line, start, stop in spans:
        assert any(line in c.lines and c.start_ms < max(stop, start + least) and c.stop_ms > start for c in shown)
    assert all(c.stop_ms - c.start_ms >= blink for c in shown)
    text = webvtt(events)
    assert len(re.findall("-->", text)) == len(shown) == len(re.findall("-->", srt(events)))
    blocks = text.strip("\n").split("\n\n")
    assert len(blocks) == len(shown) + 1, "no blank line within a cue"


def _all(spans: list[tuple[str, int, int]], first: int, last: int) -> set[str]:
    """Lines that sound all the while."""
    return {line for line, start, stop in spans if start <= first and last <= stop}


def film(path: Path, *, seconds: int = 6, rate: int = 10) -> Path:
    """A video that grows lighter."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 480, 270, "yuv420p"
        for number in range(seconds * rate):
            picture = np.full((270, 480, 3), 20 + 2 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and its address: browsers read captions from servers only."""
    handler = functools.partial(_Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield tmp_path, f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def browser() -> Iterator[Any]:
    with chromium(width=560, height=420) as chrome:
        yield chrome


PAGE = """<!doctype html><title>captions</title><body style="margin:0;background:#fff">
<video id="video" src="film.webm" width="480" height="270" muted controls>
<track id="track" src="film.vtt" kind="captions" srclang="en" label="sounds" default></video>"""

PLAY_TO = """
const [seconds, done] = arguments, video = document.getElementById('video');
video.onerror = () => done('error ' + video.error.message);
video.textTracks[0].mode = 'showing';
video.currentTime = seconds - 0.3;
video.play();
video.ontimeupdate = () => { if (video.currentTime >= seconds) { video.pause(); video.ontimeupdate = null;
  setTimeout(() => done([...video.textTracks[0].activeCues].map(cue => cue.getCueAsHTML().textContent)), 300); } };
"""


@pytest.mark.slow
def test_a_player_shows_them(served: tuple[Path, str], browser: Any) -> None:
    """Chromium plays a film with the captions: labels that sound together stand in one, and signs are themselves."""
    folder, address = served
    film(folder / "film.webm")
    name = "<b>Tom</b> & Jerry"
    events = heard(event("applause", 1.0, 5.5), event("dog barking", 2.5, 4.0), event(name, 2.7, 4.0))
    write_events(events, folder / "film.vtt")
    (folder / "page.html").write_text(PAGE)
    browser.get(f"{address}/page.html")
    assert browser.execute_async_script(PLAY_TO, 1.8) == ["[applause]"]
    assert browser.execute_async_script(PLAY_TO, 3.4) == [f"[{name}]\n[dog barking]\n[applause]"]
    picture = folder / "shown.png"
    browser.save_screenshot(str(picture))
    with av.open(str(picture)) as container:
        pixels = next(container.decode(video=0)).to_ndarray(format="gray")
    # the captions are light letters on dark above the controls; without them the film is of one grey there
    assert np.ptp(pixels[120:230, 40:440]) > 150
    assert browser.execute_async_script(PLAY_TO, 5.8) == []
