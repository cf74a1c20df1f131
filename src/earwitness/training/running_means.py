"""Loss and 1-best accuracy between two measurements, gathered without making a step wait for them."""

import torch
from torch import Tensor

from earwitness.training.distributed import Processes


class RunningMeans:
    """Sums over steps, kept on the device; each process its own."""

    def __init__(self, device: torch.device) -> None:
        self.state = torch.zeros(4, dtype=torch.float64, device=device)
        """Sums of loss, parts, right answers and patches with labels; goes into checkpoints, over all processes."""

    def add(self, loss: Tensor, logits: Tensor, targets: Tensor) -> None:
        """Count what went through the network: loss [], logits and targets [batch, labels].

        Patches without labels are not judged; an answer is right that has any share in the targets.
        """
        hits = (targets.gather(1, logits.argmax(dim=1, keepdim=True)) > 0).sum()
        labelled = targets.any(dim=1).sum()
        self.state += torch.stack([loss.double(), torch.ones_like(loss).double(), hits.double(), labelled.double()])

    def take(self, processes: Processes) -> dict[str, float | None]:
        """The means over all processes by the names of the columns of `metrics.csv`, and begin anew."""
        loss, parts, hits, labelled = processes.total(self.state).tolist()
        self.state.zero_()
        return {"loss": loss / parts, "one_best_accuracy": hits / labelled if labelled else None}
