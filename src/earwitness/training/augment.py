"""What makes a small corpus larger: mixtures, blanked stripes, shifted patches, dropped-out embeddings.

All that is random is drawn on the CPU as a function of (seed, step, position in the batch) and travels with the
batch as a few numbers a patch; the work is done on the device.

References: Zhang et al. 2018, "mixup"; Park et al. 2019, "SpecAugment"; Srivastava et al. 2014, "Dropout".
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import betaincinv
from torch import Tensor

from earwitness.training.random_draws import uniform_draws
from earwitness.training.settings import SmallData

_STRIPES = 2
"""Blanked in each patch, of frames and of bands each."""

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Draws:
    """The draws of a batch. None: the setting is off."""

    shares: Tensor | None = None
    """float32 [batch]: a patch's own share in its mixture."""
    frames: Tensor | None = None
    """int64 [batch, stripes, 2]: first and last (exclusive) frame of each blanked stripe."""
    bands: Tensor | None = None
    """int64 [batch, stripes, 2]: first and last (exclusive) band."""
    kept: Tensor | None = None
    """bool [batch, embedding_size]: the embedding's numbers that are not dropped."""

    def moved(self, device: torch.device) -> "Draws":
        """On that device."""
        given = {name: t.to(device, non_blocking=True) for name, t in vars(self).items() if t is not None}
        return Draws(**given)

    def pinned(self) -> "Draws":
        """In memory that copies to a GPU can read while the processor goes on."""
        return Draws(**{name: t.pin_memory() for name, t in vars(self).items() if t is not None})


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Draws for the batches of one training."""

    settings: SmallData
    seed: int
    patch_frames: int
    num_bands: int
    embedding_size: int

    def shift(self, first_frames: Indices, lengths: Indices, *, step: int, positions: Indices) -> Indices:
        """Where the patches of a batch begin instead: anywhere within the shift, inside their clips.

        Args:
            first_frames: int64 [n]: where they begin by themselves.
            lengths: int64 [n]: frames of their clips.
            step: of the batch.
            positions: int64 [n]: their places in the batch of all processes.
        """
        reach = self.settings.time_shift_frames
        if not reach:
            return first_frames
        lowest = np.maximum(first_frames - reach, 0)
        highest = np.minimum(first_frames + reach, lengths - self.patch_frames)
        chosen = self._uniform("shift", step, positions, 1)[:, 0]
        shifted: Indices = lowest + (chosen * (highest - lowest + 1)).astype(np.int64)
        return shifted

    def draw(self, *, step: int, positions: Indices) -> Draws:
        """The draws of the patches at these places in a step's batch."""
        settings, drawn = self.settings, {}
        if settings.mixup:
            chosen = self._uniform("mixup", step, positions, 1)[:, 0]
            drawn["shares"] = torch.from_numpy(betaincinv(settings.mixup, settings.mixup, chosen)).float()
        if settings.mask_frames:
            drawn["frames"] = self._stripes("frames", step, positions, settings.mask_frames, self.patch_frames)
        if settings.mask_bands:
            drawn["bands"] = self._stripes("bands", step, positions, settings.mask_bands, self.num_bands)
        if settings.dropout:
            chosen = self._uniform("dropout", step, positions, self.embedding_size)
            drawn["kept"] = torch.from_numpy(chosen >= settings.dropout)
        return Draws(**drawn)

    def _stripes(self, purpose: str, step: int, positions: Indices, widest: int, size: int) -> Tensor:
        chosen = self._uniform(purpose, step, positions, 2 * _STRIPES).reshape(-1, _STRIPES, 2)
        widths = (chosen[..., 0] * (min(widest, size) + 1)).astype(np.int64)
        firsts = (chosen[..., 1] * (size - widths + 1)).astype(np.int64)
        return torch.from_numpy(np.stack([firsts, firsts + widths], axis=-1))

    def _uniform(self, purpose: str, step: int, positions: Indices, count: int) -> npt.NDArray[np.float64]:
        return uniform_draws(seed=self.seed, purpose=purpose, step=step, positions=positions, count=count)


def augmented(patches: Tensor, targets: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    """Mixed and blanked patches [batch, frames, bands], with targets [batch, labels] mixed alike.

    A patch is mixed with its neighbour in the batch (0 with 1, 2 with 3 ...), which the shuffled order has put there
    at random; so neighbours must not be parted among processes. What is blanked gets the patch's mean.
    """
    if draws.shares is not None:
        shares = draws.shares[:, None]
        targets = shares * targets + (1 - shares) * _neighbours(targets)
        shares = shares[:, None]
        patches = shares * patches + (1 - shares) * _neighbours(patches)
    blank = None
    if draws.frames is not None:
        blank = _within(draws.frames, patches.shape[1])[:, :, None]
    if draws.bands is not None:
        of_bands = _within(draws.bands, patches.shape[2])[:, None, :]
        blank = of_bands if blank is None else blank | of_bands
    if blank is not None:
        patches = torch.where(blank, patches.mean(dim=(1, 2), keepdim=True), patches)
    return patches, targets


def _neighbours(rows: Tensor) -> Tensor:
    return rows.reshape(-1, 2, *rows.shape[1:]).flip(1).reshape(rows.shape)


def _within(stripes: Tensor, size: int) -> Tensor:
    """Bool [batch, size]: which places lie in a stripe."""
    places = torch.arange(size, device=stripes.device)
    return ((places >= stripes[..., :1]) & (places < stripes[..., 1:])).any(dim=1)
