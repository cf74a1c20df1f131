"""Copies: found through codecs, gain, shifts and cuts; other sounds, silence and steady hums are not taken for them."""

import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy.io import wavfile
from scipy.signal import resample_poly

from earwitness.audio.decode import read_waveform
from earwitness.audio.frames import waveform_frames
from earwitness.doctor.clips import ClipMeasures
from earwitness.doctor.copies import CopyFinder, Match, groups, max_error_rate
from earwitness.doctor.findings import MOST_RELATED
from earwitness.doctor.fingerprints import NUM_BITS, STEP_SECONDS, Fingerprint
from earwitness.doctor.frames import FrameMeasures, FrameMeter
from earwitness.doctor.inspect import inspect_manifest
from earwitness.doctor.inspection import Corpus, Inspection
from earwitness.doctor.settings import InspectSettings
from earwitness.front_end import FrontEnd
from earwitness.manifest import Manifest
from earwitness.report.doctor_page import _begins
from made_flaws import int16, lively
from made_media import encode

RATE = 16_000


def measured(sound: np.ndarray) -> FrameMeasures:
    meter = FrameMeter(FrontEnd())
    meter.push(waveform_frames(np.asarray(sound, np.float32), front_end=FrontEnd()))
    return meter.result()


def found(sounds: list[np.ndarray], *, max_keys: int = 1_000_000) -> list[Match]:
    """Copies among waveforms at 16 kHz."""
    finder = CopyFinder(max_keys=max_keys)
    for clip, sound in enumerate(sounds):
        frames = measured(sound)
        finder.add(clip, frames.fingerprint, digest=frames.digest)
    return finder.matches()


def clips_of(matches: list[Match]) -> list[list[int]]:
    """The groups without what joins them."""
    return [clips for clips, _ in groups(matches)]


def others(count: int, *, first_seed: int = 100, seconds: float = 4.0) -> list[np.ndarray]:
    return [lively(first_seed + number, seconds=seconds, rate=RATE) for number in range(count)]


@pytest.mark.parametrize(
    ("codec", "suffix", "bit_rate"),
    [("libmp3lame", ".mp3", 64_000), ("aac", ".m4a", 48_000), ("libopus", ".webm", 32_000)],
)
def test_codecs(codec: str, suffix: str, bit_rate: int, tmp_path: Path) -> None:
    originals = others(6)
    copies = []
    for sound in originals:
        loud = resample_poly(0.5 * sound[2_000:], 3, 1).astype(np.float32)
        media = encode(tmp_path / f"copy{suffix}", codec, 48_000, loud[None], bit_rate=bit_rate)
        copies.append(read_waveform(str(media)))
    matches = found([*originals, *copies])
    assert [(match.first, match.second) for match in matches] == [(clip, clip + 6) for clip in range(6)]
    for match in matches:
        assert match.error_rate < 0.2
        assert match.shift_steps * STEP_SECONDS == pytest.approx(0.125, abs=0.06)


@pytest.mark.parametrize("samples", [0, 80, 320, 1_613, 8_000, 16_000])
def test_shifted_trimmed_and_quieter(samples: int) -> None:
    sound, *rest = others(5)
    [match] = found([sound, *rest, 0.3 * sound[samples:-4_000]])
    assert (match.first, match.second) == (0, 5)
    assert match.shift_steps * STEP_SECONDS == pytest.approx(samples / RATE, abs=STEP_SECONDS)
    assert match.shared_steps == pytest.approx((len(sound) - samples - 4_000) / RATE / STEP_SECONDS - 15, abs=2)


def test_within_a_longer_clip_and_overlapping() -> None:
    long = lively(1, seconds=12.0, rate=RATE)
    pieces = [long[3 * RATE : 6 * RATE], long[5 * RATE : 9 * RATE]]
    matches = found([long, *pieces, *others(4)])
    pairs = {(match.first, match.second): match for match in matches}
    assert pairs.keys() >= {(0, 1), (0, 2)}
    assert pairs[0, 1].shift_steps * STEP_SECONDS == pytest.approx(3.0, abs=STEP_SECONDS)
    assert clips_of(matches) == [[0, 1, 2]]


def test_narrowed_copy() -> None:
    sound = lively(2, rate=RATE)
    assert found([sound, *others(4), resample_poly(resample_poly(sound, 1, 2), 2, 1)])[0].second == 5


def test_other_sounds_are_no_copies() -> None:
    """Real kinds of steady and empty sound, each made twice with other chance."""
    rng = np.random.default_rng(3)
    time = np.arange(4 * RATE) / RATE
    sounds = []
    for _ in range(3):
        noises = rng.standard_normal((4, len(time)))
        sounds += [
            0.1 * noises[0],
            0.3 * np.sin(2 * np.pi * 50 * time + rng.uniform(0, 6)) + 0.001 * noises[1],
            1e-4 * noises[2],
            np.where(np.arange(len(time)) % 8_000 < 40, 0.5, 0.001) * noises[3],
            0.2 * np.sin(2 * np.pi * rng.uniform(300, 3_000) * time),
        ]
    assert found([*sounds, *others(20)]) == []


def test_equal_frames_are_copies_however_short_or_steady() -> None:
    tone = 0.2 * np.sin(2 * np.pi * 1_000 * np.arange(2 * RATE) / RATE)
    short = lively(4, seconds=0.3, rate=RATE)
    matches = found([tone, short, tone, short, 0.9 * tone])
    assert [(match.first, match.second, match.error_rate) for match in matches] == [(0, 2, 0.0), (1, 3, 0.0)]


def test_copies_by_the_hundred_are_one_group() -> None:
    """And the pairs looked at do not grow with the square of their number."""
    sound = lively(5, rate=RATE)
    rng = np.random.default_rng(0)
    copies = [sound + 0.0005 * rng.standard_normal(len(sound)) for _ in range(60)]
    matches = found([*copies, *others(3)])
    assert clips_of(matches) == [list(range(60))]
    assert len(matches) < 60 * 40


def test_fewer_keys_find_nearly_as_much() -> None:
    originals = others(30)
    rng = np.random.default_rng(1)
    copies = [0.5 * sound[400:] + 0.001 * rng.standard_normal(len(sound) - 400) for sound in originals]
    all_keys = sum(len(measured(sound).fingerprint.keys) for sound in [*originals, *copies])
    matches = found([*originals, *copies], max_keys=all_keys // 10)
    assert {(match.first, match.second) for match in matches} <= {(clip, clip + 30) for clip in range(30)}
    assert len(matches) >= 28


def test_error_rate_by_counting() -> None:
    """Against a plain loop over bits, on made fingerprints."""
    rng = np.random.default_rng(2)
    words = rng.integers(0, 2**16, 200).astype(np.uint16)
    copy = words[30:150].copy()
    for step in range(0, 120, 2):
        copy[step] ^= np.uint16(1 << int(rng.integers(16)))
    is_valid = rng.random(200) < 0.9
    prints = [(words, is_valid), (copy, np.ones(120, np.bool_))]
    finder = CopyFinder()
    for clip, (own, valid) in enumerate(prints):
        keys = np.array([7], np.uint32)
        steps = np.array([40 - 30 * clip], np.uint32)
        finder.add(clip, Fingerprint(words=own, is_valid=valid, keys=keys, key_steps=steps), digest=bytes([clip]))
    [match] = finder.matches()
    compared = [step for step in range(120) if is_valid[30 + step]]
    wrong = sum(bin(int(words[30 + step]) ^ int(copy[step])).count("1") for step in compared)
    assert match.error_rate == pytest.approx(wrong / (NUM_BITS * len(compared)))
    assert (match.shift_steps, match.shared_steps) == (30, 120)


def test_the_shorter_the_fewer_errors() -> None:
    rates = [max_error_rate(steps) for steps in (8, 12, 25, 50, 100, 1_000)]
    assert rates == sorted(rates)
    assert rates[0] < 0.05
    assert rates[-1] == 0.22


def test_groups_are_connected_clips() -> None:
    pairs = [(1, 2), (5, 9), (2, 7), (8, 9), (7, 1), (30, 31)]
    matches = [Match(first=a, second=b, error_rate=0, shift_steps=0, shared_steps=9) for a, b in pairs]
    assert groups(matches) == [
        ([1, 2, 7], [matches[0], matches[2], matches[4]]),
        ([5, 8, 9], [matches[1], matches[3]]),
        ([30, 31], [matches[5]]),
    ]
    assert groups([]) == []


def test_channels_that_cancel_are_no_copies(tmp_path: Path) -> None:
    """What is left of them is silence, which is all the same, in frames and so in a store."""
    rows = []
    for number, sound in enumerate(others(2)):
        wavfile.write(tmp_path / f"{number}.wav", RATE, np.stack([int16(sound), -int16(sound)], axis=1))
        rows.append({"media": str(tmp_path / f"{number}.wav"), "labels": ["x"]})
    report = inspect_manifest(Manifest.from_table(pa.Table.from_pylist(rows)), settings=InspectSettings(workers=1))
    assert report.count("cancelling_channels").num_clips == 2
    assert report.duplicates == ()


def test_short_sounds_of_one_colour_are_no_copies(tmp_path: Path) -> None:
    """All begin, end and are filled up alike. The same file twice is a copy all the same."""
    rows = []
    for number in range(12):
        sound = 0.2 * np.random.default_rng(number % 11).standard_normal(RATE // 10 * (1 + number % 11 % 9))
        wavfile.write(tmp_path / f"{number}.wav", RATE, int16(sound))
        rows.append({"clip_id": str(number), "media": str(tmp_path / f"{number}.wav"), "labels": ["x"]})
    report = inspect_manifest(Manifest.from_table(pa.Table.from_pylist(rows)), settings=InspectSettings(workers=1))
    assert [[clip.clip_id for clip in group.clips] for group in report.duplicates] == [["0", "11"]]
    assert report.count("silent").num_clips == 0


def test_many_copies_name_some_of_each_other() -> None:
    """Thousands of copies of one sound must not each name all others."""
    num_clips = 3_000
    table = pa.table(
        {
            "clip_id": [f"c{number}" for number in range(num_clips)],
            "media": ["x.wav"] * num_clips,
            "start_seconds": pa.nulls(num_clips, pa.float64()),
            "stop_seconds": pa.nulls(num_clips, pa.float64()),
            "labels": [["a"]] * num_clips,
            "split": [str(number % 3) for number in range(num_clips)],
        }
    )
    corpus = Corpus(name="made", is_store=False, manifest_digest=None, fingerprint=None, table=table)
    inspection = Inspection(corpus, InspectSettings(), num_bands=64)
    same = measured(others(1)[0])
    for row in range(num_clips):
        inspection.add(
            ClipMeasures(
                row=row,
                seconds=4.0,
                is_padded=False,
                frames=same,
                sound=None,
                warnings=(),
                media_rate_hz=RATE,
                edge=None,
                upper_hz=None,
            )
        )
    started = time.process_time()
    report = inspection.report(is_sample=False, seconds_taken=0.0)
    assert _begins(report.duplicates[0]).keys() == set(table["clip_id"].to_pylist())
    assert time.process_time() - started < 10
    found = {(finding.kind, finding.clip_id): finding.related for finding in report.findings}
    assert found["duplicate", "c1"] == ("c0", *(f"c{number}" for number in range(2, MOST_RELATED + 1)))
    assert found["split_leak", "c2999"] == ("c0", "c1")
    assert len(report.duplicates[0].clips) == num_clips


def test_copies_in_a_corpus_and_over_its_split(tmp_path: Path) -> None:
    sound, *rest = others(4)
    sounds = {"a": sound, "a-copy": 0.5 * sound[4_000:], "zeros-1": 0 * sound, "zeros-2": 0 * sound}
    sounds |= {"b": rest[0], "c": rest[1], "c-copy": rest[1]}
    rows = []
    for number, (name, samples) in enumerate(sounds.items()):
        wavfile.write(tmp_path / f"{name}.wav", RATE, int16(samples))
        rows.append({"clip_id": name, "media": str(tmp_path / f"{name}.wav"), "labels": [name[0]], "fold": number % 2})
    rows[-1] |= {"fold": rows[-2]["fold"], "labels": ["other"]}
    report = inspect_manifest(Manifest.from_table(pa.Table.from_pylist(rows)), settings=InspectSettings(workers=1))
    assert [[clip.clip_id for clip in group.clips] for group in report.duplicates] == [["a", "a-copy"], ["c", "c-copy"]]
    assert [group.leaks for group in report.duplicates] == [True, False]
    assert [group.has_other_labels for group in report.duplicates] == [False, True]
    assert report.duplicates[0].pairs[0].shift_seconds == pytest.approx(0.25, abs=STEP_SECONDS)
    found = {(finding.kind, finding.clip_id): finding for finding in report.findings}
    assert {clip for kind, clip in found if kind == "duplicate"} == {"a", "a-copy", "c", "c-copy"}
    assert {clip for kind, clip in found if kind == "split_leak"} == {"a", "a-copy"}
    assert "the same sound as a-copy" in found["duplicate", "a"].detail
    assert found["duplicate", "c"].detail == "its frames are those of c-copy"
    assert found["split_leak", "a"].related == ("a-copy",)
    assert found["split_leak", "a"].detail == "the same sound is on '0' here and on '1' as a-copy"
    assert report.count("duplicate").num_clips == 4
