"""Vehicles, machines and tools: each kind moves as its name says, for several sources."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from scipy.signal import find_peaks, spectrogram, welch

from earwitness.synth.signals import SAMPLE_RATE_HZ, Waveform, num_samples
from earwitness.synth.sounds import machines, vehicles

SOURCES = range(5)
ENVELOPE_HZ = 200


def made(kind: object, source: int, seconds: float, *, event: int = 0) -> Waveform:
    assert callable(kind)
    waveform: Waveform = kind(np.random.default_rng(source), np.random.default_rng((event, 99)), seconds)
    return waveform


def envelope(waveform: Waveform, *, low_hz: float = 125, high_hz: float = 7_500) -> npt.NDArray[np.float64]:
    """Amplitude between two frequencies, `ENVELOPE_HZ` times a second."""
    step = SAMPLE_RATE_HZ // ENVELOPE_HZ
    hz, _, power = spectrogram(waveform, SAMPLE_RATE_HZ, nperseg=2 * step, noverlap=step)
    return np.asarray(np.sqrt(power[(hz >= low_hz) & (hz <= high_hz)].sum(axis=0)))


def onsets(waveform: Waveform, *, low_hz: float, apart_seconds: float) -> npt.NDArray[np.float64]:
    """Moments in seconds at which the envelope peaks."""
    level = envelope(waveform, low_hz=low_hz)
    distance = max(1, round(apart_seconds * ENVELOPE_HZ))
    peaks, _ = find_peaks(np.pad(level, 1), height=0.3 * np.quantile(level, 0.995), distance=distance)
    return np.asarray(peaks / ENVELOPE_HZ)


def pulse_rate(waveform: Waveform, low_hz: float, high_hz: float) -> tuple[float, float]:
    """The strongest rate of the envelope between two rates, and its power relative to the median of those there."""
    level = envelope(waveform)
    hz, power = welch(level - level.mean(), ENVELOPE_HZ, nperseg=min(len(level), 400))
    inside = (hz >= low_hz) & (hz <= high_hz)
    return float(hz[inside][power[inside].argmax()]), float(power[inside].max() / np.median(power[hz > 1]))


def speed_steps(waveform: Waveform) -> npt.NDArray[np.float64]:
    """How an engine's pitch moves from one tenth of a second to the next, in octaves.

    The spectrum is whitened of the exhaust's resonances and laid out by the logarithm of frequency, where a change of
    speed is a shift.
    """
    hz, _, power = spectrogram(waveform, SAMPLE_RATE_HZ, nperseg=6_000, noverlap=3_600, nfft=24_000)
    log_hz = np.geomspace(120, 1_500, 600)
    lines = np.array([np.interp(log_hz, hz, np.log(column + 1e-12)) for column in power.T])
    lines -= lines.mean(axis=0)
    lines -= lines.mean(axis=1, keepdims=True)
    widest = 150
    steps = [np.correlate(b, a[widest:-widest]).argmax() - widest for a, b in pairwise(lines)]
    return np.asarray(np.array(steps) * np.log2(1_500 / 120) / 600)


def test_car_drifts_where_motorcycle_changes_gear() -> None:
    for source in SOURCES:
        level = envelope(made(vehicles.motorcycle, source, 8.0), low_hz=300)
        level = np.convolve(level, np.ones(8) / 8, mode="valid")
        changes, _ = find_peaks(-level, height=-0.6 * np.median(level), distance=ENVELOPE_HZ // 2)
        assert 2 <= len(changes) <= 12
        calm = envelope(made(vehicles.car, source, 8.0), low_hz=300)
        calm = np.convolve(calm, np.ones(8) / 8, mode="valid")
        assert calm.min() > 0.3 * np.median(calm)


def test_motorcycle_climbs_between_its_gear_changes() -> None:
    medians = [np.median(speed_steps(made(vehicles.motorcycle, source, 5.0))) for source in range(8)]
    assert np.mean(np.array(medians) > 0) > 0.7
    drifts = [np.abs(np.median(speed_steps(made(vehicles.car, source, 5.0)))) for source in range(8)]
    assert np.mean(drifts) < np.mean(medians)


def test_train_clacks_in_pairs() -> None:
    for source in SOURCES:
        moments = onsets(made(vehicles.train, source, 12.0), low_hz=700, apart_seconds=0.09)
        gaps = np.diff(moments)
        assert np.mean(gaps < 0.21) == pytest.approx(0.5, abs=0.15)
        is_pair = gaps < 0.21
        assert np.mean(is_pair[1:] != is_pair[:-1]) > 0.75
        assert gaps[~is_pair].mean() > 2 * gaps[is_pair].mean()


def test_helicopter_slaps_many_times_a_second() -> None:
    for source in SOURCES:
        rate_hz, prominence = pulse_rate(made(vehicles.helicopter, source, 8.0), 6, 25)
        assert 8 < rate_hz < 21.5
        assert prominence > 10


def test_aeroplane_swells_and_its_whine_falls() -> None:
    falls = []
    for source in SOURCES:
        waveform = made(vehicles.aeroplane, source, 10.0)
        level = envelope(waveform).reshape(-1)[: ENVELOPE_HZ * 9].reshape(9, -1).mean(axis=1)
        assert level[2:7].max() > 1.8 * max(level[0], level[-1])
        hz, power = welch(waveform[: 2 * SAMPLE_RATE_HZ], SAMPLE_RATE_HZ, nperseg=4_096)
        _, after = welch(waveform[-2 * SAMPLE_RATE_HZ :], SAMPLE_RATE_HZ, nperseg=4_096)
        whine = (hz > 600) & (hz < 4_000)
        smooth = np.ones(41) / 41
        before_line = np.log(power[whine]) - np.convolve(np.log(power[whine]), smooth, mode="same")
        after_line = np.log(after[whine]) - np.convolve(np.log(after[whine]), smooth, mode="same")
        inner = slice(25, -25)
        falls.append(hz[whine][inner][after_line[inner].argmax()] / hz[whine][inner][before_line[inner].argmax()])
    assert np.median(falls) < 0.85


def test_drill_spins_up() -> None:
    for source in SOURCES:
        waveform = made(machines.drill, source, 4.0)
        level = envelope(waveform)
        assert level[:3].max() < 0.4 * np.median(level)
        hz, _, power = spectrogram(waveform[: SAMPLE_RATE_HZ // 2], SAMPLE_RATE_HZ, nperseg=1_200, noverlap=600)
        line = hz[power.argmax(axis=0)]
        assert line[-4:].mean() > line[0]


def test_saw_strokes_to_and_fro() -> None:
    for source in SOURCES:
        level = envelope(made(machines.saw, source, 10.0))
        smooth = np.convolve(level, np.hanning(21) / np.hanning(21).sum(), mode="same")
        strokes, _ = find_peaks(smooth, prominence=0.1 * smooth.max(), distance=30)
        assert 1.4 < len(strokes) / 10 < 5
        heights = smooth[strokes]
        # push and pull in turn: the even strokes differ from the odd ones
        assert max(heights[::2].mean(), heights[1::2].mean()) > 1.25 * min(heights[::2].mean(), heights[1::2].mean())


def test_fan_flutters_and_vacuum_cleaner_whines() -> None:
    for source in SOURCES:
        rate_hz, flutter = pulse_rate(made(machines.fan, source, 8.0), 6, 35)
        assert 7 < rate_hz < 31
        _, steady = pulse_rate(made(machines.vacuum_cleaner, source, 8.0), 6, 35)
        assert flutter > 2 * steady
        hz, power = welch(made(machines.vacuum_cleaner, source, 8.0), SAMPLE_RATE_HZ, nperseg=4_096)
        motor = np.log(power[(hz > 250) & (hz < 3_000)])
        assert (motor - np.convolve(motor, np.ones(31) / 31, mode="same"))[20:-20].max() > 1.2
        hz, power = welch(made(machines.fan, source, 8.0), SAMPLE_RATE_HZ, nperseg=4_096)
        assert power[hz < 2_000].sum() > 10 * power[hz > 3_000].sum()


def test_clock_is_even_and_typing_is_not() -> None:
    for source in SOURCES:
        ticks = onsets(made(machines.clock, source, 10.0), low_hz=1_000, apart_seconds=0.1)
        assert 1.6 < len(ticks) / 10 < 6
        assert np.diff(ticks).std() < 0.16 * np.diff(ticks).mean()
        keys = onsets(made(machines.typing, source, 10.0), low_hz=1_000, apart_seconds=0.03)
        assert len(keys) / 10 > 4
        assert np.diff(keys).std() > 0.3 * np.diff(keys).mean()


def test_sewing_machine_clatters_and_rests() -> None:
    rests = 0
    for source in SOURCES:
        waveform = made(machines.sewing_machine, source, 8.0)
        rate_hz, prominence = pulse_rate(waveform, 5, 32)
        assert 6 < rate_hz < 32  # needle, or needle and feed
        assert prominence > 3
        level = np.convolve(envelope(waveform), np.ones(20) / 20, mode="valid")
        rests += len(find_peaks(-level, height=-0.3 * np.median(level), distance=60)[0])
    assert rests >= len(SOURCES)


def test_hammer_drives_nails_in() -> None:
    for source in SOURCES:
        waveform = made(machines.hammer, source, 12.0)
        moments = onsets(waveform, low_hz=200, apart_seconds=0.2)
        assert 1.4 < len(moments) / 12 < 3.8
        rings_hz = []
        for moment in moments[1:-1]:
            start = num_samples(moment) + 24
            spectrum = np.abs(np.fft.rfft(waveform[start : start + 1_200] * np.hanning(1_200), 12_000))
            rings_hz.append(2.0 * (spectrum[650:2_900].argmax() + 650))
        steps = np.diff(np.log(rings_hz))
        assert np.mean(steps > 0) > 0.6
        assert (steps < -0.03).any()
