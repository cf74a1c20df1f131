"""What the demo makes and learns: small enough for a laptop's processor, hard enough to be far from perfect."""

from earwitness.synth.settings import SynthSettings
from earwitness.training.settings import LearningRatePlan, SmallData, TrainSettings

CORPUS = SynthSettings(clips=900, mean_seconds=7.0, kinds=12, prior_decades=0.5)

SETTINGS = TrainSettings(
    network="resnet50",
    width=0.125,
    steps=1_200,
    batch_size=48,
    learning_rate=3e-3,
    plan=LearningRatePlan(rate_plan="cosine", warmup_steps=50),
    small_data=SmallData(mixup=0.3, time_shift_frames=24),
    patch_hop_frames=48,
    where="split = 'train'",
    validation_every=200,
    validation_clips=60,
)
"""A narrow network, overlapping patches, a learning rate for few steps that falls to nought, mixtures of patches."""

TEST = "split = 'test'"
"""The clips held out."""
