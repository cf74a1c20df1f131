"""Tagging: the stream against the whole, and events against a plain reading of the scores."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import wavfile

from earwitness.audio.frames import media_frames, waveform_frames
from earwitness.audio.patches import cut_patches
from earwitness.errors import NoSamplesError, SettingsError
from earwitness.front_end import FrontEnd
from earwitness.inference.events import Event, EventFinder
from earwitness.inference.tag_settings import TagSettings
from earwitness.inference.tagger import PatchScores, Tagger
from earwitness.inference.tagging import tag_media
from earwitness.labels import LabelSet
from earwitness.models.description import Architecture
from earwitness.models.model_file import Model

RATE_HZ = 16_000


def tagger(front_end: FrontEnd) -> Tagger:
    """A fully connected network with random weights, loud enough that its scores spread over [0, 1]."""
    arguments = {"num_labels": 3, "patch_frames": front_end.patch_frames, "num_bands": 64, "width": 0.02}
    architecture = Architecture(name="fully_connected", arguments=arguments)
    torch.manual_seed(0)
    network = architecture.build()
    with torch.no_grad():
        network.head.weight.normal_(std=0.5)
    labels = LabelSet.of(["a", "b", "c"])
    return Tagger(
        Model(network=network, architecture=architecture, label_set=labels, front_end=front_end), device="cpu"
    )


def noise(path: Path, num_samples: int) -> np.ndarray:
    """Write noise of changing loudness as WAV; the waveform as any decoder sees it."""
    rng = np.random.default_rng(num_samples)
    loudness = np.exp(rng.uniform(-6, 0, size=num_samples // 4_000 + 1)).repeat(4_000)[:num_samples]
    samples = (0.3 * rng.normal(size=num_samples).clip(-3, 3) * loudness * 32_767).astype(np.int16)
    wavfile.write(path, RATE_HZ, samples)
    return (samples / 32_768).astype(np.float32)


def test_another_hop_on_request(tmp_path: Path) -> None:
    """A hop that is asked for gives what a model made with it gives, wherever the frames come from."""
    noise(tmp_path / "noise.wav", 70 * RATE_HZ)
    asked: list[PatchScores] = []
    made: list[PatchScores] = []
    clip = tagger(FrontEnd()).score(tmp_path / "noise.wav", patch_hop_frames=11, on_patches=asked.append)
    other = tagger(FrontEnd(patch_hop_frames=11))
    expected = other.score(tmp_path / "noise.wav", on_patches=made.append)
    np.testing.assert_array_equal(clip.scores, expected.scores)
    for name in ("start_seconds", "scores"):
        of_asked, of_made = (np.concatenate([getattr(block, name) for block in blocks]) for blocks in (asked, made))
        np.testing.assert_array_equal(of_asked, of_made)
    with media_frames(tmp_path / "noise.wav", front_end=other.model.front_end) as frames:
        np.testing.assert_array_equal(other.score_frames(frames).scores, expected.scores)
    with pytest.raises(SettingsError, match="patch_hop_frames=97 must not exceed"):
        tagger(FrontEnd()).score(tmp_path / "noise.wav", patch_hop_frames=97)


@pytest.mark.parametrize("hop_frames", [96, 48, 7])
@pytest.mark.parametrize("seconds", [0.3, 0.98, 5.0, 75.0, 130.0])
def test_stream_equals_whole(tmp_path: Path, seconds: float, hop_frames: int) -> None:
    """Blocks, batches and what is left between them must not show: one array in one piece gives the same scores."""
    front_end = FrontEnd(patch_hop_frames=hop_frames)
    tag = tagger(front_end)
    waveform = noise(tmp_path / "noise.wav", int(seconds * RATE_HZ))
    blocks: list[PatchScores] = []
    clip = tag.score(tmp_path / "noise.wav", on_patches=blocks.append)
    patches = cut_patches(waveform_frames(waveform, front_end=front_end), front_end=front_end)
    with torch.inference_mode():
        expected = torch.sigmoid(tag.model.network(torch.from_numpy(patches.astype(np.float32)))).numpy()
    scores = np.concatenate([block.scores for block in blocks])
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    np.testing.assert_allclose(clip.scores, expected.mean(axis=0), atol=1e-6)
    assert clip.num_patches == len(patches)
    assert clip.is_padded == (seconds < 0.975)
    assert clip.seconds == pytest.approx(seconds, abs=1e-4)
    starts = np.concatenate([block.start_seconds for block in blocks])
    np.testing.assert_allclose(starts, np.arange(len(patches)) * hop_frames / 100)


def test_nobody_is_warned_of_read_only_patches(tmp_path: Path) -> None:
    """Patches are views of frames; eight and more go to torch as they are."""
    noise(tmp_path / "a.wav", 16_000 * 9)
    torch.set_warn_always(True)  # it warns once a process otherwise; warnings are errors here
    try:
        assert tagger(FrontEnd()).score(tmp_path / "a.wav").num_patches >= 8
    finally:
        torch.set_warn_always(False)


def test_range_bytes_and_file_object(tmp_path: Path) -> None:
    tag = tagger(FrontEnd())
    waveform = noise(tmp_path / "long.wav", 20 * RATE_HZ)
    wavfile.write(tmp_path / "part.wav", RATE_HZ, (waveform[3 * RATE_HZ : 9 * RATE_HZ] * 32_768).astype(np.int16))
    blocks: list[PatchScores] = []
    part = tag.score(tmp_path / "long.wav", start_seconds=3.0, stop_seconds=9.0, on_patches=blocks.append)
    assert blocks[0].start_seconds[0] == 3.0, "times are those of the whole file"
    content = (tmp_path / "part.wav").read_bytes()
    for source in (tmp_path / "part.wav", content, io.BytesIO(content)):
        np.testing.assert_allclose(tag.score(source).scores, part.scores, atol=1e-6)


def test_empty_sound(tmp_path: Path) -> None:
    wavfile.write(tmp_path / "empty.wav", RATE_HZ, np.zeros(0, dtype=np.int16))
    with pytest.raises(NoSamplesError, match=r"empty\.wav"):
        tagger(FrontEnd()).score(tmp_path / "empty.wav")


def test_tags_are_the_best_labels(tmp_path: Path) -> None:
    noise(tmp_path / "noise.wav", 10 * RATE_HZ)
    tag = tagger(FrontEnd())
    scores = tag.score(tmp_path / "noise.wav").scores
    tagging = tag_media(tag, str(tmp_path / "noise.wav"), settings=TagSettings(top=2))
    assert [t.label for t in tagging.tags] == sorted(range(3), key=lambda i: -scores[i])[:2]
    assert tagging.events is None
    high = tag_media(tag, str(tmp_path / "noise.wav"), settings=TagSettings(min_score=float(scores.max())))
    assert [t.score for t in high.tags] == [float(scores.max())]


def test_events_by_hand() -> None:
    finder = EventFinder(threshold=0.5, patch_seconds=1.0)
    starts = np.arange(6, dtype=np.float64)
    scores = np.array([[0.1, 0.9], [0.5, 0.9], [0.7, 0.2], [0.4, 0.1], [0.1, 0.6], [0.8, 0.7]], dtype=np.float32)
    found = finder.push(starts[:3], scores[:3]) + finder.push(starts[3:], scores[3:])
    assert [(e.label, e.start_seconds, e.stop_seconds) for e in found] == [(1, 0.0, 2.0), (0, 1.0, 3.0)]
    assert [e.peak_score for e in found] == pytest.approx([0.9, 0.7])
    rest = finder.finish()
    assert [(e.label, e.start_seconds, e.stop_seconds) for e in rest] == [(0, 5.0, 6.0), (1, 4.0, 6.0)]
    assert finder.finish() == []


@given(st.lists(st.lists(st.sampled_from([0.0, 0.3, 0.5, 0.9]), min_size=2, max_size=2), max_size=30), st.data())
def test_events_cover_just_the_patches_above_the_threshold(rows: list[list[float]], data: st.DataObject) -> None:
    scores = np.array(rows, dtype=np.float32).reshape(-1, 2)
    starts = np.arange(len(scores), dtype=np.float64)
    cut = data.draw(st.integers(0, len(scores)))
    finder = EventFinder(threshold=0.5, patch_seconds=1.0)
    events: list[Event] = [
        *finder.push(starts[:cut], scores[:cut]),
        *finder.push(starts[cut:], scores[cut:]),
        *finder.finish(),
    ]
    covered = np.zeros(scores.shape, dtype=int)
    for event in events:
        first, last = int(event.start_seconds), int(event.stop_seconds)
        covered[first:last, event.label] += 1
        assert event.peak_score == scores[first:last, event.label].max()
        if first > 0:
            assert scores[first - 1, event.label] < 0.5, "two events never touch"
    np.testing.assert_array_equal(covered, scores >= 0.5)
