"""Decoding of media made here: downmix, time, gaps, ranges, format changes, broken and hostile files."""

import io
import struct
import threading
from fractions import Fraction
from pathlib import Path

import av
import av.logging
import numpy as np
import pytest

from earwitness.audio.complaints import listening
from earwitness.audio.decode import ENDS_EARLY, decode, read_waveform
from earwitness.audio.frames import media_frames, waveform_frames
from earwitness.audio.mixing import mean_of_channels
from earwitness.audio.native import DECODER_COMPLAINED, ENDS_BEFORE_HEADER, GATHER_SAMPLES, NOT_NUMBERS, SKIPPED_PACKETS
from earwitness.audio.resample import MonoResampler, grid_period
from earwitness.audio.source import CONTAINER_FORMATS
from earwitness.audio.timeline import GAP_NOT_FILLED, JUMPED_BACK, MAX_SILENCE_SECONDS, Timeline
from earwitness.errors import NoAudioError, NoSamplesError, SettingsError, UndecodableError
from earwitness.front_end import FrontEnd

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}


def wav(samples, rate, sample_format="<i2", format_tag=1):
    """The bytes of a WAV file; samples [n] or [n, channels]."""
    data = np.asarray(samples).astype(sample_format)
    channels = 1 if data.ndim == 1 else data.shape[1]
    width = data.dtype.itemsize
    body = data.tobytes()
    head = struct.pack("<HHIIHH", format_tag, channels, rate, rate * channels * width, channels * width, 8 * width)
    return (
        b"RIFF"
        + struct.pack("<I", 36 + len(body))
        + b"WAVEfmt \x10\0\0\0"
        + head
        + b"data"
        + struct.pack("<I", len(body))
        + body
    )


def sweep(rate, seconds, channels=2, seed=0):
    """Float [channels, samples]: a rising tone over noise, other in each channel, nowhere like itself."""
    time = np.arange(int(rate * seconds)) / rate
    rng = np.random.default_rng(seed)
    return np.stack(
        [
            0.3 * np.sin(2 * np.pi * (200 + 30 * time) * time + c) + 0.03 * rng.standard_normal(len(time))
            for c in range(channels)
        ]
    ).astype(np.float32)


def encode(path, codec, rate, sound, *, delay_seconds=0.0, holes=(), with_video=False, bit_rate=128_000):
    """Write a media file; `holes` are ranges of seconds whose packets are left out."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=LAYOUTS[len(sound)])
        stream.bit_rate = bit_rate
        stream.codec_context.format = stream.codec_context.codec.audio_formats[0].name
        packets = []
        if with_video:
            video = container.add_stream("mpeg4", rate=25)
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            for _ in range(int(25 * (delay_seconds + sound.shape[1] / rate))):
                packets += video.encode(av.VideoFrame.from_ndarray(np.zeros((72, 64), np.uint8), format="yuv420p"))
            packets += video.encode(None)
        resampler = av.AudioResampler(format=stream.codec_context.format, layout=LAYOUTS[len(sound)], rate=rate)
        stream.codec_context.open(strict=False)
        size = stream.codec_context.frame_size or 1024
        for start in range(0, sound.shape[1], size):
            block = np.ascontiguousarray(sound[:, start : start + size])
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=LAYOUTS[len(sound)])
            frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
            frame.pts = start + round(delay_seconds * rate)
            for converted in resampler.resample(frame):
                packets += stream.encode(converted)
        packets += stream.encode(None)
        for packet in packets:
            seconds = float(packet.pts * packet.time_base) if packet.pts is not None else 0.0
            if packet.stream is not stream or not any(start <= seconds < stop for start, stop in holes):
                container.mux(packet)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("media")


# --- mixing, resampling, time -------------------------------------------------------------------


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


# --- ranges -------------------------------------------------------------------------------------

RANGE_TOLERANCE = 1e-6
"""Largest difference between a range and the same part of the whole file. The checks of `seeking` leave nothing but
rounding: what cannot be entered in the middle without a difference is read from the beginning."""

KINDS = [
    ("a.wav", "pcm_s16le", 44_100),
    ("a.flac", "flac", 44_100),
    ("a.mp3", "mp3", 44_100),
    ("a.m4a", "aac", 44_100),
    ("low.m4a", "aac", 44_100),  # 48 kbit/s: with made-up noise, which cannot be entered in the middle
    ("a.mkv", "aac", 44_100),
    ("a.webm", "libopus", 48_000),
    ("a.opus", "libopus", 48_000),
    ("a.ts", "aac", 48_000),
    ("ac3.mkv", "ac3", 48_000),
]


@pytest.mark.parametrize(("name", "codec", "rate"), KINDS, ids=[name for name, _, _ in KINDS])
def test_a_range_equals_the_same_part_of_the_whole(folder, name, codec, rate):
    bit_rate = 48_000 if name.startswith("low") else 128_000
    path = encode(folder / name, codec, rate, sweep(rate, 24.0), bit_rate=bit_rate)
    whole = read_waveform(path)
    for start, stop in ((0.0, 1.0), (3.2, 4.7), (12.0, 14.0), (15.6789, 17.1), (20.00001, 23.5)):
        part = read_waveform(path, start_seconds=start, stop_seconds=stop)
        expected = whole[round(start * 16_000) : round(stop * 16_000)]
        assert part.shape == expected.shape
        np.testing.assert_allclose(part, expected, rtol=0, atol=RANGE_TOLERANCE)
    frames = list(media_frames(path, front_end=FrontEnd(), start_seconds=12.0, stop_seconds=14.0))
    direct = waveform_frames(whole[192_000:224_000], front_end=FrontEnd())
    np.testing.assert_allclose(np.concatenate(frames), direct, rtol=0, atol=4e-3)  # one step of float16


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.m4a", "a.mkv", "a.webm", "a.opus"])
def test_these_are_really_entered_in_the_middle(folder, name):
    kinds = {kind[0]: kind for kind in KINDS}
    _, codec, rate = kinds[name]
    path = encode(folder / name, codec, rate, sweep(rate, 24.0))
    with decode(path, start_seconds=15.0) as blocks:
        assert blocks._native.start_position > 12 * rate


def test_the_end_of_ranges():
    data = wav(np.ones(16_000 * 12), 16_000)
    assert len(read_waveform(data, start_seconds=11.5)) == 8_000
    with decode(data, start_seconds=11.5, stop_seconds=13.0) as blocks:
        assert sum(map(len, blocks)) == 8_000
        assert blocks.warnings == (ENDS_EARLY,)
    with decode(data, start_seconds=11.5, stop_seconds=12.05) as blocks:
        assert sum(map(len, blocks)) == 8_000
        assert blocks.warnings == ()
    with pytest.raises(NoSamplesError, match=r"^<bytes>: the range begins at 12 s, but the audio ends at 12\.000 s"):
        read_waveform(data, start_seconds=12.0)
    for start, stop in ((1.0, 1.0), (2.0, 1.0), (-1.0, None), (float("nan"), None)):
        with pytest.raises(SettingsError, match="0 <= start_seconds < stop_seconds"):
            decode(data, start_seconds=start, stop_seconds=stop)


# --- sources ------------------------------------------------------------------------------------


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


# --- broken and refused -------------------------------------------------------------------------


def test_missing_and_foreign_files(tmp_path):
    with pytest.raises(UndecodableError, match=r"gone\.mp4: no such file$"):
        decode(tmp_path / "gone.mp4")
    with pytest.raises(UndecodableError, match=r"is a directory, not a media file$"):
        decode(tmp_path)
    with pytest.raises(UndecodableError, match=r"/dev/zero: is not a regular file$"):
        decode("/dev/zero")
    text = tmp_path / "notes.mp3"
    text.write_text("Dear diary, today I heard a dog.\n" * 50)
    with pytest.raises(UndecodableError, match=r"notes\.mp3: is a text file, not media$"):
        decode(text)
    with pytest.raises(UndecodableError, match=r"^<bytes>: is empty$"):
        decode(b"")
    with pytest.raises(UndecodableError, match=r"^<bytes>: cannot be read as media"):
        decode(np.random.default_rng(0).bytes(5_000))
    with pytest.raises(UndecodableError, match=r"^memory://nothing/here\.wav: no such file$"):
        decode("memory://nothing/here.wav")
    with pytest.raises(UndecodableError, match=r"^nonsense://x: cannot be opened"):
        decode("nonsense://x")
    with pytest.raises(UndecodableError, match="path is empty"):
        decode("")
    with pytest.raises(TypeError, match="not int"):
        decode(7)


def test_no_audio_and_no_samples(folder):
    path = folder / "silent_film.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for _ in range(5):
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((72, 64), np.uint8), format="yuv420p")))
        container.mux(video.encode(None))
    with pytest.raises(NoAudioError, match=r"silent_film\.mp4: has no audio stream$"):
        decode(path)
    with pytest.raises(NoSamplesError, match=r"^<bytes>: has an audio stream, but no samples in it$"):
        read_waveform(wav([], 16_000))


@pytest.mark.parametrize(("rate", "channels"), [(1, 1), (999, 1), (800_000, 1), (16_000, 65)])
def test_rates_and_channels_outside_the_limits_are_refused(rate, channels):
    with pytest.raises(UndecodableError, match=r"(sample rate|channels).* are read$"):
        decode(wav(np.zeros((100, channels)), rate))


def test_rates_and_channels_at_the_limits_are_read():
    assert len(read_waveform(wav(np.zeros(100), 1_000))) == 1_600
    assert len(read_waveform(wav(np.zeros((480, 64)), 768_000))) == 10


def test_what_came_before_an_error_is_kept(folder):
    whole = encode(folder / "cut.flac", "flac", 44_100, sweep(44_100, 5.0)).read_bytes()
    with decode(whole[: len(whole) // 2]) as blocks:
        num_samples = sum(map(len, blocks))
    assert 2.0 < num_samples / 16_000 < 3.0
    assert SKIPPED_PACKETS in blocks.warnings
    assert ENDS_BEFORE_HEADER in blocks.warnings

    class Failing(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > len(whole) // 2:
                raise OSError("the disk went away")
            return super().read(size)

    with decode(Failing(whole)) as blocks:
        assert sum(map(len, blocks)) > 16_000
    assert blocks.warnings


def test_a_damaged_stretch_costs_only_itself(folder):
    path = encode(folder / "scratched.mp4", "mp3", 44_100, sweep(44_100, 8.0))
    data = bytearray(path.read_bytes())
    clean = read_waveform(bytes(data))
    data[60_000:61_000] = np.random.default_rng(0).bytes(1_000)
    with decode(bytes(data)) as blocks:
        waveform = np.concatenate(list(blocks))
    assert set(blocks.warnings) & {SKIPPED_PACKETS, DECODER_COMPLAINED}
    assert len(waveform) == len(clean)  # what is missing is silence: time stays true
    assert np.array_equal(waveform[-32_000:], clean[-32_000:])
    with decode(bytes(data), start_seconds=6.0) as blocks:
        list(blocks)
    assert blocks.warnings == ()  # not of this range


def test_samples_that_are_not_numbers_become_zero():
    sound = np.full(16_000, 0.5)
    sound[100], sound[200], sound[300] = np.nan, np.inf, -np.inf
    with decode(wav(sound, 16_000, "<f4", 3)) as blocks:
        waveform = np.concatenate(list(blocks))
    assert blocks.warnings == (NOT_NUMBERS,)
    assert np.flatnonzero(waveform != 0.5).tolist() == [100, 200, 300]


NESTING = {
    "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n",
    "absolute m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile://{folder}/{target}\n#EXT-X-ENDLIST\n",
    "ffconcat": "ffconcat version 1.0\nfile '{target}'\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period/></MPD>',
}


@pytest.mark.parametrize("kind", NESTING)
@pytest.mark.parametrize("suffix", ["mp4", "mp3", "wav", "m3u8", "ffconcat", "sdp", "mpd"])
def test_files_that_point_at_files_are_refused(tmp_path, monkeypatch, kind, suffix):
    monkeypatch.chdir(tmp_path)
    Path("secret.wav").write_bytes(wav(np.ones(1_600), 16_000))
    path = Path(f"hostile.{suffix}")
    path.write_text(NESTING[kind].format(target="secret.wav", folder=tmp_path))
    for source in (path, path.read_bytes(), io.BytesIO(path.read_bytes())):
        with pytest.raises(UndecodableError, match=r"not one that is read|is a text file"):
            decode(source)


def test_containers_that_open_other_things_are_not_on_the_list():
    names = set(CONTAINER_FORMATS.split(","))
    assert not names & {"hls", "concat", "dash", "sdp", "rtsp", "rtp", "image2", "lavfi", "tee", "applehttp", "vobsub"}
    assert "," not in "".join(names)


# --- frames -------------------------------------------------------------------------------------


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


def test_an_empty_clip_has_no_frames():
    with media_frames(wav([], 16_000), front_end=FrontEnd()) as stream, pytest.raises(NoSamplesError):
        next(stream)
