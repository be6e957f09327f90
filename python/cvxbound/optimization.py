"""The schedule with the smallest bound under constraints."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from . import _arrays, _backend, bounds, schedules, theory
from ._arrays import Float, Int, whole_number
from ._layout import Layout, lay_out
from ._messages import did_you_mean
from ._names import Kind, check_names
from ._problem import Problem, make_problem
from ._search import TOLERANCE, Search, checked_start, minimizer
from .schedules import Schedule

if TYPE_CHECKING:
    from collections.abc import Iterator

_OBJECTIVES = ("sum", "ratio")
_SHARPNESS = (20.0, 100.0, 500.0, 2500.0)  # of the smooth maximum, one after the other
_SMOOTH_TOLERANCE = 1e-6  # of the objective, over the sharpness
_MOST_WALKED = 20_000_000  # steps, for the best bounds that a ratio is taken of
_COARSEST = 1000  # steps, where many horizons count and the search begins with fewer steps


def optimize(
    steps: int,
    *,
    G: ArrayLike = 1.0,
    D: float = 1.0,
    kind: Kind = "last",
    horizons: ArrayLike | Literal["all"] | None = None,
    weights: ArrayLike | None = None,
    objective: Literal["sum", "ratio"] = "sum",
    gamma: float | None = None,
    fixed_prefix: ArrayLike | None = None,
    monotone: bool | int = False,
    max_step: float | None = None,
    warmup: int | float = 0,
    final: float = 0.0,
    start: ArrayLike | None = None,
    max_iterations: int = 2000,
    nthreads: int | None = None,
) -> Schedule:
    """Find the schedule whose bound is smallest, base learning rate included.

    Parameters
    ----------
    steps : int
        Number of steps T.
    G : float or array_like (T,), default 1.0
        Bound on the gradient norms, or one for each step; positive.
    D : float, default 1.0
        Bound on the distance of the first iterate from a minimiser.
    kind : {"last", "tight", "average"}, default "last"
        Which bound.
    horizons : int, array_like of int or "all", optional
        Steps after which the bound counts; by default the last.
    weights : array_like, optional
        How much it counts at each of them, not negative; 1 by default.
    objective : {"sum", "ratio"}, default "sum"
        The weighted sum over the horizons, or the largest ratio, over the horizons, of the bound to
        the best one that a schedule made for that horizon reaches: an anytime schedule.
    gamma : float, optional
        Base learning rate of `fixed_prefix`, where it is not to be chosen too.
    fixed_prefix : array_like or Schedule, optional
        The first steps, which stay as they are: the part of a run already done.
    monotone : bool or int, default False
        Whether steps may not rise: True from the first free one on, an int from that step
        (1-based) on.
    max_step : float, optional
        The largest learning rate, gamma included, that a free step may have. Units of D / G.
    warmup : int or float, default 0
        Steps (or fraction of them) of a linear warm-up to the first free step, t / (warmup + 1).
    final : float, default 0.0
        The smallest free step over the largest, in [0, 1).
    start : array_like (T,) or Schedule, optional
        Where to start, positive; its scale does not matter. By default the best of linear decay,
        the optimum without constraints, and where there are several horizons a few families.
    max_iterations : int, default 2000
        Most iterations of each run of the optimiser.
    nthreads : int, optional
        As for `bound`.

    Returns
    -------
    Schedule
        Its peak is 1, or its first steps are `fixed_prefix`. ``params`` has ``gamma``, the base
        learning rate; ``value``, the objective there; ``omega``, the bound at the last step;
        ``optimum``, the bound of the best schedule without constraints for the last step;
        ``evaluations``; and ``converged``.

    Raises
    ------
    ImportError
        SciPy is missing.
    TypeError, ValueError
        As for `curve`, and for constraints that are out of range or exclude each other.

    Notes
    -----
    L-BFGS-B over the logarithms of the steps, with exact derivatives (`gradient`); for `tight` the
    free last step of a single horizon is a variable like the others. 1e5 steps take 20 to 200
    evaluations for one horizon, a few seconds, and 200 to 400 for many, half a minute on two cores;
    where many horizons count, the search starts from the best schedule of a quarter of the steps.
    `last` and `average` are convex in the steps: what is found is the only minimum.
    Steps that the monotone constraint holds together are found as an active set: neighbours that
    rise are pooled, pools whose multipliers are negative are split. The largest ratio is smoothed,
    log(sum exp(s ratio)) / s for growing s up to 2500.

    References
    ----------
    Schaipp, Hägele, Taylor, Simsekli, Bach, ICML 2025 (arXiv 2501.18965), Theorem 1.
    docs/optimal.md proves convexity and has the optima without constraints.

    Examples
    --------
    >>> import cvxbound as cb
    >>> best = cb.optimize(100, kind="tight")
    >>> round(best.params["omega"] * 100**0.5, 6)
    1.0
    >>> run = cb.schedules.constant(60)
    >>> rest = cb.optimize(100, fixed_prefix=run, monotone=True)
    >>> round(rest.params["omega"] / rest.params["optimum"], 3)
    1.023
    """
    minimize = minimizer()
    check_names(kind=kind)
    if objective not in _OBJECTIVES:
        raise did_you_mean(objective, _OBJECTIVES, "objective")
    radius = _arrays.positive_scalar(D, "D")
    limit = whole_number(max_iterations, "max_iterations")
    layout = lay_out(steps, radius, gamma, fixed_prefix, monotone, max_step, warmup, final)
    target = _make_target(layout.steps, G, kind, horizons, weights, objective, nthreads)
    search = Search(minimize, layout, target, limit)
    if start is None and target.horizons > 1 and layout.steps > _COARSEST and fixed_prefix is None:
        start = _refined(layout, target, objective, limit, nthreads)
    z, rho = _start(layout, target, start)
    z = search.run(z, rho)
    return _report(z, search, layout, target, radius)


class _Target:
    """The objective as a function of the steps, for D = 1 and in units of the scale of G."""

    def __init__(
        self, problem: Problem, G: ArrayLike, chosen: Int, weights: Float, best: Float | None
    ):
        self.kind: Any = problem.request.kind
        self.G = G
        self.chosen = chosen
        self.weights = weights
        self.is_ratio = best is not None
        self.evaluations = 0
        self._sharpness = math.inf
        self._request = problem.request
        self._rate = problem.weight(np.asarray(1.0))
        self.unit = float(problem.scale[..., 0])
        self._best = np.ones(weights.size) if best is None else best / self.unit

    @property
    def horizons(self) -> int:
        """How many bounds count."""
        return self.chosen.size

    @property
    def has_rho(self) -> bool:
        """Whether the free last step is a variable: it is cheaper than to search for it."""
        return self.kind == "tight" and self.horizons == 1

    def stages(self) -> Iterator[float]:
        """Sharper and sharper where a maximum is smoothed."""
        if not self.is_ratio:
            yield TOLERANCE
            return
        for self._sharpness in _SHARPNESS:
            yield _SMOOTH_TOLERANCE / self._sharpness

    def value(self, steps: Float) -> float:
        """The objective itself, without smoothing."""
        omega = self._omega(steps)
        if self.is_ratio:
            return float((omega / self._best).max())
        return float(self.weights @ omega)

    def slope(self, steps: Float, rho: float | None) -> tuple[float, Float, float]:
        """The smoothed objective, its derivatives by the steps and that by rho."""
        self.evaluations += 1
        value, share = self._shares(steps)
        virtual = None if rho is None else np.array([rho])
        found = _backend.gradient(self._request._replace(eta=steps), self._rate, share, virtual)
        if self.is_ratio:
            return value, found.eta, 0.0
        value = float(self.weights @ np.nan_to_num(found.omega))
        return value, found.eta, float(found.rho[0])

    def noise(self, steps: Float) -> Float:
        """What each step adds to the weighted sum of the bounds."""
        share = self._shares(steps)[1]
        norms = self._request.norms.spread(steps.size)
        request = self._request._replace(eta=steps, norms=norms)
        found = _backend.gradient(request, self._rate, share)
        assert found.norm is not None and norms.per_step is not None  # the request has norms a step
        values: Float = found.norm * norms.per_step
        return values

    def _shares(self, steps: Float) -> tuple[float, Float]:
        """The smoothed largest ratio, and what each bound counts in its derivative."""
        if not self.is_ratio:
            return 0.0, self.weights
        ratio = self._omega(steps) / self._best
        highest = ratio.max()
        part = np.exp(self._sharpness * (ratio - highest))
        value = float(highest + np.log(part.sum()) / self._sharpness)
        return value, part / part.sum() / self._best

    def scale(self, shape: Float) -> float:
        """A base learning rate for a shape: the best ones of its horizons in the geometric mean."""
        at: Any = "all" if self._request.at is None else self._request.at
        tuned = bounds.tune(shape, G=self.G, kind=self.kind, last_step="repeat", at=at)
        return float(np.exp(np.average(np.log(tuned.gamma), weights=self.weights)))

    def _omega(self, steps: Float) -> Float:
        return _backend.omega(self._request._replace(eta=steps), self._rate)


def _checked_weights(weights: ArrayLike, horizons: int) -> Float:
    share = _arrays.real_array(weights, "weights")
    if share.shape not in ((), (1,), (horizons,)):
        raise ValueError(
            f"weights must be one for each of the {horizons} horizons, or one for all; got shape "
            f"{share.shape}"
        )
    share = np.broadcast_to(share, (horizons,))
    _arrays.check_range(share, "weights", _arrays.LARGEST_STEP)
    if not share.any():
        raise ValueError("weights are all zero: nothing to minimise")
    return share


def _make_target(
    steps: int,
    G: ArrayLike,
    kind: Kind,
    horizons: ArrayLike | Literal["all"] | None,
    weights: ArrayLike | None,
    objective: str,
    nthreads: int | None,
) -> _Target:
    rtol = _arrays.SMALLEST_RTOL
    at = horizons
    if not isinstance(horizons, str):
        at = np.atleast_1d(np.asarray(steps if horizons is None else horizons))
    problem = make_problem(np.ones(steps), G, 1.0, kind, "given", at, "auto", rtol, -1, nthreads)
    if problem.batch():
        raise ValueError(f"G must be a scalar or of shape ({steps},), got {np.shape(G)}")
    chosen = problem.request.at
    chosen = np.arange(1, steps + 1) if chosen is None else chosen.reshape(-1)
    if chosen.max() != steps:
        raise ValueError(
            f"no horizon lies beyond step {chosen.max()}, so that later steps of the {steps} do "
            "not matter: make steps that number, or add a horizon"
        )
    share = np.ones(chosen.size) if weights is None else _checked_weights(weights, chosen.size)
    if objective == "sum":
        return _Target(problem, G, chosen, share, None)
    if weights is not None:
        raise ValueError("weights= has no meaning for objective='ratio'")
    return _Target(problem, G, chosen, share, _best_bounds(G, chosen, kind))


def _best_bounds(G: ArrayLike, horizons: Int, kind: Any) -> Float:
    """The best bound of a schedule made for each horizon, for D = 1."""
    norms = np.asarray(G, np.float64)
    if norms.size == 1:
        return theory.horizon_envelope(int(horizons.max()), norms.item(), kind=kind)[horizons - 1]
    if kind != "last":
        return np.asarray(1 / np.sqrt(np.cumsum(norms**-2.0))[horizons - 1])
    if horizons.sum() > _MOST_WALKED:
        raise ValueError(
            f"the best bounds `last` of {horizons.size} horizons take too long where norms vary; "
            "choose fewer, such as a geometric sequence"
        )
    return np.array([theory.optimal_bound(int(t), norms[:t], kind=kind) for t in horizons])


def _start(layout: Layout, target: _Target, start: ArrayLike | None) -> tuple[Float, float]:
    """Variables to start from: the best of some shapes, each at its best scale, and rho."""
    T = layout.steps
    if start is not None:
        shapes = [checked_start(start, T)]
    else:
        shapes = [schedules.linear(T).eta, theory.optimal_steps(T, target.G, kind=target.kind)]
        if target.horizons > 1:
            shapes += [schedules.inverse_sqrt(T).eta, schedules.constant(T).eta]
    candidates = []
    for shape in shapes:
        scale = target.scale(shape)
        for factor in (0.5, 1.0, 2.0):
            z = layout.variables(shape * (factor * scale))
            candidates.append((target.value(np.exp(layout.log_steps(z))), z))
    z = min(candidates, key=lambda each: each[0])[1]
    return z, float(np.exp(layout.log_steps(z)[-1]))


def _refined(
    layout: Layout, target: _Target, objective: Any, limit: int, nthreads: int | None
) -> Float:
    """The best schedule of a quarter of the steps, drawn out: long waves take few steps to find."""
    T = layout.steps
    n = T // 4
    norms = np.asarray(target.G, np.float64)
    place = (np.arange(n) * 4 + 2) * T // (4 * n)
    at, which = np.unique(-(-target.chosen * n // T), return_inverse=True)
    weights = np.bincount(which, target.weights) if objective == "sum" else None
    coarse = optimize(
        n,
        G=norms if norms.size == 1 else norms[place],
        kind=target.kind,
        horizons=at,
        weights=weights,
        objective=objective,
        monotone=layout.chain * n // T + 1 if layout.chain < T else False,
        warmup=layout.free * n // T,
        max_iterations=limit,
        nthreads=nthreads,
    )
    drawn_out = np.interp(np.arange(T), place, np.log(coarse.eta))
    return np.exp(drawn_out)


def _report(z: Float, search: Search, layout: Layout, target: _Target, D: float) -> Schedule:
    kind, G = target.kind, target.G
    eta = np.exp(layout.log_steps(z))
    if kind == "tight" and layout.steps > layout.free + 1:
        eta[-1] = eta[-2]  # on which nothing depends
    gamma = math.exp(z[0]) if layout.prefix.size else float(eta.max())
    value = target.value(eta)
    omega = float(bounds.bound(eta, G=G, kind=kind))
    optimum = theory.optimal_bound(layout.steps, G, kind=kind)
    params = {
        "gamma": gamma * D,
        "value": value if target.is_ratio else value * target.unit * D,
        "omega": omega * D,
        "optimum": optimum * D,
        "evaluations": target.evaluations,
        "converged": search.converged,
    }
    note = f"{kind}, {omega / optimum:.4g} of the best without constraints"
    if not search.converged:
        note += ", not converged: give more max_iterations"
    shape = np.concatenate([layout.prefix, eta[layout.prefix.size :] / gamma])
    return Schedule(shape, "optimized", {"steps": layout.steps, "kind": kind, **params}, note)
