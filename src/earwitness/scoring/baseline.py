"""The baseline printed beside every result: logistic regression on mean and spread of a clip's log-mel.

It knows the average spectrum of a clip and how much it varies, and nothing about what happens when. A network
that does not beat it has learnt nothing of the sounds. It is fitted on the clips the network was trained on.

- Features: mean and (population) standard deviation over all frames of a clip, for each band; standardised by
  the training clips.
- Several labels a clip: one logistic regression a label. Exactly one label for every training clip: one
  multinomial regression, which may use that labels exclude each other. It is the harder one to beat: on the
  five folds of ESC-10 its mAP is 0.87, that of ten single ones 0.78 (accuracy 79 and 80 %).
- L2 penalty with scikit-learn's default strength (C = 1), nothing tuned, no random numbers.
- A label that all training clips have, or none, cannot be fitted: its score is its prior in training.
"""

import warnings
from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from earwitness.errors import ScoreError

_BLOCK_FRAMES = 65_536
"""Frames read at a time (11 minutes), so that memory does not grow with the length of a clip."""

_LEAST_SPREAD = 1e-6
"""Below this a feature is constant but for rounding; it is centred and not blown up."""

Features = npt.NDArray[np.float64]
"""float64 [clips, 2 * bands]: means, then standard deviations."""


class ClipReader(Protocol):
    """What is needed of `store.reading.FrameReader`."""

    @property
    def store(self) -> Any:
        """Has `frames_per_clip`."""

    def read_clip(self, clip: int, *, first_frame: int = 0, num_frames: int | None = None) -> npt.NDArray[Any]:
        """Frames [frames, bands] of a clip."""
        ...


def baseline_features(reader: ClipReader, clips: Iterable[int]) -> Features:
    """Mean and standard deviation over time of each band of the log-mel frames of clips.

    Args:
        reader: reads frames from a store.
        clips: clip numbers in the store; the order of the rows.

    Returns:
        float64 [clips, 2 * bands]: the means of all bands, then their standard deviations.

    Raises:
        ScoreError: no clip is given, or a clip holds no frame.
    """
    rows = [_clip_statistics(reader, int(clip)) for clip in clips]
    if not rows:
        raise ScoreError("baseline: there is no clip to compute features of")
    return np.stack(rows)


def baseline_scores(
    train_features: Features, train_targets: npt.NDArray[np.bool_], test_features: Features
) -> npt.NDArray[np.float64]:
    """Probabilities of each label for the test clips, by logistic regression on the training clips.

    Args:
        train_features: float64 [training clips, features].
        train_targets: bool [training clips, labels].
        test_features: float64 [test clips, features].

    Returns:
        float64 [test clips, labels], in [0, 1]. The same for the same input.

    Raises:
        ScoreError: the shapes do not fit, or there is no training clip.
    """
    if len(train_features) != len(train_targets) or train_features.shape[1:] != test_features.shape[1:]:
        raise ScoreError(
            f"baseline: training features {train_features.shape}, training targets {train_targets.shape} and "
            f"test features {test_features.shape} do not fit together"
        )
    if not len(train_features):
        raise ScoreError("baseline: there is no training clip")
    centre = train_features.mean(axis=0)
    spread = train_features.std(axis=0)
    spread[spread < _LEAST_SPREAD] = 1.0
    train = (train_features - centre) / spread
    test = (test_features - centre) / spread

    scores = np.tile(train_targets.mean(axis=0), (len(test), 1))
    has_both = train_targets.any(axis=0) & ~train_targets.all(axis=0)
    if not len(test) or not has_both.any():
        return scores
    if np.all(np.count_nonzero(train_targets, axis=1) == 1):
        present = np.flatnonzero(has_both)
        scores[:, present] = _fit_and_predict(train, train_targets[:, present].argmax(axis=1), test)
    else:
        for label in np.flatnonzero(has_both):
            scores[:, label] = _fit_and_predict(train, train_targets[:, label], test)[:, 1]
    return scores


def _fit_and_predict(train: Features, classes: npt.NDArray[Any], test: Features) -> npt.NDArray[np.float64]:
    """Probabilities [test clips, classes] of the classes in ascending order; two classes or more."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1.0, solver="lbfgs", max_iter=1000)
    with warnings.catch_warnings():
        # stopped at the limit it is a baseline all the same
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(train, classes)
    probabilities: npt.NDArray[np.float64] = model.predict_proba(test)
    return probabilities


def _clip_statistics(reader: ClipReader, clip: int) -> npt.NDArray[np.float64]:
    """Mean and standard deviation, joined block by block (Chan, Golub and LeVeque 1983)."""
    total = int(reader.store.frames_per_clip[clip])
    if total == 0:
        raise ScoreError(f"baseline: clip {clip} of the store holds no frame")
    count = 0
    mean: Any = 0.0
    squares: Any = 0.0  # sum of squared distances from the mean
    for first in range(0, total, _BLOCK_FRAMES):
        block = reader.read_clip(clip, first_frame=first, num_frames=min(_BLOCK_FRAMES, total - first))
        frames = np.asarray(block, dtype=np.float64)
        block_mean = frames.mean(axis=0)
        weight = len(frames) / (count + len(frames))
        step = block_mean - mean
        squares = squares + ((frames - block_mean) ** 2).sum(axis=0) + step**2 * count * weight
        mean = mean + step * weight
        count += len(frames)
    return np.concatenate([mean, np.sqrt(squares / total)])
