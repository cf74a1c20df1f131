"""The learning rate of a step: a function of the settings and the step, nothing else."""

import math

from earwitness.training.settings import TrainSettings


def learning_rate(settings: TrainSettings, step: int) -> float:
    """The rate of the update that follows `step` updates, step in [0, settings.steps).

    A straight rise over the warm-up, ending at the full rate; then constant, or half a cosine that would reach 0 one
    update after the last. Drops multiply on top.

    References: Goyal et al. 2017 (warm-up); Loshchilov and Hutter 2017, "SGDR" (cosine).
    """
    plan, rate = settings.plan, settings.effective_learning_rate
    rate *= plan.drop_factor ** sum(step >= drop for drop in plan.drop_steps)
    warmup_steps = settings.effective_warmup_steps
    if step < warmup_steps:
        return rate * (step + 1) / warmup_steps
    if plan.rate_plan == "cosine":
        done = (step - warmup_steps) / max(settings.steps - warmup_steps, 1)
        rate *= 0.5 * (1 + math.cos(math.pi * done))
    return rate
