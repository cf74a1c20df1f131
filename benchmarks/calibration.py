"""Calibration and thresholds beside the usual ways, on made scores, and their time at the paper's number of labels.

Raw scores are made of logits whose calibration is known and differs between labels; what is fitted to some clips is
measured on as many others. Rivals: nothing; Platt's map of each label for itself, with his targets; one map for all.

    OMP_NUM_THREADS=1 python benchmarks/calibration.py
"""

import argparse
import time
import warnings

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from earwitness.decisions import logits, sigmoid
from earwitness.evaluation.calibration import bin_logits, fit_calibration
from earwitness.evaluation.curves import calibration_error
from earwitness.evaluation.decision_fits import fit_decisions
from earwitness.evaluation.positives import Positives
from earwitness.evaluation.score_source import ArrayScores
from earwitness.evaluation.thresholds import at_threshold, fit_threshold

Floats = npt.NDArray[np.float64]
Maps = tuple[Floats, Floats]


def made(num_clips: int, priors: Floats, seed: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Raw scores and labels [clips, labels]: sure of themselves, and a little too high."""
    of_labels = np.random.default_rng(0)
    slopes = np.exp(of_labels.normal(-0.4, 0.25, len(priors)))
    offsets = of_labels.normal(-0.7, 0.6, len(priors))
    rng = np.random.default_rng(seed)
    numbers = rng.normal(np.log(priors) - 1, 2.0, (num_clips, len(priors)))
    return sigmoid(numbers).astype(np.float32), rng.random(numbers.shape) < sigmoid(slopes * numbers + offsets)


def platt(scores: npt.NDArray[np.float32], truth: npt.NDArray[np.bool_]) -> Maps:
    """Platt 1999: a logistic regression for each label, with targets kept off 0 and 1."""
    slopes, offsets = np.ones(scores.shape[1]), np.zeros(scores.shape[1])
    for label in range(scores.shape[1]):
        own = truth[:, label]
        num_positives, num_negatives = np.count_nonzero(own), np.count_nonzero(~own)
        targets = np.where(own, (num_positives + 1) / (num_positives + 2), 1 / (num_negatives + 2))
        twice = np.tile(logits(scores[:, label]), 2)[:, None]
        classes = np.repeat([True, False], len(own))
        weights = np.concatenate([targets, 1 - targets])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fitted = LogisticRegression(C=1e6).fit(twice, classes, sample_weight=weights)
        slopes[label], offsets[label] = max(fitted.coef_[0, 0], 1e-3), fitted.intercept_[0]
    return slopes, offsets


def one_map(scores: npt.NDArray[np.float32], truth: npt.NDArray[np.bool_]) -> Maps:
    """A logistic regression of all labels together."""
    fitted = LogisticRegression(C=1e6).fit(logits(scores).reshape(-1, 1), truth.ravel())
    return np.full(scores.shape[1], fitted.coef_[0, 0]), np.full(scores.shape[1], fitted.intercept_[0])


def compare(num_clips: int, num_labels: int, rarest: float) -> None:
    """Print the log loss and calibration error of each way, and the F1 and precision of thresholds."""
    priors = np.geomspace(rarest, 0.1, num_labels)
    scores, truth = made(num_clips, priors, seed=1)
    others, others_truth = made(num_clips, priors, seed=2)
    positives = Positives.from_dense(truth)
    few = np.count_nonzero(positives.num_positives < 10)
    print(f"\n{num_clips:,} clips, {num_labels} labels, {few} of them with fewer than 10 positive clips")
    pooled = fit_calibration(bin_logits(ArrayScores(scores), positives))
    ways: dict[str, Maps] = {
        "raw": (np.ones(num_labels), np.zeros(num_labels)),
        "each label alone (Platt)": platt(scores, truth),
        "one map for all": one_map(scores, truth),
        "pooled (ours)": pooled,
    }
    has_any = others_truth.any(axis=0)
    for name, (slopes, offsets) in ways.items():
        mapped = slopes * logits(others) + offsets
        losses = np.mean(np.logaddexp(0, mapped) - others_truth * mapped, axis=0)
        unseen = sigmoid(mapped)
        errors = [
            calibration_error(np.ascontiguousarray(unseen[:, i]), np.flatnonzero(others_truth[:, i]))
            for i in np.flatnonzero(has_any)
        ]
        print(f"  {name:26} log loss {losses.mean():.4f}   calibration error {np.mean(errors):.4f}")
    raw: list[npt.NDArray[np.floating]] = [scores, others]
    calibrated: list[npt.NDArray[np.floating]] = [sigmoid(pooled[0] * logits(part) + pooled[1]) for part in raw]
    for name, is_calibrated in (("the clips alone", False), ("pooled with the promise", True)):
        sides = calibrated if is_calibrated else raw
        f1, right, yeses = [], 0, 0
        for label in np.flatnonzero(has_any):
            seen, unseen = (np.ascontiguousarray(side[:, label]) for side in sides)
            own, other = positives.of(int(label)), np.flatnonzero(others_truth[:, label])
            best = fit_threshold(seen, own, beta=1.0, is_calibrated=is_calibrated)
            f1.append(at_threshold(unseen, other, 0.5 if np.isnan(best) else best).f1)
            sure = fit_threshold(seen, own, precision=0.9, is_calibrated=is_calibrated)
            decisions = at_threshold(unseen, other, np.inf if np.isnan(sure) else sure)
            right += decisions.true_positives
            yeses += decisions.true_positives + decisions.false_positives
        share = f"{right / yeses:.3f} of {yeses}" if yeses else "none"
        print(f"  thresholds by {name:24} mean F1 {np.mean(f1):.3f}   yeses right at precision 0.9: {share}")


def measure_time(num_clips: int, num_labels: int) -> None:
    """Print how long all fits take, cross-fitting included."""
    scores, truth = made(num_clips, np.geomspace(1e-4, 0.05, num_labels), seed=1)
    start = time.process_time()
    folds = np.arange(num_clips) % 5
    fit_decisions(ArrayScores(scores), Positives.from_dense(truth), folds=folds, beta=1.0)
    seconds = time.process_time() - start
    print(f"\n{num_clips:,} clips, {num_labels} labels, all fitted and cross-fitted: {seconds:.1f} s of one core")
    print(f"  {1000 * seconds / num_labels:.1f} ms a label: {seconds / num_labels * 3087:.0f} s for 3,087")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=100_000, help="of the measured time")
    parser.add_argument("--labels", type=int, default=128, help="of the measured time")
    chosen = parser.parse_args()
    for sizes in ((200, 20, 0.03), (3_000, 300, 0.0005), (20_000, 300, 0.0002)):
        compare(*sizes)
    measure_time(chosen.clips, chosen.labels)
