"""Hugging Face transformers: the schedules of ``get_scheduler``, and the Trainer's arguments.

Step t uses the factor of t - 1, so that a warm-up starts with a learning rate of zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .._arrays import Float
from .._messages import did_you_mean
from ._common import LastStep, checked, imported
from ._curves import decay, line
from ._phases import Phases
from ._settings import Settings

if TYPE_CHECKING:
    from .._schedule import Schedule

TITLE = "Hugging Face TrainingArguments"
FORMAT = "python"
GROUPS: tuple[str, ...] = ()
ABSOLUTE: tuple[str, ...] = ("learning_rate", "lr_end", "min_lr")
SETTINGS: tuple[str, ...] = (
    "learning_rate",
    "lr_scheduler_type",
    "lr_scheduler_kwargs",
    "warmup_steps",
    "warmup_ratio",
    "max_steps",
)
SHAPES = ("linear", "cosine", "1-sqrt")
WRITES: tuple[str, ...] = (*SHAPES, "inverse_sqrt")
_FOLLOW_LOSSES = ("reduce_lr_on_plateau", "greedy")


def from_hf(
    name: str,
    steps: int,
    *,
    num_warmup_steps: int = 0,
    lr: float = 1.0,
    last_step: LastStep = "repeat",
    **kwargs: Any,
) -> Schedule:
    """Make one of the schedules of transformers, which need not be installed.

    Parameters
    ----------
    name : str
        As ``get_scheduler`` takes it and `lr_scheduler_type` of the Trainer: ``linear``,
        ``cosine``, ``cosine_with_restarts``, ``polynomial``, ``constant``,
        ``constant_with_warmup``, ``inverse_sqrt``, ``cosine_with_min_lr``,
        ``cosine_warmup_with_min_lr`` or ``warmup_stable_decay``.
    steps : int
        Number of training steps.
    num_warmup_steps : int, default 0
        Length of the warm-up.
    lr : float, default 1.0
        The learning rate of the optimizer, for the schedules that have absolute ones: `lr_end` and
        `min_lr`.
    last_step : {"repeat", "given"}, default "repeat"
        Whether the last step is replaced by the one before it, as in `from_log`.
    **kwargs
        What the schedule itself takes, called as in transformers: `num_decay_steps`,
        `min_lr_ratio` and so on.

    Returns
    -------
    Schedule
        Step t has the learning rate of the optimizer's step t, over the largest one, which is
        ``params["peak"]``.

    Raises
    ------
    TypeError
        An argument that the schedule does not take, or one that it needs is missing.
    ValueError
        Unknown schedule, with the nearest known one; or one that follows losses.

    Examples
    --------
    >>> from_hf("cosine", 4, last_step="given").eta.round(3).tolist()
    [1.0, 0.854, 0.5, 0.146]
    >>> from_hf("warmup_stable_decay", 1000, num_warmup_steps=100, num_decay_steps=200)
    <Schedule hf: 1000 steps, learning rates of HF's warmup_stable_decay; last step repeated>
    """
    cfg = {
        "learning_rate": lr,
        "lr_scheduler_type": name,
        "lr_scheduler_kwargs": kwargs,
        "warmup_steps": num_warmup_steps,
        "max_steps": checked(steps, last_step),
    }
    settings = Settings("hf", cfg, SETTINGS)
    source = f"HF's {_name(settings)}"
    rates = learning_rates(settings, None)
    return imported(rates, "hf", source, last_step, tool="hf", config=settings.used)


def _name(settings: Settings) -> str:
    name = str(settings.get("lr_scheduler_type", "linear"))
    if name in _FOLLOW_LOSSES:
        raise settings.error(f"{name} follows losses, which come with the run: use from_log")
    if name not in _FACTORS:
        raise did_you_mean(name, _FACTORS, "schedule of hf")
    return name


def learning_rates(settings: Settings, asked: int | None) -> Float:
    """The learning rate of each step."""
    steps = settings.steps(asked, "max_steps")
    total = settings.count("max_steps", steps)
    name = _name(settings)
    lr = settings.number("learning_rate", 1.0)
    warmup = settings.number("warmup_steps", 0)
    if 0 < warmup < 1:
        warmup = math.ceil(total * warmup)
    elif not warmup and settings.get("warmup_ratio"):
        warmup = math.ceil(total * settings.number("warmup_ratio"))
    kwargs = settings.get("lr_scheduler_kwargs", {})
    if not isinstance(kwargs, Mapping):
        raise settings.error(f"lr_scheduler_kwargs must be a mapping, got {kwargs!r}")
    step = np.arange(steps, dtype=np.float64)
    try:
        factors = _FACTORS[name](step, int(warmup), total, lr, **kwargs)
    except TypeError as error:
        raise TypeError(f"hf: {name}: {str(error).partition('() ')[2] or error}") from None
    return lr * factors


def _ramped(step: Float, warmup: int, rest: Float) -> Float:
    """`rest` after a warm-up from zero."""
    return np.where(step < warmup, line(step, max(warmup, 1), 0.0), rest)


def _constant(step: Float, warmup: int, total: int, lr: float) -> Float:
    return np.ones(step.size)


def _constant_with_warmup(step: Float, warmup: int, total: int, lr: float) -> Float:
    return _ramped(step, warmup, np.ones(step.size))


def _linear(step: Float, warmup: int, total: int, lr: float) -> Float:
    return _ramped(step, warmup, decay(step - warmup, max(total - warmup, 1), "linear", 1.0, 0.0))


def _waves(step: Float, warmup: int, total: int, cycles: float) -> Float:
    """(1 + cos(2 pi cycles progress)) / 2, as a square: exact where it is small."""
    progress = (step - warmup) / max(1, total - warmup)
    return np.square(np.cos(np.pi * cycles * progress))


def _half_cosine(step: Float, warmup: int, total: int, cycles: float) -> Float:
    if cycles == 0.5:
        return decay(step - warmup, max(1, total - warmup), "cosine", 1.0, 0.0, held=False)
    return _waves(step, warmup, total, cycles)


def _cosine(step: Float, warmup: int, total: int, lr: float, num_cycles: float = 0.5) -> Float:
    return _ramped(step, warmup, _half_cosine(step, warmup, total, num_cycles))


def _restarts(step: Float, warmup: int, total: int, lr: float, num_cycles: int = 1) -> Float:
    progress = (step - warmup) / max(1, total - warmup)
    wave = decay((num_cycles * progress) % 1.0, 1.0, "cosine", 1.0, 0.0)
    return _ramped(step, warmup, np.where(progress >= 1, 0.0, wave))


def _polynomial(
    step: Float, warmup: int, total: int, lr: float, lr_end: float = 1e-7, power: float = 1.0
) -> Float:
    if not lr > lr_end:
        raise ValueError(f"hf: lr_end ({lr_end}) must be smaller than the learning rate ({lr})")
    left = np.maximum((total - step) / max(total - warmup, 1), 0)
    return _ramped(step, warmup, ((lr - lr_end) * left**power + lr_end) / lr)


def _inverse_sqrt(
    step: Float, warmup: int, total: int, lr: float, timescale: int | None = None
) -> Float:
    scale = timescale or warmup or 10_000
    since = np.maximum(step - warmup, 0)
    return _ramped(step, warmup, np.sqrt(scale / (since + scale)))


def _least(lr: float, min_lr: float | None, min_lr_rate: float | None) -> float:
    if (min_lr is None) == (min_lr_rate is None):
        raise ValueError("hf: one of min_lr and min_lr_rate must be given, and not both")
    return min_lr / lr if min_lr_rate is None else min_lr_rate  # type: ignore[operator]


def _cosine_with_min_lr(
    step: Float,
    warmup: int,
    total: int,
    lr: float,
    num_cycles: float = 0.5,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
) -> Float:
    least = _least(lr, min_lr, min_lr_rate)
    wave = _half_cosine(step, warmup, total, num_cycles)
    return _ramped(step, warmup, wave * (1 - least) + least)


def _cosine_warmup_with_min_lr(
    step: Float,
    warmup: int,
    total: int,
    lr: float,
    num_cycles: float = 0.5,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
    warmup_lr_rate: float | None = None,
) -> Float:
    least = _least(lr, min_lr, min_lr_rate)
    wave = _half_cosine(step + 1, warmup, total, num_cycles)
    if warmup_lr_rate is None:
        ramp = line(step + 1, max(warmup, 1), 0.0)
    else:
        ramp = line(step, max(warmup - 1, 1), warmup_lr_rate)
    return np.where(step < warmup, ramp, wave * (1 - least) + least)


def _warmup_stable_decay(
    step: Float,
    warmup: int,
    total: int,
    lr: float,
    *,
    num_decay_steps: int,
    num_stable_steps: int | None = None,
    warmup_type: str = "linear",
    decay_type: str = "cosine",
    min_lr_ratio: float = 0.0,
    num_cycles: float = 0.5,
) -> Float:
    for what, kind in (("warmup_type", warmup_type), ("decay_type", decay_type)):
        if kind not in SHAPES:
            raise did_you_mean(kind, SHAPES, f"{what} of hf")
    if num_stable_steps is None:
        num_stable_steps = total - warmup - num_decay_steps
    start = warmup + num_stable_steps
    ramp = decay(warmup - step, max(warmup, 1), warmup_type, 1.0, 0.0)
    if decay_type == "cosine" and num_cycles != 0.5:
        fall = _waves(step, start, start + num_decay_steps, num_cycles)
    else:
        fall = decay(step - start, max(num_decay_steps, 1), decay_type, 1.0, 0.0)
    factors = np.where(step < warmup, ramp, fall) * (1 - min_lr_ratio) + min_lr_ratio
    factors = np.where((step >= warmup) & (step < start), 1.0, factors)
    return np.where(step >= start + num_decay_steps, min_lr_ratio, factors)


_FACTORS: Mapping[str, Callable[..., Float]] = {
    "linear": _linear,
    "cosine": _cosine,
    "cosine_with_restarts": _restarts,
    "polynomial": _polynomial,
    "constant": _constant,
    "constant_with_warmup": _constant_with_warmup,
    "inverse_sqrt": _inverse_sqrt,
    "cosine_with_min_lr": _cosine_with_min_lr,
    "cosine_warmup_with_min_lr": _cosine_warmup_with_min_lr,
    "warmup_stable_decay": _warmup_stable_decay,
}


def candidates(phases: Phases, lr: float | None) -> Iterator[dict[str, Any]]:
    """Settings that may do, the best ones first."""
    for name, warmup, kwargs in _choices(phases, lr):
        found: dict[str, Any] = {} if lr is None else {"learning_rate": lr}
        found["lr_scheduler_type"] = name
        if kwargs:
            found["lr_scheduler_kwargs"] = kwargs
        yield found | {"warmup_steps": warmup, "max_steps": phases.steps}


def _choices(phases: Phases, lr: float | None) -> Iterator[tuple[str, int, dict[str, Any]]]:
    warmup, shape, final = phases.warmup, phases.shape, phases.final
    if shape is None:
        yield ("constant_with_warmup" if warmup else "constant"), warmup, {}
    elif shape == "inverse_sqrt":
        yield "inverse_sqrt", warmup, {"timescale": warmup + 1}
    if phases.whole and shape == "linear" and not final:
        yield "linear", warmup, {}
    if phases.whole and shape == "linear" and final and lr is not None:
        yield "polynomial", warmup, {"lr_end": final * lr, "power": 1.0}
    if phases.whole and shape == "cosine":
        cycles = 0.5 * (phases.steps - warmup) / phases.span
        some = {} if cycles == 0.5 else {"num_cycles": cycles}
        yield (
            ("cosine_with_min_lr", warmup, {"min_lr_rate": final} | some)
            if final
            else ("cosine", warmup, some)
        )
        yield "cosine_warmup_with_min_lr", warmup + 1, {"min_lr_rate": final}
    if shape in SHAPES:
        stable = {} if phases.end == phases.steps else {"num_stable_steps": phases.hold - warmup}
        kwargs = {"num_decay_steps": phases.span, "decay_type": shape}
        yield (
            "warmup_stable_decay",
            warmup,
            kwargs | stable | ({"min_lr_ratio": final} if final else {}),
        )
