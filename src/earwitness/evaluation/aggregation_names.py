"""The names of the aggregations that `aggregation` defines, for settings and help, which need no NumPy."""

from typing import Literal, get_args

Aggregation = Literal["mean", "max", "top3", "linear_softmax"]
AGGREGATIONS: tuple[Aggregation, ...] = get_args(Aggregation)
