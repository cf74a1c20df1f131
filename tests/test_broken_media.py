"""Broken and hostile media made here: a clear refusal, or what came is kept with a warning."""

import io
import re
from pathlib import Path

import av
import av.logging
import numpy as np
import pytest

from earwitness.audio.decode import decode, read_waveform
from earwitness.audio.native import (
    DECODER_COMPLAINED,
    ENDS_BEFORE_HEADER,
    ENDS_UNMARKED,
    NOT_NUMBERS,
    SKIPPED_PACKETS,
)
from earwitness.audio.source import CONTAINER_FORMATS
from earwitness.errors import MissingError, MissingExtraError, NoAudioError, NoSamplesError, UndecodableError
from made_media import encode, sweep, wav


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("media")


def test_missing_and_foreign_files(tmp_path):
    with pytest.raises(MissingError, match=r"gone\.mp4: no such file$"):
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
    with pytest.raises(MissingError, match=r"^memory://nothing/here\.wav: no such file$"):
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


@pytest.mark.parametrize(("name", "codec"), [("a.opus", "libopus"), ("a.oga", "flac")])
def test_ogg_that_is_cut_off_has_no_end(folder, name, codec):
    """At any byte, between pages too; whatever follows its end, and however little of it is read."""
    whole = encode(folder / name, codec, 48_000, sweep(48_000, 6.0, channels=1)).read_bytes()
    pages = [match.start() for match in re.finditer(b"OggS", whole)]
    for data in (whole, whole + b"TAG" + bytes(125)):
        with decode(data) as blocks:
            assert sum(map(len, blocks)) > 5.9 * 16_000
        assert blocks.warnings == ()
    for end in (pages[-1], pages[-1] + 3, pages[-1] + 26, pages[-1] + 40, len(whole) - 1, len(whole) * 9 // 10):
        with decode(whole[:end]) as blocks:
            assert sum(map(len, blocks)) > 0
        assert ENDS_UNMARKED in blocks.warnings
        with decode(whole[:end], stop_seconds=1.0) as blocks:
            assert sum(map(len, blocks)) == 16_000
        assert ENDS_UNMARKED not in blocks.warnings


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


def test_urls_without_their_package(monkeypatch):
    def missing(*_, **__):
        raise ImportError("HTTPFileSystem requires aiohttp")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(MissingExtraError, match=r"needs a package that is missing.*pip install 'earwitness\[http\]'"):
        decode("https://example.org/x.mp3")


@pytest.mark.parametrize("bad", [3e38, -1e37, np.nan, np.inf])
def test_absurd_samples_become_zero(bad):
    samples = np.full(16_000, 0.5, np.float32)
    samples[100] = bad
    with decode(wav(samples, 16_000, "<f4", 3)) as blocks:
        waveform = np.concatenate(list(blocks))
    assert np.flatnonzero(waveform != 0.5).tolist() == [100]
    assert blocks.warnings == (NOT_NUMBERS,)
