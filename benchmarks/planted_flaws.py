"""A corpus with planted flaws: whole clips in, and beside them clips that are broken in known ways.

Every flaw is planted in clips of its own. One that spoils a clip takes the clip's place; a copy stands beside its
original. What a flaw needs to be one is looked after: clips that are band-limited have held high frequencies before.
The rest of the corpus stays as it came, with whatever is wrong with it: `Planted` lists ours only.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.io import wavfile
from scipy.signal import resample_poly

from earwitness.audio.decode import read_waveform
from earwitness.errors import MediaError
from earwitness.manifest import Manifest

RATE_HZ = 16_000
FULL_SCALE = 32_767
NUM_FOLDS = 5

Sound = npt.NDArray[np.float32]  # [samples] at RATE_HZ; [samples, channels] where a WAV file is written

CLIPPING_DB = (3, 6, 12, 20)
BAND_HZ = {2_000: (1, 4), 3_000: (3, 8), 4_000: (1, 2), 6_000: (3, 4)}
"""Where the band ends, and the resampling down and up again that ends it there."""
NOISE_DB = {"digital zeros": None, "noise at -80 dBFS": -80.0, "noise at -60 dBFS": -60.0}
KEPT_SHARES = (0.5, 0.8, 0.95)
SILENT_SHARES = (0.6, 0.8, 0.95)
OFFSETS = (0.02, 0.1, 0.3)
"""Of full scale."""
SHORT_SECONDS = (0.1, 0.3, 0.6, 0.9)
SHIFT_MS = (5, 20, 100, 500)
CODECS = {
    "MP3 64 kb/s": (".mp3", "libmp3lame", 64_000),
    "Opus 32 kb/s": (".ogg", "libopus", 32_000),
    "AAC 48 kb/s": (".m4a", "aac", 48_000),
}
TRUNCATED_KINDS = (".wav", ".flac", ".mp3", ".ogg", ".m4a")
LEVEL_DB = -6.0
MIN_SECONDS = 2.0
"""Clips shorter than this are left alone."""
_HIGH_HZ = 6_200
_HIGH_SHARE = 1e-3


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A clip that we have spoilt or copied."""

    kind: str
    """The kind of finding that it is to be: one of the doctor's."""
    strength: str
    clip_id: str
    detail: str = ""
    """What else may decide whether it is found, such as the kind of file."""
    original_id: str | None = None
    """Of a copy: the clip that it is a copy of, which is in the corpus, too."""
    crosses_folds: bool = False
    """Whether a copy lies in another fold than its original."""


@dataclass(frozen=True, kw_only=True)
class PlantedCorpus:
    """The corpus and what was planted in it."""

    manifest: Manifest
    """With a column `fold`. Its labels are those of the clips, but for the label holes."""
    planted: tuple[Planted, ...]
    untouched: frozenset[str]
    """Ids of clips that are as they came and have no copy."""


def plant(whole: Manifest, folder: Path, *, per_strength: int, seed: int = 1) -> PlantedCorpus:
    """Spoil and copy clips of a corpus.

    Args:
        whole: clips of whole files; must be enough (some 50 times `per_strength`).
        folder: for the files that are made.
        per_strength: clips to plant of each kind and strength.
        seed: decides which clips.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = whole.table.select(["clip_id", "media", "labels"]).to_pylist()
    rng = np.random.default_rng(seed)
    for row in rows:
        row |= {"start_seconds": None, "stop_seconds": None, "fold": int(rng.integers(NUM_FOLDS)) + 1}
    planter = _Planter(rows, folder, per_strength, rng)
    planter.spoil_clips()
    planter.copy_clips()
    planter.part_clips()
    planter.take_labels()
    return planter.corpus()


class _Planter:
    """Takes clips in a random order, each at most once."""

    def __init__(self, rows: list[dict[str, Any]], folder: Path, per_strength: int, rng: np.random.Generator) -> None:
        self.rows = {row["clip_id"]: row for row in rows}
        self.folder = folder
        self.per_strength = per_strength
        self.rng = rng
        self.planted: list[Planted] = []
        self.added: list[dict[str, Any]] = []
        self._order = [row["clip_id"] for row in rows]
        rng.shuffle(self._order)
        self._used: set[str] = set()

    def spoil_clips(self) -> None:
        """Flaws that take a clip's place."""
        for over_db in CLIPPING_DB:
            self._spoil("clipped", f"{over_db} dB over", partial(clip, over_db=over_db))
            self._spoil("clipped", f"{over_db} dB over, 12 dB down", partial(clip, over_db=over_db, level_db=-12))
            self._spoil("clipped", f"{over_db} dB over, then MP3", partial(clip, over_db=over_db), suffix=".mp3")
        for edge_hz, factors in BAND_HZ.items():
            name = f"{edge_hz / 1000:g} kHz"
            self._spoil("band_limited", name, partial(narrowed, factors=factors), fits=has_high_frequencies)
        for name, decibels in NOISE_DB.items():
            self._spoil("silent", name, partial(self._noise, decibels=decibels))
        for share in SILENT_SHARES:
            self._spoil("mostly_silent", f"{100 * share:g} % zeros", partial(hushed, share=share))
        for offset in OFFSETS:
            self._spoil("constant_offset", f"{offset:g}", partial(lifted, offset=offset))
        self._spoil("dead_channel", "right", partial(beside, right=0.0))
        self._spoil("cancelling_channels", "opposite", partial(beside, right=-1.0))
        for seconds in SHORT_SECONDS:
            self._spoil("very_short", f"{seconds:g} s", partial(loudest, seconds=seconds))
        for share in KEPT_SHARES:
            self._truncate(share)
        self._ruin("random bytes", self.rng.bytes(40_000))
        self._ruin("empty file", b"")
        self._ruin("text", b"<!doctype html>\n")
        self._ruin("no such file", None)

    def copy_clips(self) -> None:
        """Copies beside their originals, every other one in another fold."""
        self._copy("same bytes", None)
        for name, (suffix, _, _) in CODECS.items():
            self._copy(name, np.copy, suffix=suffix)
        self._copy(f"{LEVEL_DB:g} dB", partial(np.multiply, np.float32(10 ** (LEVEL_DB / 20))))
        for milliseconds in SHIFT_MS:
            self._copy(f"{milliseconds} ms later", partial(shifted, milliseconds=milliseconds))
        self._copy("trimmed at both ends", trimmed)
        self._copy("within longer sound", self._surrounded)
        self._copy("within longer sound, MP3 64 kb/s", self._surrounded, suffix=".mp3")

    def part_clips(self) -> None:
        """Clips that become two halves of one file, in two folds."""
        for clip_id, sound in self._take(self.per_strength):
            row, middle = self.rows[clip_id], len(sound) / RATE_HZ / 2
            self.added.append(
                {**row, "clip_id": f"{clip_id}-2", "start_seconds": middle, "fold": row["fold"] % NUM_FOLDS + 1}
            )
            row["stop_seconds"] = middle
            self.planted.append(Planted(kind="split_leak", strength="halves of one file", clip_id=clip_id))

    def take_labels(self) -> None:
        """Clips without any label."""
        for clip_id, _ in self._take(self.per_strength):
            self.rows[clip_id]["labels"] = []
            self.planted.append(Planted(kind="unlabelled", strength="no label", clip_id=clip_id))

    def corpus(self) -> PlantedCorpus:
        """All that was made."""
        table = pa.Table.from_pylist([*self.rows.values(), *self.added])
        return PlantedCorpus(
            manifest=Manifest.from_table(table, source="planted"),
            planted=tuple(self.planted),
            untouched=frozenset(self.rows) - self._used,
        )

    def _take(self, count: int, fits: Callable[[Sound], bool] = lambda _: True) -> list[tuple[str, Sound]]:
        """So many clips that fit, with their sound; none is taken twice."""
        taken = list(islice(self._fitting(fits), count))
        if len(taken) < count:
            raise ValueError(f"the corpus has too few clips: {count} more were needed, {len(taken)} were left")
        self._used |= {clip_id for clip_id, _ in taken}
        return taken

    def _fitting(self, fits: Callable[[Sound], bool]) -> Iterator[tuple[str, Sound]]:
        for clip_id in self._order:
            if clip_id in self._used:
                continue
            try:
                sound = read_waveform(self.rows[clip_id]["media"], sample_rate_hz=RATE_HZ)
            except MediaError:
                continue
            if len(sound) >= MIN_SECONDS * RATE_HZ and np.abs(sound).max() > 0.01 and fits(sound):
                yield clip_id, sound

    def _spoil(
        self,
        kind: str,
        strength: str,
        change: Callable[[Sound], Sound],
        *,
        suffix: str = ".wav",
        fits: Callable[[Sound], bool] = lambda _: True,
    ) -> None:
        for number, (clip_id, sound) in enumerate(self._take(self.per_strength, fits)):
            path = write(self.folder / f"{_slug(kind, strength)}-{number}", change(sound), suffix=suffix)
            self._replace(clip_id, path, Planted(kind=kind, strength=strength, clip_id=clip_id))

    def _replace(self, clip_id: str, path: Path, planted: Planted) -> None:
        self.rows[clip_id]["media"] = str(path)
        self.planted.append(planted)

    def _truncate(self, share: float) -> None:
        for number, (clip_id, sound) in enumerate(self._take(self.per_strength)):
            suffix = TRUNCATED_KINDS[number % len(TRUNCATED_KINDS)]
            path = write(self.folder / f"truncated-{100 * share:g}-{number}", sound, suffix=suffix)
            content = path.read_bytes()
            path.write_bytes(content[: int(share * len(content))])
            flaw = Planted(kind="truncated", strength=f"{100 * share:g} % of bytes", clip_id=clip_id, detail=suffix)
            self._replace(clip_id, path, flaw)

    def _ruin(self, name: str, content: bytes | None) -> None:
        for number, (clip_id, _) in enumerate(self._take(self.per_strength)):
            path = self.folder / f"{_slug('undecodable', name)}-{number}.mp3"
            if content is not None:
                path.write_bytes(content)
            self._replace(clip_id, path, Planted(kind="undecodable", strength=name, clip_id=clip_id))

    def _copy(self, strength: str, change: Callable[[Sound], Sound] | None, *, suffix: str = ".wav") -> None:
        for number, (original_id, sound) in enumerate(self._take(self.per_strength)):
            original = self.rows[original_id]
            path = self.folder / f"{_slug('copy', strength)}-{number}"
            if change is not None:
                path = write(path, change(sound), suffix=suffix)
            else:
                media = Path(original["media"])
                path = path.with_suffix(media.suffix)
                path.write_bytes(media.read_bytes())
            crosses = number % 2 == 0
            fold = original["fold"] % NUM_FOLDS + 1 if crosses else original["fold"]
            clip_id = path.name
            self.added.append({**original, "clip_id": clip_id, "media": str(path), "fold": fold})
            self.planted.append(
                Planted(
                    kind="duplicate",
                    strength=strength,
                    clip_id=clip_id,
                    original_id=original_id,
                    crosses_folds=crosses,
                )
            )

    def _noise(self, sound: Sound, *, decibels: float | None) -> Sound:
        amplitude = 0.0 if decibels is None else 10 ** (decibels / 20)
        return (amplitude * self.rng.standard_normal(len(sound))).astype(np.float32)

    def _surrounded(self, sound: Sound) -> Sound:
        """Between 3 s and 2 s of hiss and hum that are in no other clip."""
        num_before, num_after = 3 * RATE_HZ, 2 * RATE_HZ
        around = 0.05 * self.rng.standard_normal(num_before + num_after)
        around += 0.1 * np.sin(2 * np.pi * self.rng.uniform(100, 2_000) * np.arange(len(around)) / RATE_HZ)
        return np.concatenate([around[:num_before], sound, around[num_before:]]).astype(np.float32)


def clip(sound: Sound, *, over_db: float, level_db: float = 0.0) -> Sound:
    """So loud that its peak would be `over_db` above full scale, cut off there, and turned to a level."""
    peak = np.abs(sound).max()
    cut = (sound * np.float32(10 ** (over_db / 20) / peak)).clip(-1.0, 1.0)
    return cut * np.float32(10 ** (level_db / 20))


def narrowed(sound: Sound, *, factors: tuple[int, int]) -> Sound:
    """Resampled by a ratio and back again."""
    up, down = factors
    low = resample_poly(sound, up, down)
    return np.asarray(resample_poly(low, down, up), np.float32)


def lifted(sound: Sound, *, offset: float) -> Sound:
    """With a constant added, and room made for it."""
    return sound * np.float32(1 - offset) + np.float32(offset)


def beside(sound: Sound, *, right: float) -> Sound:
    """In two channels, the right one multiplied."""
    return np.stack([sound, np.float32(right) * sound], axis=1)


def trimmed(sound: Sound) -> Sound:
    """Without its first half second and last quarter."""
    return sound[RATE_HZ // 2 : -(RATE_HZ // 4)]


def loudest(sound: Sound, *, seconds: float) -> Sound:
    """Its loudest part of that length."""
    width = round(seconds * RATE_HZ)
    energy = np.cumsum(np.concatenate([[0.0], sound.astype(np.float64) ** 2]))
    start = int(np.argmax(energy[width:] - energy[:-width]))
    return sound[start : start + width]


def hushed(sound: Sound, *, share: float) -> Sound:
    """Its loudest part, with digital zeros after it that fill so much of the whole."""
    kept = loudest(sound, seconds=(1 - share) * len(sound) / RATE_HZ)
    return np.concatenate([kept, np.zeros(len(sound) - len(kept), np.float32)])


def shifted(sound: Sound, *, milliseconds: float) -> Sound:
    """The same later, its first sound gone: as a download that began late."""
    return sound[round(milliseconds / 1000 * RATE_HZ) :]


def has_high_frequencies(sound: Sound) -> bool:
    """Whether a thousandth of its energy and more lies above 6.2 kHz, which a band limit would take away."""
    power = np.abs(np.fft.rfft(sound)) ** 2
    return bool(power[np.fft.rfftfreq(len(sound), 1 / RATE_HZ) > _HIGH_HZ].sum() > _HIGH_SHARE * power.sum())


def write(path: Path, sound: Sound, *, suffix: str) -> Path:
    """Write sound as the kind of file that the suffix names, and give its path."""
    path = path.with_name(path.name + suffix)
    if suffix == ".wav":
        wavfile.write(path, RATE_HZ, np.rint(FULL_SCALE * sound.clip(-1, 1)).astype(np.int16))
        return path
    encoders = {suffix: (codec, bit_rate) for suffix, codec, bit_rate in CODECS.values()}
    codec, bit_rate = encoders.get(suffix, ("flac", 0))
    options = {"movflags": "+faststart"} if suffix == ".m4a" else {}
    with av.open(str(path), "w", options=options) as container:
        stream = cast(av.AudioStream, container.add_stream(codec, rate=RATE_HZ, layout="mono"))
        if bit_rate:
            stream.bit_rate = bit_rate
        for first in range(0, len(sound), RATE_HZ):
            block = np.ascontiguousarray(sound[None, first : first + RATE_HZ].clip(-1, 1))
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
            frame.sample_rate, frame.time_base, frame.pts = RATE_HZ, Fraction(1, RATE_HZ), first
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _slug(*words: str) -> str:
    return "".join(sign if sign.isalnum() or sign == "." else "-" for sign in "-".join(words)).strip("-")
