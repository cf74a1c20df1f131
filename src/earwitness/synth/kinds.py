"""The kinds of sound by label id, from the commonest to the rarest, each with its parents and natural length.

Parents are labels too: where a cuckoo is heard, so are a bird and an animal. Names for people are the ids with
spaces. The order is that of the prior: people and music first, as in collections of videos.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from earwitness.labels import LabelSet
from earwitness.synth.signals import Waveform
from earwitness.synth.sounds import (
    alarms,
    animals,
    hands_and_feet,
    machines,
    music,
    nature,
    percussion,
    vehicles,
    voices,
)

Sound = Callable[[np.random.Generator, np.random.Generator, float], Waveform]
"""`(source, rng, seconds) -> waveform`: see `earwitness.synth.sounds`."""


@dataclass(frozen=True)
class Kind:
    """One kind of sound."""

    sound: Sound
    parents: tuple[str, ...]
    """Labels that hold wherever this one does."""
    min_seconds: float
    """Of one event."""
    max_seconds: float
    lookalikes: tuple[str, ...]
    """Kinds that people who label in haste would take it for."""


KINDS: dict[str, Kind] = {
    "speech": Kind(voices.speech, ("human",), 1.5, 8.0, ("singing", "crowd")),
    "singing": Kind(voices.singing, ("human", "music"), 2.5, 10.0, ("speech", "violin")),
    "guitar": Kind(music.guitar, ("string_instrument", "music"), 3.0, 15.0, ("harp", "piano")),
    "car": Kind(vehicles.car, ("vehicle",), 3.0, 20.0, ("motorcycle", "aeroplane")),
    "drum_kit": Kind(percussion.drum_kit, ("percussion", "music"), 3.0, 15.0, ("tambourine",)),
    "bird_song": Kind(animals.bird_song, ("bird", "animal"), 1.5, 6.0, ("whistling", "cricket")),
    "wind": Kind(nature.wind, ("weather", "nature"), 5.0, 15.0, ("surf", "fan")),
    "crowd": Kind(voices.crowd, ("human",), 3.0, 15.0, ("speech", "applause")),
    "piano": Kind(music.piano, ("keyboard", "music"), 3.0, 15.0, ("marimba", "guitar")),
    "rain": Kind(nature.rain, ("weather", "nature"), 4.0, 15.0, ("stream", "applause")),
    "bark": Kind(animals.bark, ("animal",), 1.0, 4.0, ("cough",)),
    "bass": Kind(music.bass, ("music",), 3.0, 15.0, ("drum_kit", "organ")),
    "applause": Kind(hands_and_feet.applause, ("human",), 2.0, 10.0, ("rain", "fire")),
    "footsteps": Kind(hands_and_feet.footsteps, ("human",), 2.0, 10.0, ("hooves", "hammer")),
    "violin": Kind(music.violin, ("string_instrument", "music"), 2.5, 12.0, ("flute", "singing")),
    "aeroplane": Kind(vehicles.aeroplane, ("vehicle",), 5.0, 20.0, ("vacuum_cleaner", "wind")),
    "brass": Kind(music.brass, ("wind_instrument", "music"), 2.0, 10.0, ("organ", "car_horn")),
    "motorcycle": Kind(vehicles.motorcycle, ("vehicle",), 3.0, 15.0, ("car", "saw")),
    "laughter": Kind(voices.laughter, ("human",), 1.0, 4.0, ("baby_cry", "bark")),
    "organ": Kind(music.organ, ("keyboard", "music"), 3.0, 15.0, ("brass", "flute")),
    "train": Kind(vehicles.train, ("vehicle",), 4.0, 20.0, ("helicopter",)),
    "stream": Kind(nature.stream, ("water", "nature"), 4.0, 15.0, ("rain", "fire")),
    "flute": Kind(music.flute, ("wind_instrument", "music"), 2.0, 10.0, ("whistling", "violin")),
    "siren": Kind(alarms.siren, ("alarm",), 3.0, 15.0, ("two_tone_horn",)),
    "surf": Kind(nature.surf, ("water", "nature"), 7.0, 18.0, ("wind", "rain")),
    "church_bell": Kind(alarms.church_bell, ("bell",), 4.0, 15.0, ("bicycle_bell",)),
    "whistling": Kind(voices.whistling, ("human",), 1.0, 6.0, ("bird_song", "flute")),
    "cricket": Kind(animals.cricket, ("insect", "animal"), 2.0, 10.0, ("smoke_alarm",)),
    "telephone": Kind(alarms.telephone, ("phone",), 3.0, 12.0, ("bicycle_bell",)),
    "baby_cry": Kind(voices.baby_cry, ("human",), 1.5, 8.0, ("meow", "laughter")),
    "helicopter": Kind(vehicles.helicopter, ("vehicle",), 4.0, 20.0, ("train",)),
    "meow": Kind(animals.meow, ("animal",), 1.0, 4.0, ("baby_cry",)),
    "tambourine": Kind(percussion.tambourine, ("percussion", "music"), 2.0, 8.0, ("drum_kit",)),
    "cow": Kind(animals.cow, ("animal",), 1.5, 5.0, ("sheep",)),
    "hooves": Kind(animals.hooves, ("animal",), 2.0, 8.0, ("footsteps",)),
    "thunder": Kind(nature.thunder, ("weather", "nature"), 3.0, 9.0, ("aeroplane",)),
    "car_horn": Kind(alarms.car_horn, ("vehicle", "alarm"), 0.5, 5.0, ("brass", "buzzer")),
    "vacuum_cleaner": Kind(machines.vacuum_cleaner, ("machine",), 4.0, 20.0, ("fan",)),
    "fire": Kind(nature.fire, ("nature",), 4.0, 15.0, ("rain", "typing")),
    "typing": Kind(machines.typing, ("machine",), 2.0, 15.0, ("clock",)),
    "clock": Kind(machines.clock, ("machine",), 4.0, 20.0, ("typing", "dripping")),
    "drill": Kind(machines.drill, ("tool", "machine"), 2.0, 12.0, ("saw",)),
    "cough": Kind(voices.cough, ("human",), 0.5, 3.0, ("bark",)),
    "harp": Kind(music.harp, ("string_instrument", "music"), 2.5, 10.0, ("guitar",)),
    "two_tone_horn": Kind(alarms.two_tone_horn, ("alarm",), 3.0, 15.0, ("siren",)),
    "crow": Kind(animals.crow, ("bird", "animal"), 1.0, 4.0, ("bark",)),
    "frog": Kind(animals.frog, ("animal",), 1.5, 6.0, ("crow",)),
    "marimba": Kind(music.marimba, ("percussion", "music"), 2.0, 10.0, ("piano",)),
    "hammer": Kind(machines.hammer, ("tool", "machine"), 2.5, 12.0, ("footsteps",)),
    "bee": Kind(animals.bee, ("insect", "animal"), 2.0, 8.0, ("car",)),
    "fan": Kind(machines.fan, ("machine",), 5.0, 20.0, ("vacuum_cleaner", "wind")),
    "smoke_alarm": Kind(alarms.smoke_alarm, ("alarm",), 4.0, 15.0, ("reversing_beeps",)),
    "saw": Kind(machines.saw, ("tool", "machine"), 3.0, 15.0, ("drill",)),
    "sheep": Kind(animals.sheep, ("animal",), 1.0, 4.0, ("cow",)),
    "rooster": Kind(animals.rooster, ("bird", "animal"), 1.5, 5.0, ("crow",)),
    "dripping": Kind(nature.dripping, ("water", "nature"), 2.0, 8.0, ("clock",)),
    "reversing_beeps": Kind(alarms.reversing_beeps, ("alarm",), 3.0, 15.0, ("smoke_alarm",)),
    "sewing_machine": Kind(machines.sewing_machine, ("machine",), 3.0, 15.0, ("typing",)),
    "buzzer": Kind(alarms.buzzer, ("alarm",), 0.5, 5.0, ("car_horn",)),
    "bicycle_bell": Kind(alarms.bicycle_bell, ("bell",), 1.5, 5.0, ("telephone",)),
    "cuckoo": Kind(animals.cuckoo, ("bird", "animal"), 2.0, 6.0, ("flute",)),
    "phone_dialling": Kind(alarms.phone_dialling, ("phone",), 1.5, 6.0, ("telephone",)),
}
"""Every kind by its label id."""


def labels_of(kinds: tuple[str, ...]) -> tuple[str, ...]:
    """The labels that hold where these kinds are heard: the kinds and their parents, without repetition."""
    return tuple(dict.fromkeys(label for kind in kinds for label in (kind, *KINDS[kind].parents)))


def label_set_of(kinds: tuple[str, ...]) -> LabelSet:
    """These kinds and all their parents, sorted by id."""
    ids = tuple(sorted(labels_of(kinds)))
    return LabelSet(ids, tuple(label.replace("_", " ").capitalize() for label in ids))
