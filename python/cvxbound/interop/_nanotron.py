"""nanotron: ``lr_scheduler_builder``.

The step t uses the factor of t - 1, and the warm-up includes its last step: without a warm-up, a
linear one still makes the first learning rate zero.
"""

from __future__ import annotations

import numpy as np

from .._arrays import Float
from ._curves import decay, line
from ._settings import Settings

GROUPS: tuple[str, ...] = ("learning_rate_scheduler", "tokens")
SETTINGS: tuple[str, ...] = (
    "learning_rate",
    "lr_warmup_steps",
    "lr_warmup_style",
    "lr_decay_style",
    "lr_decay_steps",
    "lr_decay_starting_step",
    "min_decay_lr",
    "train_steps",
)
SHAPES = ("linear", "cosine", "1-sqrt")


def learning_rates(settings: Settings, asked: int | None) -> Float:
    """The learning rate of each step."""
    steps = settings.steps(asked, "train_steps")
    top = settings.number("learning_rate", 1.0)
    least = settings.number("min_decay_lr", top)
    warmup = settings.count("lr_warmup_steps", 0)
    ramp = settings.choice("lr_warmup_style", ("linear", "constant"), "linear")
    shape = settings.choice("lr_decay_style", SHAPES, "linear")
    start = settings.count("lr_decay_starting_step", warmup)
    rest = settings.count("train_steps", steps) - warmup
    if settings.get("lr_decay_starting_step") is not None:
        rest -= start  # as well as the warm-up
    span = settings.count("lr_decay_steps", max(rest, 0))
    if not warmup and not span:
        return np.full(steps, top)
    step = np.arange(steps, dtype=np.float64)
    rates = np.where(step < start + span, decay(step - start, span, shape, top, least), least)
    rates = np.where(step < start, top, rates)
    if ramp == "linear":
        return np.where(step <= warmup, line(step, max(warmup, 1), 0.0, top), rates)
    return np.where(step <= warmup, top, rates)
