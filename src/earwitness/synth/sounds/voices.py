"""Human voices: talking, singing, laughing, crying, coughing and whistling.

Alike on purpose: `speech`, `singing` and `crowd` share throat and vowels and differ in how pitch moves; `baby_cry` and
a cat's meow are long arched cries; `whistling` falls where a bird's song rises.
"""

import numpy as np

from earwitness.synth.chance import slow_noise
from earwitness.synth.envelopes import held
from earwitness.synth.oscillators import phase
from earwitness.synth.placing import add
from earwitness.synth.signals import SAMPLE_RATE_HZ, Waveform, lines, low_pass, num_samples, times
from earwitness.synth.sounds.score import Key
from earwitness.synth.sounds.throat import Moment, Person, Shape, planned, uttered

_VOWELS_HZ = (
    (740, 1_200, 2_500),
    (290, 2_250, 3_000),
    (480, 1_850, 2_550),
    (500, 850, 2_450),
    (320, 800, 2_300),
    (670, 1_700, 2_450),
    (490, 1_350, 1_700),
)
_NEUTRAL_HZ = (500, 1_500, 2_500)
_OPEN_HZ = _VOWELS_HZ[0]


def speech(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """A man, woman or child talking: phrases of syllables with falling pitch, consonants, short pauses."""
    person = Person.draw(source)
    return uttered(rng, person, _talk(rng, person, seconds), seconds)


def singing(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Vowels held on the notes of a scale, with vibrato that sets in after the onset."""
    person = Person.draw(source)
    scale, tonic, note_seconds, vibrato_hz, depth = source.uniform(size=5)
    key = Key.at(person.pitch_hz * (1.1 + 0.5 * tonic), scale)
    highest = len(key.scale)
    plan: list[Moment] = []
    start, degree = 0.0, int(rng.integers(highest + 1))
    while start < seconds:
        length = (0.35 + 0.35 * note_seconds) * rng.choice([0.5, 1.0, 1.0, 2.0])
        plan += _sung_note(rng, person, start, length, key.hz(degree))
        start += length + (rng.uniform(0.1, 0.2) if rng.random() < 0.15 else 0.0)
        degree = abs(degree + int(rng.integers(-2, 3)))
        degree = min(degree, 2 * highest - degree)  # turns round at both ends of the scale
    vibrato = 1 + (0.008 + 0.02 * depth) * np.sin(2 * np.pi * (4.8 + 1.8 * vibrato_hz) * times(seconds))
    return uttered(rng, person, plan, seconds, wobble=vibrato)


def crowd(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Many people talking at once, none of them understood; now and then one is nearer."""
    density, childhood, nearness, clearness = source.uniform(size=4)
    ages = source.uniform(0.0, 0.7 + 0.3 * childhood, size=10)
    phrases = []
    for age in ages:
        person = Person.draw(source, age=age)
        length = rng.uniform(0.7, 1.1)
        phrase = uttered(rng, person, _talk(rng, person, length), length)
        phrases.append(phrase * held(len(phrase), ramp_seconds=length / 5))
    waveform = np.zeros(num_samples(seconds))
    people = 6 * 6**density
    strengths = rng.lognormal(0.0, 0.2 + 0.6 * nearness, size=max(6, round(people * (seconds + 1.0))))
    for strength in strengths:
        add(waveform, strength * phrases[rng.integers(len(phrases))], rng.uniform(-1.0, seconds))
    return low_pass(waveform, 900 * 10**clearness)


def laughter(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Bouts of ha-ha-ha: equal breathy syllables, pitch and strength falling, and a gasp between bouts."""
    person = Person.draw(source)
    rate, height, vowel, noise = source.uniform(size=4)
    formants_hz = person.formants((_OPEN_HZ, _VOWELS_HZ[5], _VOWELS_HZ[2])[int(3 * vowel)])
    plan: list[Moment] = []
    start = 0.0
    while start < seconds:
        pitch_hz = person.pitch_hz * (1.3 + 0.8 * height) * rng.uniform(0.9, 1.15)
        for number in range(rng.integers(4, 10)):
            length = rng.uniform(0.9, 1.1) / (4.2 + 2.2 * rate)
            shape = _ha(max(0.25, 1 - 0.09 * number), 0.25 + 0.5 * noise)
            plan += planned(shape, start, length, pitch_hz * 0.96**number * rng.uniform(0.95, 1.05), formants_hz)
            start += length
        plan += planned(_gasp(0.35), start + 0.03, rng.uniform(0.2, 0.3), pitch_hz, formants_hz)
        start = plan[-1].seconds + 0.03
    return uttered(rng, person, plan, seconds)


def baby_cry(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Long wails whose high rough pitch arches up and falls, each followed by a gasp."""
    base, length, arch, roughness, dullness = source.uniform(size=5)
    breath = 0.08 + 0.25 * roughness
    person = Person(330 + 200 * base, 1.65, 0.25 + 0.3 * dullness, breath, pace=1.0, liveliness=1.0)
    plan: list[Moment] = []
    start = 0.0
    while start < seconds:
        wail_seconds = (0.55 + 0.8 * length) * rng.uniform(0.75, 1.3)
        pitch_hz = person.pitch_hz * rng.uniform(0.92, 1.1)
        mouth_hz = person.formants((700 * rng.uniform(0.8, 1.15), 1_300, 2_500))
        shape = _wail(1.15 + 0.35 * arch, rng.uniform(0.9, 1.05), person.breath)
        plan += planned(shape, start, wail_seconds, pitch_hz, mouth_hz)
        plan += planned(_gasp(0.4), start + wail_seconds + 0.03, rng.uniform(0.14, 0.22), 1.3 * pitch_hz, mouth_hz)
        start = plan[-1].seconds + rng.uniform(0.02, 0.08)
    shake = slow_noise(rng, num_samples(seconds), changes_per_second=120.0)
    return uttered(rng, person, plan, seconds, wobble=1 + (0.01 + 0.05 * roughness) * shake)


def cough(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """Fits of explosive noise bursts, each with a hoarse voiced tail."""
    person = Person.draw(source)
    hoarseness, length, spacing = source.uniform(size=3)
    formants_hz = person.formants((620, 1_350, 2_600))
    plan: list[Moment] = []
    start = 0.0
    while start < seconds:
        for _ in range(rng.integers(1, 4)):
            burst_seconds = (0.2 + 0.12 * length) * rng.uniform(0.85, 1.2)
            pitch_hz = 1.5 * person.pitch_hz * rng.uniform(0.9, 1.15)
            plan += planned(_explosion(0.25 + 0.6 * hoarseness), start, burst_seconds, pitch_hz, formants_hz)
            start += burst_seconds + (0.04 + 0.1 * spacing) * rng.uniform(0.7, 1.3)
        start += rng.uniform(0.12, 0.25)
    return uttered(rng, person, plan, seconds)


def whistling(source: np.random.Generator, rng: np.random.Generator, seconds: float) -> Waveform:
    """A tune on pursed lips: a nearly pure tone, notes that slide down, in phrases that come down a scale."""
    tonic, scale, pace, fall, breath, overtone = source.uniform(size=6)
    key = Key.at(750 * 2**tonic, scale)
    plan: list[tuple[float, float, float]] = []  # seconds, hz, level
    start = 0.0
    while start < seconds:
        degree = int(rng.integers((len(key.scale) + 1) // 2, len(key.scale) + 1))
        plan.append((start, key.hz(degree), 0.0))
        for _ in range(rng.integers(2, 6)):
            length = (0.16 + 0.25 * pace) * rng.choice([0.7, 1.0, 1.6])
            high_hz = key.hz(degree)
            low_hz = high_hz / (1.04 + 0.3 * fall * rng.uniform(0.5, 1.2))
            plan += [(start + 0.03, high_hz, 0.8), (start + 0.4 * length, 0.995 * high_hz, 1.0)]
            plan += [(start + 0.85 * length, low_hz, 0.8), (start + length, low_hz, 0.15)]
            start, degree = start + length, max(0, degree - int(rng.integers(0, 3)))
        plan.append((start + 0.01, low_hz, 0.0))
        start += rng.uniform(0.08, 0.2)
    t = times(seconds)
    at_seconds, *tracks = np.array(plan).T
    hz, level = (lines(SAMPLE_RATE_HZ * at_seconds, track, len(t)) for track in tracks)
    angle = phase(hz * (1 + 0.004 * np.sin(2 * np.pi * 5.5 * t)))
    air = 1 + (0.1 + 0.25 * breath) * slow_noise(rng, len(t), changes_per_second=500.0)
    return np.asarray(level * (air * np.sin(angle) + 0.08 * overtone * np.sin(2 * angle)))


def _talk(rng: np.random.Generator, person: Person, seconds: float) -> list[Moment]:
    """Phrases of three to nine syllables, each falling in pitch, with short pauses between."""
    plan: list[Moment] = []
    start = 0.0
    while start < seconds:
        count = int(rng.integers(3, 10))
        top = 1.1 + 0.25 * person.liveliness * rng.random()
        for number in range(count):
            accent = rng.normal(1.0, 0.03 + 0.1 * person.liveliness)
            pitch_hz = person.pitch_hz * accent * (top + (0.85 - top) * number / count)
            length = rng.uniform(0.13, 0.28) / person.pace * (1.4 if number == count - 1 else 1.0)
            plan += _syllable(rng, person, start, length, pitch_hz)
            start += length
        plan.append(plan[-1]._replace(seconds=start, voiced=0.0, aspirated=0.0))
        start += rng.uniform(0.08, 0.28)
    return plan


def _syllable(rng: np.random.Generator, person: Person, start: float, length: float, pitch_hz: float) -> list[Moment]:
    """A consonant (humming, hissing or popping) and a vowel."""
    vowel_hz = person.formants(_VOWELS_HZ[rng.integers(len(_VOWELS_HZ))])
    consonant = rng.choice(["hum", "hiss", "pop"], p=[0.45, 0.3, 0.25])
    onset = start + length * rng.uniform(0.2, 0.42) * (1.3 if consonant == "hiss" else 1.0)
    hiss_hz = rng.uniform(2_400, 6_500) if consonant == "hiss" else rng.uniform(1_200, 4_500)
    hum = 0.25 if consonant == "hum" else 0.0
    hiss = rng.uniform(0.5, 1.3)
    closed = Moment(start + 0.01, pitch_hz, hum, 0.0, 0.0, hiss_hz, person.formants(_NEUTRAL_HZ))
    vowel = Moment(onset + 0.03, pitch_hz, 1.0, person.breath, 0.0, hiss_hz, vowel_hz)
    bend = rng.uniform(0.85, 1.15, size=3)
    return [
        closed,
        closed._replace(
            seconds=start + 0.01 + 0.4 * (onset - start - 0.015), hiss=hiss if consonant == "hiss" else 0.0
        ),
        closed._replace(seconds=onset - 0.005, hiss=0.0 if consonant == "hum" else hiss),
        vowel,
        vowel._replace(
            seconds=start + 0.9 * length,
            pitch_hz=pitch_hz * rng.uniform(0.9, 1.04),
            voiced=0.6,
            formants_hz=tuple(np.asarray(vowel_hz) * bend),
        ),
    ]


def _sung_note(rng: np.random.Generator, person: Person, start: float, length: float, pitch_hz: float) -> list[Moment]:
    """A soft onset, perhaps a hiss before it, then one vowel held to the end."""
    vowel_hz = person.formants(_VOWELS_HZ[rng.integers(len(_VOWELS_HZ))])
    hiss = rng.choice([0.0, 0.0, 0.5])
    onset = Moment(start, pitch_hz, 0.3, 0.0, hiss, 4_000.0, vowel_hz)
    held = onset._replace(seconds=start + 0.07, voiced=0.9, aspirated=0.5 * person.breath, hiss=0.0)
    return [
        onset,
        held,
        held._replace(seconds=start + 0.6 * length, voiced=1.0),
        held._replace(seconds=start + 0.95 * length - 0.01),
    ]


def _ha(strength: float, noise: float) -> Shape:
    """Breath, then a short vowel."""
    return (
        (0.0, 0.9, 0.0, 0.15 * noise, 0.0),
        (0.3, 0.9, 0.0, noise * strength, 0.0),
        (0.48, 1.1, strength, 0.4 * noise, 0.0),
        (0.72, 0.9, 0.7 * strength, 0.2 * noise, 0.0),
        (0.88, 0.9, 0.0, 0.15 * noise, 0.0),
    )


def _gasp(strength: float) -> Shape:
    """Air drawn in: noise through the open mouth that grows and stops."""
    return ((0.0, 1.0, 0.0, 0.0, 0.0), (0.7, 1.0, 0.0, strength, 0.3 * strength), (1.0, 1.0, 0.0, 0.0, 0.0))


def _wail(arch: float, sway: float, breath: float) -> Shape:
    """One breath of crying: up quickly, held, down."""
    return (
        (0.0, 0.8, 0.1, 0.1 * breath, 0.0),
        (0.12, arch, 0.9, breath, 0.0),
        (0.55, arch * sway, 1.0, breath, 0.0),
        (0.9, 0.9, 0.6, breath, 0.0),
        (1.0, 0.75, 0.0, 0.0, 0.0),
    )


def _explosion(voiced: float) -> Shape:
    """One cough: a burst of noise, then a voice that breaks off."""
    return (
        (0.0, 1.0, 0.0, 0.0, 0.0),
        (0.06, 1.0, 0.0, 3.0, 0.6),
        (0.3, 1.0, voiced, 1.0, 0.2),
        (0.7, 0.65, 0.6 * voiced, 0.5, 0.0),
        (1.0, 0.6, 0.0, 0.0, 0.0),
    )
