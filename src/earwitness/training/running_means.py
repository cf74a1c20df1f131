"""Loss and 1-best accuracy between two measurements, gathered without making a step wait for them."""

import torch
from torch import Tensor


class RunningMeans:
    """Sums over steps, kept on the device."""

    def __init__(self, device: torch.device) -> None:
        self.state = torch.zeros(4, dtype=torch.float64, device=device)
        """Sums of loss, steps, right answers and patches with labels; goes into checkpoints."""

    def add(self, loss: Tensor, logits: Tensor, targets: Tensor) -> None:
        """Count one step: loss [], logits and targets [batch, labels]. Patches without labels are not judged."""
        hits = targets.gather(1, logits.argmax(dim=1, keepdim=True)).sum()
        labelled = targets.any(dim=1).sum()
        self.state += torch.stack([loss.double(), torch.ones_like(loss).double(), hits.double(), labelled.double()])

    def take(self) -> dict[str, float | None]:
        """The means by the names of the columns of `metrics.csv`, and begin anew."""
        loss, steps, hits, labelled = self.state.tolist()
        self.state.zero_()
        return {"loss": loss / steps, "one_best_accuracy": hits / labelled if labelled else None}
