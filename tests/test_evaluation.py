"""The evaluation of scored clips: means over defined labels, chance, and plain values for JSON."""

import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import (
    average_precision_score,
    label_ranking_average_precision_score,
    precision_recall_fscore_support,
    roc_auc_score,
)

from earwitness.errors import ScoreError
from earwitness.evaluation.bootstrap import Resampling, interval
from earwitness.evaluation.metrics import auc_to_dprime, average_precision, one_best_accuracy, roc_auc
from earwitness.evaluation.positives import Positives
from earwitness.evaluation.score_source import ArrayScores
from earwitness.evaluation.summary import evaluate
from earwitness.labels import LabelSet

EXACT = 1e-12
LABELS = LabelSet(("a", "b", "c", "d"), ("Ay", "Bee", "Sea", "Dee"))


def made_up(clips: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Label c has no positive clip, label d no negative one; some clips have two labels beside d."""
    rng = np.random.default_rng(0)
    targets = rng.random((clips, 4)) < [0.3, 0.1, 0.0, 1.1]
    return rng.normal(size=(clips, 4)) + targets, targets


def test_means_are_over_the_defined_labels() -> None:
    scores, targets = made_up()
    evaluation = evaluate(scores, targets, label_set=LABELS)
    auc, precision = roc_auc(scores, targets)[:2], average_precision(scores, targets)[:2]
    assert (evaluation.num_clips, evaluation.num_labels, evaluation.num_undefined_labels) == (200, 4, 2)
    assert evaluation.mean_auc == pytest.approx(auc.mean(), abs=EXACT)
    assert evaluation.dprime == pytest.approx(auc_to_dprime(auc.mean()), abs=EXACT)
    assert evaluation.mean_label_dprime == pytest.approx(auc_to_dprime(auc).mean(), abs=EXACT)
    assert evaluation.mean_average_precision == pytest.approx(precision.mean(), abs=EXACT)
    assert evaluation.one_best_accuracy == one_best_accuracy(scores, targets)
    assert evaluation.accuracy is None
    assert [label.is_defined for label in evaluation.labels] == [True, True, False, False]
    assert [label.id for label in evaluation.labels] == ["a", "b", "c", "d"]
    assert [label.name for label in evaluation.labels] == ["Ay", "Bee", "Sea", "Dee"]
    assert [label.num_positives for label in evaluation.labels] == targets.sum(axis=0).tolist()
    # so that the mean of the table's column is the headline
    assert all(math.isnan(label.average_precision) for label in evaluation.labels[2:])


def test_chance_is_what_scores_without_hearing_get() -> None:
    _, targets = made_up()
    chance = evaluate(targets.astype(float), targets, label_set=LABELS).chance
    deaf = np.tile(targets.mean(axis=0), (len(targets), 1))
    evaluation = evaluate(deaf, targets, label_set=LABELS)
    for name in ("mean_auc", "dprime", "mean_label_dprime", "mean_average_precision", "one_best_accuracy"):
        assert getattr(evaluation, name) == pytest.approx(getattr(chance, name), abs=EXACT), name
    assert chance.mean_auc == 0.5
    assert chance.mean_average_precision == pytest.approx(targets[:, :2].mean(), abs=EXACT)


def test_accuracy_where_every_clip_has_one_label() -> None:
    targets = np.eye(4, dtype=bool)[[0, 0, 0, 1, 2, 3]]
    evaluation = evaluate(np.eye(4)[[0, 0, 1, 1, 2, 2]], targets, label_set=LABELS)
    assert evaluation.is_single_label
    assert evaluation.accuracy == evaluation.one_best_accuracy == pytest.approx(4 / 6)
    assert evaluation.chance.one_best_accuracy == 3 / 6


def test_perfect_scores_have_finite_label_dprimes() -> None:
    targets = np.eye(4, dtype=bool)[np.arange(40) % 4]
    evaluation = evaluate(targets.astype(np.float32), targets, label_set=LABELS)
    assert evaluation.mean_auc == evaluation.mean_average_precision == evaluation.accuracy == 1.0
    assert math.isinf(evaluation.dprime)
    assert evaluation.mean_label_dprime == pytest.approx(auc_to_dprime(1 - 0.5 / (10 * 30)), abs=EXACT)
    assert evaluation.to_dict()["dprime"] is None


def test_all_labels_undefined_and_no_clip_labelled() -> None:
    evaluation = evaluate(np.ones((3, 4)), np.zeros((3, 4), dtype=bool), label_set=LABELS)
    assert evaluation.num_undefined_labels == 4
    for value in (evaluation.mean_auc, evaluation.mean_average_precision, evaluation.one_best_accuracy):
        assert math.isnan(value)
    assert math.isnan(evaluation.chance.one_best_accuracy)


def test_to_dict_is_strict_json() -> None:
    scores, targets = made_up()
    evaluation = evaluate(scores, targets, label_set=LABELS)
    values = json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))
    assert values["schema_version"] == 3
    assert values["mean_auc"] == evaluation.mean_auc
    assert values["accuracy"] is None
    assert values["chance"]["mean_auc"] == 0.5
    assert values["labels"][0]["average_precision"] == evaluation.labels[0].average_precision
    assert values["labels"][2] == {
        "id": "c",
        "name": "Sea",
        "num_positives": 0,
        "prior": 0.0,
        "auc": None,
        "dprime": None,
        "average_precision": None,
        "threshold": 0.5,
        "precision": 0.0,
        "recall": None,
        "f1": None,
        "calibration_error": None,
        "auc_interval": None,
        "average_precision_interval": None,
    }
    assert values["intervals"] is None
    drawn = evaluate(scores, targets, label_set=LABELS, resamples=20)
    ends = json.loads(json.dumps(drawn.to_dict(), allow_nan=False))["intervals"]["mean_auc"]
    assert ends == {"low": drawn.intervals["mean_auc"].low, "high": drawn.intervals["mean_auc"].high}


def test_what_does_not_fit_is_refused() -> None:
    scores, targets = made_up()
    with pytest.raises(ScoreError, match="4 columns, but the label set has 2 labels"):
        evaluate(scores, targets, label_set=LabelSet.of("ab"))
    with pytest.raises(ScoreError, match="no clip to evaluate"):
        evaluate(scores[:0], targets[:0], label_set=LABELS)
    with pytest.raises(ScoreError, match=r"scores are \(200, 4\), targets \(199, 4\)"):
        evaluate(scores, targets[1:], label_set=LABELS)
    with pytest.raises(ScoreError, match=r"thresholds are \(3,\); one number .* one for each of 4 labels"):
        evaluate(scores, targets, label_set=LABELS, thresholds=[0.1, 0.2, 0.3])
    for bad in (np.nan, np.inf, -np.inf):
        scores[3, 1] = bad
        for workers in (1, 3):
            with pytest.raises(ScoreError, match=rf"clip row 3 \(from 0\), label 'b' is {bad}; every score must be"):
                evaluate(scores, targets, label_set=LABELS, memory_bytes=1, workers=workers)


class WatchedSource:
    """Scores of which it is noted how much was asked for at a time."""

    def __init__(self, scores: npt.NDArray[Any]) -> None:
        self._scores = ArrayScores(scores)
        self.num_clips, self.num_labels = scores.shape
        self.largest_bytes = 0

    def label_block(self, first: int, stop: int) -> npt.NDArray[Any]:
        return self._watched(self._scores.label_block(first, stop))

    def clip_block(self, first: int, stop: int) -> npt.NDArray[Any]:
        return self._watched(self._scores.clip_block(first, stop))

    def _watched(self, block: npt.NDArray[Any]) -> npt.NDArray[Any]:
        self.largest_bytes = max(self.largest_bytes, block.nbytes)
        return block


def many_labels() -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_], LabelSet]:
    """Probabilities of 23 labels, some of them tied, some with few positives or none."""
    rng = np.random.default_rng(1)
    targets = rng.random((3000, 23)) < np.geomspace(1e-4, 0.5, 23)
    scores = (1 / (1 + np.exp(3 - rng.normal(size=targets.shape) - 2 * targets))).astype(np.float32)
    scores[:, ::3] = np.round(scores[:, ::3], 1)
    return scores, targets, LabelSet.of(f"label{i}" for i in range(23))


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("memory_bytes", [1, 100_000, 2**29])
def test_blocks_and_threads_do_not_matter(memory_bytes: int, workers: int) -> None:
    scores, targets, label_set = many_labels()
    thresholds = np.linspace(0.1, 0.4, 23)
    plain = evaluate(scores, targets, label_set=label_set, thresholds=thresholds, resamples=30, workers=1)
    source, done = WatchedSource(scores), []
    again = evaluate(
        source,
        Positives.from_dense(targets),
        label_set=label_set,
        thresholds=thresholds,
        resamples=30,
        memory_bytes=memory_bytes,
        workers=workers,
        on_labels=done.append,
    )
    assert again.to_dict() == plain.to_dict()
    assert sum(done) == 23
    one_label = scores[:, 0].nbytes
    assert source.largest_bytes <= max(memory_bytes, one_label)


def test_order_of_clips_and_monotone_maps_do_not_matter() -> None:
    scores, targets, label_set = many_labels()
    plain = evaluate(scores, targets, label_set=label_set)
    order = np.random.default_rng(2).permutation(len(scores))
    shuffled = evaluate(scores[order], targets[order], label_set=label_set)
    stretched = evaluate(scores.astype(np.float64) * 1024 - 5, targets, label_set=label_set)  # exact
    for name in ("mean_auc", "mean_average_precision", "micro_auc", "micro_average_precision", "micro_f1", "mean_f1"):
        assert getattr(shuffled, name) == getattr(plain, name), name
        if "f1" not in name:
            assert getattr(stretched, name) == getattr(plain, name), name
    for name in ("lwlrap", "one_best_accuracy"):
        assert getattr(shuffled, name) == pytest.approx(getattr(plain, name), abs=EXACT), name
        assert getattr(stretched, name) == getattr(plain, name), name


def test_measures_over_labels_equal_scikit_learn() -> None:
    scores, targets, label_set = many_labels()
    evaluation = evaluate(scores, targets, label_set=label_set, thresholds=0.25)
    is_defined = targets.any(axis=0) & ~targets.all(axis=0)
    own, true = scores[:, is_defined], targets[:, is_defined]
    assert evaluation.num_undefined_labels == np.count_nonzero(~is_defined) > 0
    assert evaluation.mean_auc == pytest.approx(roc_auc_score(true, own, average="macro"), abs=EXACT)
    assert evaluation.mean_average_precision == pytest.approx(average_precision_score(true, own), abs=EXACT)
    assert evaluation.micro_auc == pytest.approx(roc_auc_score(targets.ravel(), scores.ravel()), abs=EXACT)
    expected = average_precision_score(targets.ravel(), scores.ravel())
    assert evaluation.micro_average_precision == pytest.approx(expected, abs=EXACT)
    answered = scores >= 0.25
    assert answered[:, is_defined].any(axis=0).all(), "so that every label has a precision"
    for name, average, table in (("mean", "macro", is_defined), ("micro", "micro", slice(None))):
        expected = precision_recall_fscore_support(targets[:, table], answered[:, table], average=average)
        for measure, value in zip(("precision", "recall", "f1"), expected, strict=False):
            assert getattr(evaluation, f"{name}_{measure}") == pytest.approx(value, abs=EXACT), (name, measure)


def test_intervals_of_all_measures_equal_a_slow_bootstrap() -> None:
    """Every measure of summary, of tables in which clips are repeated as often as they were drawn, by scikit-learn."""
    scores, targets, label_set = many_labels()
    scores, targets = scores[:300], targets[:300]
    targets[:, 22] = True  # undefined, but its yeses count among all
    limits = np.linspace(0.05, 0.4, 23)
    limits[[3, 20]] = np.nan
    found = evaluate(scores, targets, label_set=label_set, thresholds=limits, resamples=30, seed=5)
    resampling = Resampling(300, resamples=30, seed=5)
    drawn: dict[str, list[float]] = {}
    for column in range(1, 31):
        clips = np.repeat(np.arange(300), resampling.weights[:, column].astype(int))
        own, true = scores[clips], targets[clips]
        is_labelled = true.any(axis=1)
        values = {
            "one_best_accuracy": one_best_accuracy(own, true),
            "lwlrap": label_ranking_average_precision_score(
                true[is_labelled], own[is_labelled], sample_weight=true[is_labelled].sum(axis=1)
            ),
        }
        has_limit = ~np.isnan(limits)
        yes, asked = own >= limits, true[:, has_limit]
        micro = precision_recall_fscore_support(asked, yes[:, has_limit], average="micro")
        each = precision_recall_fscore_support(true, yes, average=None, zero_division=np.nan)
        is_defined = true.any(axis=0) & ~true.all(axis=0) & has_limit & targets.any(axis=0) & ~targets.all(axis=0)
        for name, pooled, of_labels in zip(("precision", "recall", "f1"), micro, each, strict=False):
            values[f"micro_{name}"] = pooled
            values[f"mean_{name}"] = np.nanmean(of_labels[is_defined])
        for name, value in values.items():
            drawn.setdefault(name, []).append(value)
    assert found.intervals is not None
    assert set(drawn) <= set(found.intervals)
    for name, replicates in drawn.items():
        expected = interval(np.array(replicates), getattr(found, name), is_share=True)
        assert expected is not None
        ends = found.intervals[name]
        assert (ends.low, ends.high) == pytest.approx((expected.low, expected.high), abs=1e-9), name
        assert ends.low < getattr(found, name) < ends.high, name


def test_it_is_said_over_how_many_labels_each_measure_is() -> None:
    scores, targets = made_up()
    evaluation = evaluate(scores, targets, label_set=LABELS, thresholds=[1.0, np.inf, np.nan, 0.0])
    assert dict(evaluation.num_labels_in) == {
        **dict.fromkeys(("mean_auc", "dprime", "mean_label_dprime", "mean_average_precision"), 2),
        "mean_precision": 1,  # no clip is answered with b
        **dict.fromkeys(("mean_recall", "mean_f1"), 2),
        "calibration_error": 0,
        **dict.fromkeys(("one_best_accuracy", "lwlrap", "micro_auc", "micro_average_precision"), 4),
        **dict.fromkeys(("micro_precision", "micro_recall", "micro_f1"), 3),  # all but c, which has no threshold
    }
    assert evaluation.to_dict()["num_labels_in"] == evaluation.num_labels_in
    own = scores[:, 0] >= 1
    assert evaluation.mean_precision == pytest.approx((own & targets[:, 0]).sum() / own.sum(), abs=EXACT)


def test_thresholds_are_of_probabilities_unless_given() -> None:
    scores, targets, label_set = many_labels()
    probable = evaluate(scores, targets, label_set=label_set, thresholds=None, resamples=10)
    assert probable.to_dict() == evaluate(scores, targets, label_set=label_set, resamples=10).to_dict()
    assert probable.has_answers
    logits = evaluate(scores * 100, targets, label_set=label_set, thresholds=None, resamples=10)
    assert not logits.has_answers
    assert all(math.isnan(getattr(row, name)) for row in logits.labels for name in ("threshold", "precision", "f1"))
    for name in ("mean_precision", "mean_recall", "mean_f1", "micro_precision", "micro_recall", "micro_f1"):
        assert math.isnan(getattr(logits, name))
        assert logits.num_labels_in[name] == 0
        assert name not in (logits.intervals or {})
    assert logits.mean_auc == probable.mean_auc


def test_labels_without_a_threshold_or_an_answer() -> None:
    scores, targets = made_up()
    evaluation = evaluate(scores, targets, label_set=LABELS, thresholds=[np.nan, np.inf, 0.0, 0.0])
    without, never = evaluation.labels[:2]
    assert [math.isnan(x) for x in (without.threshold, without.precision, without.recall, without.f1)] == [True] * 4
    assert math.isnan(never.precision)
    assert (never.recall, never.f1) == (0.0, 0.0)
    assert math.isnan(evaluation.mean_precision), "no defined label has one"
    assert evaluation.mean_recall == evaluation.mean_f1 == 0.0
    answered, true = scores[:, 1:] >= [np.inf, 0, 0], targets[:, 1:]
    assert evaluation.micro_precision == pytest.approx((answered & true).sum() / answered.sum(), abs=EXACT)


def test_calibration_is_of_probabilities_alone() -> None:
    _, targets = made_up()
    half = np.full(targets.shape, 0.5)
    found = evaluate(half, targets, label_set=LABELS)
    expected = np.abs(0.5 - targets[:, :2].mean(axis=0))
    assert found.calibration_error == pytest.approx(expected.mean(), abs=EXACT)
    assert [label.calibration_error for label in found.labels[:2]] == pytest.approx(expected.tolist(), abs=EXACT)
    logits = half.copy()
    logits[0, 3] = 1.5  # one of them shows that none is a probability
    found = evaluate(logits, targets, label_set=LABELS)
    assert math.isnan(found.calibration_error)
    assert all(math.isnan(label.calibration_error) for label in found.labels)


def test_intervals_lie_around_what_they_are_of() -> None:
    scores, targets, label_set = many_labels()
    evaluation = evaluate(scores, targets, label_set=label_set, resamples=200, seed=3)
    assert evaluation.resamples == 200
    assert evaluation.intervals is not None
    assert {"mean_auc", "dprime", "mean_label_dprime", "mean_average_precision"} <= set(evaluation.intervals)
    for name in ("mean_auc", "dprime"):
        ends = evaluation.intervals[name]
        assert ends.low < getattr(evaluation, name) < ends.high
    for label in evaluation.labels:
        says_nothing = not label.is_defined or label.num_positives < 2
        assert (label.auc_interval is None) == (label.average_precision_interval is None) == says_nothing
    common = evaluation.labels[-1]
    assert common.auc_interval is not None
    assert common.auc_interval.low < common.auc < common.auc_interval.high
    assert common.auc_interval.high - common.auc_interval.low < 0.05, "1,500 positive clips tell much"
    again = evaluate(scores, targets, label_set=label_set, resamples=200, seed=3)
    other = evaluate(scores, targets, label_set=label_set, resamples=200, seed=4)
    assert again.to_dict() == evaluation.to_dict()
    assert other.intervals != evaluation.intervals
    assert evaluate(scores, targets, label_set=label_set).intervals is None
