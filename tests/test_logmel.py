"""The front end: against the released VGGish code, a slow re-implementation, and itself cut up differently."""

import numpy as np
import pytest

from earwitness.audio.decode import read_waveform
from earwitness.audio.frames import waveform_frames
from earwitness.audio.logmel import LogMelStream, hann_window, hz_to_mel, logmel, mel_weights
from earwitness.audio.patches import cut_patches
from earwitness.front_end import FrontEnd

REFERENCE_TOLERANCE = 1e-4
"""Natural-log units, before the float16 rounding: what float32 leaves in the released code."""

OTHER_FRONT_END = FrontEnd(
    sample_rate_hz=8_000,
    window_samples=200,
    hop_samples=80,
    fft_length=256,
    num_bands=40,
    min_hz=60.0,
    max_hz=4_000.0,
    log_offset=1e-3,
    patch_frames=20,
    patch_hop_frames=10,
)
GAPPED_FRONT_END = FrontEnd(window_samples=300, hop_samples=450, num_bands=16)


def slow_logmel(waveform, front_end):
    """One frame and one band at a time, in float64, written from the definition."""
    bins_hz = np.arange(front_end.fft_length // 2 + 1) * front_end.sample_rate_hz / front_end.fft_length

    def to_mel(hz):
        return 1127.0 * np.log(1.0 + hz / 700.0)

    edges = np.linspace(to_mel(front_end.min_hz), to_mel(front_end.max_hz), front_end.num_bands + 2)
    positions = np.arange(front_end.window_samples)
    window = 0.5 * (1.0 - np.cos(2.0 * np.pi * positions / front_end.window_samples))
    rows = []
    start = 0
    while start + front_end.window_samples <= len(waveform):
        samples = waveform[start : start + front_end.window_samples].astype(np.float64) * window
        magnitude = np.abs(np.fft.rfft(samples, front_end.fft_length))
        row = []
        for band in range(front_end.num_bands):
            low, centre, high = edges[band : band + 3]
            total = 0.0
            for k in range(1, len(bins_hz)):
                mel = to_mel(bins_hz[k])
                if low < mel <= centre:
                    total += magnitude[k] * (mel - low) / (centre - low)
                elif centre < mel < high:
                    total += magnitude[k] * (high - mel) / (high - centre)
            row.append(np.log(total + front_end.log_offset))
        rows.append(row)
        start += front_end.hop_samples
    return np.array(rows).reshape(-1, front_end.num_bands)


def made_signals(rate):
    seconds = np.arange(int(0.3 * rate)) / rate
    rng = np.random.default_rng(7)
    return {
        "full-scale tone": np.sin(2 * np.pi * 1_000 * seconds),
        "tone under quiet noise": 0.9 * np.sin(2 * np.pi * 440 * seconds) + 1e-6 * rng.standard_normal(len(seconds)),
        "noise": 0.1 * rng.standard_normal(len(seconds)),
        "offset": np.ones(len(seconds)),
        "silence": np.zeros(len(seconds)),
    }


@pytest.mark.parametrize("front_end", [FrontEnd(), OTHER_FRONT_END, GAPPED_FRONT_END], ids=["paper", "other", "gapped"])
def test_equals_a_slow_implementation(front_end):
    for name, signal in made_signals(front_end.sample_rate_hz).items():
        waveform = signal.astype(np.float32)
        frames = logmel(waveform, front_end=front_end)
        assert frames.dtype == np.float32
        assert frames.shape == (front_end.samples_to_frames(len(waveform)), front_end.num_bands)
        np.testing.assert_allclose(frames, slow_logmel(waveform, front_end), rtol=1e-7, atol=1e-9, err_msg=name)


def test_equals_the_released_code_on_real_clips(data_dir):
    reference = np.load(data_dir / "reference" / "vggish_logmel.npz")
    names = [name for name in reference.files if name.startswith("esc10/")]
    assert len(names) == 10
    for name in names:
        waveform = read_waveform(data_dir / "esc10" / "audio" / name.removeprefix("esc10/"))
        patches = cut_patches(logmel(waveform), front_end=FrontEnd())
        assert patches.shape == reference[name].shape
        np.testing.assert_allclose(patches, reference[name], rtol=0, atol=REFERENCE_TOLERANCE, err_msg=name)


def test_equals_the_released_code_on_made_signals(data_dir):
    reference = np.load(data_dir / "reference" / "vggish_logmel.npz")
    seconds = np.arange(3 * 16_000) / 16_000
    sine = np.sin(2 * np.pi * 1_000 * seconds)
    impulse = np.zeros(32_000)
    impulse[8_000] = 1.0
    signals = {
        "sine_1000hz_3s": sine,
        "silence_2s": np.zeros(32_000),
        "impulse_2s": impulse,
        "square_440hz_3s": np.sign(np.sin(2 * np.pi * 440 * seconds)),
        "one_patch_exactly_15600": sine[:15_600],
        "one_sample_short_15599": sine[:15_599],
    }
    for name, signal in signals.items():
        patches = cut_patches(logmel(signal.astype(np.float32)), front_end=FrontEnd())
        expected = reference[f"made/{name}"]
        assert patches.shape == expected.shape, name
        np.testing.assert_allclose(patches, expected, rtol=0, atol=REFERENCE_TOLERANCE, err_msg=name)


@pytest.mark.parametrize("front_end", [FrontEnd(), OTHER_FRONT_END, GAPPED_FRONT_END], ids=["paper", "other", "gapped"])
def test_a_stream_of_blocks_gives_the_same_bits(front_end):
    rng = np.random.default_rng(3)
    loud_and_quiet = np.concatenate([signal for _ in range(9) for signal in made_signals(16_000).values()])
    waveform = loud_and_quiet.astype(np.float32)
    whole = logmel(waveform, front_end=front_end)
    for longest in (50, 5_000, 300_000):
        stream, parts, start = LogMelStream(front_end), [], 0
        while start < len(waveform):
            stop = start + int(rng.integers(1, longest))
            parts.append(stream.push(waveform[start:stop]))
            start = stop
        assert np.array_equal(np.concatenate(parts), whole)


def test_a_frame_does_not_depend_on_its_place():
    waveform = (0.1 * np.random.default_rng(0).standard_normal(16_000)).astype(np.float32)
    later = logmel(waveform[160 * 37 :])
    assert np.array_equal(logmel(waveform)[37:], later)


def test_silence_and_short_waveforms():
    front_end = FrontEnd()
    assert np.all(logmel(np.zeros(4_000, np.float32)) == np.float32(np.log(np.float32(0.01))))
    assert logmel(np.zeros(399, np.float32)).shape == (0, 64)
    assert logmel(np.zeros(400, np.float32)).shape == (1, 64)
    assert logmel(np.zeros(0, np.float32)).shape == (0, 64)
    assert waveform_frames(np.zeros(0, np.float32), front_end=front_end).shape == (0, 64)
    assert waveform_frames(np.zeros(1, np.float32), front_end=front_end).shape == (96, 64)
    assert waveform_frames(np.zeros(15_760, np.float32), front_end=front_end).dtype == np.float16


def test_mel_weights_and_window_by_hand():
    front_end = FrontEnd()
    weights = mel_weights(front_end)
    assert weights.shape == (257, 64)
    assert weights.min() == 0.0
    assert weights.max() <= 1.0
    assert not weights[0].any()
    assert (np.count_nonzero(weights, axis=1) <= 2).all()
    inner = weights[8:200].sum(axis=1)  # between the first and last centre, neighbouring triangles add up to one
    np.testing.assert_allclose(inner, 1.0, atol=1e-12)
    assert hz_to_mel(700.0) == pytest.approx(1127.0 * np.log(2.0))
    np.testing.assert_allclose(hann_window(4), [0.0, 0.5, 1.0, 0.5], atol=1e-15)  # periodic: no second zero


def test_patches_are_cut_where_they_should_be():
    frames = np.arange(250 * 64, dtype=np.float16).reshape(250, 64)
    patches = cut_patches(frames, front_end=FrontEnd())
    assert patches.shape == (2, 96, 64)
    assert np.array_equal(patches[1], frames[96:192])
    assert np.shares_memory(patches, frames)
    overlapping = cut_patches(frames, front_end=FrontEnd(patch_frames=20, patch_hop_frames=10))
    assert overlapping.shape == (24, 20, 64)
    assert np.array_equal(overlapping[23], frames[230:250])
    assert cut_patches(frames[:95], front_end=FrontEnd()).shape == (0, 96, 64)
    assert cut_patches(frames[:0], front_end=FrontEnd()).shape == (0, 96, 64)
