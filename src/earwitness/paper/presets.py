"""How large the experiments are: in miniature, for two processor cores, or with the paper's networks for GPUs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from earwitness.synth.settings import SynthSettings

PresetName = Literal["smoke", "cpu", "paper"]


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Sizes of all experiments; the width and the batch are the same for all networks."""

    corpus: SynthSettings
    """Made where no store is given."""
    events_corpus: SynthSettings
    """The same for `event-detection`: other recordings, kinds of sound that the first does not have among them, and
    labels that say what is truly heard."""
    width: float
    batch_size: int
    learning_rates: Mapping[str, float] = field(default_factory=dict)
    """By network, where its default, which is for the paper's width and many steps, is not used."""
    steps: Mapping[str, int]
    """By experiment. Of `architectures`, those of equal steps."""
    validations: int
    """Looks at the watched clips in a training."""
    validation_clips: int
    many_labels: int
    few_labels: int
    train_shares: tuple[float, ...]


PRESETS: dict[PresetName, Preset] = {
    "smoke": Preset(
        corpus=SynthSettings(clips=120, mean_seconds=3.0, kinds=8, prior_decades=0.5),
        events_corpus=SynthSettings(clips=60, mean_seconds=3.0, kinds=10, prior_decades=0.5, flaws=0, seed=2),
        width=0.0625,
        batch_size=8,
        learning_rates={"fully_connected": 1e-3, "alexnet": 1e-3, "vgg": 1e-3, "inception_v3": 1e-3, "resnet50": 1e-3},
        steps={"architectures": 8, "label-set-size": 10, "training-set-size": 20, "event-detection": 20},
        validations=4,
        validation_clips=12,
        many_labels=6,
        few_labels=3,
        train_shares=(1.0, 0.25, 0.06),
    ),
    # Each table takes about 90 minutes of one core, or less; two processes on two cores share it.
    "cpu": Preset(
        corpus=SynthSettings(clips=3_000, mean_seconds=8.0, kinds=40, prior_decades=1.0),
        events_corpus=SynthSettings(clips=1_000, mean_seconds=10.0, kinds=62, prior_decades=1.0, flaws=0, seed=2),
        width=0.125,
        batch_size=32,
        # the defaults times the same factor: narrow networks and few steps take larger rates
        learning_rates={"fully_connected": 3e-4, "alexnet": 1e-3, "vgg": 1e-3, "inception_v3": 3e-3, "resnet50": 3e-3},
        steps={"architectures": 2_000, "label-set-size": 3_000, "training-set-size": 4_000, "event-detection": 4_000},
        validations=20,
        validation_clips=200,
        many_labels=20,
        few_labels=8,
        train_shares=(1.0, 0.1, 0.01),
    ),
    "paper": Preset(
        corpus=SynthSettings(clips=50_000, mean_seconds=30.0, kinds=50, prior_decades=2.0),
        events_corpus=SynthSettings(clips=10_000, mean_seconds=10.0, prior_decades=1.0, flaws=0, seed=2),
        width=1.0,
        batch_size=128,
        steps={
            "architectures": 50_000,
            "label-set-size": 50_000,
            "training-set-size": 100_000,
            "event-detection": 50_000,
        },
        validations=50,
        validation_clips=1_000,
        many_labels=40,
        few_labels=12,
        train_shares=(1.0, 0.1, 0.01, 0.001, 0.000_33),
    ),
}
