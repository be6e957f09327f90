"""The best schedules there are, and what others lose to them."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import bounds
from ._arrays import (
    LARGEST_NORM,
    LARGEST_STEP,
    Float,
    check_range,
    positive_array,
    positive_scalar,
    real_array,
    whole_number,
)
from ._names import Kind, check_names

__all__ = [
    "AnytimePrice",
    "horizon_envelope",
    "optimal_bound",
    "optimal_steps",
    "price_of_anytime",
    "wrong_rate",
]

_MOST_ROUNDS = 50
_SETTLED = 1e-9  # of log gamma: at a minimum the bound then changes by its square


def optimal_steps(steps: int, G: ArrayLike = 1.0, D: float = 1.0, *, kind: Kind = "last") -> Float:
    """Return the schedule with the smallest bound of all, base learning rate included.

    Parameters
    ----------
    steps : int
        Number of steps T, at least 1.
    G : float or array_like of float, shape (T,), default 1.0
        Bound on the gradient norms, or one for each step; positive, at most 1e100.
    D : float, default 1.0
        Bound on the initial distance to a minimiser.
    kind : {"last", "tight", "average"}, default "last"
        Which bound is to be smallest.

    Returns
    -------
    ndarray of float64, shape (T,)
        Learning rates, to be used with a base learning rate of 1, where their bound is
        `optimal_bound`. For `tight`, which does not depend on it, the last step is the virtual one
        at which the bound is attained; it is never zero.

    Raises
    ------
    TypeError, ValueError
        If `steps` is not a positive integer, a norm is not positive and finite (its index), or
        `kind` is unknown. A step without noise could be as long as one likes, so that no schedule
        is the best.

    Notes
    -----
    O(T); a million steps of `last` take about a second, the others milliseconds. With
    ``w_k = G_k^-2`` and ``W = w_1 + ... + w_T``:

    - `average`: ``eta_k = D w_k / sqrt(W)``.
    - `tight`: ``eta_k = D w_k (w_{k+1} + ... + w_T) / W^{3/2}`` and ``eta_T = D w_T^2 / W^{3/2}``.
      Up to the base learning rate this is the refined schedule of Defazio et al.; for constant G
      the minimax steps ``D (T - k) / (G T^{3/2})`` of Zamani & Glineur.
    - `last`: with s_n the best bound of the last n steps, the step before them takes the part
      ``1 - G_k / sqrt(s_n^2 + G_k^2)`` of the distance it has before it.

    References
    ----------
    Defazio, Cutkosky, Mehta, Mishchenko (arXiv 2310.07831): the refined schedule.
    Zamani, Glineur (arXiv 2307.11134): the minimax steps. The proofs are in docs/optimal.md.

    Examples
    --------
    >>> optimal_steps(4, kind="tight")
    array([0.375, 0.25 , 0.125, 0.125])
    >>> optimal_steps(4).round(3)
    array([0.299, 0.255, 0.212, 0.512])
    """
    norms, radius = _checked(steps, G, D, kind)
    if kind == "last":
        best, kept, taken = _grow(norms)
        left = np.cumprod(np.concatenate([[radius / best[-1]], kept]))
        return np.append(left[:-1] * taken, left[-1])
    weights, total, least = _weights(norms)
    if kind == "average":
        return np.asarray(weights * (radius / (least * math.sqrt(total))))
    after = np.append(_tails(weights)[1:], weights[-1])
    return np.asarray(weights * after * (radius / (least * total * math.sqrt(total))))


def optimal_bound(steps: int, G: ArrayLike = 1.0, D: float = 1.0, *, kind: Kind = "last") -> float:
    """Return the smallest bound that any schedule of T steps has.

    Parameters
    ----------
    steps, G, D, kind
        As for `optimal_steps`, which attains it.

    Returns
    -------
    float
        For `tight` and `average` ``D / sqrt(sum_k G_k^-2)``, which is ``D G / sqrt(T)`` for
        constant G; for `last` about twice that, ``2 D G / sqrt(T)`` in the limit. Units of loss.

    Raises
    ------
    TypeError, ValueError
        As for `optimal_steps`.

    Notes
    -----
    O(T). For constant G and `tight` no subgradient method has a better worst case (Zamani &
    Glineur, arXiv 2307.11134). The recursion of `last` is ``s_1 = G_T``,
    ``s_{n+1}^2 = 2 G_k (sqrt(s_n^2 + G_k^2) - G_k)``, written without the difference.

    Examples
    --------
    >>> optimal_bound(400, kind="tight")
    0.05
    >>> round(optimal_bound(400), 4)
    0.1002
    """
    norms, radius = _checked(steps, G, D, kind)
    if kind == "last":
        return radius * float(_grow(norms)[0][-1])
    _, total, least = _weights(norms)
    return radius * least / math.sqrt(total)


def horizon_envelope(steps: int, G: float = 1.0, D: float = 1.0, *, kind: Kind = "last") -> Float:
    """Return, for each horizon up to T, the smallest bound of a schedule made for that horizon.

    No single schedule follows it: `price_of_anytime` says how far above it one stays.

    Parameters
    ----------
    steps : int
        Number of steps T, at least 1.
    G, D : float, default 1.0
        Bounds on the gradient norms and on the initial distance.
    kind : {"last", "tight", "average"}, default "last"
        Which bound.

    Returns
    -------
    ndarray of float64, shape (T,)
        ``optimal_bound(t, G, D, kind=kind)`` at t = 1, ..., T. Units of loss.

    Raises
    ------
    TypeError, ValueError
        As for `optimal_steps`, and for a G that is not a scalar.

    Notes
    -----
    O(T) for all horizons together: with constant norms the last n steps of the best schedule are
    the best schedule of n steps.

    Examples
    --------
    >>> horizon_envelope(4, kind="tight").round(4)
    array([1.    , 0.7071, 0.5774, 0.5   ])
    >>> horizon_envelope(4).round(4)
    array([1.    , 0.9102, 0.8393, 0.7817])
    """
    norms, radius = _checked(steps, positive_scalar(G, "G"), D, kind)
    if kind == "last":
        return radius * _grow(norms)[0]
    return np.asarray(radius * norms[0] / np.sqrt(np.arange(1, norms.size + 1)))


def wrong_rate(factor: ArrayLike) -> Any:
    """Return what a base learning rate that is off by a factor costs.

    Parameters
    ----------
    factor : float or array_like of float
        The base learning rate over the best one; positive.

    Returns
    -------
    float or ndarray of float64
        The bound over the best one, ``(factor + 1 / factor) / 2``, of the shape of `factor`. It is
        exact for `last` and `average` of any schedule. `tight`, whose virtual last step is free,
        costs at most that; with constant norms less only far below the best rate.

    Raises
    ------
    TypeError, ValueError
        If a factor is not a positive finite number.

    Notes
    -----
    O(1). ``distance / gamma + gamma noise`` at ``gamma = factor sqrt(distance / noise)``; Schaipp
    et al. (arXiv 2501.18965), Section 3, have both terms.

    Examples
    --------
    >>> wrong_rate([0.5, 1, 2]).tolist()
    [1.25, 1.0, 1.25]
    """
    ratio = positive_array(factor, "factor")
    with np.errstate(over="ignore"):
        values = np.asarray(ratio / 2 + 0.5 / ratio)
    return values if values.ndim else float(values)


class AnytimePrice(NamedTuple):
    """How far a schedule stays above the best bound at each horizon.

    Parameters
    ----------
    gamma : float
        The base learning rate. Units of learning rate.
    worst : float
        The largest ratio of the bound to `horizon_envelope`, at least 1.
    step : int
        The horizon (1-based) where it is largest.
    ratio : ndarray of float64
        The ratio at every horizon looked at.

    Examples
    --------
    >>> AnytimePrice(gamma=1.0, worst=1.5, step=1, ratio=np.array([1.5, 1.0])).worst
    1.5
    """

    gamma: float
    worst: float
    step: int
    ratio: Float


def price_of_anytime(
    eta: ArrayLike,
    gamma: float | None = None,
    *,
    G: float = 1.0,
    D: float = 1.0,
    kind: Kind = "last",
    from_step: int = 1,
) -> AnytimePrice:
    """Compare a schedule at every horizon with the schedules made for that horizon.

    Whoever does not know when training will end pays for it: this is by how much.

    Parameters
    ----------
    eta : array_like (T,) or Schedule
        The schedule; at horizon t it is stopped after step t.
    gamma : float, optional
        Base learning rate; by default the one whose largest ratio is smallest.
    G, D : float, default 1.0
        Bounds on the gradient norms and on the initial distance. They change gamma only.
    kind : {"last", "tight", "average"}, default "last"
        Which bound, of the schedule and of those it is compared with.
    from_step : int, default 1
        The first horizon that counts, 1 <= from_step <= T. One base learning rate for all horizons
        cannot be right for the first few and the last: where training never stops early, leave
        those out.

    Returns
    -------
    AnytimePrice
        Its `ratio` has shape (T + 1 - from_step,).

    Raises
    ------
    TypeError, ValueError
        As for `curve`, for an `eta` of several axes, for a `from_step` outside 1..T, and, where
        gamma is to be found, for a bound that is infinite at some horizon (the step).

    Notes
    -----
    O(T). With terms a_t and b_t over the envelope the largest ratio, max_t (a_t / gamma +
    gamma b_t), is convex in log gamma; bisection on the sign of its slope finds the minimum. The
    terms of `tight` depend on gamma through the virtual last step: any split bounds the curve from
    above, so that minimising for one split and splitting again only descends, until gamma settles.

    Examples
    --------
    >>> import cvxbound as cb
    >>> round(price_of_anytime(cb.schedules.inverse_sqrt(1000)).worst, 3)
    1.537
    >>> round(price_of_anytime(cb.schedules.linear(1000), from_step=1000).worst, 4)
    1.0018
    """
    steps = real_array(eta, "eta")
    if steps.ndim != 1 or not steps.size:
        raise ValueError(f"eta must be one schedule, of shape (T,) with T >= 1; got {steps.shape}")
    check_names(kind=kind)
    first = whole_number(from_step, "from_step")
    if first > steps.size:
        raise ValueError(
            f"from_step must be at most the number of steps, {steps.size}; got {first}"
        )
    check_range(steps, "eta", LARGEST_STEP)
    peak = float(steps.max()) or 1.0  # squares of the shape itself stay in range
    steps, scale = steps / peak, positive_scalar(D, "D") / (positive_scalar(G, "G") * peak)
    horizons = np.arange(first, steps.size + 1)
    best = horizon_envelope(steps.size, kind=kind)[first - 1 :]
    if gamma is None:
        weight = _flattest_weight(steps, horizons, best, kind)
    else:
        weight = positive_scalar(gamma, "gamma") / scale
    ratio = bounds.curve(steps, weight, kind=kind, at=horizons) / best
    worst = int(np.argmax(ratio))
    return AnytimePrice(weight * scale, float(ratio[worst]), int(horizons[worst]), ratio)


def _checked(steps: int, G: ArrayLike, D: float, kind: str) -> tuple[Float, float]:
    """Return the norm of each step, (T,), and the radius."""
    check_names(kind=kind)
    count = whole_number(steps, "steps")
    norms = real_array(G, "G")
    if norms.ndim and norms.shape != (count,):
        raise ValueError(
            f"G must be a scalar or one norm a step, of shape ({count},); got shape {norms.shape}"
        )
    check_range(norms, "G", LARGEST_NORM)
    if (norms == 0).any():
        place = f" at index {int(np.argmin(norms))}" if norms.ndim else ""
        raise ValueError(
            f"G must be positive; found 0.0{place}: a step without noise is free, so that the "
            "best bound is 0 and no finite step attains it; give the least norm there is instead"
        )
    return np.broadcast_to(norms, (count,)), positive_scalar(D, "D")


def _grow(norms: Float) -> tuple[Float, Float, Float]:
    """Grow the best schedule of `last` from its end, one step at a time.

    Returns the best bound of the last n steps for n = 1..T and D = 1, and for each step but the
    last which part of the distance before it is left after it, and which part it takes.
    """
    best = [float(norms[-1])]
    kept, taken = [], []
    for norm in norms[-2::-1].tolist():
        s = best[-1]
        h = math.hypot(s, norm)
        kept.append(norm / h)
        taken.append(s / h * (s / (h + norm)))  # 1 - norm / h, without the difference
        best.append(s * math.sqrt(2 * norm / (h + norm)))
    return np.array(best), np.array(kept[::-1]), np.array(taken[::-1])


def _weights(norms: Float) -> tuple[Float, float, float]:
    """Return G_k^-2 in units that make the largest 1, their sum, and the smallest norm."""
    least = float(norms.min())
    weights = np.square(least / norms)
    return weights, float(_tails(weights)[0]), least


def _tails(weights: Float) -> Float:
    """Sum the weights from each step to the end, in long double: many equal ones would drift."""
    sums: Float = np.cumsum(weights[::-1], dtype=np.longdouble)[::-1].astype(np.float64)
    return sums


def _flattest_weight(steps: Float, horizons: NDArray[np.int64], best: Float, kind: Kind) -> float:
    """Find the gamma, for D = G = 1, whose largest ratio to the best bounds is smallest."""
    weight = math.nan
    for i in range(_MOST_ROUNDS):
        distance, noise = bounds.terms(steps, gamma=weight if i else None, kind=kind, at=horizons)
        good = np.isfinite(distance) & np.isfinite(noise)
        if not good.all():
            raise ValueError(
                f"the bound is infinite at step {horizons[np.argmin(good)]}, which is zero or "
                "follows zeros only: start later with from_step=, give gamma=, or take "
                "kind='tight', which does not use the last step"
            )
        before, weight = weight, _flattest(distance / best, noise / best)
        if kind != "tight" or abs(math.log(weight / before)) < _SETTLED:
            break
    return weight


def _flattest(a: Float, b: Float) -> float:
    """Minimise max_t (a_t / gamma + gamma b_t): bisection on the sign of the slope in log gamma."""
    minima = np.sqrt(a / b)
    low, high = float(minima.min()), float(minima.max())
    while low < (gamma := math.sqrt(low) * math.sqrt(high)) < high:
        top = np.argmax(a / gamma + gamma * b)
        if gamma * b[top] > a[top] / gamma:
            high = gamma
        else:
            low = gamma
    return low
