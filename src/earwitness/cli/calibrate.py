"""`earwitness calibrate`: a model whose scores are probabilities, with a threshold of its own for every label."""

from dataclasses import dataclass
from math import isfinite, isinf, isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from earwitness.cli.output import counted, print_json, print_next, progress_bar, remark
from earwitness.errors import SettingsError

if TYPE_CHECKING:
    from earwitness.evaluation.decision_fits import DecisionFits, Worth
    from earwitness.evaluation.thresholds import Decisions
    from earwitness.experiments.calibrating import CalibratedModel

SCHEMA_VERSION = 2


@dataclass(frozen=True, kw_only=True)
class Calibrate:
    """Fit a calibration of scores and a threshold for every label to clips that the model has not learnt from.

    OUT is the same model with both; `tag` and `evaluate` use them.
    """

    model: Annotated[Positional[Path], arg(metavar="MODEL")]
    """A model file (model.safetensors of a run)."""
    store: Annotated[Positional[str], arg(metavar="STORE")]
    """Made by `earwitness prepare`."""
    out: Annotated[Positional[Path], arg(metavar="OUT")]
    """The model file to write (.safetensors)."""
    where: str | None = None
    """SQL condition over the manifest's columns: the clips to fit to, for example "fold = 4"."""
    precision: float | None = None
    """Thresholds at which so large a share of the yeses is right, with the largest recall; for example 0.9."""
    f_beta: float | None = None
    """Thresholds with the largest F-beta: recall weighs so many times as much as precision. None: 1, or a precision."""
    no_calibration: bool = False
    """Fit thresholds of raw scores only."""
    overwrite: bool = False
    """Replace OUT where it is there already; it may be MODEL itself."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..."""
    json: bool = False
    """Report as JSON, with a row for every label."""

    def run(self) -> int:
        """Fit, write and report."""
        from earwitness.evaluation.thresholds import require_one_aim

        if self.precision is not None and self.f_beta is not None:
            raise SettingsError("--precision and --f-beta are two aims; choose one of them")
        beta = 1.0 if self.precision is None and self.f_beta is None else self.f_beta
        require_one_aim(precision=self.precision, beta=beta)

        from earwitness.experiments.calibrating import calibrate_model, require_new_file
        from earwitness.models.model_file import load_model, save_model
        from earwitness.store.embeddings import open_store

        model = load_model(self.model)
        store = open_store(self.store)
        require_new_file(self.out, model=self.model, may_overwrite=self.overwrite)
        with progress_bar(total=None, unit="patch", title="score") as bar:

            def show(done: int, num_patches: int) -> None:
                bar.total = num_patches
                bar.update(done - bar.n)

            outcome = calibrate_model(
                model,
                store,
                where=self.where,
                precision=self.precision,
                beta=beta,
                is_calibrated=not self.no_calibration,
                device=self.device,
                on_patches=show,
            )
        save_model(outcome.model, self.out)
        if self.json:
            print_json(self._to_dict(outcome))
            return 0
        self._print(outcome)
        for note in (*outcome.notes, *_doubts(outcome)):
            remark(note)
        print_next("tag", self.out, "FILES")
        return 0

    def _to_dict(self, outcome: "CalibratedModel") -> dict[str, Any]:
        thresholds = outcome.model.thresholds
        assert thresholds is not None
        fits = outcome.fits
        values = thresholds.to_dict()["values"]
        rows = [
            {
                **label,
                "num_positives": int(outcome.num_positives[number]),
                "slope": None if fits.slopes is None else float(fits.slopes[number]),
                "offset": None if fits.offsets is None else float(fits.offsets[number]),
                "threshold": values[number],
                "raw": _label_worth(fits.raw, number),
                "fitted": None if fits.fitted is None else _label_worth(fits.fitted, number),
            }
            for number, label in enumerate(outcome.model.label_set.to_rows())
        ]
        own, too_few, never = _kinds(fits)
        return {
            "schema_version": SCHEMA_VERSION,
            "model_path": str(self.model),
            "store_path": str(self.store),
            "out_path": str(self.out),
            "where": self.where,
            "num_clips": thresholds.fitted_on.num_clips,
            "store_fingerprint": thresholds.fitted_on.store_fingerprint,
            "precision": thresholds.precision,
            "beta": thresholds.beta,
            "is_calibrated": fits.slopes is not None,
            "num_labels_with_threshold": own,
            "num_labels_with_too_few_clips": too_few,
            "num_labels_that_miss_the_precision": never,
            "raw": _worth(fits.raw, fits),
            "fitted": None if fits.fitted is None else _worth(fits.fitted, fits),
            "num_labels_in": {
                "raw": _num_labels(fits.raw, fits),
                "fitted": None if fits.fitted is None else _num_labels(fits.fitted, fits),
            },
            "notes": [*outcome.notes, *_doubts(outcome)],
            "labels": rows,
        }

    def _print(self, outcome: "CalibratedModel") -> None:
        thresholds, fits = outcome.model.thresholds, outcome.fits
        assert thresholds is not None
        own, too_few, never = _kinds(fits)
        aim = f"F{thresholds.beta:g}" if thresholds.beta is not None else f"precision {thresholds.precision:g}"
        print(f"{self.out}: fitted to {counted(thresholds.fitted_on.num_clips, 'clip')}")
        if fits.slopes is not None:
            print(f"  calibration: {counted(len(fits.slopes), 'label')}; the fewer clips, the more it is that of all")
        said = [f"{counted(own, 'label')} with one"]
        if too_few:
            default = max(0.5, thresholds.precision or 0.0)
            said.append(f"{too_few} with too few clips, which go by {default:g}")
        if never:
            said.append(f"{never} that cannot reach it on these clips, and are never a yes")
        print(f"  thresholds for {aim}: {'; '.join(said)}")
        before, after = _worth(fits.raw, fits), None if fits.fitted is None else _worth(fits.fitted, fits)
        numbers = [_num_labels(side, fits) for side in (fits.raw, fits.fitted) if side is not None]
        print(f"\n{'on clips not fitted to':24}  {'raw, at 0.5':>12}  {'fitted':>8}  {'over labels':>12}")
        for name in before:
            over = ", ".join(dict.fromkeys(f"{own[name]:,}" for own in numbers))
            after_words = _number((after or {}).get(name))
            print(f"{name.replace('_', ' '):24}  {_number(before[name]):>12}  {after_words:>8}  {over:>12}")
        print("Means are over the labels that have a value; a label without a yes has no precision.\n")


def _kinds(fits: "DecisionFits") -> tuple[int, int, int]:
    """Labels with a threshold, with too few clips, and that cannot reach the precision."""
    values = fits.thresholds.tolist()
    return sum(map(isfinite, values)), sum(map(isnan, values)), sum(map(isinf, values))


def _worth(worth: "Worth", fits: "DecisionFits") -> dict[str, float | None]:
    """The means over labels, and of all yeses of the labels that have a threshold."""
    from earwitness.evaluation.decision_fits import mean_of
    from earwitness.evaluation.thresholds import added_up

    decisions = worth.of_labels(_compared(fits))
    both = added_up(decisions)
    return {
        "calibration_error": _finite(worth.mean_calibration_error),
        "log_loss": _finite(worth.mean_log_loss),
        "mean_precision": _finite(mean_of(decisions, "precision")),
        "mean_recall": _finite(mean_of(decisions, "recall")),
        "mean_f1": _finite(mean_of(decisions, "f1")),
        "micro_precision": _finite(both.precision),
        "micro_recall": _finite(both.recall),
        "micro_f1": _finite(both.f1),
    }


def _num_labels(worth: "Worth", fits: "DecisionFits") -> dict[str, int]:
    """Over how many labels each of those is."""
    decisions = worth.of_labels(_compared(fits))
    return {
        "calibration_error": sum(map(isfinite, worth.calibration_errors.tolist())),
        "log_loss": sum(map(isfinite, worth.log_losses.tolist())),
        **{
            f"mean_{name}": sum(isfinite(getattr(own, name)) for own in decisions)
            for name in ("precision", "recall", "f1")
        },
        **dict.fromkeys(("micro_precision", "micro_recall", "micro_f1"), len(decisions)),
    }


def _doubts(outcome: "CalibratedModel") -> list[str]:
    """Whether the fits are worth having, by clips that were not fitted to: sentences, none where nothing speaks against
    them.
    """
    fits, thresholds = outcome.fits, outcome.model.thresholds
    assert thresholds is not None
    own, _, never = _kinds(fits)
    num_labels, num_clips = len(fits.thresholds), thresholds.fitted_on.num_clips
    doubts = []
    num_bare = sum(not 0 < number < num_clips for number in outcome.num_positives.tolist())
    if num_bare:
        doubts.append(
            f"{num_bare:,} of the {counted(num_labels, 'label')} are carried by none of these clips, or by all: what "
            "is fitted to them is hardly more than that of the other labels."
        )
    if own == 0:
        why = "cannot reach the precision" if never else "have too few clips"
        doubts.append(f"No label has a threshold of its own: all {why}. More clips are needed.")
    if fits.fitted is None:
        return doubts
    before, after = _worth(fits.raw, fits), _worth(fits.fitted, fits)

    def change(name: str, sign: int) -> list[str]:
        """The measure on both sides, where it moved for the worse."""
        one, other = before[name], after[name]
        is_worse = one is not None and other is not None and sign * (other - one) > 0
        return [f"{name.replace('_', ' ')} {_number(one)}, then {_number(other)}"] if is_worse else []

    worse = [*change("log_loss", 1), *change("calibration_error", 1)] if fits.slopes is not None else []
    if worse:
        doubts.append(
            f"The calibration does worse than raw scores on clips not fitted to ({'; '.join(worse)}): fit to more "
            "clips, or leave it out with --no-calibration."
        )
    if thresholds.beta == 1 and (worse := change("mean_f1", -1)):
        doubts.append(
            f"The thresholds do worse than 0.5 on clips not fitted to ({worse[0]}): fit to more clips, or tag with "
            "--threshold 0.5."
        )
    return doubts


def _compared(fits: "DecisionFits") -> Any:
    """[labels]: whether they have thresholds on both sides, so that the same labels are compared."""
    import numpy as np

    sides = [fits.raw] if fits.fitted is None else [fits.raw, fits.fitted]
    return np.all([[own is not None for own in side.decisions] for side in sides], axis=0)


def _label_worth(worth: "Worth", number: int) -> dict[str, float | None]:
    decisions: Decisions | None = worth.decisions[number]
    return {
        "calibration_error": _finite(float(worth.calibration_errors[number])),
        "log_loss": _finite(float(worth.log_losses[number])),
        **{
            name: None if decisions is None else _finite(getattr(decisions, name))
            for name in ("precision", "recall", "f1")
        },
    }


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
