"""The evaluation of scored clips: means over defined labels, chance, and plain values for JSON."""

import json
import math

import numpy as np
import pytest

from earwitness.errors import ScoreError
from earwitness.evaluation.metrics import auc_to_dprime, average_precision, one_best_accuracy, roc_auc
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
    assert values["schema_version"] == 2
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
    }


def test_what_does_not_fit_is_refused() -> None:
    scores, targets = made_up()
    with pytest.raises(ScoreError, match="4 columns, but the label set has 2 labels"):
        evaluate(scores, targets, label_set=LabelSet.of("ab"))
    with pytest.raises(ScoreError, match="no clip to evaluate"):
        evaluate(scores[:0], targets[:0], label_set=LABELS)
    scores[3, 1] = np.nan
    with pytest.raises(ScoreError, match="clip row 3, label column 1"):
        evaluate(scores, targets, label_set=LABELS)
