"""Weather, water and fire: their swelling, grain and colour, measured by Fourier transform and envelopes."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from scipy.signal import find_peaks

from earwitness.synth.signals import SAMPLE_RATE_HZ, num_samples
from earwitness.synth.sounds import nature

SOURCES = range(6)
Samples = npt.NDArray[np.float64]


def made(kind: str, *, source: int, event: int = 0, seconds: float = 4.0) -> Samples:
    make: Callable[[np.random.Generator, np.random.Generator, float], Samples] = getattr(nature, kind)
    return make(np.random.default_rng((1, source)), np.random.default_rng((2, event)), seconds)


def power(waveform: Samples) -> tuple[Samples, Samples]:
    """Frequencies and the share of the power at each."""
    spectrum = np.abs(np.fft.rfft(waveform)) ** 2
    return np.asarray(np.fft.rfftfreq(len(waveform), 1 / SAMPLE_RATE_HZ)), np.asarray(spectrum / spectrum.sum())


def centroid_hz(waveform: Samples) -> float:
    hz, share = power(waveform)
    return float((hz * share).sum())


def levels(waveform: Samples, *, per_second: int) -> Samples:
    """Root mean square of each stretch."""
    hop = SAMPLE_RATE_HZ // per_second
    stretches = waveform[: len(waveform) // hop * hop].reshape(-1, hop)
    return np.asarray(np.sqrt(np.mean(stretches**2, axis=1)))


def kurtosis(waveform: Samples) -> float:
    """How far the strongest moments stand out: 3 for noise."""
    return float(np.mean((waveform - waveform.mean()) ** 4) / waveform.var() ** 2)


def decibels_of_change(waveform: Samples) -> float:
    """Standard deviation of the level of half seconds."""
    return float(np.std(20 * np.log10(levels(waveform, per_second=2))))


def test_wind_and_surf_swell_and_rain_is_steady() -> None:
    rain, wind, surf = (
        [decibels_of_change(made(kind, source=source, seconds=20.0)) for source in SOURCES]
        for kind in ("rain", "wind", "surf")
    )
    assert max(rain) < np.median(wind)
    assert np.median(rain) < 0.8 * min(*wind, *surf)


def test_wind_howls_on_a_tone_that_wanders() -> None:
    # the strongest pitch is near where it was a tenth of a second ago and not where it was seconds ago; in noise,
    # which leaps, the two are equally far
    def staying(kind: str, source: int) -> float:
        frames = np.array(np.split(made(kind, source=source, seconds=20.0), 200)) * np.hanning(num_samples(0.1))
        spectra = np.abs(np.fft.rfft(frames))[:, 20:250] ** 2 * np.arange(20, 250) ** 2
        smooth = np.array([np.convolve(spectrum, np.hanning(9), mode="same") for spectrum in spectra])
        track = np.log2(20 + smooth.argmax(axis=1))
        return float(np.mean(np.abs(track[1:] - track[:-1])) / np.mean(np.abs(track[40:] - track[:-40])))

    winds, surfs = ([staying(kind, source) for source in SOURCES] for kind in ("wind", "surf"))
    assert np.median(winds) < 0.7
    assert np.median(surfs) > 0.85


def test_surf_breaks_in_waves_that_rise_faster_than_they_sink() -> None:
    for source in SOURCES:
        level = levels(made("surf", source=source, seconds=60.0), per_second=2)
        smooth = np.convolve(level, np.hanning(5) / np.hanning(5).sum(), mode="valid")
        waves, _ = find_peaks(smooth, prominence=0.2 * np.ptp(smooth))
        assert 5 <= len(waves) <= 22
        steps = np.diff(smooth)
        assert np.mean(steps[steps > 0]) > 1.15 * -np.mean(steps[steps < 0])


def test_thunder_is_low_and_dies_away() -> None:
    for source in SOURCES:
        waveform = made("thunder", source=source, seconds=4.0)
        hz, share = power(waveform)
        assert share[hz < 800].sum() > 0.7
        second, *_, last = levels(waveform, per_second=1)
        assert second > 2 * last


def test_grains_of_a_stream_are_notes_that_rise_and_those_of_rain_are_shorter() -> None:
    bubble = nature._bubble(600, rise=0.5, ring_seconds=0.02)
    crossings = np.diff(np.flatnonzero(np.diff(np.signbit(bubble))))
    assert SAMPLE_RATE_HZ / (2 * crossings[0]) == pytest.approx(600, rel=0.05)
    assert SAMPLE_RATE_HZ / (2 * crossings[-1]) == pytest.approx(900, rel=0.05)
    streams, rains = ([centroid_hz(made(kind, source=source)) for source in SOURCES] for kind in ("stream", "rain"))
    assert np.median(streams) < 0.7 * np.median(rains)


def test_fire_snaps_more_sharply_and_more_unevenly_than_rain_falls() -> None:
    fires, rains = (
        [kurtosis(made(kind, source=source, seconds=8.0)) for source in SOURCES] for kind in ("fire", "rain")
    )
    assert min(fires) > 8
    assert np.median(fires) > 3 * np.median(rains)


def test_drops_fall_one_by_one_and_their_notes_rise() -> None:
    for source in SOURCES:
        waveform = made("dripping", source=source, seconds=6.0)
        level = levels(waveform, per_second=100)
        onsets, _ = find_peaks(np.concatenate([[0.0], level]), height=0.3 * level.max(), distance=5)
        assert 1.5 < len(onsets) / 6 < 8
        drop = waveform[: num_samples(0.06)]
        crossings = np.diff(np.flatnonzero(np.diff(np.signbit(drop[100:]))))
        assert crossings[:4].mean() > crossings[-4:].mean()


def test_strewn_grains_have_the_number_and_the_clumps_asked_for() -> None:
    grain = np.ones(1)
    spread = nature._strewn(np.random.default_rng(1), [grain], 50.0, per_second=40, clumping=0.0)
    assert np.count_nonzero(spread) == pytest.approx(2_000, rel=0.1)
    assert spread.sum() == pytest.approx(2_000, rel=0.15)
    clumped = nature._strewn(np.random.default_rng(1), [grain], 50.0, per_second=40, clumping=1.5)
    counts = [np.count_nonzero(w.reshape(250, -1), axis=1) for w in (spread, clumped)]
    # the number in a fifth of a second varies as a Poisson number does, or much more
    assert counts[0].var() / counts[0].mean() == pytest.approx(1, abs=0.4)
    assert counts[1].var() / counts[1].mean() > 4
