"""The baseline: features against NumPy in one piece, scores against scikit-learn's own pipeline."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from earwitness.errors import ScoreError
from earwitness.scoring import baseline
from earwitness.scoring.baseline import baseline_features, baseline_scores


class FakeReader:
    """Clips held in memory; remembers the longest piece that was asked for."""

    def __init__(self, clips: list[npt.NDArray[np.float16]]) -> None:
        self.clips = clips
        self.store = SimpleNamespace(frames_per_clip=[len(clip) for clip in clips])
        self.longest_read = 0

    def read_clip(self, clip: int, *, first_frame: int = 0, num_frames: int | None = None) -> npt.NDArray[np.float16]:
        stop = None if num_frames is None else first_frame + num_frames
        frames = self.clips[clip][first_frame:stop]
        self.longest_read = max(self.longest_read, len(frames))
        return frames


def made_clips() -> list[npt.NDArray[np.float16]]:
    rng = np.random.default_rng(1)
    return [(rng.normal(size=(n, 8)) * 2 - 3).astype(np.float16) for n in (1, 96, 100, 1001)]


@pytest.mark.parametrize("block_frames", [7, 100, 65_536])
def test_features_are_mean_and_deviation_however_the_clip_is_read(
    block_frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baseline, "_BLOCK_FRAMES", block_frames)
    clips = made_clips()
    reader = FakeReader(clips)
    features = baseline_features(reader, [3, 0, 2])
    whole = [clips[i].astype(np.float64) for i in (3, 0, 2)]
    expected = [np.concatenate([frames.mean(axis=0), frames.std(axis=0)]) for frames in whole]
    np.testing.assert_allclose(features, expected, rtol=0, atol=1e-12)
    assert reader.longest_read <= block_frames


def test_features_need_clips_with_frames() -> None:
    with pytest.raises(ScoreError, match="no clip"):
        baseline_features(FakeReader(made_clips()), [])
    with pytest.raises(ScoreError, match="clip 1 of the store holds no frame"):
        baseline_features(FakeReader([*made_clips()[:1], np.empty((0, 8), dtype=np.float16)]), [0, 1])


def separable(clips: int, labels: int, seed: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    directions = np.random.default_rng(99).normal(size=(labels, 6))
    classes = np.arange(clips) % labels
    return directions[classes] * 2 + rng.normal(size=(clips, 6)) + 50, np.eye(labels, dtype=bool)[classes]


def test_one_label_each_is_a_multinomial_regression() -> None:
    train, targets = separable(90, 3, seed=0)
    test, truth = separable(60, 3, seed=1)
    targets = np.insert(targets, 1, False, axis=1)  # a label that no training clip has
    scores = baseline_scores(train, targets, test)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(train, targets.argmax(axis=1))
    np.testing.assert_allclose(scores[:, [0, 2, 3]], pipeline.predict_proba(test), rtol=0, atol=1e-9)
    np.testing.assert_allclose(scores.sum(axis=1), 1.0, rtol=0, atol=1e-12)
    assert np.all(scores[:, 1] == 0.0)
    assert (scores[:, [0, 2, 3]].argmax(axis=1) == truth.argmax(axis=1)).mean() > 0.8


def test_two_labels_one_each() -> None:
    train, targets = separable(40, 2, seed=0)
    test, truth = separable(40, 2, seed=1)
    scores = baseline_scores(train, targets, test)
    assert (scores.argmax(axis=1) == truth.argmax(axis=1)).mean() > 0.8
    np.testing.assert_allclose(scores.sum(axis=1), 1.0, rtol=0, atol=1e-12)


def test_several_labels_are_regressions_of_their_own() -> None:
    rng = np.random.default_rng(5)
    train, test = rng.normal(size=(120, 6)), rng.normal(size=(30, 6))
    targets = np.column_stack([train[:, 0] > 0, train[:, 1] > 1, np.zeros(120, bool), np.ones(120, bool)])
    scores = baseline_scores(train, targets, test)
    for label in (0, 1):
        pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(train, targets[:, label])
        np.testing.assert_allclose(scores[:, label], pipeline.predict_proba(test)[:, 1], rtol=0, atol=1e-9)
    assert np.all(scores[:, 2] == 0.0)  # their priors in training
    assert np.all(scores[:, 3] == 1.0)
    np.testing.assert_array_equal(scores, baseline_scores(train, targets, test))


def test_labels_that_cannot_be_fitted_get_their_prior() -> None:
    features = np.zeros((4, 2))
    for targets in (np.zeros((4, 2), bool), np.tile([True, False], (4, 1))):
        scores = baseline_scores(features, targets, np.ones((3, 2)))
        np.testing.assert_array_equal(scores, np.tile(targets[0].astype(float), (3, 1)))
    assert baseline_scores(features, np.eye(4, dtype=bool), np.ones((0, 2))).shape == (0, 4)


def test_constant_features_do_not_blow_up() -> None:
    train, targets = separable(60, 3, seed=0)
    constant = np.full((60, 1), 0.1) + np.arange(60)[:, np.newaxis] % 2 * 1e-15
    shifted = np.full((60, 1), 0.1 + 1e-9)
    with_constant = baseline_scores(np.hstack([train, constant]), targets, np.hstack([train, shifted]))
    np.testing.assert_allclose(with_constant, baseline_scores(train, targets, train), rtol=0, atol=1e-6)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ScoreError, match="do not fit together"):
        baseline_scores(np.zeros((4, 2)), np.zeros((3, 1), bool), np.zeros((2, 2)))
    with pytest.raises(ScoreError, match="do not fit together"):
        baseline_scores(np.zeros((4, 2)), np.zeros((4, 1), bool), np.zeros((2, 3)))
    with pytest.raises(ScoreError, match="no training clip"):
        baseline_scores(np.zeros((0, 2)), np.zeros((0, 1), bool), np.zeros((2, 2)))
