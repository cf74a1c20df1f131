"""What confidence intervals cost beside the ranking they belong to, and how often they cover the truth.

    python benchmarks/bootstrap.py [--clips 1000000] [--resamples 200] [--trials 400]

The first table has milliseconds of processor time per label: AUC and average precision by `rank_label`, and all their
replicates by `Resampling.label` (which is given the measures), and those of the answers at a threshold. Making the
weights is timed once: labels share them.

The second draws `--trials` test sets of 3,000 clips, from two unit normals `shift` apart, and counts how many of the
95 % intervals hold the truth: the AUC that such normals have, and the mean AP of all trials.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from earwitness.evaluation.bootstrap import LabelReplicates, Resampling
from earwitness.evaluation.metrics import rank_label

COVERAGE_CLIPS = 3_000


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=1_000_000)
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=7, help="of each timing; the best is shown")
    parser.add_argument("--trials", type=int, default=400, help="test sets for each row of the coverage")
    arguments = parser.parse_args()
    print_cost(arguments.clips, arguments.resamples, arguments.repeats)
    print_coverage(arguments.trials, arguments.resamples)


def print_cost(num_clips: int, resamples: int, repeats: int) -> None:
    """Milliseconds per label."""
    started = time.process_time()
    resampling = Resampling(num_clips, resamples=resamples, seed=0)
    seconds = time.process_time() - started
    print(f"{num_clips:,} clips, {resamples} resamples; making the weights takes {1000 * seconds:.0f} ms\n")
    print("| positives | ranking, ms | replicates and intervals, ms | ratio | those of answers, ms |")
    print("|---|---|---|---|---|")
    rng = np.random.default_rng(0)
    for num_positives in (33, 1_000, num_clips // 10):
        scores, positive_clips = draw_label(rng, num_clips, num_positives, shift=2.0)
        scores = (1 / (1 + np.exp(4 - 2 * scores))).astype(np.float32)
        measures = rank_label(scores, positive_clips)

        def rank(scores: Any = scores, clips: Any = positive_clips) -> None:
            rank_label(scores, clips)

        def replicate(scores: Any = scores, clips: Any = positive_clips, measures: Any = measures) -> None:
            resampling.label(scores, clips, measures=measures)

        def answer(scores: Any = scores, clips: Any = positive_clips) -> None:
            resampling.answers(scores, clips, 0.5)

        # by turns, so that both meet the same machine
        times = [(milliseconds(rank), milliseconds(replicate), milliseconds(answer)) for _ in range(repeats)]
        ranking, replicates, answers = (min(column) for column in zip(*times, strict=True))
        print(f"| {num_positives:,} | {ranking:.1f} | {replicates:.1f} | {replicates / ranking:.1f} | {answers:.1f} |")


def print_coverage(trials: int, resamples: int) -> None:
    """Share of the intervals that hold the truth."""
    print(f"\n{trials} test sets of {COVERAGE_CLIPS:,} clips\n")
    print("| positives | shift | AUC | its intervals cover | mean AP | its intervals cover | without interval |")
    print("|---|---|---|---|---|---|---|")
    rng = np.random.default_rng(0)
    for num_positives, shift in ((5, 2.0), (10, 2.0), (33, 1.0), (33, 2.0), (33, 4.0), (300, 2.0)):
        precisions, measured = [], []
        for trial in range(trials):
            drawn = max(1, int(rng.binomial(COVERAGE_CLIPS, num_positives / COVERAGE_CLIPS)))
            scores, positive_clips = draw_label(rng, COVERAGE_CLIPS, drawn, shift=shift)
            precisions.append(rank_label(scores, positive_clips)[1])
            measured.append(Resampling(COVERAGE_CLIPS, resamples=resamples, seed=trial).label(scores, positive_clips))
        auc, precision = float(ndtr(shift / math.sqrt(2))), statistics.fmean(precisions)
        without = sum(one.auc_interval is None for one in measured) / trials
        print(
            f"| {num_positives} | {shift:g} | {auc:.4f} | {coverage('auc', auc, measured):.1%} "
            f"| {precision:.3f} | {coverage('average_precision', precision, measured):.1%} | {without:.1%} |"
        )


def draw_label(
    rng: np.random.Generator, num_clips: int, num_positives: int, *, shift: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Scores of unit normals, those of the positives `shift` higher, and where these are."""
    positive_clips = np.sort(rng.choice(num_clips, num_positives, replace=False))
    scores = rng.normal(size=num_clips)
    scores[positive_clips] += shift
    return scores, positive_clips


def milliseconds(call: Callable[[], None]) -> float:
    """Processor time of one call: what else runs on the machine counts for less."""
    started = time.process_time()
    call()
    return 1000 * (time.process_time() - started)


def coverage(name: str, truth: float, measured: list[LabelReplicates]) -> float:
    """Share of the intervals there are that hold the truth."""
    intervals = [getattr(one, f"{name}_interval") for one in measured]
    return statistics.fmean(own.low <= truth <= own.high for own in intervals if own is not None)


if __name__ == "__main__":
    main()
