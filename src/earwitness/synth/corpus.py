"""The made corpus: media files, their manifest, and the true times of every sound.

    FOLDER/media/clip-0000.wav ...   WAV, MP3, Opus in Ogg, AAC in MP4 with a picture, in even shares
    FOLDER/events.parquet            clip_id, label, start_seconds, stop_seconds: what is heard when
    FOLDER/manifest.parquet          the clips with their labels; written last: where it is, all is

Every clip is a function of (seed, its number). Three clips in a row are one recording (`group`) with the same
background; recordings are dealt to five folds, and the fifth is `split` test, the others train.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from earwitness.errors import ManifestError, SettingsError
from earwitness.manifest import Manifest, read_manifest, write_manifest
from earwitness.synth.encode import SUFFIXES, encode
from earwitness.synth.mixing import Background, Event, mix
from earwitness.synth.sounds import SAMPLE_RATE_HZ, SOUNDS

_CLIPS_PER_RECORDING = 3
_NUM_FOLDS = 5
_MAX_SOUNDS = 3

# what a generator is for; one stream of random numbers for each
_CLIP, _RECORDING, _CONTAINERS, _FIRST_SOUNDS = range(4)


@dataclass(frozen=True, kw_only=True)
class SynthSettings:
    """What to make. Checked on creation."""

    num_clips: int = 60
    """Media files to write."""
    seed: int = 1
    """The same seed makes the same files; fewer clips are the beginning of more."""
    min_seconds: float = 4.0
    """Shortest clip."""
    max_seconds: float = 10.0
    """Longest clip."""

    def __post_init__(self) -> None:
        if self.num_clips < 1:
            raise SettingsError(f"made corpus: num_clips={self.num_clips} must be at least 1")
        if self.seed < 0:
            raise SettingsError(f"made corpus: seed={self.seed} must not be negative")
        if not 1 <= self.min_seconds <= self.max_seconds <= 3_600:
            raise SettingsError(
                f"made corpus: min_seconds={self.min_seconds} and max_seconds={self.max_seconds} must lie "
                "between 1 and 3,600, in this order"
            )


def make_corpus(folder: str | Path, *, settings: SynthSettings) -> Manifest:
    """Make the corpus in `folder` and return its manifest, read back from there.

    Files of an earlier corpus of the same names are replaced.

    Raises:
        ManifestError: the folder cannot be written.
    """
    folder = Path(folder)
    clips: list[dict[str, object]] = []
    events: list[dict[str, object]] = []
    try:
        (folder / "media").mkdir(parents=True, exist_ok=True)
        for number in range(settings.num_clips):
            clip, heard = _make_clip(folder, number, settings)
            clips.append(clip)
            events.extend({"clip_id": clip["clip_id"], **asdict(event)} for event in heard)
        pyarrow.parquet.write_table(pa.Table.from_pylist(events), folder / "events.parquet")
    except OSError as error:  # FFmpeg's errors are among them
        raise ManifestError(f"{folder}: the made corpus cannot be written ({error.strerror or error})") from error
    table = pa.Table.from_pylist(clips)
    write_manifest(Manifest.from_table(table, source=str(folder)), folder / "manifest.parquet")
    return read_manifest(folder / "manifest.parquet")


def _make_clip(folder: Path, number: int, settings: SynthSettings) -> tuple[dict[str, object], tuple[Event, ...]]:
    """Write one media file; its row of the manifest, and what is heard in it."""
    recording, part = divmod(number, _CLIPS_PER_RECORDING)
    round_of_folds, fold_index = divmod(recording, _NUM_FOLDS)
    rng = np.random.default_rng((settings.seed, _CLIP, number))
    seconds = rng.uniform(settings.min_seconds, settings.max_seconds)
    labels = _draw_labels(
        rng,
        first=_deal(
            tuple(SOUNDS),
            round_of_folds * _CLIPS_PER_RECORDING + part,
            seeds=(settings.seed, _FIRST_SOUNDS, fold_index),
        ),
    )
    place = Background.draw(np.random.default_rng((settings.seed, _RECORDING, recording)))
    scene = mix(rng, labels, seconds=seconds, background=place)
    suffix = _deal(SUFFIXES, number, seeds=(settings.seed, _CONTAINERS))
    media = f"media/clip-{number:04d}{suffix}"
    encode(scene.waveform, folder / media, sample_rate_hz=SAMPLE_RATE_HZ)
    clip = {
        "clip_id": f"clip-{number:04d}",
        "media": media,
        "labels": sorted(labels),
        "split": "test" if fold_index == _NUM_FOLDS - 1 else "train",
        "fold": fold_index + 1,
        "group": f"recording-{recording:04d}",
    }
    return clip, scene.events


def _draw_labels(rng: np.random.Generator, *, first: str) -> list[str]:
    """One to `_MAX_SOUNDS` different labels, `first` among them."""
    others = [label for label in SOUNDS if label != first]
    return [first, *rng.choice(others, size=rng.integers(0, _MAX_SOUNDS), replace=False).tolist()]


def _deal(cards: tuple[str, ...], position: int, *, seeds: tuple[int, ...]) -> str:
    """The card at `position` of one shuffled deck after another, so that all come equally often."""
    deck, place = divmod(position, len(cards))
    return cards[int(np.random.default_rng((*seeds, deck)).permutation(len(cards))[place])]
