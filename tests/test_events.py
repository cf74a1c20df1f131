"""Events by hysteresis, lengths and gaps: by hand, and against a plain reading of all scores at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earwitness.errors import LabelError, SettingsError
from earwitness.front_end import FrontEnd
from earwitness.inference.events import Event, EventFinder
from earwitness.labels import LabelSet
from earwitness.listening.timeline_settings import TimelineSettings, chosen_labels, hop_frames


def spans(finder: EventFinder, scores: list[float], hop_seconds: float) -> list[tuple[float, float, float]]:
    starts = np.arange(len(scores)) * hop_seconds
    events = [*finder.push(starts, np.array(scores, np.float32)[:, None]), *finder.finish()]
    return [(round(e.start_seconds, 6), round(e.stop_seconds, 6), round(e.peak_score, 3)) for e in events]


def test_borders_at_the_middles() -> None:
    """Patches of 1 s every 0.25 s: each speaks for the quarter about its middle, the outer ones for the ends, too."""
    finder = EventFinder(threshold=0.5, patch_seconds=1.0, hop_seconds=0.25)
    assert spans(finder, [0, 0, 0.8, 0.9, 0, 0, 0, 0], 0.25) == [(0.875, 1.375, 0.9)]
    finder = EventFinder(threshold=0.5, patch_seconds=1.0, hop_seconds=0.25)
    assert spans(finder, [0.9, 0, 0, 0, 0.6], 0.25) == [(0.0, 0.625, 0.9), (1.375, 2.0, 0.6)]


def test_a_sound_that_fills_half_of_the_border_patches_has_true_borders() -> None:
    """Perfect scores, the share of a patch in which it sounds: at 0.5 the borders are right to half a hop."""
    starts = np.arange(0, 10, 0.01)
    for hop, tolerance in ((1, 0.0051), (10, 0.051), (48, 0.241)):
        starts_here = starts[::hop]
        share = np.clip(np.minimum(starts_here + 0.96, 6.5) - np.maximum(starts_here, 3.2), 0, None) / 0.96
        finder = EventFinder(threshold=0.5, patch_seconds=0.96, hop_seconds=hop / 100)
        [event] = [*finder.push(starts_here, share.astype(np.float32)[:, None]), *finder.finish()]
        assert event.start_seconds == pytest.approx(3.2, abs=tolerance)
        assert event.stop_seconds == pytest.approx(6.5, abs=tolerance)


def test_hysteresis_gaps_and_lengths_by_hand() -> None:
    scores = [0.3, 0.4, 0.9, 0.4, 0.1, 0.4, 0.4, 0.1, 0.1, 0.1, 0.8, 0.1, 0.7]

    def found(**choices: float) -> list[tuple[float, float, float]]:
        finder = EventFinder(threshold=0.6, patch_seconds=1.0, **choices)
        return spans(finder, scores, 1.0)

    assert found() == [(2, 3, 0.9), (10, 11, 0.8), (12, 13, 0.7)]
    assert found(lower_threshold=0.35) == [(1, 4, 0.9), (10, 11, 0.8), (12, 13, 0.7)], "5 to 7 never reaches 0.6"
    assert found(lower_threshold=0.35, min_seconds=2) == [(1, 4, 0.9)]
    assert found(max_gap_seconds=1) == [(2, 3, 0.9), (10, 13, 0.8)]
    assert found(max_gap_seconds=1, min_seconds=3) == [(10, 13, 0.8)], "gaps are closed first"
    assert found(max_gap_seconds=7) == [(2, 13, 0.9)]


def test_no_event_outlasts_its_sound() -> None:
    finder = EventFinder(threshold=0.5, patch_seconds=1.0, min_seconds=0.5)
    finder.push(np.zeros(1), np.ones((1, 1), np.float32))
    assert finder.finish(end_seconds=0.3) == [], "and is as long as it is when its length is asked for"


def plainly(
    scores: np.ndarray, *, high: float, low: float, margin: float, patch: float, hop: float, shortest: float, gap: float
) -> list[tuple[int, float, float, float]]:
    """The definition, with all scores at hand."""
    found = []
    for label in range(scores.shape[1]):
        column = scores[:, label]
        runs, first = [], None
        for number in range(len(column) + 1):
            heard = number < len(column) and column[number] >= low
            if heard and first is None:
                first = number
            if not heard and first is not None:
                if column[first:number].max() >= high:
                    start = first * hop + (margin if first else 0)
                    stop = (number - 1) * hop + patch - (margin if number < len(column) else 0)
                    runs.append((start, stop, float(column[first:number].max())))
                first = None
        joined: list[tuple[float, float, float]] = []
        for start, stop, peak in runs:
            if joined and start - joined[-1][1] <= gap + 1e-6:
                joined[-1] = (joined[-1][0], stop, max(peak, joined[-1][2]))
            else:
                joined.append((start, stop, peak))
        found += [(label, start, stop, peak) for start, stop, peak in joined if stop - start >= shortest - 1e-6]
    return sorted(found)


@given(
    rows=st.lists(st.lists(st.sampled_from([0.0, 0.3, 0.5, 0.9]), min_size=2, max_size=2), max_size=30),
    cuts=st.lists(st.integers(0, 30), max_size=3),
    low=st.sampled_from([0.2, 0.4, 0.5]),
    hop=st.sampled_from([0.1, 0.5, 1.0]),
    shortest=st.sampled_from([0.0, 0.8, 2.0]),
    gap=st.sampled_from([0.0, 0.4, 1.0, 3.0]),
)
def test_streamed_as_defined(
    rows: list[list[float]], cuts: list[int], low: float, hop: float, shortest: float, gap: float
) -> None:
    scores = np.array(rows, dtype=np.float32).reshape(-1, 2)
    starts = np.arange(len(scores)) * hop
    finder = EventFinder(
        threshold=0.5,
        lower_threshold=low,
        patch_seconds=1.0,
        hop_seconds=hop,
        min_seconds=shortest,
        max_gap_seconds=gap,
    )
    events: list[Event] = []
    borders = [0, *sorted(min(cut, len(scores)) for cut in cuts), len(scores)]
    for first, last in zip(borders, borders[1:], strict=False):  # noqa: RUF007 (some are empty)
        events += finder.push(starts[first:last], scores[first:last])
        assert len(finder._runs) + len(finder._ended) <= 4, "two a label"
    events += finder.finish()
    margin = (1.0 - hop) / 2
    expected = plainly(scores, high=0.5, low=low, margin=margin, patch=1.0, hop=hop, shortest=shortest, gap=gap)
    came = sorted((e.label, e.start_seconds, e.stop_seconds, e.peak_score) for e in events)
    assert [row[0] for row in came] == [row[0] for row in expected]
    np.testing.assert_allclose(np.array(came), np.array(expected), atol=1e-9)


def test_a_threshold_for_each_label() -> None:
    finder = EventFinder(threshold=np.array([0.2, np.inf]), patch_seconds=1.0, lower_threshold=np.array([0.1, np.inf]))
    events = [*finder.push(np.arange(3.0), np.full((3, 2), 0.3, np.float32)), *finder.finish()]
    assert [(e.label, e.stop_seconds) for e in events] == [(0, 3.0)]


def test_hops() -> None:
    assert [hop_frames(hop, FrontEnd()) for hop in (None, 0.01, 0.1, 0.48, 0.96)] == [48, 1, 10, 48, 96]
    for hop, nearest in ((0.333, "0.33"), (0.0, "0.01"), (-1, "0.01"), (2.0, "0.96"), (float("inf"), "0.96")):
        with pytest.raises(SettingsError, match=rf"hop_seconds={hop:g} .*the nearest is {nearest}$"):
            hop_frames(hop, FrontEnd())


def test_settings_refused() -> None:
    for choice in ({"threshold": 1.5}, {"keep_share": 0.0}, {"keep_share": 1.1}, {"min_seconds": float("nan")}):
        with pytest.raises(SettingsError, match=next(iter(choice))):
            TimelineSettings(**choice)  # type: ignore[arg-type]
    labels = LabelSet(("/m/1", "/m/2", "/m/3"), ("Dog", "Bell", "dog"))
    assert chosen_labels(("dog", "/m/2"), labels) == [0, 1, 2]
    assert chosen_labels((), labels) == [0, 1, 2]
    with pytest.raises(LabelError, match=r"unknown label 'Bel'; .*did you mean 'Bell'"):
        chosen_labels(("Bel",), labels)
