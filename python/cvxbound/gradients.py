"""Derivatives of bounds with respect to every step of a schedule and every gradient norm."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from . import _arrays, _backend
from ._arrays import Float
from ._messages import did_you_mean
from ._names import Kind, LastStep, Method
from ._problem import Problem, make_problem

_WRT = ("eta", "G")


def gradient(
    eta: ArrayLike,
    gamma: ArrayLike | None = 1.0,
    *,
    G: ArrayLike = 1.0,
    D: float = 1.0,
    kind: Kind = "last",
    last_step: LastStep = "given",
    at: ArrayLike | Literal["all"] | None = None,
    weights: ArrayLike | None = None,
    wrt: Literal["eta", "G"] = "eta",
    method: Method = "auto",
    axis: int = -1,
    nthreads: int | None = None,
) -> Float:
    """Differentiate a bound, or a weighted sum of bounds at many horizons, by every step.

    ``gradient(eta, gamma)[k]`` is the derivative of ``bound(eta, gamma)`` with respect to
    ``eta[k]``; with `weights`, that of ``sum(weights * curve(eta, gamma))``.

    Parameters
    ----------
    eta, G, D, kind, last_step, axis, nthreads
        As for `bound`.
    gamma : array_like or None, default 1
        Base learning rate; None for the best one at each horizon: then what is differentiated is
        ``tune(eta).omega``.
    at : int, array_like of int or "all", optional
        Horizons of the sum, 1-based. Default: every step where `weights` are given, else the last.
    weights : array_like (..., len(at)), optional
        Weight of the bound at each horizon, finite, of any sign; 1 by default. Broadcasts against
        the leading axes. A horizon of weight 0 costs nothing.
    wrt : {"eta", "G"}, default "eta"
        What to differentiate by: the steps, or the gradient norms G_t (for a constant G the sum
        over t is the derivative with respect to it).
    method : {"auto", "direct", "fast"}, default "auto"
        "direct" walks back from each horizon that has a weight and takes the walk in reverse,
        "fast" treats all horizons together, "auto" takes what is faster.

    Returns
    -------
    ndarray (..., T)
        Derivatives along the time axis; the leading axes are those of `eta`, `G`, `gamma` and
        `weights` broadcast. Units of the bound over those of what it is differentiated by.

    Raises
    ------
    TypeError, ValueError
        As for `curve`; for weights that are not finite; and for a horizon with a weight whose bound
        has no derivative, since its last step is zero (``last_step="repeat"`` helps).

    Notes
    -----
    "direct" takes O(t) time a horizon, two or three times that of `bound`; "fast" O(T log T) for
    all of them. Both are exact up to rounding, "fast" to 1e-10 of the largest product of a step
    and its derivative.
    Where the last step is free the derivative with respect to it vanishes at the best one, which
    is polished by a Newton step first. docs/gradients.md has the algorithms.

    References
    ----------
    Schaipp, Hägele, Taylor, Simsekli, Bach, ICML 2025 (arXiv 2501.18965), Theorem 1.
    Zamani, Glineur (arXiv 2307.11134), the key lemma.

    Examples
    --------
    >>> import cvxbound as cb
    >>> schedule = cb.schedules.linear(4)
    >>> cb.gradient(schedule).round(4)
    array([ 0.5867,  0.6978,  1.1978, -2.3022])

    The bound of a tuned schedule does not depend on its scale:

    >>> slope = cb.gradient(schedule, gamma=None)
    >>> abs(float(schedule.eta @ slope)) < 1e-15
    True
    """
    if wrt not in _WRT:
        raise did_you_mean(wrt, _WRT, "wrt")
    if at is None and weights is not None:
        at = "all"
    problem = make_problem(
        eta, G, D, kind, last_step, at, method, _arrays.SMALLEST_RTOL, axis, nthreads
    )
    rate = None if gamma is None else problem.weight(_arrays.positive_array(gamma, "gamma"))
    share, batch = _shares(problem, weights, rate)
    request = problem.request._replace(batch=batch)
    if wrt == "G":
        request = request._replace(norms=request.norms.spread(problem.request.eta.shape[-1]))
    found = _backend.gradient(request, rate, np.broadcast_to(share, (*batch, share.shape[-1])))
    if wrt == "G":
        assert found.norm is not None  # the request has norms a step
        values = found.norm * problem.radius
    else:
        values = found.eta * (problem.radius * problem.scale)
    return np.moveaxis(values, -1, problem.axis) if problem.axis != -1 else values


def _shares(
    problem: Problem, weights: ArrayLike | None, rate: Float | None
) -> tuple[Float, tuple[int, ...]]:
    """The weights with the horizons on the last axis, and the batch with theirs."""
    at = problem.request.at
    count = problem.request.eta.shape[-1] if at is None else at.size
    if weights is None:
        return np.ones(count), problem.batch(rate)
    share = _arrays.real_array(weights, "weights")
    if share.ndim == 0:
        share = share[None]
    if problem.axis != -1 and share.ndim > 1:
        share = np.moveaxis(share, problem.axis, -1)
    if share.shape[-1] not in (1, count):
        raise ValueError(
            f"weights (..., horizons) must have one entry for each of the {count} horizons, or one "
            f"for all; got shape {np.shape(weights)}"
        )
    _arrays.check_finite(share, "weights")
    share = np.broadcast_to(share, (*share.shape[:-1], count))
    batch = _arrays.broadcast_batch(schedules=problem.batch(rate), weights=share.shape[:-1])
    return share, batch
