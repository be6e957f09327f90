"""Megatron-LM: ``OptimizerParamScheduler`` and the arguments it is made of.

Iteration k + 1 uses the learning rate of k iterations, so that a warm-up from zero starts with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .._arrays import Float
from ._curves import decay, line
from ._phases import Phases, absolute
from ._settings import Settings

TITLE = "Megatron-LM"
FORMAT = "flags"
GROUPS: tuple[str, ...] = ()
ABSOLUTE: tuple[str, ...] = ("lr", "min_lr", "lr_warmup_init")
SETTINGS: tuple[str, ...] = (
    "train_iters",
    "train_samples",
    "global_batch_size",
    "lr",
    "min_lr",
    "lr_decay_style",
    "lr_decay_iters",
    "lr_decay_samples",
    "lr_warmup_iters",
    "lr_warmup_samples",
    "lr_warmup_fraction",
    "lr_warmup_init",
    "lr_wsd_decay_iters",
    "lr_wsd_decay_samples",
    "lr_wsd_decay_style",
)
STYLES = ("constant", "linear", "cosine", "inverse-square-root", "WSD")
SHAPES = {
    "linear": "linear",
    "cosine": "cosine",
    "minus_sqrt": "1-sqrt",
    "exponential": "exponential",
}
WRITES: tuple[str, ...] = (*SHAPES.values(), "inverse_sqrt")


def learning_rates(settings: Settings, asked: int | None) -> Float:
    """The learning rate of each iteration."""
    unit, batch = "iters", 1
    if settings.get("train_iters") is None and settings.get("train_samples") is not None:
        unit, batch = "samples", settings.count("global_batch_size")
        asked = asked or settings.count("train_samples") // max(batch, 1)
    steps = settings.steps(asked, "train_iters")
    done = np.arange(steps, dtype=np.float64) * batch
    length = settings.count(f"lr_decay_{unit}", settings.count(f"train_{unit}", steps * batch))
    warmup = settings.get("lr_warmup_fraction")
    if warmup is None:
        warmup = settings.count(f"lr_warmup_{unit}", 0)
    else:
        warmup = settings.number("lr_warmup_fraction") * length
    top, least = settings.number("lr", 1.0), settings.number("min_lr", 0.0)
    first = settings.number("lr_warmup_init", 0.0)
    style = settings.choice("lr_decay_style", STYLES, "linear")
    if not warmup < length:
        raise settings.error(f"the warm-up ({warmup:g}) must be shorter than the decay ({length})")
    if not (least <= top and first <= top):
        raise settings.error(f"min_lr and lr_warmup_init must be at most lr, {top:g}")
    rates = _after(settings, style, done, warmup, length, unit, top, least)
    if style != "constant":
        rates = np.where(done > length, least, rates)
    if warmup > 0:
        rates = np.where(done <= warmup, line(done, warmup, first, top), rates)
    return rates


def _after(
    settings: Settings,
    style: str,
    done: Float,
    warmup: float,
    length: int,
    unit: str,
    top: float,
    least: float,
) -> Float:
    """The learning rates after the warm-up."""
    if style == "constant":
        return np.full(done.size, top)
    if style == "inverse-square-root":
        if unit == "iters" and warmup < 1:  # Megatron counts samples, the first of which is 1
            batch = settings.count("global_batch_size")
            done, warmup = done * batch, warmup * batch
        return np.maximum(least, top * np.sqrt(max(warmup, 1) / np.maximum(done, 1)))
    if style != "WSD":
        return decay(done - warmup, length - warmup, style, top, least)
    span = settings.count(f"lr_wsd_decay_{unit}")
    shape = settings.choice("lr_wsd_decay_style", SHAPES, "exponential")
    return decay(done - (length - span), span, SHAPES[shape], top, least)


def candidates(phases: Phases, lr: float | None) -> Iterator[dict[str, Any]]:
    """Settings that may do, the best ones first."""
    shared: dict[str, Any] = {"train_iters": phases.steps} | ({} if lr is None else {"lr": lr})
    if phases.final:
        shared["min_lr"] = absolute(phases.final, lr, TITLE)
    starts = [0.0] if lr is None or not phases.warmup else [phases.start * lr, 0.0]
    for start in starts:
        first = {"lr_warmup_init": start} if start else {}
        yield shared | first | {"lr_warmup_iters": phases.warmup} | _styled(phases)


def _styled(phases: Phases) -> dict[str, Any]:
    shape = phases.shape
    if shape is None:
        return {"lr_decay_style": "constant"}
    if shape == "inverse_sqrt":
        return {"lr_warmup_iters": phases.warmup + 1, "lr_decay_style": "inverse-square-root"}
    if phases.whole and shape in ("linear", "cosine"):
        return {"lr_decay_style": shape, "lr_decay_iters": phases.end}
    styles = {ours: theirs for theirs, ours in SHAPES.items()}
    return {
        "lr_decay_style": "WSD",
        "lr_decay_iters": phases.end,
        "lr_wsd_decay_iters": phases.span,
        "lr_wsd_decay_style": styles[shape],
    }
