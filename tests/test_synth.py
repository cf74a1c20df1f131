"""The made corpus: real media, metadata that err as they say they do, the same bytes for the same seed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pyarrow.parquet
import pytest

from earwitness.audio.decode import read_waveform
from earwitness.datasets.media import missing_media
from earwitness.errors import CorpusError, SettingsError
from earwitness.labels import read_label_set
from earwitness.manifest import read_manifest
from earwitness.synth.corpus import make_corpus
from earwitness.synth.kinds import KINDS, labels_of
from earwitness.synth.mixing import mix
from earwitness.synth.places import Place, device_of, noise_of
from earwitness.synth.plan import CONTAINERS, ClipPlan, Event, plan_clip, prior
from earwitness.synth.settings import MOST_KINDS, SynthSettings
from earwitness.synth.signals import SAMPLE_RATE_HZ
from earwitness.synth.truth import event_rows

SMALL = SynthSettings(clips=24, mean_seconds=3.0)
USUAL = SynthSettings(clips=2_000)


def rows_of(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    return rows


def plans(settings: SynthSettings) -> list[ClipPlan]:
    return [plan_clip(settings, number) for number in range(settings.clips)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    make_corpus(folder, settings=SMALL, workers=2)
    return folder


class TestPlans:
    """Cheap: no sound is made."""

    def test_lengths_have_the_mean_and_spread(self) -> None:
        seconds = np.array([plan.seconds for plan in plans(USUAL)])
        assert seconds.mean() == pytest.approx(USUAL.mean_seconds, rel=0.06)
        assert seconds.min() >= USUAL.mean_seconds / 8
        assert seconds.max() <= USUAL.mean_seconds * 5
        assert seconds.max() / seconds.min() > 12

    def test_about_five_labels_a_clip(self) -> None:
        assert np.mean([len(plan.given_labels) for plan in plans(USUAL)]) == pytest.approx(5, abs=0.7)
        assert all(plan.given_labels for plan in plans(USUAL))

    def test_priors_span_the_decades_asked_for(self) -> None:
        for decades in (0.0, 1.0, 2.0):
            shares = prior(replace(USUAL, prior_decades=decades))
            assert np.log10(shares[0] / shares[-1]) == pytest.approx(decades)
        # what recordings are about is dealt, not drawn: far closer to the prior than chance
        about = Counter(plan.kinds[0] for plan in plans(USUAL)[::2])
        for kind, number in zip(KINDS, USUAL.clips / 2 * prior(USUAL), strict=True):
            assert about[kind] == pytest.approx(number, abs=4)

    def test_every_fold_has_every_kind_evenly(self) -> None:
        for kind in ("speech", "guitar", "siren"):
            per_fold = Counter(plan.fold for plan in plans(USUAL)[::2] if plan.kinds[0] == kind)
            assert max(per_fold.values()) - min(per_fold[fold] for fold in range(1, 6)) <= 3

    def test_clips_of_a_recording_are_alike(self) -> None:
        all_plans = plans(USUAL)

        def share_a_kind(pairs: list[tuple[ClipPlan, ClipPlan]]) -> float:
            return float(np.mean([bool(set(a.kinds) & set(b.kinds)) for a, b in pairs]))

        same = share_a_kind(list(zip(all_plans[::2], all_plans[1::2], strict=True)))
        others = share_a_kind(list(zip(all_plans[:-2:2], all_plans[3::2], strict=True)))
        assert same > 0.6
        assert others < 0.4

    def test_recordings_stay_in_one_fold(self) -> None:
        folds: dict[int, set[int]] = {}
        for plan in plans(USUAL):
            folds.setdefault(plan.recording, set()).add(plan.fold)
        assert all(len(of_one) == 1 for of_one in folds.values())
        assert len(folds) == USUAL.clips / 2

    def test_events_lie_in_their_clip_and_kinds_do_not_overlap_themselves(self) -> None:
        for plan in plans(replace(USUAL, clips=300)):
            assert {event.kind for event in plan.events} == set(plan.kinds)
            assert [event.start_seconds for event in plan.events] == sorted(e.start_seconds for e in plan.events)
            for kind in plan.kinds:
                own = [event for event in plan.events if event.kind == kind]
                for event in own:
                    assert 0 <= event.start_seconds < event.stop_seconds <= plan.seconds
                for before, after in pairwise(own):
                    assert before.stop_seconds <= after.start_seconds + 0.002

    def test_different_sounds_overlap(self) -> None:
        def overlaps(plan: ClipPlan) -> bool:
            return any(b.start_seconds < a.stop_seconds for a, b in pairwise(plan.events))

        several = [plan for plan in plans(replace(USUAL, clips=300)) if len(plan.kinds) > 2]
        assert np.mean([overlaps(plan) for plan in several]) > 0.8

    def test_more_clips_begin_with_the_same(self) -> None:
        assert plans(replace(USUAL, clips=50)) == plans(replace(USUAL, clips=80))[:50]

    def test_the_generator_makes_what_it_made(self) -> None:
        """If this fails on purpose, GENERATOR_VERSION goes up: people compare corpora by their seed."""
        plan = plan_clip(SynthSettings(), 7)
        assert (plan.clip_id, plan.media) == ("clip-000007", "media/000/clip-000007" + plan.suffix)
        assert (plan.seconds, plan.fold, plan.recording) == (GOLDEN["seconds"], GOLDEN["fold"], 3)
        assert list(plan.kinds) == GOLDEN["kinds"]
        assert list(plan.given_labels) == GOLDEN["given"]


class TestFlaws:
    """The metadata, counted independently of how they are drawn."""

    def test_shares(self) -> None:
        all_plans = plans(USUAL)
        flaws = Counter(flaw.flaw for plan in all_plans for flaw in plan.flaws)
        num_kinds = sum(len(plan.kinds) for plan in all_plans)
        assert flaws["missing"] == pytest.approx(0.15 * (num_kinds - len(all_plans)), rel=0.15)
        assert flaws["wrong"] == pytest.approx(0.06 * num_kinds, rel=0.2)
        assert flaws["coarse"] == pytest.approx(0.10 * num_kinds, rel=0.15)
        assert flaws["inaudible"] == pytest.approx(0.20 * len(all_plans), rel=0.15)

    def test_milder_metadata_have_fewer_of_the_same_flaws(self) -> None:
        levels = [plans(replace(USUAL, flaws=flaws)) for flaws in (0.5, 1.0, 2.0)]
        for mild, usual, bad in zip(*levels, strict=True):
            assert set(mild.flaws) <= set(usual.flaws) <= set(bad.flaws)
        numbers = [sum(len(plan.flaws) for plan in level) for level in levels]
        assert numbers[1] == pytest.approx(2 * numbers[0], rel=0.15)
        assert numbers[2] == pytest.approx(2 * numbers[1], rel=0.15)

    def test_none_without_flaws_and_the_sound_is_the_same(self) -> None:
        for flawed, clean in zip(plans(SMALL), plans(replace(SMALL, flaws=0)), strict=True):
            assert clean.given_labels == clean.true_labels == flawed.true_labels
            assert (clean.events, clean.seconds, clean.suffix) == (flawed.events, flawed.seconds, flawed.suffix)

    def test_what_each_flaw_does(self) -> None:
        seen = set()
        for plan in plans(USUAL):
            if len(plan.flaws) != 1 or len(plan.kinds) > 2:
                continue
            (flaw,) = plan.flaws
            others = tuple(kind for kind in plan.kinds if kind != flaw.kind)
            expected = set(labels_of(others))
            if flaw.flaw == "coarse":
                expected |= set(KINDS[str(flaw.kind)].parents)
            elif flaw.flaw != "missing":
                expected |= set(labels_of((str(flaw.given),)))
                assert flaw.given not in plan.kinds
            if flaw.flaw == "wrong":
                assert flaw.given in KINDS[str(flaw.kind)].lookalikes  # there is always one absent with all kinds
            assert set(plan.given_labels) == expected
            seen.add(flaw.flaw)
        assert seen == {"missing", "wrong", "coarse", "inaudible"}

    def test_the_table_of_events_explains_every_label(self) -> None:
        for plan in plans(replace(USUAL, clips=500)):
            rows = list(event_rows(plan))
            true = {row["label"] for row in rows if row.get("label")}
            given = {row["given_label"] for row in rows if row.get("given_label")}
            assert true == set(plan.true_labels)
            assert given == set(plan.given_labels)
            for row in rows:
                is_right = row.get("label") == row.get("given_label")
                assert is_right == (row.get("flaw") is None)
                assert ("start_seconds" in row) == ("label" in row)


QUIET_PLACE = Place(
    noise_pole=0.5,
    noise_db=-45.0,
    noise_swing_db=0.0,
    hum_hz=50.0,
    hum_db=-60.0,
    reverberation_seconds=0.12,
    wetness=0.0,
    device_hz=(20.0, 11_500.0),
    drive_db=0.0,
    seed=1,
)


def scene(*events: Event, recording: int = 0, number: int = 0, seconds: float = 12.0) -> ClipPlan:
    return ClipPlan(
        number=number,
        seconds=seconds,
        recording=recording,
        fold=1,
        suffix=".wav",
        kinds=tuple({event.kind for event in events}),
        events=events,
        flaws=(),
    )


def event(kind: str, start_seconds: float, stop_seconds: float, *, level_db: float = 20.0) -> Event:
    return Event(kind, start_seconds, stop_seconds, level_db, distance=1.0, left=0.5)


def mono(plan: ClipPlan, *, seed: int = 1) -> npt.NDArray[np.float32]:
    return np.concatenate(list(mix(plan, seed=seed)), axis=1).mean(axis=0)


class TestSound:
    @pytest.mark.parametrize("kind", ["rain", "siren", "organ", "vacuum_cleaner", "crowd"])
    def test_events_sound_from_start_to_stop(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Place, "draw", lambda rng: QUIET_PLACE)
        loud = envelope(mono(scene(event(kind, 2.345, 7.89))), SAMPLE_RATE_HZ) > 3 * 10 ** (QUIET_PLACE.noise_db / 20)
        first, last = np.flatnonzero(loud)[[0, -1]] / 200  # blocks of 5 ms
        assert first == pytest.approx(2.345, abs=0.1)
        assert last == pytest.approx(7.89, abs=0.1)

    @pytest.mark.parametrize("level_db", [-3.0, 6.0, 15.0])
    @pytest.mark.parametrize("wetness", [0.0, 0.8])
    def test_events_have_the_level_they_say(
        self, level_db: float, wetness: float, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place = replace(QUIET_PLACE, wetness=wetness, reverberation_seconds=0.7)
        monkeypatch.setattr(Place, "draw", lambda rng: place)
        for kind in ("organ", "crowd", "bark"):
            with_it = mono(scene(event(kind, 3.0, 9.0, level_db=level_db)))
            without = mono(scene())
            inside = slice(3 * SAMPLE_RATE_HZ, 9 * SAMPLE_RATE_HZ)
            level = np.mean((with_it - without)[inside] ** 2) / np.mean(without**2)
            assert 10 * np.log10(level) == pytest.approx(level_db, abs=1.0)  # the limiter takes a little

    def test_a_recording_keeps_its_place_and_its_sources(self) -> None:
        """The same dog in both clips of a recording, another one elsewhere: by the pitch of sirens, event by event."""

        def spectrum(recording: int, number: int) -> npt.NDArray[np.float64]:
            plan = scene(event("organ", 1.0, 11.0), recording=recording, number=number)
            power = np.abs(np.fft.rfft(mono(plan)[SAMPLE_RATE_HZ : 11 * SAMPLE_RATE_HZ])) ** 2
            bands = np.log(power[500:50_000].reshape(-1, 300).sum(axis=1))
            return np.asarray((bands - bands.mean()) / bands.std())

        def likeness(a: tuple[int, int], b: tuple[int, int]) -> float:
            return float(np.mean(spectrum(*a) * spectrum(*b)))

        same = [likeness((r, 2 * r), (r, 2 * r + 1)) for r in range(12)]
        other = [likeness((r, 2 * r), (r + 1, 2 * r + 3)) for r in range(12)]
        assert np.median(same) > np.median(other) + 0.1

    def test_what_sounds_is_what_it_was(self) -> None:
        """Octave levels of three clips. If this fails on purpose, GENERATOR_VERSION goes up."""
        found = []
        for number in (0, 1, 2):
            sound = mono(plan_clip(SynthSettings(mean_seconds=4.0), number))
            power = np.abs(np.fft.rfft(sound)) ** 2 / len(sound) ** 2
            hz = np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE_HZ)
            octaves = [power[(hz >= low) & (hz < 2 * low)].sum() for low in (125, 250, 500, 1_000, 2_000, 4_000)]
            found.append([round(float(10 * np.log10(octave)), 1) for octave in octaves])
        np.testing.assert_allclose(found, GOLDEN["octaves_db"], atol=0.15)

    def test_blocks_are_the_whole(self) -> None:
        """Noise, rooms and devices keep their state from block to block: no click where two meet."""
        plan = next(p for p in plans(USUAL) if 25 < p.seconds < 40)
        sound = np.concatenate(list(mix(plan, seed=USUAL.seed)), axis=1)
        assert sound.shape == (2, round(plan.seconds * SAMPLE_RATE_HZ))
        assert sound.dtype == np.float32
        assert np.abs(sound).max() < 1
        steps = np.abs(np.diff(sound, axis=1)).max(axis=0)
        border = 10 * SAMPLE_RATE_HZ
        assert steps[border - 1] <= steps[border - 2_400 : border + 2_400].max()

    def test_noise_has_the_level_it_says(self) -> None:
        rng = np.random.default_rng(5)
        for _ in range(5):
            place = replace(Place.draw(rng), noise_swing_db=0.0, hum_db=-60.0)
            more = noise_of(place, np.random.default_rng(0))
            noise = np.concatenate([more(50_000) for _ in range(20)], axis=1)[:, 20_000:].mean(axis=0)
            assert 10 * np.log10(np.mean(noise**2)) == pytest.approx(place.noise_db, abs=0.7)

    def test_rooms_ring_as_long_as_they_say(self) -> None:
        rng = np.random.default_rng(6)
        place = next(p for p in iter(lambda: Place.draw(rng), None) if p.reverberation_seconds > 0.8)
        answer = place.answer
        np.testing.assert_allclose((answer**2).sum(axis=1), 1)
        # Schroeder's backward integral falls by 60 dB in the reverberation time: between -5 and -25 dB, a third of it
        remaining = 10 * np.log10(np.cumsum((answer[0] ** 2)[::-1])[::-1])
        seconds = (np.argmax(remaining < -25) - np.argmax(remaining < -5)) / SAMPLE_RATE_HZ
        assert 3 * seconds == pytest.approx(place.reverberation_seconds, rel=0.15)

    def test_devices_cut_the_band(self) -> None:
        place = replace(Place.draw(np.random.default_rng(0)), device_hz=(300.0, 3_400.0), drive_db=0.0)
        white = 0.01 * np.random.default_rng(1).standard_normal((2, 10 * SAMPLE_RATE_HZ))
        spectrum = np.abs(np.fft.rfft(device_of(place)(white)[0])) ** 2
        hz = np.fft.rfftfreq(white.shape[1], 1 / SAMPLE_RATE_HZ)
        inside = spectrum[(hz > 600) & (hz < 2_000)].mean()
        assert spectrum[hz < 100].mean() < 0.02 * inside
        assert spectrum[hz > 8_000].mean() < 0.02 * inside


class TestCorpus:
    def test_tables_and_media_agree(self, corpus: Path) -> None:
        manifest = read_manifest(corpus / "manifest.parquet")
        assert len(manifest) == SMALL.clips
        assert missing_media(manifest) == []
        expected = plans(SMALL)
        rows = rows_of(corpus / "manifest.parquet")
        assert [row["labels"] for row in rows] == [list(plan.given_labels) for plan in expected]
        true = rows_of(corpus / "manifest_true.parquet")
        assert [row["labels"] for row in true] == [list(plan.true_labels) for plan in expected]
        assert [row["media"] for row in true] == [row["media"] for row in rows]
        assert Counter(Path(row["media"]).suffix for row in rows) == Counter(CONTAINERS * 2)
        for row in rows:
            assert (row["split"] == "test") == (row["fold"] == 5)
        label_set = read_label_set(corpus / "labels.csv")
        label_set.indices(label for table in (rows, true) for row in table for label in row["labels"])
        assert label_set.names[label_set.index_of["church_bell"]] == "Church bell"
        assert {row["clip_id"] for row in rows_of(corpus / "events.parquet")} == {row["clip_id"] for row in rows}

    def test_media_are_what_their_suffix_says_and_as_long(self, corpus: Path) -> None:
        for plan in plans(SMALL):
            with av.open(str(corpus / plan.media)) as container:
                assert len(container.streams.video) == (plan.suffix in (".mp4", ".webm"))
            waveform = read_waveform(corpus / plan.media)
            assert len(waveform) / 16_000 == pytest.approx(plan.seconds, abs=0.12)  # encoders pad their last frame
            assert 0.0005 < np.sqrt(np.mean(waveform**2)) < 0.7

    def test_events_are_heard_at_their_times_after_decoding(self, corpus: Path) -> None:
        """The encoded file against the mix: the best lag between the two is less than 25 ms."""
        for plan in plans(SMALL)[:12]:
            made = np.concatenate(list(mix(plan, seed=SMALL.seed)), axis=1).mean(axis=0)
            decoded = read_waveform(corpus / plan.media)
            lag_seconds = best_lag(envelope(made, SAMPLE_RATE_HZ), envelope(decoded, 16_000)) / 200
            assert abs(lag_seconds) <= 0.025, plan.media

    def test_the_same_bytes_whatever_the_workers(self, corpus: Path, tmp_path: Path) -> None:
        make_corpus(tmp_path / "again", settings=replace(SMALL, clips=12), workers=1)
        for path in (tmp_path / "again" / "media").rglob("*.*"):
            assert path.read_bytes() == (corpus / path.relative_to(tmp_path / "again")).read_bytes()
        make_corpus(tmp_path / "again", settings=SMALL, workers=2)  # grows
        for path in (p for p in corpus.rglob("*") if p.is_file()):
            assert path.read_bytes() == (tmp_path / "again" / path.relative_to(corpus)).read_bytes(), path

    def test_another_seed_makes_another(self, corpus: Path, tmp_path: Path) -> None:
        make_corpus(tmp_path, settings=replace(SMALL, clips=1, seed=2))
        (media,) = (tmp_path / "media" / "000").iterdir()
        assert media.read_bytes() not in [path.read_bytes() for path in (corpus / "media").rglob("*.*")]

    def test_a_missing_file_is_made_again(self, corpus: Path) -> None:
        path = corpus / plan_clip(SMALL, 5).media
        before = path.read_bytes()
        path.unlink()
        outcome = make_corpus(corpus, settings=SMALL)
        assert (outcome.num_clips, outcome.num_resumed) == (SMALL.clips, SMALL.clips - 1)
        assert path.read_bytes() == before


def envelope(waveform: npt.NDArray[Any], rate_hz: int) -> npt.NDArray[np.float64]:
    """Root mean square of 5 ms each."""
    length = rate_hz // 200
    blocks = waveform[: len(waveform) // length * length].reshape(-1, length)
    return np.sqrt(np.mean(blocks.astype(np.float64) ** 2, axis=1))


def best_lag(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> int:
    num = min(len(a), len(b))
    a, b = a[:num] - a[:num].mean(), b[:num] - b[:num].mean()
    return int(np.argmax(np.correlate(b, a, mode="full"))) - (num - 1)


def num_made(folder: Path) -> int:
    return sum(path.suffix in CONTAINERS for path in (folder / "media").rglob("clip-*"))


def synth(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "earwitness", "synth", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


class TestCommand:
    def test_makes_a_corpus_and_says_what_is_next(self, tmp_path: Path) -> None:
        answer = synth(str(tmp_path / "c"), "--clips", "3", "--seed", "4", "--mean-seconds", "2", "--json")
        assert answer.returncode == 0, answer.stderr
        facts = json.loads(answer.stdout)
        assert facts["num_clips"] == 3
        again = synth(str(tmp_path / "c"), "--clips", "3", "--seed", "4", "--mean-seconds", "2")
        assert "3 clips (3 from before)" in again.stdout
        assert f"earwitness prepare {tmp_path / 'c' / 'manifest.parquet'} STORE --label-set" in again.stdout

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--clips", "0"], "clips=0 must be at least 1"),
            (["--seed", "-1"], r"seed=-1 must lie in \[0, 2\*\*63\)"),
            (["--mean-seconds", "1"], r"mean_seconds=1.0 must lie in \[2, 3600\]"),
            (["--mean-seconds", "nan"], "mean_seconds=nan"),
            (["--kinds", "1"], f"kinds=1 must lie in .2, {MOST_KINDS}."),
            (["--prior-decades", "7"], "prior_decades=7.0"),
            (["--flaws", "-1"], "flaws=-1.0 must lie in"),
        ],
    )
    def test_impossible_settings_are_refused(self, arguments: list[str], message: str, tmp_path: Path) -> None:
        names = [name.removeprefix("--").replace("-", "_") for name in arguments[::2]]
        values = dict(zip(names, map(float, arguments[1::2]), strict=True))
        values = {n: int(v) if n in ("clips", "seed", "kinds") else v for n, v in values.items()}
        with pytest.raises(SettingsError, match=message):
            SynthSettings(**values)  # type: ignore[arg-type]

    def test_no_workers_are_refused_before_anything_is_made(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="workers=0 must be at least 1"):
            make_corpus(tmp_path / "c", settings=SMALL, workers=0)
        assert not (tmp_path / "c").exists()

    def test_zero_clips_in_a_sentence(self, tmp_path: Path) -> None:
        answer = synth(str(tmp_path / "c"), "--clips", "0")
        assert answer.returncode != 0
        assert "clips=0 must be at least 1" in answer.stderr
        assert "Traceback" not in answer.stderr
        assert not (tmp_path / "c").exists()

    def test_a_folder_that_holds_something_else(self, corpus: Path, tmp_path: Path) -> None:
        (tmp_path / "precious.txt").write_text("mine")
        for folder, settings, message in (
            (tmp_path, SMALL, "the folder is not empty and holds no made corpus"),
            (tmp_path / "precious.txt", SMALL, "this is a file"),
            (corpus, replace(SMALL, seed=9, kinds=20), r"holds another corpus.*seed 1 / 9, kinds 62 / 20"),
            (corpus, replace(SMALL, clips=3), "holds a corpus of 24 clips, 3 were asked for"),
            (Path("/proc/no"), SMALL, "cannot be written"),
        ):
            with pytest.raises(CorpusError, match=message):
                make_corpus(folder, settings=settings)
        assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]

    @pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounts a small disk")
    def test_a_full_disk_leaves_what_was_made(self, tmp_path: Path) -> None:
        disk = tmp_path / "disk"
        disk.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1500k", "none", str(disk)], capture_output=True, check=False
        )
        if mounted.returncode:
            pytest.skip("this machine does not let us mount")
        try:
            answer = synth(str(disk / "c"), "--clips", "200", "--mean-seconds", "6", "--workers", "2")
            assert answer.returncode == 1
            assert "cannot be written (No space left on device)" in answer.stderr
            assert "Traceback" not in answer.stderr
            manifest = read_manifest(disk / "c" / "manifest.parquet")
            assert 1 <= len(manifest) < 200
            assert missing_media(manifest) == []
            for row in manifest.table.to_pylist():
                assert len(read_waveform(row["media"])) > 0
            assert not list((disk / "c").rglob("*.partial"))
        finally:
            subprocess.run(["umount", str(disk)], check=True)

    def test_interrupted_and_again(self, corpus: Path, tmp_path: Path) -> None:
        arguments = ["synth", str(tmp_path / "c"), "--clips", "24", "--mean-seconds", "3", "--workers", "1"]
        command = [sys.executable, "-m", "earwitness", *arguments]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        while process.poll() is None and num_made(tmp_path / "c") < 3:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "Traceback" not in errors
        manifest = read_manifest(tmp_path / "c" / "manifest.parquet")
        assert 3 <= len(manifest) < 24
        assert missing_media(manifest) == []
        assert synth(*arguments[1:]).returncode == 0
        for path in (p for p in corpus.rglob("*") if p.is_file() and p.name != ".lock"):
            assert path.read_bytes() == (tmp_path / "c" / path.relative_to(corpus)).read_bytes()


GOLDEN: dict[str, Any] = {
    "seconds": 17.86,
    "fold": 4,
    "kinds": ["wind", "drum_kit", "car"],
    "given": ["car", "drum_kit", "music", "nature", "percussion", "vehicle", "weather", "wind"],
    "octaves_db": [
        [-21.7, -23.5, -22.4, -21.8, -23.8, -27.7],
        [-34.5, -26.4, -21.4, -27.3, -27.2, -33.5],
        [-24.2, -22.5, -19.9, -24.3, -27.7, -32.8],
    ],
}
