"""Schedules of optax: functions of the step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .._arrays import Float, positive_scalar
from ._common import LastStep, check_callable, checked, imported, needed

if TYPE_CHECKING:
    from .._schedule import Schedule


def from_optax(fn: Callable[[Any], Any], steps: int, *, last_step: LastStep = "repeat") -> Schedule:
    """Make the schedule of an optax schedule, or of any function of the step made with JAX.

    Parameters
    ----------
    fn : callable
        From the number of steps done, an integer array of JAX, to the learning rate of the next;
        what JAX cannot trace is called with one integer of Python after the other. It is evaluated
        in float64, whatever JAX is set to: in float32 the last steps of a long decay are rounded
        to zero.
    steps : int
        Number of steps.
    last_step : {"repeat", "given"}, default "repeat"
        Whether the last step is replaced by the one before it, as in `from_log`.

    Returns
    -------
    Schedule
        Step t has ``fn(t - 1)`` over the largest one, which is ``params["peak"]``.

    Raises
    ------
    ImportError
        JAX is not installed.
    TypeError
        `fn` is not callable.
    ValueError
        A learning rate is negative or not finite, or none is positive.

    Examples
    --------
    >>> import optax  # doctest: +SKIP
    >>> fn = optax.warmup_cosine_decay_schedule(0.0, 1e-3, 100, 1000)  # doctest: +SKIP
    >>> from_optax(fn, 1000)  # doctest: +SKIP
    <Schedule optax: 1000 steps, learning rates of optax; last step repeated>
    """
    steps = checked(steps, last_step)
    check_callable(fn, "fn", "a function of the step, as the schedules of optax are")
    if isinstance(fn, Table):
        return imported(fn.rows(steps), "optax", "optax", last_step, scale=fn.lr)
    jax = needed("jax", "jax", "from_optax")
    return imported(evaluated(jax, fn, steps), "optax", "optax", last_step)


def evaluated(jax: Any, fn: Callable[[Any], Any], steps: int) -> Float:
    """The values of a function of JAX at all steps, in float64."""
    with _double(jax):
        try:
            return np.asarray(jax.vmap(fn)(jax.numpy.arange(steps)), np.float64)
        except _untraceable(jax):
            return np.fromiter((float(fn(step)) for step in range(steps)), float, steps)


def _untraceable(jax: Any) -> tuple[type[Exception], ...]:
    """What a function raises that has to be called step by step.

    It branches on the step in Python, gives it to NumPy, or looks it up in a table that is not
    JAX's.
    """
    errors = jax.errors
    return (
        errors.ConcretizationTypeError,
        errors.TracerArrayConversionError,
        errors.TracerIntegerConversionError,
    )


def _double(jax: Any) -> Any:
    """JAX in float64 for as long as a block lasts."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    return needed("jax.experimental", "jax", "from_optax").enable_x64()


class Table:
    """An optax schedule from a table; past its end, the last learning rate is held.

    A count between two steps is that of the first.
    """

    def __init__(self, eta: Float, lr: float) -> None:
        self.eta = eta
        self.lr = lr

    def rows(self, steps: int) -> Float:
        """So many steps, as ratios."""
        return self.eta[np.minimum(np.arange(steps), self.eta.size - 1)]

    def __call__(self, count: Any) -> Any:
        jax = needed("jax", "jax", "to_optax")
        last = self.eta.size - 1
        if not isinstance(count, jax.core.Tracer):  # no copy of the table for a single step
            step = np.clip(np.asarray(count), 0, last).astype(int)
            return jax.numpy.asarray(self.lr * self.eta[step])
        step = jax.numpy.clip(count, 0, last).astype(int)
        return jax.numpy.asarray(self.lr * self.eta)[step]


def to_optax(schedule: Schedule, lr: float | None = None) -> Table:
    """See `Schedule.to_optax`."""
    needed("jax", "jax", "to_optax")
    if lr is None:
        lr = schedule.params.get("peak", 1.0)
    return Table(schedule.eta, positive_scalar(lr, "lr"))
