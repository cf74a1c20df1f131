"""What can be chosen about a training. The defaults are the paper's wherever it prints one.

Settings that belong together are grouped: `LearningRatePlan`, and `SmallData` for corpora far smaller than the
paper's. On the command line all are flat options. Named sets of values are in `recipes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import arg

from earwitness.errors import SettingsError
from earwitness.models.registry import network_entry

DEFAULT_NETWORK = "resnet50"

CLASSIFIER_LEARNING_RATE = 1e-3
"""Of a classifier on embeddings that stay what they are: ours; Adam's usual one."""

_WARMUP_STEPS = 100
"""Of a recipe that has a warm-up, unless the training is short."""

PATCH_CHANGES = ("time_shift_frames", "mixup", "mask_frames", "mask_bands")
"""Of `SmallData`, what makes of a patch another one each time."""


@dataclass(frozen=True, kw_only=True)
class LearningRatePlan:
    """How the learning rate goes over the steps. Default: it stays what it is."""

    rate_plan: Literal["constant", "cosine"] = "constant"
    """constant (the paper), or cosine: down to 0 at the last step."""
    warmup_steps: int | None = 0
    """Steps in which the rate rises to its value, in a straight line. None: 100, or a tenth of the steps where these
    are fewer than 1,000."""
    drop_steps: tuple[int, ...] = ()
    """After each of these numbers of steps the rate drops by `drop_factor` (as in the paper's long run)."""
    drop_factor: float = 0.1
    """What the rate is multiplied by at a drop (the paper does not print its own)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "drop_steps", tuple(self.drop_steps))  # JSON knows lists only
        if self.warmup_steps is not None and self.warmup_steps < 0:
            raise SettingsError(f"warmup_steps={self.warmup_steps} must not be negative")
        if any(step < 1 for step in self.drop_steps) or list(self.drop_steps) != sorted(set(self.drop_steps)):
            raise SettingsError(f"drop_steps={list(self.drop_steps)} must be positive and rising")
        if not 0 < self.drop_factor < 1:
            raise SettingsError(f"drop_factor={self.drop_factor} must lie in (0, 1)")


@dataclass(frozen=True, kw_only=True)
class SmallData:
    """For corpora far smaller than the paper's. Default: everything is off, as in the paper."""

    balanced: bool = False
    """Draw patches so that every label comes equally often, however rare it is."""
    time_shift_frames: int = 0
    """A patch begins up to so many frames earlier or later, wherever its clip has them."""
    mixup: float = 0.0
    """Mix each patch with another and their labels alike, by a share drawn from Beta(mixup, mixup). 0: none."""
    mask_frames: int = 0
    """Two stripes of up to so many frames are blanked out in each patch (SpecAugment)."""
    mask_bands: int = 0
    """Two stripes of up to so many bands are blanked out in each patch (SpecAugment)."""
    dropout: float = 0.0
    """Share of the embedding that is zeroed before the output layer, at random."""
    weight_decay: float = 0.0
    """Decoupled from the gradient (AdamW), on weights only, not on biases and batch norm."""
    average_decay: float = 0.0
    """Watch and keep an average of the weights over the steps, in which old ones fade by this factor (0.999: over
    about the last 1,000 steps). 0: the weights themselves."""

    def __post_init__(self) -> None:
        for name in ("time_shift_frames", "mixup", "mask_frames", "mask_bands", "weight_decay"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise SettingsError(f"{name}={getattr(self, name)} must not be negative; 0 turns it off")
        for name in ("dropout", "average_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise SettingsError(f"{name}={getattr(self, name)} must lie in [0, 1); 0 turns it off")


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """Settings of one training. Checked on creation, saved whole in the run folder."""

    network: str | None = None
    """One of the networks of `earwitness models`. None: resnet50, or that of the model to begin from."""
    width: float | None = None
    """Multiplies the units or channels of every hidden layer; 1 is the paper's size. None: 1, or the model's."""
    from_model: Annotated[Path | None, arg(name="from")] = None
    """A trained model to begin from. Its output is replaced, unless the labels are the same. None: begin anew."""
    freeze: bool = False
    """Of the model to begin from, only the output (and layers asked for by num_layers) learns; the rest stays."""
    num_layers: int | None = None
    """Hidden layers of the fully connected network (paper: 3, the best of 2 to 6). With --from, and on embeddings: of
    a classifier that takes the output's place; 0 is logistic regression. None: the network's own, or 0."""
    num_units: int | None = None
    """Units of each of them (paper: 1,000, the best of 500 to 4,000). None: the network's own, or 1,000."""
    bottleneck: int | None = None
    """Units of a layer put in before the output (paper: 128 where there is one). None: there is no such layer."""
    steps: int = 10_000
    """Updates in all. A finished run can be continued by asking for more."""
    batch_size: int = 128
    """Patches of an update, over all processes, drawn from all patches (paper: 128)."""
    accumulate: int = 1
    """Parts in which a batch goes through the network, one after the other, to need less memory."""
    learning_rate: float | None = None
    """Adam's. None: the network's default (3e-5 for the fully connected one, as in the paper; ours else), or 1e-3
    where only a classifier learns."""
    plan: LearningRatePlan = field(default_factory=LearningRatePlan)
    small_data: SmallData = field(default_factory=SmallData)
    seed: int = 1
    """Decides the first weights, the order of patches and every other draw."""
    where: str | None = None
    """SQL condition over the manifest's columns: the clips to learn from, for example "fold != 1"."""
    train_share: float = 1.0
    """Share of the clips that are not watched to learn from, drawn in whole groups; the smaller lie in the larger."""
    validation_where: str | None = None
    """The clips to watch instead of a share of the training clips; they are never trained on."""
    validation_share: float = 0.1
    """Share of the training groups (or clips) that is kept out to be watched. 0: none is."""
    validation_every: int = 500
    """Steps from one validation to the next."""
    validation_clips: int = 250
    """At most so many clips are watched."""
    stop_after: int | None = None
    """Validations in a row without a better mAP after which the training ends. None: all steps are done."""
    patch_hop_frames: int | None = None
    """Frames between the patches learnt from. None: the store's (paper: equal to a patch, no overlap)."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the network while training; auto: bfloat16 where the processor computes in it."""
    compile: Literal["auto", "never", "always"] = "auto"
    """Translate the network by torch.compile, which takes a minute at first; auto: on a GPU, from 10,000 steps on."""
    sync_batch_norm: bool = False
    """Batch norm over the patches of all processes, not of each its own (as in the paper). On GPUs only."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..."""
    threads: int | None = None
    """Processor threads. None: as many as torch chooses. Weights repeat to the bit at equal threads."""
    checkpoint_seconds: float = 300.0
    """Seconds from one checkpoint to the next. One is written whenever the training is stopped by Ctrl-C, too."""

    def __post_init__(self) -> None:
        if self.network is not None:
            network_entry(self.network)
        if self.from_model is not None:
            object.__setattr__(self, "from_model", Path(self.from_model))  # JSON knows text only
        elif self.freeze:
            raise SettingsError("freeze keeps a trained model what it is, and none is given; name it by --from")
        if self.effective_warmup_steps >= self.steps > 0:
            raise SettingsError(
                f"warmup_steps={self.plan.warmup_steps} leaves nothing of {self.steps} steps for the full rate; "
                "use fewer, a tenth of the steps for example"
            )
        if any(step > self.steps for step in self.plan.drop_steps):
            raise SettingsError(
                f"drop_steps={list(self.plan.drop_steps)} go beyond steps={self.steps}: the rate would never drop there"
            )
        has_own_layers = self.network is not None and self.from_model is None  # otherwise a classifier may have them
        for name in ("num_layers", "num_units"):
            if getattr(self, name) is not None and has_own_layers and self.network != "fully_connected":
                raise SettingsError(
                    f"{name}={getattr(self, name)} is for the fully connected network; the layers of "
                    f"{self.network} are fixed, and width scales them"
                )
        sizes = ("num_layers", "num_units", "bottleneck")
        for name in ("steps", "batch_size", "accumulate", "validation_every", "stop_after", *sizes):
            least = 0 if name == "num_layers" and not has_own_layers else 1
            if getattr(self, name) is not None and getattr(self, name) < least:
                raise SettingsError(f"{name}={getattr(self, name)} must be at least {least}")
        if self.batch_size < 2:
            raise SettingsError("batch_size=1 leaves batch norm without statistics; use at least 2")
        if self.learning_rate is not None and not 0 < self.learning_rate <= 1:
            raise SettingsError(f"learning_rate={self.learning_rate} must lie in (0, 1]")
        if not 0 < self.train_share <= 1:
            raise SettingsError(f"train_share={self.train_share} must lie in (0, 1]; 1 learns from all")
        if not 0 <= self.validation_share < 1:
            raise SettingsError(f"validation_share={self.validation_share} must lie in [0, 1)")
        if self.validation_clips < 1:
            raise SettingsError(
                f"validation_clips={self.validation_clips} must be at least 1; validation_share=0 watches none"
            )
        if self.stop_after is not None and self.validation_where is None and self.validation_share == 0:
            raise SettingsError(
                f"stop_after={self.stop_after} needs clips to watch; give validation_share or validation_where"
            )
        if self.patch_hop_frames is not None and self.patch_hop_frames < 1:
            raise SettingsError(f"patch_hop_frames={self.patch_hop_frames} must be at least 1")
        if not 0 <= self.seed < 2**63:
            raise SettingsError(f"seed={self.seed} must lie in [0, 2**63)")
        if not self.checkpoint_seconds > 0:
            raise SettingsError(f"checkpoint_seconds={self.checkpoint_seconds} must be positive")
        if self.threads is not None and self.threads < 1:
            raise SettingsError(f"threads={self.threads} must be at least 1")
        if self.width is not None and not 0 < self.width <= 16:
            raise SettingsError(f"width={self.width} must lie in (0, 16]; 1 is the paper's size")

    @property
    def effective_learning_rate(self) -> float:
        """The one asked for, else the network's default, or that of a classifier by itself."""
        if self.learning_rate is not None:
            return self.learning_rate
        if self.freeze:
            return CLASSIFIER_LEARNING_RATE
        return network_entry(self.network or DEFAULT_NETWORK).learning_rate

    @property
    def effective_warmup_steps(self) -> int:
        """Those asked for, else as many as fit the number of steps."""
        asked = self.plan.warmup_steps
        return min(_WARMUP_STEPS, self.steps // 10) if asked is None else asked

    def patches_at_once(self, *, num_processes: int) -> int:
        """Patches that go through the network together, in one process.

        Raises:
            SettingsError: the batch does not divide into such parts.
        """
        small, rest = divmod(self.batch_size, num_processes * self.accumulate)
        parts = f"{num_processes} processes" if num_processes > 1 else ""
        parts += " with " if num_processes > 1 and self.accumulate > 1 else ""
        parts += f"accumulate={self.accumulate}" if self.accumulate > 1 else ""
        if rest:
            raise SettingsError(
                f"batch_size={self.batch_size} does not divide among {parts}; "
                f"choose a multiple of {num_processes * self.accumulate}"
            )
        if small < 2:
            raise SettingsError(
                f"batch_size={self.batch_size} among {parts} leaves one patch at a time, and batch norm without "
                f"statistics; use at least {2 * num_processes * self.accumulate}"
            )
        if self.small_data.mixup and small * self.accumulate % 2:
            raise SettingsError(
                f"mixup takes patches in pairs, and batch_size={self.batch_size} leaves {small * self.accumulate} to "
                f"each of {num_processes} processes; choose a multiple of {2 * num_processes}"
            )
        return small

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        values = asdict(self)
        values["plan"]["drop_steps"] = list(self.plan.drop_steps)
        values["from_model"] = str(self.from_model) if self.from_model is not None else None
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainSettings:
        """The settings that `to_dict` gave, in this or an earlier version.

        Raises:
            TypeError: there is a setting that this version does not know.
        """
        groups = {"plan": LearningRatePlan, "small_data": SmallData}
        return cls(**{name: groups[name](**v) if name in groups else v for name, v in values.items()})
