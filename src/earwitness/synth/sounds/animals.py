"""Sounds of animals: voices through a throat, whistled notes, wings, and hooves.

Alike on purpose: the chirps of `bird_song` rise where a person's whistling falls in the same band; `cow` and `sheep`
share pitches and differ in tremor and vowel; `cricket` has the pitch of an alarm's beeps; `bee` is a harmonic drone as
engines are, but wanders; `hooves` differ from footsteps in brightness and in their grouped beats.
"""

import numpy as np

from earwitness.synth.chance import log_uniform, slow_noise, uniform_each, white
from earwitness.synth.envelopes import fade
from earwitness.synth.oscillators import decaying, glide, harmonics, phase
from earwitness.synth.placing import add, in_turn
from earwitness.synth.signals import SAMPLE_RATE_HZ, Waveform, lines, num_samples, resonance, resonances, times

_BEATS_OF_GAITS = (
    (1.10, (0.0, 0.25, 0.5, 0.75)),
    (0.62, (0.0, 0.47, 0.5, 0.97)),
    (0.58, (0.0, 0.27, 0.54)),
    (0.46, (0.0, 0.14, 0.33, 0.47)),
)
"""Walk, trot, canter and gallop: seconds of a stride and the moments of its beats as shares of it."""


def bark(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Hoarse bursts whose pitch jumps up and falls, from a small dog's yap to a large one's woof."""
    pitch_hz = log_uniform(source, 160, 750)
    jump, roughness, length_seconds, size, gap_seconds = uniform_each(
        source, (0.2, 0.9), (0.15, 0.7), (0.1, 0.26), (0.8, 1.25), (0.12, 0.4)
    )
    throat_hz = size * (pitch_hz / 160) ** 0.5 * np.array([450, 1_100, 2_300])

    def one() -> Waveform:
        t = times(length_seconds * rng.uniform(0.85, 1.2))
        bend = np.exp(-((t / t[-1] / 0.25 - 1) ** 2))
        voice = _pulses(pitch_hz * rng.uniform(0.92, 1.08) * (0.8 + jump * bend), highest_hz=5_000)
        attack_seconds = 0.01 + 0.04 * length_seconds
        shape = fade(t, attack_seconds=attack_seconds, decay_seconds=0.45 * length_seconds)
        return _mouth(_hoarse(rng, voice, roughness), throat_hz) * shape

    return in_turn(rng, one, seconds, gap_seconds=(0.6 * gap_seconds, 1.3 * gap_seconds))


def meow(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Long high calls that arch in pitch while the mouth opens and closes: m, ee, ah, oo."""
    pitch_hz = log_uniform(source, 330, 850)
    arch, length_seconds, roughness, size = uniform_each(source, (0.1, 0.6), (0.45, 1.2), (0.02, 0.2), (0.85, 1.2))
    closed_hz, wide_hz, round_hz = (size * np.array(hz) for hz in ((420, 2_600), (1_050, 2_000, 3_600), (650, 1_150)))
    peak = source.uniform(0.25, 0.6)

    def one() -> Waveform:
        x = _progress(length_seconds * rng.uniform(0.8, 1.25))
        rising = np.sin(np.pi * x ** (np.log(0.5) / np.log(peak)))
        height_hz = pitch_hz * rng.uniform(0.93, 1.07) * (1 + rng.uniform(0.8, 1.2) * arch * rising - 0.12 * x)
        voice = _hoarse(rng, _pulses(height_hz, highest_hz=6_000), roughness)
        return _mouth(voice, closed_hz, wide_hz, round_hz, at=(0.0, 0.45, 1.0)) * np.sin(np.pi * x) ** 0.6

    return in_turn(rng, one, seconds, gap_seconds=(0.15, 0.5))


def bird_song(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Phrases of quick chirps that rise; a bird has four chirps and repeats one of them a few times in each phrase."""
    base_hz = log_uniform(source, 1_800, 3_200)
    steps, rises = source.uniform(0.85, 1.25, size=4), source.uniform(1.2, 1.75, size=4)
    lengths, pauses = source.uniform(0.04, 0.17, size=4), source.uniform(0.01, 0.07, size=4)
    most_repeats = source.integers(2, 9)

    def phrase() -> Waveform:
        kind = rng.integers(4)
        pause = np.zeros(num_samples(pauses[kind]))
        parts = []
        for _ in range(rng.integers(1, most_repeats + 1)):
            low_hz = base_hz * steps[kind] * rng.uniform(0.97, 1.03)
            chirp = glide(low_hz, low_hz * rises[kind], lengths[kind] * rng.uniform(0.9, 1.1))
            parts += [rng.uniform(0.7, 1.0) * chirp, pause]
        return np.concatenate(parts[:-1])

    return in_turn(rng, phrase, seconds, gap_seconds=(0.05, 0.3))


def cuckoo(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Two flute-like notes, the second about a third lower."""
    high_hz = log_uniform(source, 520, 860)
    interval, first_seconds, second_seconds, between_seconds, breath, ratio = uniform_each(
        source, (0.76, 0.87), (0.14, 0.26), (0.2, 0.4), (0.04, 0.16), (0.02, 0.12), (0.08, 0.3)
    )

    def note(hz: float, length_seconds: float) -> Waveform:
        x = _progress(length_seconds * rng.uniform(0.92, 1.08))
        tone = harmonics(hz * rng.uniform(0.99, 1.01) * (1 - 0.03 * x), decaying(5, ratio))
        airy = tone + breath * resonance(rng.standard_normal(len(x)), hz, 200)
        return airy * np.sin(np.pi * x) ** 0.4

    def one() -> Waveform:
        between = np.zeros(num_samples(between_seconds))
        return np.concatenate([note(high_hz, first_seconds), between, note(high_hz * interval, second_seconds)])

    return in_turn(rng, one, seconds, gap_seconds=(0.25, 0.55))


def crow(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Hoarse caws: a broken low voice in a wide bright throat, one after another."""
    pitch_hz = log_uniform(source, 210, 480)
    size, roughness, length_seconds, fall, rattle_hz = uniform_each(
        source, (0.85, 1.2), (0.45, 0.75), (0.2, 0.5), (0.1, 0.35), (35, 90)
    )
    throat_hz = size * np.array([950, 1_700, 3_100])

    def one() -> Waveform:
        x = _progress(length_seconds * rng.uniform(0.85, 1.15))
        jitter = 1 + 0.06 * slow_noise(rng, len(x), changes_per_second=150)
        voice = _pulses(pitch_hz * rng.uniform(0.94, 1.06) * (1 - fall * x) * jitter, highest_hz=6_000)
        rattle = 1 + 0.7 * np.sin(phase(np.full(len(x), rattle_hz * rng.uniform(0.9, 1.1))))
        return _mouth(_hoarse(rng, voice, roughness) * rattle, throat_hz) * np.sin(np.pi * np.sqrt(x)) ** 0.5

    return in_turn(rng, one, seconds, gap_seconds=(0.12, 0.45))


def rooster(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Crows of four notes that climb, the last long, shrill and falling."""
    top_hz = log_uniform(source, 620, 1_150)
    size, roughness, pace, last_seconds, fall = uniform_each(
        source, (0.85, 1.2), (0.03, 0.25), (0.75, 1.3), (0.6, 1.3), (0.25, 0.5)
    )
    throat_hz = size * np.array([1_000, 2_100, 3_500])
    starts, ends = np.array([0.5, 0.72, 0.68, 0.85]), np.array([0.62, 0.82, 0.9, 1 - fall])
    lengths = np.array([0.16 * pace, 0.13 * pace, 0.24 * pace, last_seconds])

    def note(start: float, end: float, length_seconds: float) -> Waveform:
        x = _progress(length_seconds * rng.uniform(0.92, 1.08))
        arch = start + (end - start) * x + 0.18 * np.sin(np.pi * np.sqrt(x))
        voice = _hoarse(rng, _pulses(top_hz * arch, highest_hz=7_000), roughness)
        return _mouth(voice, throat_hz) * np.minimum(1, 12 * x) * (1 - x) ** 0.5

    def one() -> Waveform:
        notes = [note(*settings) for settings in zip(starts, ends, lengths, strict=True)]
        pause = np.zeros(num_samples(0.04 * pace))
        return np.concatenate([part for each in notes for part in (each, pause)][:-1])

    return in_turn(rng, one, seconds, gap_seconds=(0.25, 0.55))


def cricket(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """A high pure tone in quick pulses, a few to each chirp or, for one cricket in three, in an endless trill."""
    tone_hz = log_uniform(source, 2_800, 5_600)
    pulses_per_second, duty, fall = uniform_each(source, (24, 48), (0.4, 0.8), (0.0, 0.06))
    num_pulses, num_rests = source.integers(2, 7), source.integers(2, 8)
    is_trill = source.random() < 1 / 3
    pace = 1 + 0.03 * slow_noise(rng, num_samples(seconds), changes_per_second=1)
    pulse, within = np.divmod(np.cumsum(pulses_per_second / SAMPLE_RATE_HZ * pace), 1.0)
    place = np.minimum(within / duty, 1.0)
    loudness = np.sin(np.pi * place) * (1 + 0.1 * slow_noise(rng, len(pace), changes_per_second=3))
    if not is_trill:
        loudness *= pulse % (num_pulses + num_rests) < num_pulses
    return np.sin(phase(tone_hz * rng.uniform(0.99, 1.01) * (1 - fall * place))) * loudness


def frog(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Croaks: slow pulses that ring in a throat, in one syllable or two (rib-bit), the second higher."""
    throat_hz = log_uniform(source, 480, 2_300) * np.array([1.0, 2.1])
    pulses_hz = log_uniform(source, 22, 90)
    length_seconds, climb, gap_seconds = uniform_each(source, (0.12, 0.45), (1.0, 1.5), (0.08, 0.35))
    num_syllables = source.integers(1, 3)

    def syllable(climbed: float) -> Waveform:
        x = _progress(length_seconds / num_syllables * rng.uniform(0.85, 1.2))
        voice = _pulses(pulses_hz * rng.uniform(0.94, 1.06) * (1 + 0.15 * x), highest_hz=6_000)
        return _mouth(voice, climbed * throat_hz, climbed * climb * throat_hz, at=(0.0, 1.0)) * np.sin(np.pi * x) ** 0.7

    def one() -> Waveform:
        return np.concatenate([syllable(climb**i) for i in range(num_syllables)])

    return in_turn(rng, one, seconds, gap_seconds=(0.6 * gap_seconds, 1.3 * gap_seconds))


def cow(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Long moos: a closed hum that opens into a dark vowel, its pitch rising a little and sinking."""
    pitch_hz = log_uniform(source, 95, 260)
    size, length_seconds, arch, roughness, opening = uniform_each(
        source, (0.85, 1.2), (0.9, 2.2), (0.08, 0.4), (0.02, 0.2), (0.0, 1.0)
    )
    closed_hz = size * np.array([260, 900])
    open_hz = size * np.array([450 + 250 * opening, 950 + 250 * opening, 2_400])

    def one() -> Waveform:
        x = _progress(length_seconds * rng.uniform(0.8, 1.25))
        height_hz = pitch_hz * rng.uniform(0.95, 1.05) * (1 + arch * np.sin(np.pi * x) - 0.15 * x**3)
        voice = _hoarse(rng, _pulses(height_hz, highest_hz=3_500), roughness)
        return _mouth(voice, closed_hz, open_hz, at=(0.0, 0.33)) * np.sin(np.pi * x) ** 0.4

    return in_turn(rng, one, seconds, gap_seconds=(0.15, 0.5))


def sheep(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Bleats: a bright flat vowel that trembles in pitch and loudness several times a second."""
    pitch_hz = log_uniform(source, 150, 420)
    size, length_seconds, tremor_hz, depth, roughness = uniform_each(
        source, (0.85, 1.2), (0.45, 1.2), (6.0, 12.0), (0.35, 0.8), (0.05, 0.3)
    )
    closed_hz, open_hz = size * np.array([300, 1_200]), size * np.array([720, 1_650, 2_700])

    def one() -> Waveform:
        x = _progress(length_seconds * rng.uniform(0.8, 1.25))
        tremor = np.sin(phase(np.linspace(1.1, 0.9, len(x)) * tremor_hz * rng.uniform(0.93, 1.07)))
        height_hz = pitch_hz * rng.uniform(0.95, 1.05) * (1 + 0.06 * depth * tremor - 0.1 * x)
        voice = _hoarse(rng, _pulses(height_hz, highest_hz=5_000), roughness)
        shape = np.minimum(1, 10 * x) * np.sqrt(1 - x) * (1 + depth * tremor)
        return _mouth(voice, closed_hz, open_hz, at=(0.0, 0.2)) * shape

    return in_turn(rng, one, seconds, gap_seconds=(0.15, 0.5))


def bee(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """The buzz of wings: a rough harmonic tone that wanders in pitch, and swells and sinks as the insect turns."""
    wings_hz = log_uniform(source, 130, 420)
    wander, swell, brightest_hz, roughness, body_hz = uniform_each(
        source, (0.02, 0.07), (0.25, 0.7), (2_500, 6_500), (0.05, 0.3), (500, 1_600)
    )
    num = num_samples(seconds)
    turns = slow_noise(rng, num, changes_per_second=2.5)
    flutter = slow_noise(rng, num, changes_per_second=25)
    voice = _pulses(wings_hz * (1 + wander * np.clip(turns + 0.3 * flutter, -3, 3)), highest_hz=brightest_hz)
    wings = _hoarse(rng, voice, roughness)
    return resonances(wings, [body_hz], [300], [2], direct=1.0) * np.exp(swell * turns + 0.15 * flutter)


def hooves(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Hollow knocks in the grouped beats of a gait: walk, trot, canter or gallop; each hoof has its own note."""
    stride_seconds, beats = _BEATS_OF_GAITS[source.integers(len(_BEATS_OF_GAITS))]
    stride_seconds *= source.uniform(0.85, 1.15)
    hollow_hz = log_uniform(source, 450, 1_300) * source.uniform(0.85, 1.2, size=4)
    click, ring_hz = uniform_each(source, (0.1, 0.6), (60, 180))
    t = times(0.12)

    def hoof(hz: float) -> Waveform:
        knock = white(source, 0.12) * np.exp(-t / 0.003)
        return resonances(knock, (hz, 2.7 * hz), (ring_hz, 3 * ring_hz), (8, 4), direct=click)

    hits = [hoof(hz) for hz in hollow_hz]
    waveform = np.zeros(num_samples(seconds))
    for stride in range(int(seconds / stride_seconds) + 1):
        moments = stride_seconds * (stride + np.array(beats) + rng.normal(0, 0.012, size=len(beats)))
        for hit, moment in zip(hits, moments, strict=False):
            add(waveform, rng.uniform(0.5, 1.0) * hit, max(0.0, moment))
    return waveform


def _progress(seconds: float) -> Waveform:
    """The share of a call that has passed at each sample, from 0 to 1."""
    return np.linspace(0, 1, num_samples(seconds))


def _pulses(pitch_hz: Waveform, *, highest_hz: float) -> Waveform:
    """A voice's pulses, of standard deviation one: harmonics that fade evenly and are 26 dB down at `highest_hz`."""
    # exp(k cos x) has harmonics of about exp(-n^2 / 2k): all of them for one cosine
    sharpness = (highest_hz / float(np.mean(pitch_hz))) ** 2 / 6
    pulses = np.exp(sharpness * (np.cos(phase(pitch_hz)) - 1))
    return np.asarray((pulses - pulses.mean()) / pulses.std())


def _hoarse(rng: np.random.Generator, voice: Waveform, roughness: float) -> Waveform:
    """The voice with uneven strength and so much breath; roughness 0 leaves it, 1 is breath alone."""
    uneven = 1 + roughness * slow_noise(rng, len(voice), changes_per_second=80)
    return (1 - roughness) * voice * uneven + roughness * rng.standard_normal(len(voice))


def _mouth(voice: Waveform, *vowels_hz: Waveform, at: tuple[float, ...] = (0.0,)) -> Waveform:
    """The voice through a throat that passes from vowel to vowel, each given by its resonances.

    Args:
        voice: what comes from below.
        vowels_hz: resonances of each vowel.
        at: the share of the call by which each vowel is reached; the last is held.
    """
    spoken = np.zeros_like(voice)
    at_samples = np.array(at) * (len(voice) - 1)
    for number, hz in enumerate(vowels_hz):
        vowel = resonances(voice, hz, 60 + 0.08 * hz, hz / 1_000)
        if len(vowels_hz) > 1:
            vowel *= lines(at_samples, np.arange(len(at)) == number, len(voice))
        spoken += vowel
    return spoken
