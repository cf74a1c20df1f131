"""Every kind of sound keeps the contract of its family; what each sounds like is held in tests of its own."""

import numpy as np
import pytest
from scipy.signal import welch

from earwitness.synth.kinds import KINDS, labels_of
from earwitness.synth.settings import MOST_KINDS
from earwitness.synth.signals import SAMPLE_RATE_HZ, Waveform, num_samples


def make(kind: str, source: int, event: int, seconds: float) -> Waveform:
    return KINDS[kind].sound(np.random.default_rng(source), np.random.default_rng(event), seconds)


def test_the_table_is_sound() -> None:
    assert len(KINDS) == MOST_KINDS
    parents = {parent for kind in KINDS.values() for parent in kind.parents}
    assert not parents & set(KINDS)
    for name, kind in KINDS.items():
        assert kind.sound.__name__ == name
        assert set(kind.lookalikes) <= set(KINDS) - {name}
        assert kind.lookalikes
        assert 0 < kind.min_seconds < kind.max_seconds
    for parent in parents:
        assert sum(parent in kind.parents for kind in KINDS.values()) >= 2, f"{parent} says nothing more than its child"
    assert labels_of(("cuckoo", "crow")) == ("cuckoo", "bird", "animal", "crow")


@pytest.mark.parametrize("kind", KINDS)
def test_fills_any_time_with_the_same_samples_again(kind: str) -> None:
    for source in range(3):
        for seconds in (0.3, 2.7):
            waveform = make(kind, source, 100, seconds)
            assert waveform.dtype == np.float64
            assert waveform.shape == (num_samples(seconds),)
            assert np.isfinite(waveform).all()
            assert waveform.std() > 1e-6
            np.testing.assert_array_equal(waveform, make(kind, source, 100, seconds))


@pytest.mark.parametrize("kind", KINDS)
def test_sounds_from_beginning_to_end(kind: str) -> None:
    """The times of an event are its truth."""
    for source in range(3):
        waveform = make(kind, source, 100, 5.0)
        level = np.sqrt(np.mean(waveform.reshape(-1, SAMPLE_RATE_HZ // 100) ** 2, axis=1))
        sounding = np.flatnonzero(level > 0.02 * waveform.std()) / 100
        assert sounding[0] < 0.4
        assert sounding[-1] > 5.0 - 0.4
        assert np.diff(sounding).max() < 1.2
        assert audible_share(waveform) > 0.15


# the tones of a telephone's keys are the same everywhere: its sources differ in pace
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "phone_dialling"])
def test_sources_differ_more_than_their_events(kind: str) -> None:
    one, again = ([long_term_decibels(make(kind, source, event, 4.0)) for source in range(4)] for event in (100, 101))
    distances = np.array([[np.abs(a - b).mean() for b in again] for a in one])
    assert np.diag(distances).mean() < 0.95 * distances[~np.eye(len(one), dtype=bool)].mean()


@pytest.mark.parametrize("kind", KINDS)
def test_no_event_is_another_again(kind: str) -> None:
    for source in range(8):
        first = make(kind, source, 100, 0.5)
        assert not np.array_equal(first, make(kind, source, 101, 0.5))
        assert not np.array_equal(first, make(kind, source + 1, 100, 0.5))


def audible_share(waveform: Waveform) -> float:
    """Share of the energy in what the front end sees."""
    power = np.abs(np.fft.rfft(waveform)) ** 2
    hz = np.fft.rfftfreq(len(waveform), 1 / SAMPLE_RATE_HZ)
    return float(power[(hz > 125) & (hz < 7_500)].sum() / power.sum())


def long_term_decibels(waveform: Waveform) -> Waveform:
    """The share of the power in each of some twenty bands, in decibels."""
    _, power = welch(waveform, SAMPLE_RATE_HZ, nperseg=512)
    bands = np.add.reduceat(power, np.unique(np.geomspace(3, 160, 24).astype(int)))
    return np.asarray(10 * np.log10(bands / bands.sum() + 1e-4))
