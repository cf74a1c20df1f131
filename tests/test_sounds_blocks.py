"""The blocks that sounds are built from, against slow and obvious ways of doing the same."""

import numpy as np
import pytest

from earwitness.synth.chance import log_uniform, slow_noise, uniform_each
from earwitness.synth.envelopes import fade, faded_out, held
from earwitness.synth.oscillators import bump_turn, buzz, glide, harmonics, phase, pulse_turn, read, ringing, turns_made
from earwitness.synth.placing import add, beats, fitted, in_turn, laid, struck
from earwitness.synth.signals import (
    HIGHEST_HZ,
    SAMPLE_RATE_HZ,
    Waveform,
    band,
    high_pass,
    lagging,
    lines,
    low_pass,
    num_samples,
    resonance,
    resonances,
    times,
)

GLIDING_HZ = np.linspace(200.0, 320.0, 12_000)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def test_lines_are_those_of_numpy(rng: np.random.Generator) -> None:
    at, values = np.cumsum(rng.uniform(0.3, 90, 50)) - 40, rng.standard_normal(50)
    expected = np.interp(np.arange(2_000), at, values)
    np.testing.assert_allclose(lines(at, values, 2_000), expected, atol=1e-10)
    np.testing.assert_allclose(lines(at, values, 500), expected[:500], atol=1e-10)


def test_lagging_is_a_step_at_a_time() -> None:
    target = np.array([2.0, 2.0, 5.0, 5.0, -1.0])
    kept = np.exp(-1 / (0.001 * SAMPLE_RATE_HZ))
    expected = [2.0]
    for value in target[1:]:
        expected.append(kept * expected[-1] + (1 - kept) * value)
    np.testing.assert_allclose(lagging(target, 0.001), expected)


def test_resonances_are_the_sum_of_each(rng: np.random.Generator) -> None:
    noise = rng.standard_normal(5_000)
    hz, widths_hz, gains = (300.0, 1_100.0, 2_600.0, 2_900.0), (60.0, 80.0, 200.0, 90.0), (1.0, -0.5, 2.0, 0.3)
    each = [g * resonance(noise, f, w) for f, w, g in zip(hz, widths_hz, gains, strict=True)]
    np.testing.assert_allclose(resonances(noise, hz, widths_hz, gains, direct=0.7), sum(each) + 0.7 * noise, atol=1e-8)


def test_a_resonance_is_so_wide() -> None:
    click = np.zeros(SAMPLE_RATE_HZ)
    click[0] = 1.0
    power = np.abs(np.fft.rfft(resonance(click, 2_000, 150))) ** 2  # of each Hz
    assert power.argmax() == pytest.approx(2_000, abs=3)
    assert np.count_nonzero(power > power.max() / 2) == pytest.approx(150, rel=0.05)


def test_filters_keep_what_they_should(rng: np.random.Generator) -> None:
    def share(waveform: Waveform, low_hz: int, high_hz: int) -> float:
        power = np.abs(np.fft.rfft(waveform)) ** 2
        return float(power[low_hz:high_hz].sum() / power.sum())

    noise = rng.standard_normal(SAMPLE_RATE_HZ)
    assert share(band(noise, 1_000, 2_000), 900, 2_200) > 0.85
    assert share(low_pass(noise, 1_000), 0, 1_300) > 0.85
    assert share(high_pass(noise, 9_000), 8_500, 12_001) > 0.85


def test_buzz_is_the_sum_of_its_harmonics() -> None:
    order = np.arange(1, 400)[:, np.newaxis]
    ratio = np.exp(-0.9 * GLIDING_HZ[:500] / 1_000)
    expected = (ratio ** (order - 1) * np.sin(order * phase(GLIDING_HZ[:500]))).sum(axis=0) * np.sqrt(
        2 * (1 - ratio**2)
    )
    np.testing.assert_allclose(buzz(GLIDING_HZ[:500], 0.9), expected, atol=1e-9)
    assert np.mean(buzz(GLIDING_HZ, 0.9) ** 2) == pytest.approx(1, rel=0.02)


def test_harmonics_are_sines_and_none_is_too_high() -> None:
    amplitudes = np.array([1.0, 0.5, 0.0, 0.2])
    expected = sum(a * np.sin((k + 1) * phase(GLIDING_HZ)) for k, a in enumerate(amplitudes))
    np.testing.assert_allclose(harmonics(GLIDING_HZ, amplitudes), expected, atol=3e-3)  # the nearest of 8,192 samples
    high_hz = np.full(1_000, HIGHEST_HZ / 1.5)
    np.testing.assert_array_equal(harmonics(high_hz, (1.0, 9.0)), harmonics(high_hz, (1.0,)))


@pytest.mark.parametrize(
    "one_turn",
    [
        bump_turn([0.25, 0.75], [1.0, 0.5], 50.0),
        pulse_turn([0.25, 0.75], [1.0, 0.5], num_harmonics=50, last=0.1),
    ],
    ids=["bumps", "pulses"],
)
def test_wheels_sound_at_their_positions(one_turn: Waveform) -> None:
    sound = read(one_turn, turns_made(np.full(SAMPLE_RATE_HZ, 5.0))).reshape(5, -1)
    first, second = np.split(sound, 2, axis=1)
    for half in (first, second):
        np.testing.assert_allclose(half.argmax(axis=1) / sound.shape[1], 0.25, atol=0.003)
    assert second.max() / first.max() == pytest.approx(0.5, abs=0.1)


def test_ringing_is_the_sum_of_its_decaying_sines() -> None:
    hz, amplitudes, decays = (300.0, 811.5, 11_500.0), (1.0, 0.3, 5.0), (0.2, np.inf, 1.0)
    t = times(0.4)
    expected = np.sin(2 * np.pi * 300 * t + 0.5) * np.exp(-t / 0.2) + 0.3 * np.sin(2 * np.pi * 811.5 * t + 1)
    np.testing.assert_allclose(ringing(hz, amplitudes, decays, 0.4, angles=(0.5, 1.0, 0.0)), expected, atol=1e-10)


def test_a_glide_goes_from_one_pitch_to_the_other() -> None:
    crossings = np.diff(np.flatnonzero(np.diff(np.signbit(glide(500, 1_500, 0.3)))))
    assert SAMPLE_RATE_HZ / (2 * crossings[:3].mean()) == pytest.approx(500, rel=0.08)
    assert SAMPLE_RATE_HZ / (2 * crossings[-3:].mean()) == pytest.approx(1_500, rel=0.08)


def test_envelopes_rise_and_end_at_nought() -> None:
    level = held(1_000, ramp_seconds=0.005)
    np.testing.assert_array_equal(level, level[::-1])
    assert level[0] == 0
    assert level[60] == pytest.approx(0.5)
    assert (level[120:880] == 1).all()
    t = times(0.5)
    struck_level = fade(t, attack_seconds=0.01, decay_seconds=0.1)
    assert struck_level[num_samples(0.3)] / struck_level[num_samples(0.2)] == pytest.approx(np.exp(-1))
    assert struck_level[0] == struck_level[-1] == 0
    ended = faded_out(np.ones(1_000), 0.01)
    assert (ended[:760] == 1).all()
    assert ended[-1] == 0


def test_what_lies_outside_is_cut_off() -> None:
    waveform, grain = np.zeros(10), np.array([1.0, 2.0, 3.0])
    for start in (-1, 4, 8, 50, -50):
        add(waveform, grain, start / SAMPLE_RATE_HZ)
    np.testing.assert_array_equal(waveform, [2, 3, 0, 0, 1, 2, 3, 0, 1, 2])


def test_laid_grains_add_up(rng: np.random.Generator) -> None:
    starts, strengths = rng.uniform(0, 0.1, 30), rng.uniform(0, 1, 30)
    grains = [rng.standard_normal(200) for _ in range(30)]
    expected = np.zeros(num_samples(0.1))
    for grain, start, strength in zip(grains, starts, strengths, strict=True):
        add(expected, strength * grain, start)
    np.testing.assert_allclose(laid(grains, starts, strengths, 0.1), expected)


def test_struck_strengths_vary_by_their_spread(rng: np.random.Generator) -> None:
    starts = np.linspace(0.0, 1.999, 2_000)
    strengths = struck(rng, [np.ones(1)], starts, 2.0, spread=0.2)[:: num_samples(0.001)]
    assert np.log(strengths).std() == pytest.approx(0.2, rel=0.1)


def test_calls_in_turn_fill_their_time(rng: np.random.Generator) -> None:
    for seconds in (0.3, 1.7, 3.1, 9.9):
        waveform = in_turn(rng, lambda: np.ones(5_000), seconds, gap_seconds=(0.1, 0.3))
        assert len(waveform) == num_samples(seconds)
        sounding = np.flatnonzero(waveform)
        assert sounding[0] == 0
        assert sounding[-1] > len(waveform) - 50
        assert np.diff(sounding).max() <= num_samples(0.3) + 1


def test_fitted_patterns_end_with_the_time() -> None:
    for seconds in (2.0, 3.3, 10.0):
        starts = fitted(seconds, 0.5, 0.25)
        assert (np.diff(starts) >= 0.75 - 1e-9).all()
        assert starts[0] >= 0
        assert starts[-1] + 0.5 >= seconds - 1e-9


def test_beats_keep_their_distance(rng: np.random.Generator) -> None:
    even = beats(rng, 10.0, gap_seconds=0.3, jitter=0.0)
    np.testing.assert_allclose(np.diff(even), 0.3)
    assert even[0] == pytest.approx(10.0 - even[-1])
    assert np.diff(beats(rng, 100.0, gap_seconds=0.3, jitter=0.1)).std() == pytest.approx(
        0.3 * 0.1 * np.sqrt(2), rel=0.2
    )


def test_draws_lie_in_their_ranges(rng: np.random.Generator) -> None:
    drawn = np.array([log_uniform(rng, 100, 1_600) for _ in range(2_000)])
    assert drawn.min() >= 100
    assert drawn.max() <= 1_600
    assert np.median(drawn) == pytest.approx(400, rel=0.15)  # as many in each octave
    low, high = uniform_each(rng, (0, 1), (5, 6))
    assert 0 <= low <= 1 < 5 <= high <= 6


def test_slow_noise_changes_so_often(rng: np.random.Generator) -> None:
    slow = slow_noise(rng, 100 * SAMPLE_RATE_HZ, changes_per_second=20)
    turning = np.diff(np.flatnonzero(np.diff(np.sign(np.diff(slow)))))  # two of three points are peaks or dips
    assert len(turning) == pytest.approx(20 * 100 * 2 / 3, rel=0.1)
    assert slow.std() == pytest.approx(np.sqrt(2 / 3), rel=0.1)  # straight lines between points of one
