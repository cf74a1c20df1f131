"""Alarms and signals: pitch, rhythm and partials measured back from the sound, for several sources."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.signal import find_peaks, spectrogram, welch

from earwitness.synth.signals import SAMPLE_RATE_HZ, Waveform, num_samples
from earwitness.synth.sounds import alarms

SOURCES = range(6)
ENVELOPE_HZ = 200


def made(kind: object, source: int, seconds: float, *, event: int = 0) -> Waveform:
    assert callable(kind)
    waveform: Waveform = kind(np.random.default_rng(source), np.random.default_rng((event, 99)), seconds)
    return waveform


def envelope(waveform: Waveform) -> npt.NDArray[np.float64]:
    """Root mean square of each 5 ms."""
    step = SAMPLE_RATE_HZ // ENVELOPE_HZ
    blocks = waveform[: len(waveform) // step * step].reshape(-1, step)
    return np.asarray(np.sqrt((blocks**2).mean(axis=1)))


def beeps(waveform: Waveform) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Start and length in seconds of each stretch of sound but the last, which may be cut off."""
    is_loud = np.pad(envelope(waveform) > 0.3 * envelope(waveform).max(), 1).astype(int)
    starts, stops = np.flatnonzero(np.diff(is_loud) > 0), np.flatnonzero(np.diff(is_loud) < 0)
    return starts[:-1] / ENVELOPE_HZ, (stops - starts)[:-1] / ENVELOPE_HZ


def pitches(waveform: Waveform, low_hz: float, high_hz: float) -> npt.NDArray[np.float64]:
    """Pitch by autocorrelation, fifty times a second: the shortest lag of nearly the greatest likeness."""
    lags = np.arange(int(SAMPLE_RATE_HZ / high_hz), int(SAMPLE_RATE_HZ / low_hz) + 1)
    windows = np.lib.stride_tricks.sliding_window_view(waveform, 960)[:: SAMPLE_RATE_HZ // 50] * np.hanning(960)
    likeness = np.fft.irfft(np.abs(np.fft.rfft(windows, 2_048)) ** 2)[:, lags]
    likeness /= np.fft.irfft(np.abs(np.fft.rfft(np.hanning(960), 2_048)) ** 2)[lags]
    inner = likeness[:, 1:-1]
    is_peak = (inner >= likeness[:, :-2]) & (inner > likeness[:, 2:]) & (inner > 0.85 * inner.max(axis=1)[:, None])
    return np.asarray(SAMPLE_RATE_HZ / lags[1:-1][is_peak.argmax(axis=1)])


def strongest_hz(waveform: Waveform, num: int, *, apart_hz: float) -> npt.NDArray[np.float64]:
    """The frequencies of the strongest lines of the whole, in rising order."""
    power = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform)))) ** 2
    step_hz = SAMPLE_RATE_HZ / len(waveform)
    peaks, _ = find_peaks(power, distance=max(1, round(apart_hz / step_hz)))
    return np.asarray(np.sort(peaks[np.argsort(power[peaks])[-num:]] * step_hz))


def test_siren_sweeps() -> None:
    for source in SOURCES:
        found_hz = pitches(made(alarms.siren, source, 8.0), 350, 2_400)
        low_hz, high_hz = np.quantile(found_hz, [0.05, 0.95])
        assert high_hz > 1.5 * low_hz
        between = (found_hz > low_hz * 1.15) & (found_hz < high_hz / 1.15)
        assert between.mean() > 0.3  # it glides through what lies between


def test_two_tone_horn_alternates() -> None:
    for source in SOURCES:
        found_hz = pitches(made(alarms.two_tone_horn, source, 8.0), 280, 1_100)
        middle_hz = np.sqrt(np.quantile(found_hz, 0.1) * np.quantile(found_hz, 0.9))
        is_high = found_hz > middle_hz
        assert 1.12 < np.median(found_hz[is_high]) / np.median(found_hz[~is_high]) < 1.58
        assert is_high.mean() == pytest.approx(0.5, abs=0.1)
        assert np.mean(np.abs(np.diff(np.log(found_hz))) < 0.03) > 0.8  # it rests on its notes
        assert 9 <= np.count_nonzero(np.diff(is_high.astype(int))) <= 60


def test_smoke_alarm_beeps_in_threes() -> None:
    for source in SOURCES:
        waveform = made(alarms.smoke_alarm, source, 12.0)
        starts, lengths = beeps(waveform)
        assert lengths.std() < 0.02
        gaps = np.diff(starts) - lengths.mean()
        is_pause = gaps > 1.25 * gaps.min()
        assert (np.flatnonzero(is_pause) % 3 == 2).all()
        assert np.count_nonzero(is_pause) >= len(gaps) // 3
        assert 2_650 < strongest_hz(waveform, 1, apart_hz=200)[0] < 3_600


def test_reversing_beeps_are_even_and_lower() -> None:
    for source in SOURCES:
        waveform = made(alarms.reversing_beeps, source, 12.0)
        starts, lengths = beeps(waveform)
        assert np.diff(starts).std() < 0.03 * np.diff(starts).mean()
        assert 0.9 < 1 / np.diff(starts).mean() < 2.6
        assert 0.15 < lengths.mean() < 0.55
        assert 800 < strongest_hz(waveform, 1, apart_hz=200)[0] < 1_850


def test_telephone_rings_on_two_notes() -> None:
    for source in SOURCES:
        waveform = made(alarms.telephone, source, 12.0)
        level = np.convolve(envelope(waveform), np.ones(20) / 20, mode="valid")
        pauses, _ = find_peaks(-level, height=-0.35 * level.max(), distance=60)
        assert 12 / 2.6 - 1 < len(pauses) < 12 / 0.8
        below = np.fft.rfft(waveform * np.hanning(len(waveform)))[: 12 * 2_300]
        power = np.convolve(np.abs(below) ** 2, np.ones(12 * 30), mode="same")
        peaks, _ = find_peaks(power, distance=12 * 60)
        low_hz, high_hz = np.sort(peaks[np.argsort(power[peaks])[-2:]]) / 12
        assert 1.1 < high_hz / low_hz < 1.37


def test_church_bell_is_inharmonic_and_rings_out() -> None:
    for source in range(12):
        waveform = made(alarms.church_bell, source, 0.75)  # one stroke
        lines_hz = strongest_hz(waveform, 14, apart_hz=8)
        # a tuned bell: above the prime a minor tierce, an octave below it the hum, an octave above it the nominal
        fits = [
            sum(np.abs(lines_hz / (prime_hz * ratio) - 1).min() < 0.025 for ratio in (0.5, 1.2, 1.5, 2.0, 2.5))
            for prime_hz in lines_hz
        ]
        assert max(fits) >= 4
        level = envelope(waveform)
        assert 0.25 * level[:20].mean() < level[-20:].mean() < 0.95 * level[:20].mean()


def test_bicycle_bell_is_high_and_brief() -> None:
    for source in SOURCES:
        waveform = made(alarms.bicycle_bell, source, 8.0)
        power = np.abs(np.fft.rfft(waveform)) ** 2
        hz = np.fft.rfftfreq(len(waveform), 1 / SAMPLE_RATE_HZ)
        assert power[hz > 1_200].sum() > 0.97 * power.sum()
        level = envelope(waveform)
        strokes, _ = find_peaks(np.diff(level, prepend=0), height=0.15 * level.max(), distance=6)
        assert len(strokes) >= 8


def test_car_horn_holds_two_notes() -> None:
    for source in SOURCES:
        waveform = made(alarms.car_horn, source, 8.0)
        starts, lengths = beeps(waveform)
        gaps = starts[1:] - (starts[:-1] + lengths[:-1])
        assert gaps.max() < 0.35
        first, second = waveform[: 4 * SAMPLE_RATE_HZ], waveform[4 * SAMPLE_RATE_HZ :]
        line_hz, again_hz = strongest_hz(first, 3, apart_hz=40), strongest_hz(second, 8, apart_hz=40)
        assert np.abs(line_hz[:, None] / again_hz - 1).min(axis=1).max() < 0.01
        assert 250 < strongest_hz(waveform, 12, apart_hz=40)[0] < 1_300


def test_buzzer_is_harsh_at_the_mains_pace() -> None:
    for source in SOURCES:
        waveform = made(alarms.buzzer, source, 6.0)
        found_hz = np.median(pitches(waveform, 45, 300))
        assert 45 < found_hz < 270
        hz, power = welch(waveform, SAMPLE_RATE_HZ, nperseg=4_096)
        decibels = 10 * np.log10(power[(hz > 100) & (hz < 7_500)] / power.max())
        assert len(find_peaks(decibels, height=-50, prominence=6)[0]) > 12
        level = np.convolve(envelope(waveform), np.ones(9) / 9, mode="valid")
        assert 1 <= len(find_peaks(-level, height=-0.4 * np.median(level), distance=20)[0]) <= 25


def test_dialled_keys_can_be_read_back() -> None:
    rows_hz, columns_hz = [697, 770, 852, 941], [1_209, 1_336, 1_477]
    keys: set[tuple[int, int]] = set()
    for source in SOURCES:
        waveform = made(alarms.phone_dialling, source, 8.0)
        assert 2 < len(beeps(waveform)[0]) / 8 < 10
        for start, length in zip(*beeps(waveform), strict=True):
            tone = waveform[num_samples(start) : num_samples(start + length)]
            t = np.arange(len(tone)) / SAMPLE_RATE_HZ
            heard = np.abs(np.exp(-2j * np.pi * np.outer(rows_hz + columns_hz, t)) @ tone)
            for part in (heard[:4], heard[4:]):
                weaker, stronger = np.sort(part)[-2:]
                assert stronger > 2.5 * weaker
            keys.add((int(heard[:4].argmax()), int(heard[4:].argmax())))
    assert len(keys) == 12


def test_siren_and_horn_share_a_band() -> None:
    """They are alike on purpose: most of the energy of each lies where the other's does."""
    for source in SOURCES:
        for kind in (alarms.siren, alarms.two_tone_horn):
            hz, _, power = spectrogram(made(kind, source, 4.0), SAMPLE_RATE_HZ, nperseg=1_024)
            inside = (hz > 300) & (hz < 4_000)
            assert power[inside].sum() > 0.8 * power.sum()
