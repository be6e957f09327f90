"""The bound of a schedule: its value, its curve, its two terms and the best base learning rate."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from . import _arrays, _backend
from ._arrays import Float
from ._backend import Request
from ._messages import did_you_mean
from ._names import Kind, LastStep, Method, check_names
from ._results import Terms, Tuned

_RTOL = _arrays.SMALLEST_RTOL


class _Problem(NamedTuple):
    """The checked arguments that all functions share; time is the last axis of every array."""

    request: Request  # without a batch: gamma may add axes to it
    radius: float
    axis: int  # of time in the result, negative

    @property
    def is_free(self) -> bool:
        """Whether the split depends on gamma, through the virtual last step."""
        return self.request.kind == "tight" or self.request.last_step == "free"

    @property
    def scale(self) -> Float:
        """The constant factor of G, with an axis for the horizons."""
        return self.request.norms.scale[..., None]

    def batch(self, gamma: Float | None = None) -> tuple[int, ...]:
        """The leading axes of the result."""
        shapes = {"eta": self.request.eta.shape[:-1], "G": self.request.norms.batch}
        if gamma is not None:
            shapes["gamma"] = gamma.shape
        return _arrays.broadcast_batch(**shapes)

    def split(self, weight: Float | None) -> tuple[Float, Float]:
        """Distance and noise for D = 1 and G in units of its scale, (*batch, horizons)."""
        weight = weight if self.is_free else None
        return _backend.split(self.request._replace(batch=self.batch(weight)), weight)

    def omega(self, weight: Float) -> Float:
        """The bound in units of D G, (*batch, horizons)."""
        batch = self.batch(weight)
        if self.is_free or math.prod(batch) == math.prod(self.batch()):
            return _backend.omega(self.request._replace(batch=batch), weight)
        # Several gammas share a schedule: its terms are computed once.
        distance, noise = self.split(weight)
        weight = weight[..., None]
        values = np.asarray(distance / weight)
        values += weight * noise
        return values

    def weight(self, gamma: Float) -> Float:
        """Gamma in units of D / G, where the bound is D G (distance / weight + weight noise)."""
        with np.errstate(over="ignore", under="ignore"):
            weight = np.asarray(gamma * self.request.norms.scale / self.radius)
        return _arrays.positive_array(weight, "gamma G / D")

    def place_time(self, values: Float) -> Float:
        """Drop the time axis of (*batch, horizons) for one horizon, or move it to its place."""
        if self.request.at is not None and self.request.at.ndim == 0:
            return values[..., 0]
        return np.moveaxis(values, -1, self.axis) if self.axis != -1 else values

    def check_out(self, out: object, batch: tuple[int, ...]) -> None:
        """Refuse an `out` that cannot take the result, before the work is done."""
        shape = list(batch)
        if self.request.at is None or self.request.at.ndim:
            count = self.request.eta.shape[-1] if self.request.at is None else self.request.at.size
            shape.insert(len(shape) + 1 + self.axis, count)
        if not isinstance(out, np.ndarray) or out.dtype != np.float64 or out.shape != tuple(shape):
            came = f"{out.dtype} {out.shape}" if isinstance(out, np.ndarray) else repr(type(out))
            raise ValueError(f"out must be a float64 array of shape {tuple(shape)}, got {came}")
        if not out.flags.writeable:
            raise ValueError("out is read-only")


def _problem(
    eta: ArrayLike,
    G: ArrayLike,
    D: float,
    kind: str,
    last_step: str,
    at: object,
    method: str,
    rtol: float,
    axis: int,
    nthreads: int | None,
) -> _Problem:
    check_names(kind=kind, last_step=last_step, method=method)
    steps, axis = _arrays.step_array(eta, axis)
    count = steps.shape[-1]
    every = isinstance(at, str) and at == "all"
    if isinstance(at, str) and not every:
        raise did_you_mean(at, ("all",), "at")
    return _Problem(
        request=Request(
            eta=steps,
            norms=_arrays.norm_array(G, count, axis),
            batch=(),
            kind=kind,
            last_step=last_step,
            at=np.array(count) if at is None else None if every else _arrays.horizons(at, count),
            method=method,
            rtol=_arrays.tolerance(rtol, method),
            nthreads=_arrays.thread_count(nthreads),
        ),
        radius=_arrays.positive_scalar(D, "D"),
        axis=axis,
    )


def _omega(problem: _Problem, gamma: ArrayLike, out: Float | None) -> Float:
    rates = _arrays.positive_array(gamma, "gamma")
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
    eta : array_like (..., T) or Schedule
        Learning-rate schedule; ``eta[t]`` is used by step t + 1. Non-negative, at most 1e300.
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
        For complex, object or otherwise non-numeric input.
    ValueError
        For a negative, NaN or too large entry (the message names its index), an empty time axis,
        axes that do not match, or an unknown `kind` or `last_step`.

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
    problem = _problem(eta, G, D, kind, last_step, None, "auto", _RTOL, axis, nthreads)
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
    problem = _problem(eta, G, D, kind, last_step, at, method, rtol, axis, nthreads)
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
    problem = _problem(eta, G, D, kind, last_step, at, method, rtol, axis, nthreads)
    rates = None if gamma is None else _arrays.positive_array(gamma, "gamma")
    shape = problem.batch(rates)
    distance, noise = problem.split(None if rates is None else problem.weight(rates))
    with np.errstate(over="ignore"):
        distance *= problem.radius * problem.radius
        noise *= problem.scale * problem.scale
    if distance.shape[:-1] != shape:  # several gammas share a split
        distance = np.array(np.broadcast_to(distance, (*shape, distance.shape[-1])))
        noise = np.array(np.broadcast_to(noise, (*shape, noise.shape[-1])))
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
    problem = _problem(eta, G, D, kind, last_step, at, method, rtol, axis, nthreads)
    distance, noise = problem.split(None)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        distance = np.sqrt(distance, out=distance)
        noise = np.sqrt(noise, out=noise)
        gamma = distance / noise
        omega = np.multiply(distance, noise, out=noise)
        gamma *= problem.radius / problem.scale
        omega *= 2 * problem.radius * problem.scale
    # Not a number is what no step, or no noise, leaves of an infinite gamma or bound.
    np.copyto(gamma, np.inf, where=np.isnan(gamma))
    np.copyto(omega, np.inf, where=np.isnan(omega))
    return Tuned(problem.place_time(gamma)[()], problem.place_time(omega)[()])
