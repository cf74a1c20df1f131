"""Two models on the same clips: against a slow bootstrap of whole tables, and what must hold of any comparison."""

import math

import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student
from sklearn.metrics import f1_score, label_ranking_average_precision_score

from earwitness.errors import ScoreError
from earwitness.evaluation.bootstrap import Resampling
from earwitness.evaluation.interval import Interval
from earwitness.evaluation.metrics import auc_to_dprime, one_best_accuracy, rank_labels
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
    drawn = {"mean_average_precision": [], "mean_auc": [], "dprime": [], "one_best_accuracy": [], "lwlrap": []}
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
        drawn["one_best_accuracy"].append([one_best_accuracy(scores[clips], targets[clips]) for scores in (a, b)])
        labels_of = targets[clips].sum(axis=1)
        drawn["lwlrap"].append(
            [
                label_ranking_average_precision_score(targets[clips], scores[clips], sample_weight=labels_of)
                for scores in (a, b)
            ]
        )
        own_precisions.append([r.average_precision for r in both])
    assert set(comparison.metrics) == set(drawn)
    for name, values in drawn.items():
        exact, replicates = values[0], np.array(values[1:])
        found, differences = comparison.metrics[name], replicates[:, 0] - replicates[:, 1]
        assert (found.a, found.b) == pytest.approx(tuple(exact), abs=EXACT)
        assert found.difference == pytest.approx(exact[0] - exact[1], abs=EXACT)
        if name in ("mean_average_precision", "mean_auc", "dprime"):
            assert found.share_better == np.mean(differences > 0)
        reach = 1.959963984540054 * np.std(differences, ddof=1)
        assert found.interval is not None
        assert found.interval.low == pytest.approx(found.difference - reach, abs=1e-9)
        assert found.interval.high == pytest.approx(found.difference + reach, abs=1e-9)
    precisions = np.array(own_precisions)  # [1 + resamples, models, labels]
    for label in (0, 11):
        row = comparison.labels[label].average_precision
        assert (row.a, row.b) == pytest.approx(tuple(precisions[0, :, label]), abs=EXACT)
        differences = precisions[1:, 0, label] - precisions[1:, 1, label]
        assert row.share_better == np.mean(differences > 0)
        assert row.share_worse == np.mean(differences < 0)
        low, high = slow_expanded_percentiles(differences, row.difference, int(targets[:, label].sum()))
        assert row.interval is not None
        assert (row.interval.low, row.interval.high) == pytest.approx((low, high), abs=1e-9)


def slow_expanded_percentiles(differences: np.ndarray, difference: float, num_clips: int) -> tuple[float, float]:
    """By sorting, with the normal and Student's distribution of scipy.stats."""
    reach = student.ppf(0.975, num_clips - 1) * math.sqrt(num_clips / (num_clips - 1))
    values = sorted(differences.tolist())
    ends = []
    for share in (norm.cdf(-reach), norm.cdf(reach)):
        place = share * (len(values) - 1)
        below = math.floor(place)
        above = min(below + 1, len(values) - 1)
        ends.append(values[below] + (place - below) * (values[above] - values[below]))
    return min(ends[0], difference), max(ends[1], difference)


def test_an_interval_ends_where_a_draw_does() -> None:
    """B is perfect in every resample, so A can never be ahead of it, and often is equal."""
    rng = np.random.default_rng(0)
    targets = np.zeros((80, len(LABELS)), dtype=bool)
    targets[np.arange(80), np.arange(80) % 10] = True
    b = targets + 0.1 * rng.random(targets.shape)
    a = b.copy()
    a[targets & (rng.random(targets.shape) < 0.2)] -= 1.0
    comparison = compare_scores(ArrayScores(a), ArrayScores(b), Positives.from_dense(targets), label_set=LABELS)
    compared = [label.average_precision for label in comparison.labels if label.average_precision.interval is not None]
    assert len(compared) >= 5
    for paired in compared:
        assert paired.interval is not None
        assert paired.interval.low <= paired.difference <= paired.interval.high <= 0.0
        assert paired.share_better == 0.0
        assert 0.0 < paired.share_worse <= 1.0
    assert any(paired.share_worse < 1.0 for paired in compared), "ties are for neither"
    for name in ("mean_average_precision", "mean_auc", "lwlrap", "one_best_accuracy"):
        ends = comparison.metrics[name].interval
        assert ends is not None
        assert ends.high <= 0.0


@pytest.mark.parametrize("num_clips", [2, 3, 8, 50, 5_000])
def test_percentiles_are_further_out_for_few_clips(num_clips: int) -> None:
    drawn = np.random.default_rng(num_clips).normal(0.2, 0.1, 300)
    found = paired_difference((0.6, 0.4 + drawn), (0.4, np.full(300, 0.4)), num_clips=num_clips, is_share=True).interval
    assert found is not None
    assert (found.low, found.high) == pytest.approx(slow_expanded_percentiles(drawn, 0.2, num_clips), abs=EXACT)
    assert drawn.min() <= found.low + EXACT <= np.quantile(drawn, 0.025) + 2 * EXACT
    outside = paired_difference((0.9, 0.4 + drawn), (0.1, np.full(300, 0.4)), num_clips=num_clips).interval
    assert outside is not None
    assert outside.high == pytest.approx(0.8), "the measured difference is within"


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
    assert all(math.isnan(value) for value in (row.a, row.b, row.difference, row.share_better, row.share_worse))
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
    for name in ("mean_average_precision", "mean_auc", "dprime"):
        one = forth.metrics[name]
        other = back.metrics[name]
        assert one.difference == -other.difference
        assert (one.share_better, one.share_worse) == (other.share_worse, other.share_better)
        assert one.share_better > 0.9
        assert one.interval is not None
        assert other.interval is not None
        assert one.interval.low == pytest.approx(-other.interval.high, abs=EXACT)
    same = compare_scores(ArrayScores(a), ArrayScores(np.exp(a)), positives, label_set=LABELS, resamples=RESAMPLES)
    for value in same.metrics.values():
        assert (value.difference, value.share_better, value.share_worse, value.interval) == (0.0, 0.0, 0.0, None)
    assert not same.are_equal, "one is stretched"
    assert compare_scores(ArrayScores(a), ArrayScores(a), positives, label_set=LABELS, resamples=2).are_equal


def test_answers_are_compared_where_there_are_thresholds() -> None:
    a, b, targets = made_up()
    a, b = ((1 / (1 + np.exp(-scores))).astype(np.float32) for scores in (a, b))
    positives, own = Positives.from_dense(targets), np.linspace(0.4, 0.7, len(LABELS))
    comparison = compare_scores(
        ArrayScores(a), ArrayScores(b), positives, label_set=LABELS, resamples=RESAMPLES, thresholds_b=own
    )
    drawn: dict[str, list[list[float]]] = {"mean_f1": [], "micro_f1": []}
    resampling = Resampling(len(a), resamples=RESAMPLES, seed=0)
    for column in range(RESAMPLES + 1):
        clips = np.repeat(np.arange(len(a)), resampling.weights[:, column].astype(int))
        answers = [scores[clips] >= limits for scores, limits in ((a, 0.5), (b, own))]
        is_defined = targets[clips].any(axis=0) & ~targets[clips].all(axis=0)
        drawn["micro_f1"].append([f1_score(targets[clips], yes, average="micro") for yes in answers])
        drawn["mean_f1"].append(
            [f1_score(targets[clips][:, is_defined], yes[:, is_defined], average="macro") for yes in answers]
        )
    for name, values in drawn.items():
        exact, replicates = values[0], np.array(values[1:])
        found, differences = comparison.metrics[name], replicates[:, 0] - replicates[:, 1]
        assert (found.a, found.b) == pytest.approx(tuple(exact), abs=EXACT)
        reach = 1.959963984540054 * np.std(differences, ddof=1)
        assert found.interval is not None
        assert found.interval.low == pytest.approx(found.difference - reach, abs=1e-9)
    stretched = compare_scores(ArrayScores(a), ArrayScores(b * 2), positives, label_set=LABELS, resamples=RESAMPLES)
    assert not set(drawn) & set(stretched.metrics), "b has no probabilities, and no thresholds"


def test_no_mean_is_taken_beyond_one() -> None:
    drawn = np.linspace(0.5, 0.9, 40)
    a, b = (0.98, drawn), (0.3, drawn[::-1])
    plain, held = paired_difference(a, b), paired_difference(a, b, is_share=True)
    assert plain.interval is not None
    assert plain.interval.high > 0.7
    assert held.interval == Interval(plain.interval.low, 1.0 - 0.3), "a is at most 1, b was never below 0.3"
    turned = paired_difference(b, a, is_share=True).interval
    assert turned == Interval(-0.7, -plain.interval.low)
    low = paired_difference((0.02, 1 - drawn), (0.4, np.full(40, 0.4)), is_share=True).interval
    assert low is not None
    assert low.low == -0.4, "a is at least 0, b was never above 0.4"


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
    assert (both.share_better, both.share_worse) == (0.0, 0.0)  # of the resample that is known
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
    assert empty.are_equal


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
