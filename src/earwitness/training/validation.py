"""Watching a training on clips that are not learnt from, and remembering when it went best.

The clips are shared among the processes. Networks are run in the arithmetic of the training, which is several times
faster than the float32 in which scores are compared; `earwitness evaluate` gives those.
"""

from dataclasses import asdict, dataclass
from math import isfinite, nan
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from earwitness.evaluation.metrics import one_best_accuracy, rank_labels
from earwitness.front_end import FrontEnd
from earwitness.inference.patch_runner import BATCH_PATCHES
from earwitness.inference.probabilities import PatchScorer
from earwitness.models.network import Network
from earwitness.models.precision import autocast
from earwitness.scoring.clip_scores import score_clips
from earwitness.store.embeddings import PatchReader
from earwitness.training.distributed import Processes

_BATCH_PATCHES_ON_GPU = 512

Figures = dict[str, float | None]


class Validation:
    """Scores the watched clips of a store."""

    def __init__(
        self,
        reader: PatchReader,
        clips: npt.NDArray[np.int64],
        *,
        front_end: FrontEnd,
        precision: Literal["float32", "bfloat16"],
        device: torch.device,
        processes: Processes,
    ) -> None:
        self._reader, self._processes = reader, processes
        self._clips, self._front_end = clips, front_end
        self._precision, self._device = precision, device
        self._targets = reader.store.targets(clips) if processes.is_first else None

    def __call__(self, network: Network) -> Figures:
        """The figures of all clips, in every process; nothing where no clip is watched."""
        if not len(self._clips):
            return {}
        was_training = network.training
        scorer = _TrainingScorer(network, precision=self._precision, device=self._device)
        share = self._clips[self._processes.rank :: self._processes.count]
        scores = self._processes.together(lambda: self._score(scorer, share))
        network.train(was_training)
        shares = self._processes.gather(scores)
        return self._processes.from_first(lambda: self._evaluate(shares))

    def _score(self, scorer: PatchScorer, share: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        if not len(share):
            return np.empty((0, len(self._reader.store.label_set)), np.float32)
        return score_clips(scorer, self._reader, share, front_end=self._front_end)

    def _evaluate(self, shares: list[npt.NDArray[np.float32]]) -> Figures:
        scores = np.empty((len(self._clips), shares[0].shape[1]), np.float32)
        for rank, share in enumerate(shares):
            scores[rank :: len(shares)] = share
        if self._targets is None or not np.isfinite(scores).all():
            return dict.fromkeys(("one_best_accuracy", "mean_average_precision"))
        # the means of `evaluate`, without all else that it measures
        ranking = rank_labels(scores, self._targets)
        precisions = ranking.average_precision[~np.isnan(ranking.auc)]
        figures = {
            "one_best_accuracy": one_best_accuracy(scores, self._targets),
            "mean_average_precision": float(np.mean(precisions)) if len(precisions) else nan,
        }
        return {name: value if isfinite(value) else None for name, value in figures.items()}


class _TrainingScorer(PatchScorer):
    """Runs a network for its scores as it is run in training."""

    def __init__(self, network: Network, *, precision: Literal["float32", "bfloat16"], device: torch.device) -> None:
        batch_patches = _BATCH_PATCHES_ON_GPU if device.type == "cuda" else BATCH_PATCHES
        super().__init__(network, device=device, batch_patches=batch_patches)
        self._precision = precision

    def _run_batch(self, batch: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        if self._precision == "float32":
            return super()._run_batch(batch)
        patches = torch.from_numpy(batch).to(self.device, dtype=torch.float32)
        with torch.inference_mode(), autocast(self._precision, self.device):
            logits = self.network(patches)
        scores: npt.NDArray[np.float32] = torch.sigmoid(logits.float()).cpu().numpy()
        return scores


@dataclass
class Best:
    """The validation of the highest mAP so far. Goes into checkpoints."""

    step: int | None = None
    """None: there was none yet."""
    mean_average_precision: float = -1.0
    validations_since: int = 0
    """Validations in a row that gave an mAP, and none that was better."""

    def judge(self, figures: Figures, *, step: int) -> bool:
        """Take in the validation after `step` updates; whether it is the best so far."""
        value = figures.get("mean_average_precision")
        if value is None:
            return False  # undefined is not worse
        if value > self.mean_average_precision:
            self.step, self.mean_average_precision, self.validations_since = step, value, 0
            return True
        self.validations_since += 1
        return False

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)
