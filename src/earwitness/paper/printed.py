"""What the paper prints: the tables that ours are held against.

Its data: 70 million videos to learn from, 30,871 labels, of which 3,087 and 400 are the most frequent; balanced
evaluation sets of about 33 clips a class.

References: Hershey et al. 2017, tables 2 to 4 and the experiment on event detection in Audio Set.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Printed:
    """Figures of one row."""

    mean_auc: float
    dprime: float
    mean_average_precision: float
    steps: int | None = None
    hours: float | None = None
    """Of training, on 10 to 40 GPUs."""


ARCHITECTURES = {
    "fully_connected": Printed(steps=5_000_000, hours=35, mean_auc=0.851, dprime=1.471, mean_average_precision=0.058),
    "alexnet": Printed(steps=5_000_000, hours=82, mean_auc=0.894, dprime=1.764, mean_average_precision=0.115),
    "vgg": Printed(steps=5_000_000, hours=184, mean_auc=0.911, dprime=1.909, mean_average_precision=0.161),
    "inception_v3": Printed(steps=5_000_000, hours=137, mean_auc=0.918, dprime=1.969, mean_average_precision=0.181),
    "resnet50": Printed(steps=5_000_000, hours=119, mean_auc=0.916, dprime=1.952, mean_average_precision=0.182),
}
"""At 5 million steps, in the order of the paper's table; 3,087 labels."""

LONG_RUN = Printed(steps=17_000_000, hours=356, mean_auc=0.926, dprime=2.041, mean_average_precision=0.212)
"""ResNet-50 again; its learning rate was lowered after 13 million steps."""
LONG_RUN_STEPS = 17 / 5
"""Times the steps of the others."""
LONG_RUN_DROP = 13 / 17
"""The share of its steps after which the rate was lowered."""

EVENT_DETECTION = {
    "logmel": Printed(mean_average_precision=0.137, mean_auc=0.904, dprime=1.846),
    "embedding": Printed(mean_average_precision=0.314, mean_auc=0.959, dprime=2.452),
}
"""By what a shallow fully connected classifier reads; Audio Set, 485 classes."""
SHORT_PATCH_FRAMES = 20
CLASSIFIER_LAYERS, CLASSIFIER_UNITS = 1, 1_000
"""Of the shallow classifiers: ours, the units those of the paper's fully connected network."""

LABEL_SET_SIZE = {
    (False, "many"): Printed(mean_auc=0.930, dprime=2.087, mean_average_precision=0.381),
    (False, "few"): Printed(mean_auc=0.928, dprime=2.067, mean_average_precision=0.376),
    (True, "all"): Printed(mean_auc=0.925, dprime=2.035, mean_average_precision=0.369),
    (True, "many"): Printed(mean_auc=0.919, dprime=1.982, mean_average_precision=0.347),
    (True, "few"): Printed(mean_auc=0.924, dprime=2.026, mean_average_precision=0.365),
}
"""By whether there is a bottleneck, and the labels learnt from: all (30,871), many (3,087), few (400). ResNet-50,
evaluated on the 400. All labels without a bottleneck the paper leaves out: 80 M weights instead of 30 M."""
PRINTED_LABELS = {"all": 30_871, "many": 3_087, "few": 400}
BOTTLENECK_UNITS = 128

TRAINING_SET_SIZE = {
    70_000_000: Printed(mean_auc=0.923, dprime=2.019, mean_average_precision=0.206),
    7_000_000: Printed(mean_auc=0.922, dprime=2.006, mean_average_precision=0.202),
    700_000: Printed(mean_auc=0.921, dprime=1.997, mean_average_precision=0.203),
    70_000: Printed(mean_auc=0.909, dprime=1.883, mean_average_precision=0.162),
    23_000: Printed(mean_auc=0.868, dprime=1.581, mean_average_precision=0.118),
}
"""By the number of training videos; ResNet-50, 3,087 labels, 16 million steps each."""
