"""Animals: what each does in time and pitch, measured by Fourier transform, autocorrelation and envelopes."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.signal import find_peaks, hilbert

from earwitness.synth.signals import SAMPLE_RATE_HZ, num_samples
from earwitness.synth.sounds import animals

SOURCES = range(6)
Samples = npt.NDArray[np.float64]


def made(kind: str, *, source: int, event: int = 0, seconds: float = 4.0) -> Samples:
    make: Callable[[np.random.Generator, np.random.Generator, float], Samples] = getattr(animals, kind)
    return make(np.random.default_rng((1, source)), np.random.default_rng((2, event)), seconds)


def power(waveform: Samples) -> tuple[Samples, Samples]:
    """Frequencies and the share of the power at each."""
    spectrum = np.abs(np.fft.rfft(waveform)) ** 2
    return np.asarray(np.fft.rfftfreq(len(waveform), 1 / SAMPLE_RATE_HZ)), np.asarray(spectrum / spectrum.sum())


def levels(waveform: Samples, *, per_second: int = 200) -> Samples:
    """Root mean square of each stretch, the greatest being one."""
    hop = SAMPLE_RATE_HZ // per_second
    stretches = waveform[: len(waveform) // hop * hop].reshape(-1, hop)
    rms = np.sqrt(np.mean(stretches**2, axis=1))
    return np.asarray(rms / rms.max())


def calls(waveform: Samples, *, per_second: int = 200) -> list[Samples]:
    """The stretches between silences."""
    loud = np.concatenate([[False], levels(waveform, per_second=per_second) > 0.01, [False]])
    starts, ends = np.flatnonzero(loud[1:] & ~loud[:-1]), np.flatnonzero(~loud[1:] & loud[:-1])
    hop = SAMPLE_RATE_HZ // per_second
    return [waveform[start * hop : end * hop] for start, end in zip(starts, ends, strict=True)]


def peak_track(waveform: Samples, *, window: int = 512, hop: int = 128) -> Samples:
    """Hz of the strongest Fourier bin of each frame; nan where it is quiet."""
    frames = np.lib.stride_tricks.sliding_window_view(waveform, window)[::hop] * np.hanning(window)
    spectra = np.abs(np.fft.rfft(frames, 4 * window))
    hz = spectra.argmax(axis=1) * SAMPLE_RATE_HZ / (4 * window)
    return np.where(spectra.max(axis=1) > 0.2 * spectra.max(), hz, np.nan)


def pitch_hz(waveform: Samples, lowest_hz: float, highest_hz: float) -> float:
    """From the highest peak of the autocorrelation."""
    spectrum = np.abs(np.fft.rfft(waveform, 2 * len(waveform))) ** 2
    correlation = np.fft.irfft(spectrum)[: int(SAMPLE_RATE_HZ / lowest_hz)]
    first = int(SAMPLE_RATE_HZ / highest_hz)
    return float(SAMPLE_RATE_HZ / (first + np.argmax(correlation[first:])))


def periodicity(waveform: Samples, lowest_hz: float, highest_hz: float) -> float:
    """The highest peak of the autocorrelation in that range, at most one."""
    spectrum = np.abs(np.fft.rfft(waveform, 2 * len(waveform))) ** 2
    correlation = np.fft.irfft(spectrum)
    return float(correlation[int(SAMPLE_RATE_HZ / highest_hz) : int(SAMPLE_RATE_HZ / lowest_hz)].max() / correlation[0])


def tremor(waveform: Samples) -> float:
    """How much of the middle of the longest call's swelling and sinking happens 5 to 14 times a second."""
    call = max(calls(waveform), key=len)
    shape = levels(call)[len(levels(call)) // 5 : -len(levels(call)) // 5]
    spectrum = np.abs(np.fft.rfft((shape / shape.mean() - 1) * np.hanning(len(shape)), 400)) / len(shape)
    return float(spectrum[10:28].max())


def test_barks_are_short_bursts() -> None:
    for source in SOURCES:
        bursts = calls(made("bark", source=source))
        assert 1.5 < len(bursts) / 4 < 6
        assert max(len(burst) for burst in bursts) < num_samples(0.35)


def test_meows_arch_in_pitch() -> None:
    for source in SOURCES:
        call = calls(made("meow", source=source))[0]
        assert len(call) > num_samples(0.3)
        tenth = len(call) // 10
        begin, end = (call[i * tenth : (i + 2) * tenth] for i in (1, 8))
        middles = [pitch_hz(call[i * tenth : (i + 2) * tenth], 250, 1_400) for i in (2, 3, 4)]
        assert max(middles) > 1.02 * pitch_hz(end, 250, 1_400)
        assert max(middles) > 0.99 * pitch_hz(begin, 250, 1_400)


def test_bird_song_rises() -> None:
    for source in SOURCES:
        steps = np.diff(peak_track(made("bird_song", source=source)))
        steps = steps[np.abs(steps) < 300]  # nan compares false: within a chirp, not from one to the next
        assert len(steps) > 50
        assert np.mean(steps >= 0) > 0.85
        assert steps.sum() > 1_000


def test_bird_song_has_several_chirps() -> None:
    for source in SOURCES:
        lengths = [len(call) for call in calls(made("bird_song", source=source, seconds=8.0), per_second=400)]
        assert max(lengths) > 1.3 * min(lengths[:-1])


def test_cuckoo_sings_two_falling_notes() -> None:
    for source in SOURCES:
        notes_hz = [float(np.median(power_peaks_hz(call))) for call in calls(made("cuckoo", source=source))]
        for first_hz, second_hz in zip(notes_hz[0:-2:2], notes_hz[1:-1:2], strict=True):
            assert 0.72 < second_hz / first_hz < 0.9
        assert min(notes_hz) > 380
        assert max(notes_hz) < 900


def power_peaks_hz(waveform: Samples) -> Samples:
    """Hz of the strongest bins of a sound's spectrum."""
    hz, share = power(waveform)
    return np.asarray(hz[share > 0.5 * share.max()])


def test_crows_are_hoarser_than_roosters_and_meows() -> None:
    # the fundamental's regularity, in the midst of a call
    def clearness(kind: str, source: int) -> float:
        call = max(calls(made(kind, source=source)), key=len)
        return periodicity(call[len(call) // 3 : len(call) // 3 + num_samples(0.06)], 150, 1_500)

    crows = [clearness("crow", source) for source in SOURCES]
    others = [clearness(kind, source) for kind in ("meow", "rooster") for source in SOURCES]
    assert np.median(crows) + 0.1 < np.median(others)


def test_roosters_crow_four_notes_of_which_the_last_is_long_and_falls() -> None:
    for source in SOURCES:
        notes = calls(made("rooster", source=source))[:4]
        assert len(notes) == 4
        last = notes[3]
        assert len(last) > 1.5 * max(len(note) for note in notes[:3])
        fifth = len(last) // 5
        assert pitch_hz(last[fifth : 2 * fifth], 300, 1_500) > 1.1 * pitch_hz(last[-fifth:], 300, 1_500)


def test_crickets_pulse_on_a_pure_tone() -> None:
    for source in SOURCES:
        waveform = made("cricket", source=source)
        hz, share = power(waveform)
        top_hz = hz[share.argmax()]
        assert 2_600 < top_hz < 5_800
        assert share[np.abs(hz - top_hz) < 0.08 * top_hz].sum() > 0.9
        envelope = np.abs(hilbert(waveform))
        envelope_hz, envelope_share = power(envelope - envelope.mean())
        quick = (envelope_hz > 20) & (envelope_hz < 60)
        assert 23 < envelope_hz[quick][envelope_share[quick].argmax()] < 54


def test_frogs_croak_in_slow_pulses() -> None:
    for source in SOURCES:
        croak = max(calls(made("frog", source=source)), key=len)
        hz, share = power(croak)
        assert share[hz > 350].sum() > 0.8
        envelope = np.abs(hilbert(croak))
        assert periodicity((envelope - envelope.mean()) * np.hanning(len(envelope)), 20, 110) > 0.2


def test_sheep_tremble_and_cows_do_not() -> None:
    sheep, cows = ([tremor(made(kind, source=source)) for source in SOURCES] for kind in ("sheep", "cow"))
    assert min(sheep) > 2 * max(cows)


def test_cows_are_low_and_share_pitches_with_sheep() -> None:
    def pitches(kind: str) -> list[float]:
        pieces = [max(calls(made(kind, source=source)), key=len) for source in range(12)]
        return [pitch_hz(call[len(call) // 3 : len(call) // 3 + num_samples(0.1)], 70, 500) for call in pieces]

    cows, sheep = pitches("cow"), pitches("sheep")
    assert min(cows) > 85
    assert max(cows) > min(sheep)
    assert np.median(cows) < np.median(sheep)


def test_bees_buzz_on_a_wandering_pitch() -> None:
    for source in SOURCES:
        waveform = made("bee", source=source)
        pieces = np.split(waveform, 40)
        assert np.median([periodicity(piece, 100, 520) for piece in pieces]) > 0.3
        pitches_hz = np.array([pitch_hz(piece, 110, 520) for piece in pieces])
        near = pitches_hz[np.abs(pitches_hz / np.median(pitches_hz) - 1) < 0.25]
        assert len(near) > 20
        assert 0.005 < near.std() / near.mean() < 0.15


def test_hooves_knock_in_groups_and_are_bright() -> None:
    for source in SOURCES:
        waveform = made("hooves", source=source)
        onsets, _ = find_peaks(levels(waveform, per_second=100), height=0.15, distance=4)
        assert 3 < len(onsets) / 4 < 11
        hz, share = power(waveform)
        assert 400 < (hz * share).sum() < 4_000
