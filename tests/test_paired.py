"""Two models on the same clips: against a slow bootstrap of whole tables, and what must hold of any comparison."""

import math
from dataclasses import astuple

import numpy as np
import pytest

from earwitness.errors import ScoreError
from earwitness.evaluation.bootstrap import Resampling
from earwitness.evaluation.metrics import auc_to_dprime, rank_labels
from earwitness.evaluation.paired import compare_scores, paired_difference
from earwitness.evaluation.positives import Positives
from earwitness.evaluation.score_source import ArrayScores
from earwitness.labels import LabelSet

EXACT = 1e-12
"""Both sides are float64 sums of at most some ten thousand terms in [0, 1]."""

LABELS = LabelSet.of([f"sound {index}" for index in range(12)])
RESAMPLES = 40


def made_up(*, clips: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Label 3 has no positive clip, label 4 no negative one; a is better than b in what is shared."""
    rng = np.random.default_rng(0)
    targets = rng.random((clips, len(LABELS))) < 0.1
    targets[:, 3], targets[:, 4] = False, True
    shared = rng.normal(size=targets.shape) + targets
    b = shared + 0.5 * rng.normal(size=targets.shape)
    return (shared + 0.3 * targets).astype(np.float32), np.round(b, 1).astype(np.float32), targets


def test_comparison_equals_a_slow_bootstrap_of_the_tables() -> None:
    a, b, targets = made_up()
    comparison = compare_scores(
        ArrayScores(a), ArrayScores(b), Positives.from_dense(targets), label_set=LABELS, resamples=RESAMPLES, seed=5
    )
    resampling = Resampling(len(a), resamples=RESAMPLES, seed=5)
    drawn = {"mean_average_precision": [], "mean_auc": [], "dprime": []}
    own_precisions = []
    for column in range(RESAMPLES + 1):
        clips = np.repeat(np.arange(len(a)), resampling.weights[:, column].astype(int))
        both = [rank_labels(scores[clips], targets[clips]) for scores in (a, b)]
        is_defined = ~np.isnan(both[0].auc)
        assert is_defined.sum() == 10
        aucs = [ranking.auc[is_defined].mean() for ranking in both]
        drawn["mean_auc"].append(aucs)
        drawn["mean_average_precision"].append([r.average_precision[is_defined].mean() for r in both])
        drawn["dprime"].append(auc_to_dprime(aucs))
        own_precisions.append([r.average_precision for r in both])
    assert set(comparison.metrics) == set(drawn)
    for name, values in drawn.items():
        exact, replicates = values[0], np.array(values[1:])
        found, differences = comparison.metrics[name], replicates[:, 0] - replicates[:, 1]
        assert (found.a, found.b) == pytest.approx(tuple(exact), abs=EXACT)
        assert found.difference == pytest.approx(exact[0] - exact[1], abs=EXACT)
        assert found.share_better == np.mean(differences > 0)
        reach = 1.959963984540054 * np.std(differences, ddof=1)
        assert found.interval is not None
        assert found.interval.low == pytest.approx(found.difference - reach, abs=1e-9)
        assert found.interval.high == pytest.approx(found.difference + reach, abs=1e-9)
    precisions = np.array(own_precisions)  # [1 + resamples, models, labels]
    for label in (0, 11):
        row = comparison.labels[label].average_precision
        assert (row.a, row.b) == pytest.approx(tuple(precisions[0, :, label]), abs=EXACT)
        assert row.share_better == np.mean(precisions[1:, 0, label] > precisions[1:, 1, label])
        assert row.interval is not None


def test_rows_and_undefined_labels() -> None:
    a, b, targets = made_up()
    done: list[int] = []
    comparison = compare_scores(
        ArrayScores(a),
        ArrayScores(b),
        Positives.from_dense(targets),
        label_set=LABELS,
        resamples=RESAMPLES,
        memory_bytes=2 * 8 * 400 * 5,
        on_labels=done.append,
    )
    assert done == [1] * 12
    assert [label.name for label in comparison.labels] == list(LABELS.names)
    assert [label.id for label in comparison.labels] == list(LABELS.ids)
    assert [label.num_positives for label in comparison.labels] == targets.sum(axis=0).tolist()
    assert [i for i, label in enumerate(comparison.labels) if not label.is_defined] == [3, 4]
    assert (comparison.num_clips, comparison.num_labels, comparison.num_undefined_labels) == (400, 12, 2)
    row = comparison.labels[3].average_precision
    assert all(math.isnan(value) for value in (row.a, row.b, row.difference, row.share_better))
    assert row.interval is None
    whole = compare_scores(
        ArrayScores(a), ArrayScores(b), Positives.from_dense(targets), label_set=LABELS, resamples=RESAMPLES
    )
    assert whole.metrics == comparison.metrics
    defined = [i for i, label in enumerate(whole.labels) if label.is_defined]
    assert [whole.labels[i] for i in defined] == [comparison.labels[i] for i in defined]


def test_either_side_and_equal_models() -> None:
    a, b, targets = made_up()
    positives = Positives.from_dense(targets)
    forth = compare_scores(ArrayScores(a), ArrayScores(b), positives, label_set=LABELS, resamples=RESAMPLES)
    back = compare_scores(ArrayScores(b), ArrayScores(a), positives, label_set=LABELS, resamples=RESAMPLES)
    for name, one in forth.metrics.items():
        other = back.metrics[name]
        assert one.difference == -other.difference
        assert one.share_better == 1.0 - other.share_better
        assert one.share_better > 0.9
        assert one.interval is not None
        assert other.interval is not None
        assert one.interval.low == pytest.approx(-other.interval.high, abs=EXACT)
    same = compare_scores(ArrayScores(a), ArrayScores(np.exp(a)), positives, label_set=LABELS, resamples=RESAMPLES)
    for value in same.metrics.values():
        assert (value.difference, value.share_better, value.interval) == (0.0, 0.5, None)


def test_pairing_narrows_the_interval() -> None:
    a, b, targets = made_up(clips=3_000)
    comparison = compare_scores(
        ArrayScores(a), ArrayScores(b), Positives.from_dense(targets), label_set=LABELS, resamples=100
    )
    resampling = Resampling(3_000, resamples=100, seed=0)
    row, clips = comparison.labels[0].average_precision, np.flatnonzero(targets[:, 0])
    alone = [resampling.label(scores[:, 0], clips).average_precision_interval for scores in (a, b)]
    assert row.interval is not None
    widths = [i.high - i.low for i in alone if i is not None]
    assert row.interval.high - row.interval.low < 0.8 * math.hypot(*widths)


def test_infinite_and_undefined_measures() -> None:
    perfect = math.inf, np.array([np.inf, np.inf, 1.0])
    both = paired_difference(perfect, perfect)
    assert math.isnan(both.difference)
    assert both.share_better == 0.5  # of the resample that is known
    ahead = paired_difference(perfect, (1.0, np.array([1.0, np.inf, np.nan])))
    assert ahead.difference == math.inf
    assert ahead.share_better == 1.0
    assert ahead.interval is None
    nothing = paired_difference((math.nan, np.full(3, np.nan)), (1.0, np.ones(3)))
    assert math.isnan(nothing.share_better)
    no_label = np.zeros((5, 12))
    empty = compare_scores(
        ArrayScores(no_label), ArrayScores(no_label), Positives.from_dense(no_label > 0), label_set=LABELS
    )
    assert empty.num_undefined_labels == 12
    assert all(math.isnan(value.difference) for value in empty.metrics.values())
    assert len(astuple(empty)) == 6


def test_unusable_input_is_refused() -> None:
    a, b, targets = made_up()
    positives = Positives.from_dense(targets)
    with pytest.raises(ScoreError, match=r"scores are \(400, 11\), targets \(400, 12\)"):
        compare_scores(ArrayScores(a), ArrayScores(b[:, 1:]), positives, label_set=LABELS)
    with pytest.raises(ScoreError, match="12 columns, but the label set has 2 labels"):
        compare_scores(ArrayScores(a), ArrayScores(b), positives, label_set=LabelSet.of("ab"))
    b[17, 9] = np.nan
    with pytest.raises(ScoreError, match=r"clip row 17, label column 9 .* is nan"):
        compare_scores(ArrayScores(a), ArrayScores(b), positives, label_set=LABELS, memory_bytes=1)
