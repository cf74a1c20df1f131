"""Decoding of media made here: downmix, time, gaps, format changes, kinds of sources, frames."""

import io
import threading
from pathlib import Path

import av
import av.logging
import numpy as np
import pytest

from earwitness.audio.complaints import listening
from earwitness.audio.decode import decode, read_waveform
from earwitness.audio.frames import media_frames, waveform_frames
from earwitness.audio.mixing import mean_of_channels
from earwitness.audio.native import GATHER_SAMPLES
from earwitness.audio.resample import MonoResampler, grid_period
from earwitness.audio.timeline import GAP_NOT_FILLED, JUMPED_BACK, MAX_SILENCE_SECONDS, Timeline
from earwitness.errors import NoSamplesError
from earwitness.front_end import FrontEnd
from made_media import LAYOUTS, encode, sweep, wav


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("media")


@pytest.mark.parametrize("channels", [1, 2, 6, 12])
@pytest.mark.parametrize(
    ("sample_format", "sample_type", "scale"),
    [
        ("u8", "u1", 128), ("s16", "i2", 2**15), ("s32", "i4", 2**31), ("s64", "i8", 2**63), ("flt", "f4", 1),
        ("dbl", "f8", 1), ("u8p", "u1", 128), ("s16p", "i2", 2**15), ("s32p", "i4", 2**31), ("fltp", "f4", 1),
    ],
)  # fmt: skip
def test_mono_is_the_plain_mean(channels, sample_format, sample_type, scale):
    rng = np.random.default_rng(channels)
    sound = rng.uniform(-0.9, 0.9, (50, channels))
    samples = (sound * scale + (128 if sample_type == "u1" else 0)).astype(sample_type)
    layout = LAYOUTS.get(channels, f"{channels} channels")
    frame = av.AudioFrame(format=sample_format, layout=layout, samples=50)
    frame.sample_rate = 16_000
    if frame.format.is_planar:
        for plane, channel in zip(frame.planes[:channels], samples.T, strict=True):
            np.frombuffer(plane, sample_type, 50)[:] = channel
    else:
        np.frombuffer(frame.planes[0], sample_type, 50 * channels)[:] = samples.ravel()
    expected = (samples.astype(np.float64) - (128 if sample_type == "u1" else 0)).mean(axis=1) / scale
    mono = mean_of_channels(frame)
    assert mono.dtype == np.float32
    np.testing.assert_allclose(mono, expected, rtol=0, atol=2e-7)


def test_downmix_of_a_file_is_not_clipped_and_not_weighted():
    sound = np.zeros((16_000, 6))
    sound[:, 3] = 0.6  # the subwoofer counts like any other
    np.testing.assert_allclose(read_waveform(wav(sound * 2**15, 16_000)), 0.1, atol=1e-4)
    loud = np.full((100, 2), 3.5)
    np.testing.assert_allclose(read_waveform(wav(loud, 16_000, "<f4", 3)), 3.5)


@pytest.mark.parametrize("rate", [1_000, 8_000, 11_025, 12_345, 22_050, 44_099, 44_100, 48_000, 192_000, 768_000])
def test_every_sample_counts_and_blocks_do_not_matter(rate):
    rng = np.random.default_rng(rate)
    for num_samples in (1, 2, 7, 100, rate // 3):
        sound = (0.1 * rng.standard_normal(num_samples)).astype(np.float32)
        resampler = MonoResampler(rate, 16_000)
        whole = np.concatenate([resampler.push(sound), resampler.flush()])
        assert len(whole) == -(-num_samples * 16_000 // rate)
        resampler, parts = MonoResampler(rate, 16_000), []
        for part in np.array_split(sound, 5):
            parts.append(resampler.push(part).copy())
        assert np.array_equal(np.concatenate([*parts, resampler.flush()]), whole)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 96_000])
def test_resampling_keeps_tones_in_place_and_folds_none_back(rate):
    time_in, time_out = np.arange(rate) / rate, np.arange(16_000) / 16_000
    resampler = MonoResampler(rate, 16_000)
    tone = np.sin(2 * np.pi * 1_000 * time_in).astype(np.float32)
    out = np.concatenate([resampler.push(tone), resampler.flush()])
    np.testing.assert_allclose(out[100:-100], np.sin(2 * np.pi * 1_000 * time_out)[100:-100], atol=1e-3)
    if rate > 18_100:
        resampler = MonoResampler(rate, 16_000)
        above = np.sin(2 * np.pi * 9_000 * time_in).astype(np.float32)
        out = np.concatenate([resampler.push(above), resampler.flush()])
        assert np.abs(out[100:-100]).max() < 2e-3  # -54 dB


@pytest.mark.parametrize("rate", [44_100, 48_000, 22_050, 11_024])
def test_a_resampler_entered_on_the_grid_makes_the_same_samples(rate):
    sound = (0.1 * np.random.default_rng(1).standard_normal(rate * 3)).astype(np.float32)
    whole = MonoResampler(rate, 16_000).push(sound)
    step = grid_period(rate, 16_000)
    entry = step * (rate // step)
    later = MonoResampler(rate, 16_000).push(sound[entry:])
    first = entry * 16_000 // rate
    assert np.array_equal(later[100:], whole[first + 100 :])


def test_timeline_by_hand():
    timeline = Timeline(sample_rate_hz=1_000)
    assert timeline.place(0.5, 100) == 500  # starts late
    assert timeline.place(0.6, 100) == 0
    assert timeline.place(0.715, 100) == 0  # 15 ms are rounding
    assert timeline.place(None, 100) == 0
    assert timeline.place(1.0, 100) == 100
    assert timeline.fault is None
    assert timeline.place(0.2, 100) == 0
    assert timeline.fault == JUMPED_BACK
    assert timeline.place(0.3, 100) == 0  # the clock was set anew
    assert timeline.fault is None
    assert timeline.place(1e9, 100) == 0
    assert timeline.fault == GAP_NOT_FILLED
    assert timeline.place(1e9 + 0.2, 100) == 100
    timeline.set_sample_rate(2_000)
    assert timeline.seconds == pytest.approx(1.6)


def test_bogus_gaps_are_bounded_altogether():
    timeline, silence, at = Timeline(sample_rate_hz=100), 0, 0.0
    for _ in range(50):
        at += 1_000.0
        silence += timeline.place(at, 100)
    assert silence <= MAX_SILENCE_SECONDS * 100


def test_late_audio_and_holes_become_silence(folder):
    sound = 0.2 + np.zeros((1, 48_000 * 4), np.float32)
    path = encode(
        folder / "late.mkv", "pcm_s16le", 48_000, sound, delay_seconds=1.5, holes=[(3.0, 3.5)], with_video=True
    )
    waveform = read_waveform(path)
    assert len(waveform) == pytest.approx(16_000 * 5.5, abs=16)
    assert not waveform[: 16_000 + 7_900].any()
    np.testing.assert_allclose(waveform[16_000 + 8_100 : 16_000 * 2 + 15_000], 0.2, atol=2e-3)
    hole = np.flatnonzero(np.abs(waveform[16_000 * 2 :]) < 0.01) / 16_000 + 2.0
    assert hole.min() == pytest.approx(3.0, abs=0.05)
    assert hole.max() == pytest.approx(3.5, abs=0.05)


def test_a_change_of_rate_and_channels_in_mid_file(folder):
    one = encode(folder / "one.mp3", "mp3", 44_100, sweep(44_100, 3.0)).read_bytes()
    other = encode(folder / "other.mp3", "mp3", 22_050, sweep(22_050, 2.0, channels=1)).read_bytes()
    with decode(one + other) as blocks:
        waveform = np.concatenate(list(blocks))
    assert len(waveform) / 16_000 == pytest.approx(5.0, abs=0.15)
    assert blocks.info.sample_rate_hz == 44_100
    alone = read_waveform(other)
    tail = waveform[-len(alone) + 4_000 : -4_000]  # found again, within the encoders' delays
    shifts = [np.abs(tail - alone[4_000 + k : 4_000 + k + len(tail)]).max() for k in range(-3_000, 3_000)]
    assert min(shifts) < 0.1


class ReadOnly:
    """A stream from which one can only read on."""

    def __init__(self, data):
        self.read = io.BytesIO(data).read


def test_all_kinds_of_sources_give_the_same_samples(folder):
    path = encode(folder / "source.flac", "flac", 44_100, sweep(44_100, 1.0))
    data = path.read_bytes()
    expected = read_waveform(path)
    assert np.array_equal(read_waveform(str(path)), expected)
    assert np.array_equal(read_waveform(f"file://{path}"), expected)
    assert np.array_equal(read_waveform(data), expected)
    assert np.array_equal(read_waveform(ReadOnly(data)), expected)
    with path.open("rb") as file:
        file.read(1_000)  # where a caller stands does not matter
        assert np.array_equal(read_waveform(file), expected)
        assert not file.closed


def test_relative_names_and_names_like_protocols(folder, monkeypatch):
    monkeypatch.chdir(folder)
    for name in ("plain.wav", "http:evil.wav", "concat:a|b.wav", "subfile,,start,0,end,0,,:x.wav", "per%03dcent.wav"):
        Path(name).write_bytes(wav(np.ones(1_600), 16_000))
        assert len(read_waveform(name)) == 1_600


def test_blocks_are_bounded_and_info_is_known():
    with decode(wav(np.zeros(16_000 * 60), 16_000)) as blocks:
        assert max(map(len, blocks)) <= GATHER_SAMPLES
        assert blocks.num_samples == 16_000 * 60
        assert (blocks.info.container, blocks.info.codec) == ("wav", "pcm_s16le")
        assert (blocks.info.sample_rate_hz, blocks.info.num_channels) == (16_000, 1)
        assert blocks.warnings == ()


def test_decoding_in_threads_gives_the_same_samples_and_keeps_complaints_apart(folder):
    whole = encode(folder / "threads.mp3", "mp3", 44_100, sweep(44_100, 5.0)).read_bytes()
    broken = bytearray(whole)
    broken[20_000:22_000] = bytes(2_000)
    expected, results = read_waveform(whole), {}

    def work(index):
        with decode(bytes(broken) if index % 2 else whole) as blocks:
            results[index] = (np.concatenate(list(blocks)), blocks.warnings)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, (waveform, warnings) in results.items():
        assert bool(warnings) == bool(index % 2), index
        if not warnings:
            assert np.array_equal(waveform, expected)
    assert av.logging.get_level() is None  # put back for others


def test_repeated_complaints_are_heard():
    for _ in range(2):
        with listening() as messages:
            av.logging.log(av.logging.ERROR, "test", "the same message")
        assert [text for _, _, text in messages] == ["the same message"]


def test_frames_of_media_equal_frames_of_their_waveform(folder):
    path = encode(folder / "frames.webm", "libopus", 48_000, sweep(48_000, 14.0))
    front_end = FrontEnd()
    with media_frames(path, front_end=front_end) as stream:
        frames = np.concatenate(list(stream))
    waveform = read_waveform(path)
    assert frames.dtype == np.float16
    assert np.array_equal(frames, waveform_frames(waveform, front_end=front_end))
    assert stream.num_samples == len(waveform)
    assert stream.num_frames == len(frames) == front_end.samples_to_frames(len(waveform))
    assert not stream.is_padded
    assert stream.info.codec == "opus"


@pytest.mark.parametrize(
    ("num_samples", "num_frames", "is_padded"),
    [(1, 96, True), (400, 96, True), (15_599, 96, True), (15_600, 96, False), (15_760, 97, False)],
)
def test_short_clips_are_padded_to_one_patch(num_samples, num_frames, is_padded):
    sound = np.round(3_000 * np.sin(np.arange(num_samples)))
    with media_frames(wav(sound, 16_000), front_end=FrontEnd()) as stream:
        frames = np.concatenate(list(stream))
    assert frames.shape == (num_frames, 64)
    assert (stream.is_padded, stream.num_samples, stream.num_frames) == (is_padded, num_samples, num_frames)
    padded = np.zeros(max(num_samples, 15_600), np.float32)
    padded[:num_samples] = sound / 2**15
    assert np.array_equal(frames, waveform_frames(padded, front_end=FrontEnd()))


@pytest.mark.parametrize(("num_samples", "num_patches"), [(1, 1), (15_600, 1), (15_601, 2), (23_280, 2), (80_000, 10)])
def test_the_last_patch_is_filled_where_the_front_end_says_so(num_samples, num_patches):
    """The counts are those of YAMNet's release: a patch, and one more for each 7,680 samples begun."""
    front_end = FrontEnd(patch_hop_frames=48, fill_last_patch=True)
    sound = np.round(3_000 * np.sin(np.arange(num_samples)))
    with media_frames(wav(sound, 16_000), front_end=front_end) as stream:
        frames = np.concatenate(list(stream))
    assert stream.is_padded == (num_samples < 15_600)
    assert len(frames) == stream.num_frames == 96 + 48 * (num_patches - 1)
    assert front_end.frames_to_patches(len(frames)) == num_patches
    assert np.array_equal(frames, waveform_frames((sound / 2**15).astype(np.float32), front_end=front_end))
    by_hand = np.zeros(15_600 + 7_680 * (num_patches - 1), np.float32)
    by_hand[:num_samples] = sound / 2**15
    assert np.array_equal(frames, waveform_frames(by_hand, front_end=FrontEnd()))


def test_an_empty_clip_has_no_frames():
    with media_frames(wav([], 16_000), front_end=FrontEnd()) as stream, pytest.raises(NoSamplesError):
        next(stream)
