"""MaxText: ``create_learning_rate_schedule``.

Every phase begins and ends on its own values: a warm-up of W steps is (t - 1) / (W - 1), and a
decay is at its end with its last step. After ``learning_rate_schedule_steps``, it is zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .._arrays import Float
from ._curves import decay, line
from ._phases import Phases, fraction
from ._settings import Settings

TITLE = "MaxText"
FORMAT = "yaml"
GROUPS: tuple[str, ...] = ()
ABSOLUTE: tuple[str, ...] = ("learning_rate",)
SETTINGS: tuple[str, ...] = (
    "steps",
    "learning_rate",
    "lr_schedule_type",
    "learning_rate_schedule_steps",
    "learning_rate_final_fraction",
    "warmup_steps_fraction",
    "wsd_decay_steps_fraction",
    "wsd_decay_style",
)
SHAPES = ("linear", "cosine")
WRITES: tuple[str, ...] = SHAPES


def learning_rates(settings: Settings, asked: int | None) -> Float:
    """The learning rate of each step."""
    steps = settings.steps(asked, "steps")
    length = settings.used.get("learning_rate_schedule_steps", -1)
    total = settings.count("steps", steps) if length in (None, -1) else int(length)
    top = settings.number("learning_rate", 1.0)
    final = settings.number("learning_rate_final_fraction", 0.1)
    warmup = int(total * settings.number("warmup_steps_fraction", 0.1))
    style = settings.choice("wsd_decay_style", SHAPES, "linear")
    if settings.choice("lr_schedule_type", ("cosine", "wsd"), "cosine") == "cosine":
        span, style = total - warmup, "cosine"
    else:
        span = int(total * settings.number("wsd_decay_steps_fraction", 0.1))
    if warmup + max(span, 0) > total:
        raise settings.error(f"warm-up ({warmup}) and decay ({span}) exceed the {total} steps")
    step = np.arange(steps, dtype=np.float64)
    done = step - (total - span)
    factors = np.ones(steps)
    if span > 1:
        factors = decay(done, span - 1, style, 1.0, final)
    elif style == "cosine":
        factors[done >= 0] = final if span else 1.0
    ramp = line(step, warmup - 1, 0.0) if warmup > 1 else np.zeros(steps)
    factors = np.where(step < warmup, ramp, factors)
    return top * np.where(step < total, factors, 0.0)


def candidates(phases: Phases, lr: float | None) -> Iterator[dict[str, Any]]:
    """Settings that may do, the best ones first."""
    shared: dict[str, Any] = {} if lr is None else {"learning_rate": lr}
    shared["steps"] = phases.steps
    decays = phases.shape is not None
    total = phases.end + 1 if decays else phases.steps  # the step that would be at the end counts
    span = phases.span + 1 if decays else 0
    if total != phases.steps:
        shared["learning_rate_schedule_steps"] = total
    shared["learning_rate_final_fraction"] = phases.final
    for warmup in dict.fromkeys((phases.warmup + bool(phases.warmup), phases.warmup)):
        if warmup + span > total:
            continue
        ramp = {"warmup_steps_fraction": fraction(warmup, total)}
        if phases.whole and phases.shape == "cosine":
            yield {"lr_schedule_type": "cosine"} | shared | ramp
        else:
            yield (
                {"lr_schedule_type": "wsd"}
                | shared
                | ramp
                | {
                    "wsd_decay_steps_fraction": fraction(span, total),
                    "wsd_decay_style": phases.shape or "linear",
                }
            )
