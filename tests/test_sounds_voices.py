"""Sounds of people: each kind's own property, measured from the samples alone."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.signal import find_peaks

from earwitness.synth.signals import SAMPLE_RATE_HZ, num_samples
from earwitness.synth.sounds import hands_and_feet, voices

Sound = Callable[[np.random.Generator, np.random.Generator, float], npt.NDArray[np.float64]]

NUM_SOURCES = 6
HOP_SAMPLES = 240  # 10 ms


def made(kind: Sound, number: int, *, event: int = 0, seconds: float = 5.0) -> npt.NDArray[np.float64]:
    """An event of a source."""
    return kind(np.random.default_rng(number), np.random.default_rng([number, event]), seconds)


def spectra(waveform: npt.NDArray[np.float64], window_samples: int = 1_024) -> npt.NDArray[np.float64]:
    """Magnitudes [frames, bins] every 10 ms."""
    windows = np.lib.stride_tricks.sliding_window_view(waveform, window_samples)[::HOP_SAMPLES]
    return np.asarray(np.abs(np.fft.rfft(windows * np.hanning(window_samples))))


def envelope(waveform: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Root mean square of every 10 ms, relative to that of the whole."""
    frames = waveform[: len(waveform) // HOP_SAMPLES * HOP_SAMPLES].reshape(-1, HOP_SAMPLES)
    level = np.sqrt(np.mean(frames**2, axis=1))
    return np.asarray(level / np.sqrt(np.mean(level**2)))


def pitches_hz(waveform: npt.NDArray[np.float64], low_hz: float, high_hz: float) -> npt.NDArray[np.float64]:
    """Pitch of the loud and clearly voiced frames: whose multiples stand out most from what lies halfway between."""
    windows = np.lib.stride_tricks.sliding_window_view(waveform, 2_048)[::HOP_SAMPLES] * np.hanning(2_048)
    magnitudes = np.abs(np.fft.rfft(windows, 8_192))
    magnitudes = magnitudes[magnitudes.sum(axis=1) > 0.3 * np.median(magnitudes.sum(axis=1))]
    log_magnitudes = np.log(magnitudes + 1e-4 * magnitudes.max())
    candidates_hz = np.geomspace(low_hz, high_hz, 120)
    harmonic = np.round(np.outer(np.arange(1, 7), candidates_hz) * 8_192 / SAMPLE_RATE_HZ).astype(int)
    halfway = np.round(np.outer(np.arange(0.5, 6.5), candidates_hz) * 8_192 / SAMPLE_RATE_HZ).astype(int)
    clearness = (log_magnitudes[:, harmonic] - log_magnitudes[:, halfway]).mean(axis=1)
    return np.asarray(candidates_hz[clearness.argmax(axis=1)][clearness.max(axis=1) > 1.5])


def modulation(level: npt.NDArray[np.float64], low_hz: float, high_hz: float) -> float:
    """Power of a level's changes between two rates, per Hz."""
    power = np.abs(np.fft.rfft((level - level.mean()) * np.hanning(len(level)))) ** 2
    rates_hz = np.fft.rfftfreq(len(level), HOP_SAMPLES / SAMPLE_RATE_HZ)
    return float(power[(rates_hz >= low_hz) & (rates_hz < high_hz)].mean())


def test_people_speak_at_pitches_of_men_women_and_children() -> None:
    usual_hz = [np.median(pitches_hz(made(voices.speech, number), 60, 500)) for number in range(12)]
    assert min(usual_hz) < 150
    assert 250 < max(usual_hz) < 450
    assert min(usual_hz) > 70


def test_speech_comes_in_syllables_and_a_crowd_does_not() -> None:
    spoken, babble = (
        np.median([modulation(envelope(made(kind, number)), 3.0, 9.0) for number in range(NUM_SOURCES)])
        for kind in (voices.speech, voices.crowd)
    )
    assert spoken > 2 * babble


def test_singing_holds_its_pitch_and_speech_does_not() -> None:
    def drift(kind: Sound, number: int) -> float:
        pitch = np.log2(pitches_hz(made(kind, number), 60, 800))
        return float(np.median(np.abs(pitch[8:] - pitch[:-8])))

    held, spoken = (np.median([drift(k, n) for n in range(NUM_SOURCES)]) for k in (voices.singing, voices.speech))
    assert held < 0.6 * spoken


def test_laughter_repeats_its_syllables_four_to_six_times_a_second() -> None:
    for number in range(NUM_SOURCES):
        level = envelope(made(voices.laughter, number))
        rates_hz = np.arange(1.5, 12.0, 0.5)
        strongest = rates_hz[np.argmax([modulation(level, rate - 0.25, rate + 0.3) for rate in rates_hz[4:]]) + 4]
        assert 3.5 <= strongest <= 7.0


def test_babies_cry_high_and_their_wails_rise_before_they_fall() -> None:
    for number in range(NUM_SOURCES):
        waveform = made(voices.baby_cry, number)
        pitch_hz = pitches_hz(waveform, 200, 1_200)
        assert 280 < np.median(pitch_hz) < 900
        first = pitches_hz(waveform[: num_samples(0.45)], 200, 1_200)
        assert np.median(first[-5:]) > 1.1 * first[0]


def test_coughs_begin_at_once_and_as_noise() -> None:
    for number in range(NUM_SOURCES):
        waveform = made(voices.cough, number)
        starts = waveform[: num_samples(0.08)], waveform[num_samples(0.12) : num_samples(0.2)]
        early, late = (np.sum(part**2) for part in starts)
        assert early > 1.5 * late
        onsets, _ = find_peaks(envelope(waveform), height=0.7, distance=18, prominence=0.7)
        assert 1.0 <= len(onsets) / 5.0 <= 4.5


def test_applause_keeps_time() -> None:
    """Claps at random moments would change as strongly at all rates."""
    ratios = []
    for number in range(12):
        level = envelope(made(hands_and_feet.applause, number, seconds=10.0))
        ratios.append(modulation(level, 2.7, 6.0) / modulation(level, 0.3, 2.3))
    assert np.median(ratios) > 1.5


def test_whistling_is_one_tone_that_falls() -> None:
    for number in range(NUM_SOURCES):
        power = spectra(made(voices.whistling, number)) ** 2
        power = power[power.sum(axis=1) > 0.05 * np.median(power.sum(axis=1))]
        peaks = power.argmax(axis=1)
        near = [row[max(0, p - 4) : p + 5].sum() / row.sum() for row, p in zip(power, peaks, strict=True)]
        assert np.median(near) > 0.85
        hz = peaks * SAMPLE_RATE_HZ / 1_024
        assert hz.min() > 450
        assert hz.max() < 3_600
        steps = np.diff(peaks.astype(np.int64))
        assert (steps < 0).sum() > 1.3 * (steps > 0).sum()


def test_footsteps_are_even() -> None:
    """The level looks most like itself one step later."""
    for number in range(NUM_SOURCES):
        level = np.sqrt(envelope(made(hands_and_feet.footsteps, number, seconds=8.0)))
        level -= level.mean()
        likeness = np.correlate(level, level, "full")[len(level) - 1 :] / (level @ level)
        step_seconds = (24 + likeness[24:70].argmax()) / 100
        assert 0.28 < step_seconds < 0.6
        assert likeness[round(100 * step_seconds)] > 0.5
