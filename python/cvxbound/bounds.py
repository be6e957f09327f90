"""The bound of a schedule: its value, its curve, its two terms and the best base learning rate."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from . import _arrays, _device
from ._arrays import Float
from ._names import Kind, LastStep, Method
from ._problem import Problem, make_problem
from ._results import Terms, Tuned

_RTOL = _arrays.SMALLEST_RTOL


def _omega(problem: Problem, gamma: ArrayLike, out: Float | None) -> Float:
    rates = _arrays.positive_array(gamma, "gamma", problem.xp)
    batch = problem.batch(rates)
    if out is not None:
        problem.check_out(out, batch)
    with np.errstate(over="ignore"):
        values = problem.omega(problem.weight(rates))
        values *= problem.radius * problem.scale
        omega = problem.place_time(values)
    if out is None:
        return omega[()]
    out[...] = omega
    return out


def bound(
    eta: ArrayLike,
    gamma: ArrayLike = 1.0,
    *,
    G: ArrayLike = 1.0,
    D: float = 1.0,
    kind: Kind = "last",
    last_step: LastStep = "given",
    axis: int = -1,
    out: Float | None = None,
    nthreads: int | None = None,
) -> Float:
    """Bound on the suboptimality after the last step of a schedule.

    For the subgradient method x_{t+1} = x_t - gamma eta_t g_t on a convex function, this bounds
    E f(x_T) - f* (`last`, `tight`) or the value at the averaged iterate (`average`).

    Parameters
    ----------
    eta : array_like (..., T), Schedule or CuPy array
        Learning-rate schedule; ``eta[t]`` is used by step t + 1. Non-negative, at most 1e300. Where
        it is a CuPy array its GPU computes, the result is one too, and `gamma` and `G` may be.
    gamma : array_like, default 1
        Base learning rate. Positive; broadcasts against the leading axes of `eta`.
    G : array_like, default 1
        Bound on the gradient norm: a scalar, or one norm a step (..., T), at most 1e100. A time
        axis of length 1 is a constant for each batch entry.
    D : float, default 1
        Bound on the distance of the first iterate from a minimiser.
    kind : {"last", "tight", "average"}, default "last"
        Omega of Schaipp et al.; the bound of Zamani & Glineur's lemma minimised over its free
        parameter, about half of it and never larger; the textbook bound of the average iterate.
    last_step : {"given", "repeat", "free"}, default "given"
        The last iterate does not depend on the last step, so any positive number may stand for it:
        eta_T itself (then a zero gives an infinite bound), eta_{T-1}, or the best one. `tight` is
        always free.
    axis : int, default -1
        Time axis of `eta`, and of `G` where it has one.
    out : ndarray, optional
        Where to put the result.
    nthreads : int, optional
        Threads to use; by default ``CVXBOUND_NUM_THREADS`` or the processors available. The result
        does not depend on it.

    Returns
    -------
    float64 or ndarray
        One value for each broadcast entry of the leading axes, in the units of gamma eta G^2.

    Raises
    ------
    TypeError
        For complex, object or otherwise non-numeric input, and a CuPy array beside an `eta` that is
        none.
    ValueError
        For a negative, NaN or too large entry (the message names its index), an empty time axis,
        axes that do not match, arrays of different GPUs, or an unknown `kind` or `last_step`.
    RuntimeError
        For a CuPy array where the package was built without CUDA.

    Notes
    -----
    O(T) time a schedule. Relative error below 1e-14 log2(T), or 1e-12 for a free last step of a
    long schedule: distances are only ever formed by adding steps, walking backwards from the
    target, and never as differences of prefix sums.

    References
    ----------
    Schaipp, Hägele, Taylor, Simsekli, Bach, ICML 2025 (arXiv 2501.18965), Theorem 1.
    Zamani, Glineur (arXiv 2307.11134), the key lemma.

    Examples
    --------
    >>> import cvxbound as cb
    >>> schedule = cb.schedules.wsd(400, cooldown=0.2)
    >>> round(float(cb.bound(schedule, gamma=0.0254)), 4)
    0.1093
    >>> cb.bound(schedule, gamma=[0.01, 0.0254, 0.1]).round(3)
    array([0.16 , 0.109, 0.229])
    """
    with _device.using(eta, gamma=gamma, G=G, out=out) as xp:
        problem = make_problem(eta, G, D, kind, last_step, None, "auto", _RTOL, axis, nthreads, xp)
        return _omega(problem, gamma, out)


def curve(
    eta: ArrayLike,
    gamma: ArrayLike = 1.0,
    *,
    G: ArrayLike = 1.0,
    D: float = 1.0,
    kind: Kind = "last",
    last_step: LastStep = "given",
    at: ArrayLike | Literal["all"] | None = None,
    method: Method = "auto",
    rtol: float = _RTOL,
    axis: int = -1,
    out: Float | None = None,
    nthreads: int | None = None,
) -> Float:
    """Bound after every step of a schedule, or after chosen ones.

    ``curve(eta)[t - 1]`` is ``bound(eta[:t])``: the schedule stopped after step t.

    Parameters
    ----------
    eta, gamma, G, D, kind, last_step, axis, out, nthreads
        As for `bound`.
    at : int or array_like of int, optional
        Horizons, 1-based; a scalar drops the time axis. Default (or ``"all"``): 1, ..., T.
    method : {"auto", "direct", "fast"}, default "auto"
        "direct" walks back from each horizon, "fast" evaluates all horizons together in linear
        time, "auto" takes what is faster.
    rtol : float, default 1e-12
        Relative error that "fast" may make, at least 1e-12; 1e-9 and 1e-6 need fewer
        coefficients. "auto" takes "direct" for less than 1e-12, which stays below 1e-13.

    Returns
    -------
    ndarray (..., T) or (..., len(at))
        Omega_t along the time axis; the leading axes are those of `eta`, `G` and `gamma` broadcast.

    Raises
    ------
    TypeError, ValueError
        As for `bound`, and for a horizon outside 1..T.

    Notes
    -----
    "fast" takes O(T) time for all horizons, and memory of at most 5 doubles a step besides the
    result; "direct" O(t) time a horizon, with a relative error below 1e-13. `average` is O(T)
    throughout.

    Examples
    --------
    >>> import cvxbound as cb
    >>> cb.curve(cb.schedules.constant(4)).round(4)
    array([1.    , 1.25  , 1.4167, 1.5417])
    >>> cb.curve(cb.schedules.constant(4), at=[2, 4]).round(4)
    array([1.25  , 1.5417])
    """
    at = "all" if at is None else at
    with _device.using(eta, gamma=gamma, G=G, out=out) as xp:
        problem = make_problem(eta, G, D, kind, last_step, at, method, rtol, axis, nthreads, xp)
        return _omega(problem, gamma, out)


def terms(
    eta: ArrayLike,
    *,
    gamma: ArrayLike | None = None,
    G: ArrayLike = 1.0,
    D: float = 1.0,
    kind: Kind = "last",
    last_step: LastStep = "given",
    at: ArrayLike | Literal["all"] | None = None,
    method: Method = "auto",
    rtol: float = _RTOL,
    axis: int = -1,
    nthreads: int | None = None,
) -> Terms:
    """Split the bound as Omega = distance / gamma + gamma noise.

    Parameters
    ----------
    eta, G, D, kind, last_step, axis, nthreads
        As for `bound`.
    gamma : array_like, optional
        Base learning rate at which to minimise where the last step is free (`tight`, or
        ``last_step="free"``); by default the best one, as in `tune`. A fixed last step leaves
        nothing to minimise: then it only broadcasts.
    at, method, rtol
        As for `curve`; by default the last step only, ``at="all"`` for every step.

    Returns
    -------
    Terms
        `distance` and `noise`, each shaped like the corresponding `bound` or `curve`.

    Raises
    ------
    TypeError, ValueError
        As for `curve`.

    Notes
    -----
    Costs what `bound` or `curve` costs; a sweep over gamma then costs nothing.

    Examples
    --------
    >>> import cvxbound as cb
    >>> distance, noise = cb.terms(cb.schedules.constant(4))
    >>> float(distance), round(float(noise), 4)
    (0.125, 1.4167)
    """
    with _device.using(eta, gamma=gamma, G=G) as xp:
        problem = make_problem(eta, G, D, kind, last_step, at, method, rtol, axis, nthreads, xp)
        rates = None if gamma is None else _arrays.positive_array(gamma, "gamma", xp)
        shape = problem.batch(rates)
        distance, noise = problem.split(None if rates is None else problem.weight(rates))
        with np.errstate(over="ignore"):
            distance *= problem.radius * problem.radius
            noise *= problem.scale * problem.scale
        if distance.shape[:-1] != shape:  # several gammas share a split
            distance = xp.array(xp.broadcast_to(distance, (*shape, distance.shape[-1])))
            noise = xp.array(xp.broadcast_to(noise, (*shape, noise.shape[-1])))
        return Terms(problem.place_time(distance)[()], problem.place_time(noise)[()])


def tune(
    eta: ArrayLike,
    *,
    G: ArrayLike = 1.0,
    D: float = 1.0,
    kind: Kind = "last",
    last_step: LastStep = "given",
    at: ArrayLike | Literal["all"] | None = None,
    method: Method = "auto",
    rtol: float = _RTOL,
    axis: int = -1,
    nthreads: int | None = None,
) -> Tuned:
    """Best base learning rate of a schedule, and the bound there.

    gamma* = sqrt(distance / noise) and Omega* = 2 sqrt(distance noise); where the last step is free
    it is minimised over jointly.

    Parameters
    ----------
    eta, G, D, kind, last_step, axis, nthreads
        As for `bound`.
    at, method, rtol
        As for `curve`; by default the last step only, ``at="all"`` for every step.

    Returns
    -------
    Tuned
        `gamma` and `omega`. Where every gamma is as good (nothing has moved, or no noise), gamma is
        one of them, possibly inf; an infinite bound has omega = inf.

    Raises
    ------
    TypeError, ValueError
        As for `curve`.

    Notes
    -----
    Costs one `bound`; `tight` about thirty times that.

    References
    ----------
    Schaipp, Hägele, Taylor, Simsekli, Bach, ICML 2025 (arXiv 2501.18965), Section 3.

    Examples
    --------
    >>> import cvxbound as cb
    >>> gamma, omega = cb.tune(cb.schedules.cosine(400))
    >>> round(float(gamma), 4), round(float(omega), 4)
    (0.0482, 0.1034)
    """
    with _device.using(eta, G=G) as xp:
        problem = make_problem(eta, G, D, kind, last_step, at, method, rtol, axis, nthreads, xp)
        distance, noise = problem.split(None)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            distance = xp.sqrt(distance, out=distance)
            noise = xp.sqrt(noise, out=noise)
            gamma = distance / noise
            omega = xp.multiply(distance, noise, out=noise)
            gamma *= problem.radius / problem.scale
            omega *= 2 * problem.radius * problem.scale
        # Not a number is what no step, or no noise, leaves of an infinite gamma or bound.
        xp.copyto(gamma, np.inf, where=xp.isnan(gamma))
        xp.copyto(omega, np.inf, where=xp.isnan(omega))
        return Tuned(problem.place_time(gamma)[()], problem.place_time(omega)[()])
