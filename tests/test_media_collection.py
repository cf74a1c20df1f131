"""Decoding against 182 real files, beside what two other decoders made of them (`media/expected.csv`).

`expected.csv` holds, for each file, the outcome of ffmpeg 5.1's own program and of PyAV 18. Where both say `ok`, we
must have the same samples: the count to the sample, but for `EXTRA_SAMPLES`, and the RMS at 16 kHz, but for
`OTHER_RMS`. Where both say `no_audio`, `no_samples` or `error`, we must fail by that name. Where either says
`partial`, we must keep what came, and warn.
"""

import csv
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest

from earwitness.audio.decode import decode, read_waveform
from earwitness.audio.native import ENDS_UNMARKED
from earwitness.errors import MediaError

RMS_TOLERANCE = 0.01
"""Relative. The expected values come from soxr, whose filter is steeper near 8 kHz than FFmpeg's; where sound lies
there, the two differ by up to 0.9 % (and by 0.1 % below 7 kHz)."""

SOXR_TOLERANCE = 1e-4
"""Relative, of our waveform at its own rate brought to 16 kHz by soxr too."""

RMS_FLOOR = 2e-6
"""Absolute; expected values are written with six decimals."""

EXTRA_SAMPLES = {
    "pydub/test5.webm": 320,  # a packet of 20 ms is missing in mid-file; we keep its time as silence
}

OTHER_RMS = {
    # shorter than the resamplers' filters: what they make of the edges is all there is
    "hound/pcmwaveformat-8bit-44100Hz-mono.wav",
    "hound/pcmwaveformat-16bit-44100Hz-mono.wav",
    "hound/waveformatex-16bit-44100Hz-mono.wav",
    "hound/waveformatex-ieeefloat-44100Hz-mono.wav",
    "hound/waveformatextensible-ieeefloat-44100Hz-mono.wav",
    "hound/crash-e5471f5b58397287b509db7d026e95f1724454f5.wav",
    "hound/waveformatextensible-24bit-192kHz-mono.wav",
    "hound/pop.wav",
    # 4 channels become fewer in mid-file: we take the mean of those there are, ffmpeg of 4 it makes up
    "flac-test-files/03_-_decreasing_number_of_channels.flac",
}

OTHER_SOXR_RMS = {
    "flac-test-files/03_-_decreasing_number_of_channels.flac",  # as above
    "pydub/test5.webm",  # the packet that is missing
    "derived/audio_first.mkv",  # AC-3: newer FFmpegs, as PyAV's, take away the codec's delay of 256 samples
}

READ_BY_ONE_ONLY = "mp4parse-rust/mp4parse_capi_tests_sine-3s-xhe-aac-44khz-mono.mp4"
"""xHE-AAC: ffmpeg 5.1 had no decoder for it, newer ones do."""

CUT_OFF_OGG = {"derived/truncated.opus", "tinytag/test.opus"}
"""Their last page is cut through, of which the other decoders say nothing: what is there is whole."""

BEYOND_FULL_SCALE = {
    "hound/waveformatex-ieeefloat-44100Hz-mono.wav",
    "hound/waveformatextensible-ieeefloat-44100Hz-mono.wav",
    "hound/crash-e5471f5b58397287b509db7d026e95f1724454f5.wav",
}
"""Floats in the thousands, which the other decoders pass on without a word."""
PEAK = "peak 4,765 of full scale 1: were integers made floats without dividing?"


@dataclass(frozen=True)
class Outcome:
    """What became of one file."""

    name: str
    waveform: np.ndarray
    warnings: tuple[str, ...] = ()
    rate: int = 0
    message: str = ""


@pytest.fixture(scope="module")
def rows(data_dir):
    with (data_dir / "media" / "expected.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def outcomes(data_dir, rows):
    """Each file decoded once."""

    def outcome(row):
        try:
            with decode(data_dir / "media" / row["file"]) as blocks:
                waveform = np.concatenate(list(blocks))
        except MediaError as error:
            name = "error" if error.kind == "undecodable" else error.kind
            return Outcome(name, np.empty(0), message=str(error))
        name = "partial" if blocks.warnings else "ok"
        return Outcome(name, waveform, blocks.warnings, blocks.info.sample_rate_hz)

    with ThreadPoolExecutor(2) as pool:
        return dict(zip([row["file"] for row in rows], pool.map(outcome, rows), strict=True))


def rms(waveform):
    return float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64))))


def sound_rows(rows):
    return [row for row in rows if row["ffmpeg_5_1"] == row["pyav_18"] == "ok"]


def test_every_outcome_is_as_expected(rows, outcomes):
    wrong = {}
    for row in rows:
        expected = row["ffmpeg_5_1"]
        if row["file"] == READ_BY_ONE_ONLY:
            expected = "ok"
        if row["file"] in CUT_OFF_OGG | BEYOND_FULL_SCALE:
            expected = "partial"
        if outcomes[row["file"]].name != expected:
            wrong[row["file"]] = (outcomes[row["file"]].name, expected)
    assert wrong == {}


def test_no_warning_where_both_decoders_are_content(rows, outcomes):
    assert len(sound_rows(rows)) == 123
    of_ours = dict.fromkeys(CUT_OFF_OGG, (ENDS_UNMARKED,)) | dict.fromkeys(BEYOND_FULL_SCALE, (PEAK,))
    assert {row["file"]: outcomes[row["file"]].warnings for row in sound_rows(rows)} == {
        row["file"]: of_ours.get(row["file"], ()) for row in sound_rows(rows)
    }


def test_sample_counts_are_equal(rows, outcomes):
    for row in sound_rows(rows):
        native_rate = int(row["audio"].split(",")[1])
        expected = -(-int(row["pyav_samples"]) * 16_000 // native_rate) + EXTRA_SAMPLES.get(row["file"], 0)
        assert len(outcomes[row["file"]].waveform) == expected, row["file"]


def test_rms_is_equal(rows, outcomes):
    for row in sound_rows(rows):
        if row["file"] not in OTHER_RMS:
            expected = float(row["rms_16khz_mono"])
            tolerance = RMS_FLOOR + RMS_TOLERANCE * expected
            assert rms(outcomes[row["file"]].waveform) == pytest.approx(expected, abs=tolerance), row["file"]


def test_rms_is_equal_through_the_same_resampler(data_dir, rows, outcomes):
    soxr = pytest.importorskip("soxr", reason="soxr is not installed: pip install soxr")
    for row in sound_rows(rows):
        if row["file"] in OTHER_SOXR_RMS or not row["rms_16khz_mono"].strip("na"):
            continue
        rate = outcomes[row["file"]].rate
        native = read_waveform(data_dir / "media" / row["file"], sample_rate_hz=rate)
        expected = float(row["rms_16khz_mono"])
        tolerance = RMS_FLOOR + SOXR_TOLERANCE * expected
        resampled = soxr.resample(native, rate, 16_000, quality="HQ")
        assert rms(resampled) == pytest.approx(expected, abs=tolerance), row["file"]


def test_messages_begin_with_the_file_and_end_in_a_sentence(rows, outcomes):
    failed = [row["file"] for row in rows if not len(outcomes[row["file"]].waveform)]
    assert len(failed) == 50
    for file in failed:
        message = outcomes[file].message
        assert file in message.split(": ")[0]
        assert "\n" not in message
        assert len(message) < 400
