"""Evaluations made up, of as many labels as wanted: what pages are filled with, without scoring anything."""

import math

import numpy as np
from scipy.special import ndtr

from earwitness.evaluation.interval import Interval
from earwitness.evaluation.paired import Comparison, LabelComparison, PairedDifference
from earwitness.evaluation.summary import Chance, Evaluation, LabelResult

NUM_CLIPS = 1_000_000
_SYLLABLES = ("ba", "ro", "ti", "ke", "mu", "sa", "li", "no", "ga", "pe", "vo", "du")
_KINDS = ("dog", "engine", "song", "choir", "rain", "drum", "crowd", "bird", "bell", "violin", "siren", "laughter")


def made_name(index: int) -> str:
    """The same name for the same index, and no other's."""
    word = ""
    rest = index
    while True:
        rest, place = divmod(rest, len(_SYLLABLES))
        word += _SYLLABLES[place]
        if rest == 0:
            break
    return f"{word.capitalize()} {_KINDS[(index * 7) % len(_KINDS)]}"


def made_evaluation(num_labels: int, *, seed: int = 0, shift: float = 0.0, resamples: int = 100) -> Evaluation:
    """An evaluation of a million clips, plausible in its figures; every 97th label is undefined."""
    rng = np.random.default_rng(seed)
    labels = [_label(index, rng, shift=shift, resamples=resamples) for index in range(num_labels)]
    defined = [label for label in labels if label.is_defined]

    def mean(field: str) -> float:
        return float(np.mean([getattr(label, field) for label in defined])) if defined else math.nan

    names = ("mean_auc", "dprime", "mean_label_dprime", "mean_average_precision", "one_best_accuracy", "lwlrap")
    names += ("micro_auc", "micro_average_precision", "mean_precision", "mean_recall", "mean_f1", "calibration_error")
    names += ("micro_precision", "micro_recall", "micro_f1")
    auc = mean("auc")
    values = {
        "mean_auc": auc,
        "dprime": mean("dprime"),
        "mean_label_dprime": mean("dprime"),
        "mean_average_precision": mean("average_precision"),
        "one_best_accuracy": 0.42 + shift / 20,
        "lwlrap": 0.51 + shift / 20,
        "micro_auc": auc,
        "micro_average_precision": 0.39 + shift / 20,
        **{name: mean(name.removeprefix("mean_")) for name in names if name.startswith("mean_") and name[5] in "prf"},
        "calibration_error": mean("calibration_error"),
        "micro_precision": 0.5,
        "micro_recall": 0.4,
        "micro_f1": 0.44,
    }
    return Evaluation(
        num_clips=NUM_CLIPS,
        num_labels=num_labels,
        num_undefined_labels=num_labels - len(defined),
        **values,
        is_single_label=False,
        chance=Chance(0.5, 0.0, 0.0, mean("prior"), 0.1),
        labels=tuple(labels),
        intervals={name: _interval(value, 0.01) for name, value in values.items()} if resamples else None,
        resamples=resamples,
    )


def _label(index: int, rng: np.random.Generator, *, shift: float, resamples: int) -> LabelResult:
    draws = rng.normal(size=4)
    positives = 0 if index % 97 == 96 else int(10 ** np.clip(2.2 + 0.9 * draws[0], 0.5, 5.2))
    prior = positives / NUM_CLIPS
    dprime = float(np.clip(2.4 - 0.15 * math.log10(prior + 1e-7) + 0.7 * draws[1] + shift, -0.6, 5.5)) - 0.4
    auc = float(ndtr(dprime / math.sqrt(2)))
    precision = float(
        np.clip(ndtr(0.9 * dprime - 3.4 + 0.5 * draws[2] + 0.3 * math.log10(prior + 1e-7) + 1.2), 1e-5, 1)
    )
    if positives == 0:
        dprime = auc = precision = math.nan
    spread = 0.6 / math.sqrt(positives + 1)
    return LabelResult(
        id=f"/m/{index:05x}",
        name=made_name(index),
        num_positives=positives,
        prior=prior,
        auc=auc,
        dprime=dprime,
        average_precision=precision,
        threshold=float(ndtr(draws[3] - 1)),
        precision=min(1.0, precision * 1.1),
        recall=precision * 0.9,
        f1=precision,
        calibration_error=0.02 * (1 + abs(draws[3])) if positives else math.nan,
        auc_interval=_interval(auc, spread / 4) if resamples and positives else None,
        average_precision_interval=_interval(precision, spread) if resamples and positives else None,
    )


def _interval(value: float, spread: float) -> Interval:
    return Interval(max(0.0, value - spread), min(value + spread, 1.0) if value <= 1 else value + spread)


def made_comparison(num_labels: int, *, resamples: int = 200) -> Comparison:
    """Two of these evaluations laid side by side, as if they had been measured on the same clips."""
    a, b = (made_evaluation(num_labels, shift=shift, seed=0) for shift in (0.15, 0.0))
    rng = np.random.default_rng(1)
    labels = tuple(
        LabelComparison(one.id, one.name, one.num_positives, _paired(one, other, float(rng.normal(0, 0.05))))
        for one, other in zip(a.labels, b.labels, strict=True)
    )
    metrics = {
        field: PairedDifference(
            getattr(a, field),
            getattr(b, field),
            getattr(a, field) - getattr(b, field),
            Interval(
                *sorted((0.8 * (getattr(a, field) - getattr(b, field)), 1.2 * (getattr(a, field) - getattr(b, field))))
            ),
            1.0,
            0.0,
        )
        for field in ("mean_average_precision", "mean_auc", "dprime")
    }
    return Comparison(NUM_CLIPS, num_labels, a.num_undefined_labels, resamples, metrics, labels)


def _paired(one: LabelResult, other: LabelResult, noise: float) -> PairedDifference:
    a = min(max(one.average_precision + noise, 0.0), 1.0) if one.is_defined else math.nan
    b = other.average_precision
    if not one.is_defined:
        return PairedDifference(a, b, math.nan, None, math.nan, math.nan)
    spread = 0.4 / math.sqrt(one.num_positives + 1)
    share = float(ndtr((a - b) / spread))
    return PairedDifference(a, b, a - b, Interval(a - b - spread, a - b + spread), share, 1 - share)
