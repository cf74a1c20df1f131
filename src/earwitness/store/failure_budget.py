"""How many clips may fail before a build stops.

A budget is a number of clips, or a share of all rows of the manifest such as `1%`, but never fewer than ten clips: of
three clips, the first to fail says nothing. All failures of the store count, those of earlier runs included, but for
clips that were dropped and those that this run is to try again; the build stops once there are more than the budget
allows, when it is certain that the finished store would have too many.
"""

import math
import re
from typing import TYPE_CHECKING

from earwitness.errors import SettingsError

if TYPE_CHECKING:
    from earwitness.store.parts import PartCounts

_LEAST_OF_A_SHARE = 10


class FailureBudget:
    """A budget, read from what a user wrote."""

    def __init__(self, text: str) -> None:
        """Read it.

        Raises:
            SettingsError: it is neither a whole number nor a share from 0% to 100%.
        """
        self.text = text
        match = re.fullmatch(r"(\d+)|(\d+(?:\.\d+)?)\s*%", text.strip())
        if not match or float(match[2] or 0) > 100:
            raise SettingsError(f"max_failures={text!r} must be a number of clips, such as 50, or a share, such as 1%")
        self._count = int(match[1]) if match[1] else None
        self._share = float(match[2] or 0) / 100

    def allowed(self, num_rows: int) -> int:
        """Clips of a manifest of `num_rows` that may fail."""
        return self._count if self._count is not None else max(_LEAST_OF_A_SHARE, math.floor(self._share * num_rows))

    def objection(self, counts: "PartCounts", *, num_rows: int) -> str:
        """Why to stop now, and how to go on; empty where failures are within the budget."""
        failures = {kind: number for kind, number in counts.failures.items() if kind != "dropped"}
        number = sum(failures.values())
        if number <= self.allowed(num_rows):
            return ""
        most = sorted(failures, key=lambda kind: -failures[kind])
        kinds = ", ".join(f"{failures[kind]:,} {kind}" for kind in most)
        return (
            f"stopped, {number:,} of {num_rows:,} clips have failed, and --max-failures {self.text} allows "
            f"{self.allowed(num_rows):,}: {kinds}. Such as: {counts.reasons[most[0]]}. The parts finished so far are "
            "kept; the same command goes on with a larger --max-failures or, once the cause is removed, with "
            "--retry-failures"
        )
