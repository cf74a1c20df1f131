"""The doctor's measures and verdicts, clip by clip: planted flaws are found, whole clips are not accused."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy.io import wavfile
from scipy.signal import resample_poly

from earwitness.audio.decode import decode, read_waveform
from earwitness.audio.frames import waveform_frames
from earwitness.doctor.band_edge import NUM_MOMENTS, LoudestMoments, find_edge, upper_hz
from earwitness.doctor.clipping import Clipping, ClippingMeter
from earwitness.doctor.findings import KINDS, CorpusReport
from earwitness.doctor.frames import FrameMeter, band_middles_hz
from earwitness.doctor.inspect import InspectProgress, inspect_manifest, inspect_store
from earwitness.doctor.settings import InspectSettings
from earwitness.doctor.sound import SoundMeter
from earwitness.errors import SettingsError
from earwitness.front_end import FrontEnd
from earwitness.manifest import Manifest
from earwitness.store.build import build_store
from earwitness.store.read import Store
from earwitness.store.settings import BuildSettings
from made_flaws import clipped, int16, lively
from made_media import encode, wav

RATE = 44_100
WHOLE = [f"whole-{number}" for number in range(4)]
FLAWS = {
    "no file": "undecodable",
    "text": "undecodable",
    "cut off": "truncated",
    "range beyond": "truncated",
    "damaged": "partly_decoded",
    "short": "very_short",
    "zeros": "silent",
    "hiss at -70": "silent",
    "padded": "mostly_silent",
    "clipped": "clipped",
    "clipped and turned down": "clipped",
    "clipped, then MP3": "clipped",
    "8 kHz file": "band_limited",
    "from 8 kHz": "band_limited",
    "offset": "constant_offset",
    "dead": "dead_channel",
    "opposite": "cancelling_channels",
    "unlabelled": "unlabelled",
}
"""Clips of the corpus below, and what is wrong with each."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Whole clips, and one clip of each flaw."""
    folder = tmp_path_factory.mktemp("flaws")
    sounds = {name: lively(seed) for seed, name in enumerate([*WHOLE, *FLAWS])}
    rng = np.random.default_rng(0)
    sounds["short"] = sounds["short"][: RATE // 2]
    sounds["zeros"] *= 0
    sounds["hiss at -70"] = (10 ** (-70 / 20) * rng.standard_normal(4 * RATE)).astype(np.float32)
    sounds["padded"][RATE:] = 0
    sounds["clipped"] = clipped(sounds["clipped"], over_db=6)
    sounds["clipped and turned down"] = clipped(sounds["clipped and turned down"], over_db=6, level=0.2)
    sounds["from 8 kHz"] = resample_poly(resample_poly(sounds["from 8 kHz"], 80, 441), 441, 80)
    sounds["offset"] = sounds["offset"] + 0.1
    sounds["dead"] = np.stack([sounds["dead"], 0 * sounds["dead"]], axis=1)
    sounds["opposite"] = np.stack([sounds["opposite"], -sounds["opposite"]], axis=1)
    rows = []
    for name, sound in sounds.items():
        path = folder / f"{name}.wav"
        wavfile.write(path, RATE, int16(sound))
        rows.append({"clip_id": name, "media": str(path), "labels": [] if name == "unlabelled" else ["sound"]})
    media = {row["clip_id"]: Path(row["media"]) for row in rows}
    wavfile.write(media["8 kHz file"], 8_000, int16(resample_poly(sounds["8 kHz file"], 80, 441)))
    media["no file"].unlink()
    media["text"].write_text("not found\n")
    whole = encode(media["cut off"].with_suffix(".flac"), "flac", RATE, sounds["cut off"][None])
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    loud = clipped(lively(90), over_db=14, level=0.5)
    mp3 = encode(media["clipped, then MP3"].with_suffix(".mp3"), "libmp3lame", RATE, loud[None])
    broken = encode(media["damaged"].with_suffix(".mp3"), "libmp3lame", RATE, lively(91)[None])
    content = bytearray(broken.read_bytes())
    content[9_000:9_600] = b"\0" * 600
    broken.write_bytes(content)
    changed = {"cut off": str(whole), "clipped, then MP3": str(mp3), "damaged": str(broken)}
    for row in rows:
        row["stop_seconds"] = 9.0 if row["clip_id"] == "range beyond" else None
        row["media"] = changed.get(row["clip_id"], row["media"])
    return Manifest.from_table(pa.Table.from_pylist(rows))


@pytest.fixture(scope="module")
def by_media(corpus: Manifest) -> CorpusReport:
    return inspect_manifest(corpus, settings=InspectSettings(workers=1))


@pytest.fixture(scope="module")
def by_store(corpus: Manifest, tmp_path_factory: pytest.TempPathFactory) -> CorpusReport:
    folder = tmp_path_factory.mktemp("store") / "store"
    build_store(corpus, folder, settings=BuildSettings(workers=1, clips_per_part=7))
    return inspect_store(Store.open(folder))


def kinds_of(report: CorpusReport) -> dict[str, set[str]]:
    return {name: {finding.kind for finding in report.findings if finding.clip_id == name} for name in [*WHOLE, *FLAWS]}


def test_every_flaw_is_found_and_nothing_else(by_media: CorpusReport) -> None:
    expected: dict[str, set[str]] = {name: set() for name in WHOLE} | {name: {kind} for name, kind in FLAWS.items()}
    assert kinds_of(by_media) == expected


def test_a_store_shows_what_frames_can_show(by_store: CorpusReport, by_media: CorpusReport) -> None:
    unseen = {skipped.kind for skipped in by_store.not_checked}
    assert unseen == {"clipped", "constant_offset", "dead_channel", "cancelling_channels", "split_leak"}
    seen = {name: kinds - unseen for name, kinds in kinds_of(by_media).items()}
    seen["opposite"] = {"silent"}  # nothing is left of it in the mean
    assert kinds_of(by_store) == seen
    details = {finding.clip_id: finding.detail for finding in by_store.findings if finding.kind == "silent"}
    assert details["opposite"] == details["zeros"]
    assert details["zeros"].startswith("its frames are those of silence")
    assert by_store.count("clipped").share is None
    assert by_store.num_clips == by_store.num_scanned == by_media.num_clips
    assert by_store.fingerprint is not None
    assert by_store.manifest_digest == by_media.manifest_digest
    assert by_store.whole.mean == pytest.approx(by_media.whole.mean, abs=1e-6)


def test_findings_say_what_and_where(by_media: CorpusReport) -> None:
    found = {finding.clip_id: finding for finding in by_media.findings}
    assert "no such file" in found["no file"].detail.lower()
    assert "4.0 s came" in found["range beyond"].detail
    assert found["range beyond"].at_seconds == pytest.approx(4.0)
    assert found["short"].value == pytest.approx(0.5)
    assert found["zeros"].detail == "nothing but zeros"
    assert "-70 dBFS, its highest sample -57 dBFS" in found["hiss at -70"].detail
    assert found["hiss at -70"].value == pytest.approx(-70, abs=0.5)
    assert found["padded"].value == pytest.approx(0.75, abs=0.02)
    assert "-14.0 dBFS" in found["clipped and turned down"].detail
    assert "sample rate is 8,000 Hz" in found["8 kHz file"].detail
    assert found["from 8 kHz"].value == pytest.approx(4_000, rel=0.15)
    assert found["offset"].value == pytest.approx(0.1, abs=0.001)
    assert "channel 2 has -120 dBFS" in found["dead"].detail
    counts = {count.kind: count for count in by_media.counts}
    assert list(counts) == list(KINDS)
    assert counts["silent"].num_clips == 2
    assert counts["silent"].share == counts["silent"].low == counts["silent"].high == 2 / by_media.num_clips
    order = [list(KINDS).index(finding.kind) for finding in by_media.findings]
    assert order == sorted(order)


def test_distributions_count_every_clip_once(by_media: CorpusReport, corpus: Manifest) -> None:
    num_decoded = len(corpus) - 2
    for distribution in by_media.distributions:
        assert len(distribution.counts) == len(distribution.edges) - 1
    by_name = {distribution.name: distribution for distribution in by_media.distributions}
    assert sum(by_name["length"].counts) == sum(by_name["level"].counts) == num_decoded
    assert sum(by_name["band_edge"].counts) == num_decoded - 1  # of zeros there is none
    assert by_name["length"].median == pytest.approx(4.0)
    assert by_media.seconds_of_sound == pytest.approx(sum_of_lengths(corpus), rel=0.01)


def sum_of_lengths(corpus: Manifest) -> float:
    lengths = []
    for media in corpus.table["media"].to_pylist():
        if not media.endswith(("no file.wav", "text.wav")):
            lengths.append(len(read_waveform(media)) / 16_000)
    return sum(lengths)


def test_statistics_are_those_of_all_frames(by_media: CorpusReport, corpus: Manifest) -> None:
    """Against NumPy over all frames at once."""
    frames = np.concatenate(
        [
            waveform_frames(read_waveform(media), front_end=FrontEnd()).astype(np.float64)
            for media in corpus.table["media"].to_pylist()
            if not media.endswith(("no file.wav", "text.wav"))
        ]
    )
    assert by_media.whole.num_frames == len(frames)
    assert by_media.whole.mean == pytest.approx(frames.mean(axis=0), abs=1e-5)
    assert by_media.whole.standard_deviation == pytest.approx(frames.std(axis=0), abs=1e-5)
    assert by_media.whole.total_mean == pytest.approx(frames.mean(), abs=1e-5)
    assert by_media.whole.total_standard_deviation == pytest.approx(frames.std(), abs=1e-5)


def test_progress_and_workers(corpus: Manifest, by_media: CorpusReport) -> None:
    told: list[InspectProgress] = []
    report = inspect_manifest(corpus, settings=InspectSettings(workers=2), progress=told.append)
    assert [progress.num_done for progress in told] == list(range(1, len(corpus) + 1))
    assert told[-1].num_clips == len(corpus)
    assert report.findings == by_media.findings
    assert report.distributions == by_media.distributions


def clipping_of(sound: np.ndarray, *, rate: int = RATE) -> Clipping:
    """The worse of both polarities, in blocks as they are decoded."""
    results = []
    for samples in (sound, -sound):
        meter = ClippingMeter()
        for start in range(0, len(samples), 65_536):
            block = samples[start : start + 65_536].astype(np.float32)
            meter.push(block, peak=float(block.max()), start_seconds=start / rate)
        results.append(meter.result())
    return max(results, key=lambda result: (result.is_clipped, result.flat_share))


def test_tones_are_not_clipped_and_squares_are() -> None:
    time = np.arange(3 * RATE) / RATE
    for hz in (50, 120, 440, 1_000, 3_000, 9_000):
        tone = 0.5 * np.sin(2 * np.pi * hz * time)
        assert not clipping_of(int16(tone) / 32_768).is_clipped, hz
        assert not clipping_of(int16(tone * (0.6 + 0.4 * np.sin(12 * time))) / 32_768).is_clipped, hz
        assert clipping_of(int16(0.5 * np.sign(tone)) / 32_768).is_clipped, hz


@pytest.mark.parametrize(("over_db", "level"), [(3, 1.0), (6, 1.0), (6, 0.25), (12, 1.0), (12, 0.25), (20, 0.25)])
def test_clipped_at_any_level(over_db: int, level: float) -> None:
    for seed in range(4):
        sound = int16(clipped(lively(seed), over_db=over_db, level=level)) / 32_768
        clipping = clipping_of(sound)
        assert clipping.is_clipped
        assert clipping.level == pytest.approx(level, rel=0.01)
        at_the_top = np.mean(np.abs(sound) >= 0.999 * level)
        assert clipping.flat_share <= 1.3 * at_the_top  # each polarity has about half of them
        assert not clipping_of(int16(level * lively(seed) / 0.4) / 32_768).is_clipped


@pytest.mark.parametrize(("codec", "suffix"), [("libmp3lame", ".mp3"), ("aac", ".m4a"), ("libopus", ".webm")])
def test_clipping_is_seen_through_codecs(codec: str, suffix: str, tmp_path: Path) -> None:
    """There the tops ripple, and nothing is flat any more; heavy clipping shows all the same."""
    rate = 48_000
    for seed in range(3):
        whole = lively(seed, rate=rate)
        media = encode(tmp_path / f"whole{suffix}", codec, rate, whole[None])
        assert not clipping_of(read_waveform(str(media), sample_rate_hz=rate)).is_clipped
        media = encode(tmp_path / f"cut{suffix}", codec, rate, clipped(whole, over_db=16, level=0.5)[None])
        heard = clipping_of(read_waveform(str(media), sample_rate_hz=rate))
        assert heard.is_clipped
        assert heard.num_flat_tops < 3


@pytest.mark.parametrize("rate", [4_000, 6_000, 8_000, 11_025, 12_000])
def test_edges_of_what_was_resampled(rate: int) -> None:
    sound = lively(3, rate=16_000)
    low = resample_poly(sound, rate // np.gcd(rate, 16_000), 16_000 // np.gcd(rate, 16_000))
    back = resample_poly(low, 16_000 // np.gcd(rate, 16_000), rate // np.gcd(rate, 16_000))[: len(sound)]
    for is_narrow, samples in ((True, back), (False, sound)):
        edges = edges_of(samples.astype(np.float32))
        for edge in edges:
            if is_narrow:
                assert edge is not None
                assert edge.hz == pytest.approx(rate / 2, rel=0.15)
            else:
                assert edge is None or edge.hz > 7_000


def edges_of(sound: np.ndarray):
    """From the waveform, and from its frames."""
    meter = FrameMeter(FrontEnd())
    meter.push(waveform_frames(sound, front_end=FrontEnd()))
    measures = meter.result()
    yield find_edge(measures.band_powers, band_middles_hz(FrontEnd()), moments=measures.moments)
    listener = SoundMeter(start_seconds=None, stop_seconds=None)
    with decode(io.BytesIO(wav(int16(sound), 16_000)), listener=listener.listen) as blocks:
        assert sum(map(len, blocks)) == len(sound)
    heard = listener.result()
    assert heard is not None
    yield find_edge(heard.spectrum, heard.spectrum_hz, moments=heard.moments)


def test_edges_by_hand() -> None:
    hz = np.arange(100.0, 8_000.0, 100.0)
    flat = np.ones(len(hz))
    assert find_edge(flat, hz) is None
    assert find_edge(0 * flat, hz) is None
    assert upper_hz(0 * flat, hz) is None
    assert upper_hz(flat, hz) == 7_900
    edge = find_edge(np.where(hz < 3_000, 1.0, 1e-4), hz)
    assert edge is not None
    assert edge.hz == pytest.approx(2_950)
    assert edge.drop_db == pytest.approx(40)
    assert find_edge(np.where(hz < 3_000, 1.0, 1e-2), hz) is None  # 20 dB are no edge
    assert find_edge(hz**-8.0, hz) is None  # 24 dB an octave, as rumble
    comes_back = np.where((hz > 3_000) & (hz < 5_000), 1e-4, 1.0)
    assert find_edge(comes_back, hz) is None
    tone = np.where(hz == 2_000, 1e6, 1.0)
    assert find_edge(tone, hz) is None


def test_an_edge_of_the_mean_is_none_where_moments_do_not_end_there() -> None:
    hz = np.arange(100.0, 8_000.0, 100.0)
    ends = np.where(hz < 3_000, 1.0, 1e-4).astype(np.float32)
    for num_others, is_found in ((0, True), (1, True), (2, False)):  # of ten
        others = np.tile(np.where(hz < 5_000, 1e-2, 1e-6).astype(np.float32), (num_others, 1))
        moments = np.concatenate([np.tile(ends, (10 - num_others, 1)), others])
        mean = np.where(hz < 3_000, 1.0, 1e-4)  # the loudest moments make the mean
        assert (find_edge(mean, hz, moments=moments) is not None) == is_found
    quiet = np.tile(np.full(len(hz), 1e-5, np.float32), (20, 1))  # too quiet to say anything
    assert find_edge(mean, hz, moments=np.concatenate([ends[None], quiet])) is not None


def test_only_the_loudest_moments_are_kept() -> None:
    rng = np.random.default_rng(0)
    powers = rng.random((500, 7)).astype(np.float32)
    kept = LoudestMoments()
    for first in range(0, 500, 37):
        kept.push(powers[first : first + 37])
    loudest = np.sort(np.argsort(-powers.sum(axis=1))[:NUM_MOMENTS])
    assert np.array_equal(kept.result(), powers[loudest])


@pytest.mark.parametrize("name", ["1-34119-B-1", "3-116135-A-1", "2-134700-A-38"])
def test_sound_that_comes_back_above_is_not_band_limited(data_dir: Path, name: str) -> None:
    """A bark, a crow and a wash, whose mean falls at 6.6, 6.3 and 3.4 kHz, and which go on above at times."""
    sound = read_waveform(str(data_dir / "esc10" / "audio" / f"{name}.flac"))
    assert all(edge is None or edge.hz > 7_000 for edge in edges_of(sound))


def test_levels_of_frames_are_near_those_of_the_waveform() -> None:
    for seed in range(5):
        sound = lively(seed, rate=16_000)
        meter = FrameMeter(FrontEnd())
        meter.push(waveform_frames(sound, front_end=FrontEnd()))
        assert 10 * np.log10(meter.result().power / np.mean(sound**2)) == pytest.approx(0, abs=4)


def test_frames_in_any_pieces_give_the_same() -> None:
    frames = waveform_frames(lively(5, rate=16_000), front_end=FrontEnd())
    results = []
    for size in (len(frames), 1_024, 37):
        meter = FrameMeter(FrontEnd())
        for start in range(0, len(frames), size):
            meter.push(frames[start : start + size])
        results.append(meter.result())
    for other in results[1:]:
        assert np.array_equal(other.fingerprint.words, results[0].fingerprint.words)
        assert np.array_equal(other.fingerprint.keys, results[0].fingerprint.keys)
        assert np.array_equal(other.fingerprint.key_steps, results[0].fingerprint.key_steps)
        assert other.band_sums == pytest.approx(results[0].band_sums, abs=1e-4)
        assert other.num_quiet == results[0].num_quiet


def test_only_the_range_is_heard(tmp_path: Path) -> None:
    """Clipped before and behind the range, silent channels within."""
    sound = lively(6, seconds=24)
    sound[: 12 * RATE] = clipped(sound[: 12 * RATE], over_db=12)
    sound[20 * RATE :] = clipped(sound[20 * RATE :], over_db=12)
    path = tmp_path / "long.wav"
    wavfile.write(path, RATE, int16(sound))
    meter = SoundMeter(start_seconds=12.5, stop_seconds=19.5)
    with decode(str(path), start_seconds=12.5, stop_seconds=19.5, listener=meter.listen) as blocks:
        num_samples = sum(map(len, blocks))
    assert num_samples == 7 * 16_000
    heard = meter.result()
    assert heard is not None
    inside = sound[round(12.5 * RATE) : round(19.5 * RATE)]
    assert heard.peak == pytest.approx(np.abs(inside).max(), abs=1e-4)
    assert heard.power == pytest.approx(np.mean(inside**2), rel=1e-3)
    assert not heard.clipping.is_clipped


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"workers": 0}, "workers=0 must be positive"),
        ({"min_seconds": -1.0}, "min_seconds=-1.0 must be positive"),
        ({"min_seconds": float("nan")}, "min_seconds=nan must be positive"),
        ({"sample": 0}, "sample=0 must be at least 1"),
        ({"max_quiet_share": 1.5}, "max_quiet_share=1.5 must lie between 0 and 1"),
    ],
)
def test_settings_out_of_range(change: dict[str, float], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        InspectSettings(**change)  # type: ignore[arg-type]


def test_a_store_in_which_every_clip_failed(tmp_path: Path) -> None:
    table = pa.table({"media": [str(tmp_path / "no.wav")], "labels": [["dog"]]})
    build_store(Manifest.from_table(table), tmp_path / "store", settings=BuildSettings(workers=1))
    report = inspect_store(Store.open(tmp_path / "store"))
    assert report.count("undecodable").share == 1
    assert report.count("silent").share is None
    assert report.labels.unused == ("dog",)
    assert report.whole.num_frames == 0
