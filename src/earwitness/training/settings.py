"""What can be chosen about a training. The defaults are the paper's wherever it prints one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from earwitness.errors import SettingsError
from earwitness.models.registry import network_entry


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """Settings of one training. Checked on creation, saved whole in the run folder."""

    network: str = "resnet50"
    """fully_connected or resnet50."""
    width: float = 1.0
    """Multiplies the units or channels of every hidden layer; 1 is the paper's size."""
    steps: int = 10_000
    """Updates in all. A finished run can be continued by asking for more."""
    batch_size: int = 128
    """Patches of a batch, drawn from all patches (paper: 128)."""
    learning_rate: float | None = None
    """Adam's, constant. None: the network's default (3e-5 for the fully connected one, as in the paper; ours else)."""
    seed: int = 1
    """Decides the first weights and the order of patches."""
    where: str | None = None
    """SQL condition over the manifest's columns: the clips to learn from, for example "fold != 1"."""
    validation_where: str | None = None
    """The clips to watch instead of a share of the training clips; they are never trained on."""
    validation_share: float = 0.1
    """Share of the training groups (or clips) that is kept out to be watched. 0: none is."""
    validation_every: int = 500
    """Steps from one validation to the next."""
    validation_clips: int = 250
    """At most so many clips are watched."""
    patch_hop_frames: int | None = None
    """Frames between the patches learnt from. None: the store's (paper: equal to a patch, no overlap)."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the network while training; auto: bfloat16 where the processor computes in it."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..."""
    threads: int | None = None
    """Processor threads. None: as many as torch chooses. Weights repeat to the bit at equal threads."""
    checkpoint_seconds: float = 300.0
    """Seconds from one checkpoint to the next. One is written whenever the training is stopped by Ctrl-C, too."""

    def __post_init__(self) -> None:
        network_entry(self.network)
        for name in ("steps", "batch_size", "validation_every"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name}={getattr(self, name)} must be at least 1")
        if self.batch_size < 2:
            raise SettingsError("batch_size=1 leaves batch norm without statistics; use at least 2")
        if self.learning_rate is not None and not 0 < self.learning_rate <= 1:
            raise SettingsError(f"learning_rate={self.learning_rate} must lie in (0, 1]")
        if not 0 <= self.validation_share < 1:
            raise SettingsError(f"validation_share={self.validation_share} must lie in [0, 1)")
        if self.validation_clips < 1:
            raise SettingsError(
                f"validation_clips={self.validation_clips} must be at least 1; validation_share=0 watches none"
            )
        if self.patch_hop_frames is not None and self.patch_hop_frames < 1:
            raise SettingsError(f"patch_hop_frames={self.patch_hop_frames} must be at least 1")
        if not 0 <= self.seed < 2**63:
            raise SettingsError(f"seed={self.seed} must lie in [0, 2**63)")
        if not self.checkpoint_seconds > 0:
            raise SettingsError(f"checkpoint_seconds={self.checkpoint_seconds} must be positive")
        if self.threads is not None and self.threads < 1:
            raise SettingsError(f"threads={self.threads} must be at least 1")
        if not 0 < self.width <= 16:
            raise SettingsError(f"width={self.width} must lie in (0, 16]; 1 is the paper's size")

    @property
    def effective_learning_rate(self) -> float:
        """The one asked for, else the network's default."""
        if self.learning_rate is not None:
            return self.learning_rate
        return network_entry(self.network).learning_rate

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)
