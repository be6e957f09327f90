"""The learning rate of one schedule from that of another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._arrays import positive_array, real_array
from .bounds import tune

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from ._names import Kind, LastStep

__all__ = ["transfer_lr"]


def transfer_lr(
    gamma: ArrayLike,
    source: ArrayLike,
    target: ArrayLike,
    *,
    kind: Kind = "last",
    horizon_exponent: float | None = None,
    last_step: LastStep = "repeat",
) -> Any:
    """Turn the learning rate tuned for one schedule into that for another shape or horizon.

    The best base learning rate is D/G times a number that depends on the schedule alone. D and G
    are unknown but the same for both schedules, so they cancel: the rate of the target is `gamma`
    times ``tune(target).gamma / tune(source).gamma``.

    Parameters
    ----------
    gamma : array_like
        The base learning rate that was best with `source`: its peak, for a schedule of peak 1.
    source : array_like (..., T_A) or Schedule
        The schedule it was tuned for.
    target : array_like (..., T_B) or Schedule
        The schedule to find the base learning rate of; warm-up and number of steps may differ.
    kind : {"last", "tight", "average"}, default "last"
        Which bound is to be least, as for `bound`.
    horizon_exponent : float, optional
        h: let the best rate change with the horizon as T^h, where theory has T^(-1/2). It is then
        multiplied by (T_B / T_A)^(h + 1/2). Fits on language models give about -0.3; with 0 the
        horizon does not matter.
    last_step : {"given", "repeat", "free"}, default "repeat"
        What stands for the last step, as for `bound`.

    Returns
    -------
    float64 or ndarray
        In the unit of `gamma`; the leading axes of `source` and `target` and the axes of `gamma`
        broadcast.

    Raises
    ------
    TypeError, ValueError
        As for `tune`; or `gamma` is not positive, the shapes do not broadcast, or a schedule has no
        best base learning rate, since its bound is infinite at any.

    Notes
    -----
    Costs one `tune` of each schedule.

    References
    ----------
    Schaipp, Hägele, Taylor, Simsekli, Bach, ICML 2025 (arXiv 2501.18965), Section 3: the best rate.

    Examples
    --------
    >>> import cvxbound as cb
    >>> wsd, linear = cb.schedules.wsd(10_000, cooldown=0.2), cb.schedules.linear(10_000)
    >>> round(float(cb.transfer_lr(3e-4, wsd, linear)), 5)
    0.00058
    >>> longer = cb.schedules.wsd(40_000, cooldown=0.2)
    >>> cb.transfer_lr([3e-4, 6e-4], wsd, longer).round(6)
    array([0.00015, 0.0003 ])
    >>> round(float(cb.transfer_lr(3e-4, wsd, longer, horizon_exponent=-0.3)), 6)
    0.000198
    """
    rates = positive_array(gamma, "gamma")
    of_source = best_rate(source, "source", kind, last_step)
    ratio = best_rate(target, "target", kind, last_step) / of_source
    if horizon_exponent is not None:
        ratio = ratio * _horizon_factor(horizon_exponent, source, target)
    return (rates * ratio)[()]


def best_rate(eta: ArrayLike, name: str, kind: Kind, last_step: LastStep) -> Any:
    """The best base learning rate of a schedule; ValueError where there is none.

    `name` is what the error calls the schedule.
    """
    try:
        gamma, omega = tune(real_array(eta, "eta"), kind=kind, last_step=last_step)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from None
    if not np.all(np.max(np.asarray(eta), axis=-1) > 0):
        raise ValueError(f"{name} has no best base learning rate: no step of it is positive")
    if not np.all((gamma > 0) & np.isfinite(gamma) & np.isfinite(omega)):
        raise ValueError(
            f"{name} has no best base learning rate: its bound {kind!r} is infinite at any, since "
            "it ends at zero; leave out its last steps, or pass last_step='free' or kind='tight'"
        )
    return gamma


def _horizon_factor(exponent: float, source: ArrayLike, target: ArrayLike) -> float:
    h = real_array(exponent, "horizon_exponent")
    if h.ndim or not np.isfinite(h):
        raise ValueError(f"horizon_exponent must be a finite number, got {exponent!r}")
    ratio = np.asarray(target).shape[-1] / np.asarray(source).shape[-1]
    with np.errstate(over="ignore", under="ignore"):
        factor = float(np.power(ratio, float(h) + 0.5))
    if not 0 < factor < np.inf:
        raise ValueError(
            f"horizon_exponent is too large: {exponent!r} with {ratio:g} times the steps changes "
            f"the rate by a factor of {factor:g}; expected something like -0.3"
        )
    return factor
