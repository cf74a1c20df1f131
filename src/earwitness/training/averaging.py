"""Averaged weights: a slow copy of the network that follows the trained one.

References: Polyak and Juditsky 1992; Tarvainen and Valpola 2017 (exponential averages, with a decay that grows at
first so that the untrained weights fade).
"""

import torch

from earwitness.models.network import Network


class AveragedNetwork:
    """The average of all past states of a network, the running statistics of batch norm among them."""

    def __init__(self, copy: Network, *, decay: float) -> None:
        """Begin with `copy`, a network of the same state as the one to follow."""
        self.network = copy.requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def follow(self, network: Network, *, step: int) -> None:
        """Take in the state of `network` after `step` updates."""
        decay = min(self._decay, step / (step + 9))
        ours, theirs = self.network.state_dict(), network.state_dict()
        moving = [name for name, tensor in ours.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([ours[name] for name in moving], [theirs[name] for name in moving], 1 - decay)
        for name in ours.keys() - set(moving):
            ours[name].copy_(theirs[name])
