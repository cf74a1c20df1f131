"""Named sets of settings, as starting points: whatever is given explicitly wins."""

from dataclasses import replace
from typing import Any, Literal

from earwitness.training.settings import PATCH_CHANGES, LearningRatePlan, SmallData, TrainSettings

Recipe = Literal["paper", "small-data"]

RECIPES: dict[Recipe, TrainSettings] = {
    "paper": TrainSettings(),
    # A few hundred clips: see each one in ever new ways, and average over the last steps.
    "small-data": TrainSettings(
        steps=3_000,
        batch_size=64,
        learning_rate=1e-3,
        plan=LearningRatePlan(rate_plan="cosine", warmup_steps=None),
        small_data=SmallData(
            balanced=True,
            time_shift_frames=48,
            mixup=0.3,
            mask_frames=16,
            mask_bands=8,
            dropout=0.2,
            weight_decay=0.01,
            average_decay=0.995,
        ),
    ),
}


def without_patch_changes(settings: TrainSettings, name: Recipe) -> TrainSettings:
    """The settings for embeddings: what a recipe by itself changes about patches, which they cannot have, is off."""
    own = RECIPES[name].small_data
    off: dict[str, Any] = {
        change: 0 for change in PATCH_CHANGES if getattr(settings.small_data, change) == getattr(own, change)
    }
    return replace(settings, small_data=replace(settings.small_data, **off))


def recipe(name: Recipe, **settings: Any) -> TrainSettings:
    """The settings of a recipe, with the given ones in place of its own: `recipe("small-data", width=0.25)`.

    Raises:
        TypeError: there is no such setting.
    """
    return replace(RECIPES[name], **settings)
