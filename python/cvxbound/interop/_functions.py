"""Schedules that are functions of the step: any, those of Keras, and those of timm."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ._common import LastStep, check_callable, checked, group_number, imported, needed
from ._optax import evaluated

if TYPE_CHECKING:
    from .._schedule import Schedule


def from_callable(
    fn: Callable[[int], float], steps: int, first: int = 0, *, last_step: LastStep = "repeat"
) -> Schedule:
    """Make the schedule of a function from the step to its learning rate.

    Parameters
    ----------
    fn : callable
        Called with ``first``, ``first + 1`` and so on, once for each step.
    steps : int
        Number of steps.
    first : int, default 0
        What the function calls the first step.
    last_step : {"repeat", "given"}, default "repeat"
        Whether the last step is replaced by the one before it, as in `from_log`.

    Returns
    -------
    Schedule
        The values of the function over the largest one, which is ``params["peak"]``.

    Raises
    ------
    TypeError
        `fn` is not callable.
    ValueError
        A learning rate is negative or not finite, or none is positive.

    Examples
    --------
    >>> from_callable(lambda t: 0.5 * (1 - t / 4), 4).eta.tolist()
    [1.0, 0.75, 0.5, 0.5]
    >>> from_callable(lambda t: 0.5 * (1 - t / 4), 4, last_step="given").eta.tolist()
    [1.0, 0.75, 0.5, 0.25]
    """
    steps = checked(steps, last_step)
    check_callable(fn, "fn", "a function of the step")
    rates = np.fromiter((float(fn(t)) for t in range(first, first + steps)), float, steps)
    name = getattr(fn, "__name__", type(fn).__name__)
    name = "function" if name == "<lambda>" else name
    return imported(rates, name, name, last_step, first=first)


def from_keras(schedule: Any, steps: int, *, last_step: LastStep = "repeat") -> Schedule:
    """Make the schedule of one of ``keras.optimizers.schedules``.

    Parameters
    ----------
    schedule : keras.optimizers.schedules.LearningRateSchedule
        It is evaluated in float64: in Keras' own float32 the last steps of a long decay are
        rounded to zero.
    steps : int
        Number of steps.
    last_step : {"repeat", "given"}, default "repeat"
        Whether the last step is replaced by the one before it, as in `from_log`.

    Returns
    -------
    Schedule
        Step t has ``schedule(t - 1)`` over the largest one, which is ``params["peak"]``.

    Raises
    ------
    ImportError
        Keras is not installed.
    TypeError
        `schedule` is not callable, as an optimizer is not.
    ValueError
        A learning rate is negative or not finite, or none is positive.

    Examples
    --------
    >>> import keras  # doctest: +SKIP
    >>> decay = keras.optimizers.schedules.CosineDecay(1e-3, 1000)  # doctest: +SKIP
    >>> from_keras(decay, 1000)  # doctest: +SKIP
    <Schedule CosineDecay: 1000 steps, learning rates of CosineDecay; last step repeated>
    """
    steps = checked(steps, last_step)
    check_callable(schedule, "schedule", "one of keras.optimizers.schedules")
    keras = needed("keras", "keras", "from_keras")
    with _in_double(keras):
        if keras.config.backend() == "jax":  # which compiles every single call
            rates = evaluated(needed("jax", "jax", "Keras"), schedule, steps)
        else:
            rates = np.fromiter((float(schedule(t)) for t in range(steps)), float, steps)
    name = type(schedule).__name__
    return imported(rates, name, name, last_step)


@contextlib.contextmanager
def _in_double(keras: Any) -> Iterator[None]:
    """Keras in float64 for as long as the block lasts."""
    usual = keras.config.floatx()
    keras.config.set_floatx("float64")
    try:
        yield
    finally:
        keras.config.set_floatx(usual)


def from_timm(
    scheduler: Any, steps: int | None = None, group: int = 0, *, last_step: LastStep = "repeat"
) -> Schedule:
    """Make the schedule of one of ``timm.scheduler``, which is left as it is.

    Parameters
    ----------
    scheduler : timm.scheduler.scheduler.Scheduler
        If it counts epochs (``t_in_epochs``, its default), so does the schedule.
    steps : int, optional
        Number of updates, or of epochs; by default the length of its cycle.
    group : int, default 0
        Which of the optimizer's groups of parameters.
    last_step : {"repeat", "given"}, default "repeat"
        Whether the last step is replaced by the one before it, as in `from_log`.

    Returns
    -------
    Schedule
        The learning rates of the group over the largest one, which is ``params["peak"]``;
        ``params["unit"]`` is ``"update"`` or ``"epoch"``.

    Raises
    ------
    TypeError
        `scheduler` is not one of timm, or `group` no integer.
    ValueError
        It follows losses, or has no cycle and `steps` is not given; an argument is out of its
        range.

    Examples
    --------
    >>> from timm.scheduler import CosineLRScheduler  # doctest: +SKIP
    >>> scheduler = CosineLRScheduler(  # doctest: +SKIP
    ...     optimizer, t_initial=900, warmup_t=100, warmup_prefix=True, t_in_epochs=False
    ... )
    >>> len(from_timm(scheduler))  # doctest: +SKIP
    1000
    """
    name = type(scheduler).__name__
    if not hasattr(scheduler, "_get_lr") or not hasattr(scheduler, "t_in_epochs"):
        raise TypeError(f"scheduler must be one of timm.scheduler, got {scheduler!r}")
    if hasattr(scheduler, "lr_scheduler"):  # a plateau scheduler, around PyTorch's
        raise ValueError(f"{name} follows losses, which come with the run: use from_log after it")
    if steps is None:
        if not hasattr(scheduler, "get_cycle_length"):
            raise ValueError(f"{name} has no length of its own; give steps")
        steps = int(scheduler.get_cycle_length())
    steps = checked(steps, last_step)
    group = group_number(group, scheduler.optimizer)
    rates = np.empty(steps)
    # No update precedes the first step, which has what the scheduler sets when it is made.
    rates[0] = scheduler.warmup_lr_init if scheduler.warmup_t else scheduler.base_values[group]
    for t in range(1, steps):
        rates[t] = scheduler._add_noise(scheduler._get_lr(t), t)[group]
    rates *= scheduler.optimizer.param_groups[group].get("lr_scale", 1.0)
    unit = "epoch" if scheduler.t_in_epochs else "update"
    source = f"{name}, one an epoch" if scheduler.t_in_epochs else name
    return imported(rates, name, source, last_step, unit=unit)
