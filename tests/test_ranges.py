"""Time ranges of media made here: equal to the same part of the whole file."""

import numpy as np
import pytest

from earwitness.audio.decode import ENDS_EARLY, decode, read_waveform
from earwitness.audio.frames import media_frames, waveform_frames
from earwitness.errors import NoSamplesError, SettingsError
from earwitness.front_end import FrontEnd
from made_media import encode, sweep, wav


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("media")


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


@pytest.mark.parametrize(("name", "codec"), [("gaps.oga", "flac"), ("gaps.flac", "flac"), ("gaps.m4a", "aac")])
def test_ranges_behind_silence(folder, name, codec):
    """Silence is equal to itself everywhere, so it must not count as proof that a seek landed where it should."""
    rate = 44_100
    sound = sweep(rate, 60)
    time = np.arange(sound.shape[1]) / rate
    sound[:, time % 8 < 4] = 0.0
    path = encode(folder / name, codec, rate, sound)
    whole = read_waveform(path)
    for start in (11.3, 17.9, 26.1, 35.5, 52.0):
        part = read_waveform(path, start_seconds=start, stop_seconds=start + 1)
        first = round(start * 16_000)
        np.testing.assert_allclose(part, whole[first : first + len(part)], atol=RANGE_TOLERANCE)


def test_extreme_bounds(folder):
    path = encode(folder / "bounds.flac", "flac", 44_100, sweep(44_100, 12))
    assert len(read_waveform(path, start_seconds=11, stop_seconds=float("inf"))) == 16_000
    with pytest.raises(NoSamplesError, match="the audio ends at 12"):
        read_waveform(path, start_seconds=1e15)
