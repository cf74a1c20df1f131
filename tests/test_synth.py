"""The made corpus: real media, honest labels and times, the same for the same seed."""

from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pyarrow.parquet
import pytest

from earwitness.datasets.media import missing_media
from earwitness.errors import ManifestError, SettingsError
from earwitness.manifest import Manifest, read_manifest
from earwitness.synth.corpus import _FIRST_SOUNDS, SynthSettings, _deal, make_corpus
from earwitness.synth.encode import SUFFIXES
from earwitness.synth.mixing import Background, mix
from earwitness.synth.sounds import SAMPLE_RATE_HZ, SOUNDS

SMALL = SynthSettings(num_clips=20, min_seconds=2.0, max_seconds=3.0)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    folder = tmp_path_factory.mktemp("corpus")
    return folder, make_corpus(folder, settings=SMALL)


def decode(path: Path) -> tuple[npt.NDArray[np.float32], int]:
    """Mono samples and their rate."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("flt", "mono")
        frames = [f for frame in container.decode(audio=0) for f in resampler.resample(frame)]
        return np.concatenate([f.to_ndarray()[0] for f in frames]), frames[0].sample_rate


def test_manifest_is_complete(corpus: tuple[Path, Manifest]) -> None:
    folder, manifest = corpus
    table = manifest.table
    assert read_manifest(folder / "manifest.parquet").table.equals(table)
    assert len(manifest) == 20
    assert missing_media(manifest) == []
    assert set(manifest.label_counts()) == set(SOUNDS)
    assert all(1 <= len(labels) <= 3 for labels in table["labels"].to_pylist())
    for suffix in SUFFIXES:
        assert sum(media.endswith(suffix) for media in table["media"].to_pylist()) == 5
    assert set(table["fold"].to_pylist()) == {1, 2, 3, 4, 5}
    for row in table.to_pylist():
        assert (row["split"] == "test") == (row["fold"] == 5)
    group_folds = {(row["group"], row["fold"]) for row in table.to_pylist()}
    assert len(group_folds) == len({group for group, _ in group_folds})  # no recording in two folds


def test_every_fold_of_a_usual_corpus_has_every_label() -> None:
    # sixty clips, twelve a fold: seen in how first sounds are dealt, without writing media
    for fold_index in range(5):
        first = {_deal(tuple(SOUNDS), position, seeds=(1, _FIRST_SOUNDS, fold_index)) for position in range(12)}
        assert first == set(SOUNDS)


def test_media_decode_to_the_clips_length(corpus: tuple[Path, Manifest]) -> None:
    folder, manifest = corpus
    last_sound: dict[str, float] = {}
    for event in pyarrow.parquet.read_table(folder / "events.parquet").to_pylist():
        last_sound[event["clip_id"]] = max(event["stop_seconds"], last_sound.get(event["clip_id"], 0))
    for row in manifest.table.to_pylist():
        samples, rate = decode(Path(row["media"]))
        assert 2.0 <= len(samples) / rate <= 3.1  # encoders pad their last frame
        assert last_sound[row["clip_id"]] <= len(samples) / rate
        assert 0.001 < np.sqrt(np.mean(samples**2)) < 0.5
        with av.open(row["media"]) as container:
            assert len(container.streams.video) == row["media"].endswith(".mp4")


def test_events_are_the_labels(corpus: tuple[Path, Manifest]) -> None:
    folder, manifest = corpus
    heard: dict[str, list[str]] = {}
    for event in pyarrow.parquet.read_table(folder / "events.parquet").to_pylist():
        heard.setdefault(event["clip_id"], []).append(event["label"])
        assert 0 <= event["start_seconds"] < event["stop_seconds"]
        assert event["stop_seconds"] - event["start_seconds"] > 0.9
    labels = dict(zip(*(manifest.table[name].to_pylist() for name in ("clip_id", "labels")), strict=True))
    assert {clip_id: sorted(kinds) for clip_id, kinds in heard.items()} == labels


def test_the_same_seed_makes_the_same_bytes(corpus: tuple[Path, Manifest], tmp_path: Path) -> None:
    folder, _ = corpus
    fewer = SynthSettings(num_clips=8, min_seconds=2.0, max_seconds=3.0)
    make_corpus(tmp_path / "again", settings=fewer)
    made = sorted((tmp_path / "again" / "media").iterdir())
    assert len(made) == 8
    for path in made:
        assert path.read_bytes() == (folder / "media" / path.name).read_bytes()
    other = SynthSettings(num_clips=1, seed=2, min_seconds=2.0, max_seconds=3.0)
    make_corpus(tmp_path / "other", settings=other)
    first = next((tmp_path / "other" / "media").iterdir())
    assert first.read_bytes() not in [path.read_bytes() for path in made]


def test_the_corpus_may_be_moved(corpus: tuple[Path, Manifest]) -> None:
    folder, _ = corpus
    media = pyarrow.parquet.read_table(folder / "manifest.parquet")["media"].to_pylist()
    assert all(path.startswith("media/clip-") for path in media)  # relative to the manifest


@pytest.mark.parametrize("label", SOUNDS)
def test_each_sound(label: str) -> None:
    make = SOUNDS[label]
    for seed in range(5):
        waveform = make(np.random.default_rng(seed), 1.7)
        assert len(waveform) == round(1.7 * SAMPLE_RATE_HZ)
        assert np.isfinite(waveform).all()
        assert np.sqrt(np.mean(waveform**2)) > 0.01
        np.testing.assert_array_equal(waveform, make(np.random.default_rng(seed), 1.7))
        assert not np.array_equal(waveform, make(np.random.default_rng(seed + 5), 1.7))


def peak_hz(waveform: npt.NDArray[np.float64], start: int) -> float:
    window = waveform[start : start + 512] * np.hanning(512)
    return float(np.argmax(np.abs(np.fft.rfft(window, 4_096))) * SAMPLE_RATE_HZ / 4_096)


@pytest.mark.parametrize(("label", "sign"), [("bird", 1), ("whistle", -1)])
def test_birds_rise_and_whistles_fall(label: str, sign: int) -> None:
    for seed in range(5):
        waveform = SOUNDS[label](np.random.default_rng(seed), 1.0)
        # the first chirp lasts at least 0.08 s
        assert sign * (peak_hz(waveform, 1_100) - peak_hz(waveform, 300)) > 50


def test_a_scene_is_louder_where_its_sound_is() -> None:
    rng = np.random.default_rng(3)
    quiet = Background(tilt_db_per_octave=-3.0, level_db=-60.0)
    for label in ("siren", "engine", "rain"):  # those without pauses
        scene = mix(rng, [label], seconds=8.0, background=quiet)
        (event,) = scene.events
        assert event.label == label
        power = (scene.waveform**2).mean(axis=0)
        times = np.arange(len(power)) / SAMPLE_RATE_HZ
        inside = (times >= event.start_seconds) & (times < event.stop_seconds)
        assert inside.any()
        # at least -3 dB over the background, on top of it
        assert power[inside].mean() > 1.4 * power[~inside].mean()
        assert 10 * np.log10(power[~inside].mean()) == pytest.approx(-60, abs=0.5)


def test_scenes_do_not_clip() -> None:
    loud = Background(tilt_db_per_octave=0.0, level_db=-1.0)
    scene = mix(np.random.default_rng(0), ["drum", "bell", "bark"], seconds=2.0, background=loud)
    assert scene.waveform.shape == (2, 2 * SAMPLE_RATE_HZ)
    assert scene.waveform.dtype == np.float32
    assert np.abs(scene.waveform).max() == pytest.approx(0.95)
    starts = [event.start_seconds for event in scene.events]
    assert starts == sorted(starts)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_clips": 0}, "num_clips=0 must be at least 1"),
        ({"seed": -1}, "seed=-1 must not be negative"),
        ({"min_seconds": 0.5}, "min_seconds=0.5 and max_seconds=10.0 must lie between 1 and 3,600"),
        ({"min_seconds": 5.0, "max_seconds": 4.0}, "min_seconds=5.0 and max_seconds=4.0"),
        ({"max_seconds": float("nan")}, "max_seconds=nan"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        SynthSettings(**settings)  # type: ignore[arg-type]


def test_an_unwritable_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", Path("/proc/no")):
        with pytest.raises(ManifestError, match="the made corpus cannot be written"):
            make_corpus(folder, settings=SMALL)
    (tmp_path / "media").mkdir()
    for number in range(4):
        for suffix in SUFFIXES:
            (tmp_path / "media" / f"clip-{number:04d}{suffix}").mkdir()
    with pytest.raises(ManifestError, match="the made corpus cannot be written"):
        make_corpus(tmp_path, settings=SMALL)
