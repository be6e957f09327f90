"""torchtitan: ``LRSchedulersContainer``, which always warms up, holds the peak and decays.

The warm-up of W steps is t / W at step t. A virtual step after the last is what reaches the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .._arrays import Float
from ._curves import decay, line
from ._phases import Phases
from ._settings import Settings

TITLE = "torchtitan"
FORMAT = "dotted flags"
GROUPS: tuple[str, ...] = ("lr_scheduler", "training", "optimizer")
ABSOLUTE: tuple[str, ...] = ("lr",)
SETTINGS: tuple[str, ...] = (
    "lr",
    "steps",
    "warmup_steps",
    "total_steps",
    "decay_ratio",
    "decay_type",
    "min_lr_factor",
)
SHAPES = {"linear": "linear", "sqrt": "1-sqrt", "cosine": "cosine"}
WRITES: tuple[str, ...] = tuple(SHAPES.values())
IN_GROUP = {"steps": "training.steps"} | {
    name: f"lr_scheduler.{name}" for name in SETTINGS if name not in ("lr", "steps")
}


def learning_rates(settings: Settings, asked: int | None) -> Float:
    """The learning rate of each step."""
    steps = settings.steps(asked, "steps")
    total = settings.count("total_steps", settings.count("steps", steps))
    warmup = min(settings.count("warmup_steps", 200), total)
    ratio = settings.get("decay_ratio")
    rest = total - warmup
    span = rest if ratio is None else min(round(total * settings.number("decay_ratio")), rest)
    shape = SHAPES[settings.choice("decay_type", SHAPES, "linear")]
    final = settings.number("min_lr_factor", 0.0)
    step = np.arange(steps, dtype=np.float64)
    if steps > total + 1 and span:
        raise settings.error(f"the run has {steps} steps, and the decay is over after {total}")
    factors = decay(step - (total - span), span, shape, 1.0, final) if span else np.ones(steps)
    factors = np.where(step < warmup, line(step + 1, warmup, 0.0), factors)
    return settings.number("lr", 1.0) * factors


def candidates(phases: Phases, lr: float | None) -> Iterator[dict[str, Any]]:
    """Settings that may do, the best ones first."""
    types = {ours: theirs for theirs, ours in SHAPES.items()}
    shape = "linear" if phases.shape is None else phases.shape
    total = {} if phases.end == phases.steps else {"total_steps": phases.end}
    for warmup in dict.fromkeys((phases.warmup + bool(phases.warmup), phases.warmup)):
        yield (
            ({} if lr is None else {"lr": lr})
            | {"steps": phases.steps, "warmup_steps": warmup}
            | total
            | {
                "decay_ratio": phases.span / phases.end if phases.shape else 0.0,
                "decay_type": types[shape],
                "min_lr_factor": phases.final,
            }
        )
