"""Instruments: each kind's own property, measured from the samples alone."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from earwitness.synth.signals import SAMPLE_RATE_HZ
from earwitness.synth.sounds import music, percussion

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


def centroids_hz(waveform: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Where the middle of each frame's spectrum lies."""
    magnitudes = spectra(waveform)
    bins_hz = np.arange(magnitudes.shape[1]) * SAMPLE_RATE_HZ / 1_024
    return np.asarray(magnitudes @ bins_hz / magnitudes.sum(axis=1))


def share(waveform: npt.NDArray[np.float64], low_hz: float, high_hz: float) -> float:
    """The part of all power that lies between two frequencies."""
    power = np.abs(np.fft.rfft(waveform)) ** 2
    hz = np.fft.rfftfreq(len(waveform), 1 / SAMPLE_RATE_HZ)
    return float(power[(hz >= low_hz) & (hz < high_hz)].sum() / power.sum())


def strikes(waveform: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How much louder, summed over frequencies, each frame is than the one before."""
    loudness = np.log(spectra(waveform, 512) + 0.02 * spectra(waveform, 512).max())
    return np.asarray(np.maximum(np.diff(loudness, axis=0), 0.0).sum(axis=1))


def lowest_peaks_semitones(waveform: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The strongest frequency of every loud frame in semitones, sharpened by a parabola through three bins."""
    log_power = np.log(spectra(waveform, 2_048) + 1e-9)
    peaks = log_power[:, :-1].argmax(axis=1)
    before, at, after = (log_power[np.arange(len(peaks)), peaks + shift] for shift in (-1, 0, 1))
    exact = peaks + 0.5 * (before - after) / (before - 2 * at + after)
    loud = at > np.median(at) - 1.0
    return np.asarray(12 * np.log2(exact[loud] * SAMPLE_RATE_HZ / 2_048))


@pytest.mark.parametrize("kind", [percussion.drum_kit, percussion.tambourine])
def test_percussion_keeps_a_beat(kind: Sound) -> None:
    """Strikes at one step's distance and its multiples: their autocorrelation has a high peak."""
    for number in range(NUM_SOURCES):
        flux = strikes(made(kind, number, seconds=8.0))
        flux -= flux.mean()
        correlation = np.correlate(flux, flux, "full")[len(flux) - 1 :] / (flux @ flux)
        assert correlation[8:70].max() > 0.3


def test_a_drum_kit_has_a_bass_drum_and_a_tambourine_has_jingles() -> None:
    for number in range(NUM_SOURCES):
        drums, jingles = made(percussion.drum_kit, number), made(percussion.tambourine, number)
        assert share(drums, 0, 300) > 0.15
        assert share(jingles, 2_000, 12_000) > 0.6
        assert np.median(centroids_hz(jingles)) > 2_500


def test_flute_plays_on_the_semitones_of_one_key() -> None:
    for number in range(NUM_SOURCES):
        semitones = lowest_peaks_semitones(made(music.flute, number))
        angles = np.exp(2j * np.pi * semitones)  # equal fractions of a semitone add up
        assert abs(angles.mean()) > 0.7
        assert len(set(np.round(semitones - np.angle(angles.mean()) / (2 * np.pi)).astype(int))) >= 3


def test_violin_has_vibrato_and_flute_has_not() -> None:
    def wobble(kind: Sound, number: int) -> float:
        semitones = lowest_peaks_semitones(made(kind, number, seconds=8.0))
        steps = np.diff(semitones)
        return float(np.median(np.abs(steps[np.abs(steps) < 0.5])))

    for number in range(NUM_SOURCES):
        assert wobble(music.violin, number) > 1.5 * wobble(music.flute, number)


def test_brass_grows_brighter_as_it_grows_louder_and_an_organ_does_not() -> None:
    def bond(kind: Sound, number: int) -> float:
        waveform = made(kind, number)
        level = np.log(spectra(waveform).sum(axis=1) + 1e-3)
        return float(np.corrcoef(level, centroids_hz(waveform))[0, 1])

    horns, pipes = ([bond(kind, number) for number in range(NUM_SOURCES)] for kind in (music.brass, music.organ))
    assert np.median(horns) > 0.5
    assert np.median(horns) > np.median(pipes) + 0.2


def test_an_organ_holds_its_level_and_a_piano_dies_away() -> None:
    def unevenness(kind: Sound, number: int) -> float:
        waveform = made(kind, number)
        blocks = waveform[: len(waveform) // 1_200 * 1_200].reshape(-1, 1_200)
        level = np.log(np.sqrt(np.mean(blocks**2, axis=1)) + 1e-3)
        return float(np.std(level))

    held, struck = (
        np.median([unevenness(kind, number) for number in range(NUM_SOURCES)]) for kind in (music.organ, music.piano)
    )
    assert struck > 1.4 * held


def test_marimba_rings_shorter_than_piano() -> None:
    def half_life(kind: Sound, number: int) -> float:
        power = (spectra(made(kind, number, seconds=8.0), 1_024) ** 2)[:, 5:350]
        later = power[12:] / (power[:-12] + 1e-9 * power.max())
        strong = power[:-12] > 0.05 * power.max()
        return float(np.median(later[strong]))

    short, long = (
        np.median([half_life(kind, number) for number in range(NUM_SOURCES)]) for kind in (music.marimba, music.piano)
    )
    assert short < 0.7 * long


def test_marimba_bars_ring_two_octaves_up_and_not_at_whole_harmonics() -> None:
    hz, tone = 200.0, []
    for number in range(NUM_SOURCES):
        waveform = made(music.marimba, number, seconds=0.05)
        spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform)), 1 << 15))
        bins_hz = np.fft.rfftfreq(1 << 15, 1 / SAMPLE_RATE_HZ)
        hz = bins_hz[spectrum.argmax()]
        near = [spectrum[(bins_hz > r * hz - 60) & (bins_hz < r * hz + 60)].max() for r in (4.0, 2.5, 6.5)]
        tone.append(near[0] / max(near[1:]))
    assert np.median(tone) > 2


def test_a_harp_plucks_more_often_than_a_guitar() -> None:
    def plucks_per_second(kind: Sound, number: int) -> float:
        flux = strikes(made(kind, number, seconds=8.0))
        strong = (flux[1:-1] > flux[:-2]) & (flux[1:-1] >= flux[2:]) & (flux[1:-1] > 0.5 * np.quantile(flux, 0.99))
        return float(strong.sum() / 8.0)

    runs, strums = (
        np.median([plucks_per_second(kind, number) for number in range(NUM_SOURCES)])
        for kind in (music.harp, music.guitar)
    )
    assert 6 < runs < 16
    assert strums < 0.75 * runs


def test_bass_lies_low_and_closes_its_filter() -> None:
    for number in range(NUM_SOURCES):
        waveform = made(music.bass, number)
        assert share(waveform, 0, 500) > 0.5
        centroids = centroids_hz(waveform)
        assert np.quantile(centroids, 0.95) > 1.15 * np.quantile(centroids, 0.2)
