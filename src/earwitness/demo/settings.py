"""What the demo makes and learns: small enough for a laptop's processor, hard enough to be far from perfect."""

from earwitness.synth.settings import SynthSettings
from earwitness.training.settings import TrainSettings

CORPUS = SynthSettings(clips=480, mean_seconds=10.0, kinds=24, prior_decades=1.0)

SETTINGS = TrainSettings(
    network="resnet50",
    width=0.125,
    steps=1_600,
    batch_size=32,
    learning_rate=2e-3,
    patch_hop_frames=48,
    where="split = 'train'",
    validation_every=200,
    validation_clips=60,
)
"""A narrow network, overlapping patches, a learning rate for few steps."""

TEST = "split = 'test'"
"""The clips held out."""
