"""The schedule with the smallest bound under constraints."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _arrays, _backend, bounds, schedules, theory
from ._arrays import Float, Int, whole_number
from ._messages import did_you_mean
from ._names import Kind, check_names
from ._problem import Problem, make_problem
from .schedules import Schedule

if TYPE_CHECKING:
    from collections.abc import Callable

Bool = NDArray[np.bool_]

_OBJECTIVES = ("sum", "ratio")
_SHARPNESS = (20.0, 100.0, 500.0, 2500.0)  # of the smooth maximum, one after the other
_MOST_ROUNDS = 60  # of finding out which steps the monotone constraint ties together
_MOST_WALKED = 20_000_000  # steps, for the best bounds that a ratio is taken of
_COARSEST = 1000  # steps, where many horizons count and the search begins with fewer steps
_WIDEST_START = 1e20
_FIRST_ITERATIONS = 30
_LARGEST_UNIT = 30.0
_FARTHEST = 50.0  # a logarithm of a step goes at once: 21 decades
_TOLERANCE = 1e-9  # of log steps, in which that constraint holds


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
    minimize = _minimizer()
    check_names(kind=kind)
    if objective not in _OBJECTIVES:
        raise did_you_mean(objective, _OBJECTIVES, "objective")
    radius = _arrays.positive_scalar(D, "D")
    limit = whole_number(max_iterations, "max_iterations")
    layout = _lay_out(steps, radius, gamma, fixed_prefix, monotone, max_step, warmup, final)
    target = _make_target(layout.steps, G, kind, horizons, weights, objective, nthreads)
    search = _Search(minimize, layout, target, limit)
    if start is None and target.horizons > 1 and layout.steps > _COARSEST and fixed_prefix is None:
        start = _refined(layout, target, objective, limit, nthreads)
    z, rho = _start(layout, target, start)
    z = search.run(z, rho)
    return _report(z, search, layout, target, radius)


def _minimizer() -> Callable[..., Any]:
    try:
        from scipy.optimize import minimize
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "scipy":
            raise
        raise ImportError('optimize needs SciPy: pip install "cvxbound[fit]"') from None
    return minimize  # type: ignore[no-any-return]


class _Layout(NamedTuple):
    """How steps are made of variables, in logarithms and for D = 1.

    ``z[0]`` is the base learning rate of the prefix, ``z[1]`` the largest free step where `final`
    bounds the others by it, and ``z[2 + owner]`` what is left of each step.
    """

    steps: int
    prefix: Float  # the first steps, over the base learning rate
    free: int  # index of the first free step
    chain: int  # index of the step from which none rises, `steps` for none
    linked: bool  # whether free steps count from the last one of the prefix
    offset: Float  # (T,)
    owner: Int  # (T - prefix,): the free step that each step after the prefix is a part of
    low: Float
    high: Float  # bounds of z, (2 + T - free,)

    def log_steps(self, z: Float) -> Float:
        values = self.offset.copy()
        values[: None if self.linked else self.prefix.size] += z[0]
        values[self.prefix.size :] += z[1] + z[2:][self.owner]
        return values

    def variables(self, steps: Float) -> Float:
        """Variables of which positive steps are made, as far as they can be."""
        values = np.log(steps) - self.offset
        z = np.zeros(self.low.size)
        if self.prefix.size:
            z[0] = values[: self.prefix.size][np.isfinite(values[: self.prefix.size])].mean()
        z = np.clip(z, self.low, self.high)
        own = values[self.free :] - (z[0] if self.linked else 0.0)
        if self.low[1] < self.high[1]:
            z[1] = min(own.max(), self.high[1])
        z[2:] = own - z[1]
        return np.clip(z, self.low, self.high)

    def pull_back(self, slope: Float) -> Float:
        """From derivatives by the logarithms of the steps to those by the variables."""
        rest = slope[self.prefix.size :]
        head = slope.sum() if self.linked else slope[: self.prefix.size].sum()
        own = np.bincount(self.owner, rest, minlength=self.steps - self.free)
        return np.concatenate([[head, rest.sum()], own])


def _lay_out(
    steps: int,
    D: float,
    gamma: float | None,
    fixed_prefix: ArrayLike | None,
    monotone: bool | int,
    max_step: float | None,
    warmup: float,
    final: float,
) -> _Layout:
    T = whole_number(steps, "steps")
    prefix = _checked_prefix(fixed_prefix, T, gamma, max_step)
    ramp = _arrays.step_count(warmup, T, "warmup")
    if ramp and prefix.size:
        raise ValueError("warmup= and fixed_prefix= exclude each other: the prefix has its own")
    free = prefix.size or ramp
    if free >= T:
        raise ValueError(f"no step is free: {free} of {T} are fixed or warm up")
    floor = _arrays.ratio_to_peak(final, "final")
    if floor == 1:
        raise ValueError("final must be below 1: all free steps would be the same")
    chain, linked = _chain(monotone, T, free, prefix)
    offset = np.zeros(T)
    with np.errstate(divide="ignore"):
        offset[: prefix.size] = np.log(prefix)
    offset[:ramp] = np.log(np.arange(1, ramp + 1) / (ramp + 1))
    if linked:
        offset[free:] = np.log(prefix[-1])
    head = 0.0 if gamma is None else math.log(_arrays.positive_scalar(gamma, "gamma") / D)
    cap = (
        math.inf
        if max_step is None
        else math.log(_arrays.positive_scalar(max_step, "max_step") / D)
    )
    if linked:
        cap = min(cap - head - offset[-1], 0.0)
    low, high = np.full(2 + T - free, -math.inf), np.full(2 + T - free, cap)
    high[0] = math.inf
    if gamma is not None or not prefix.size:
        low[0] = high[0] = head
    if floor:
        low[2:], high[2:] = math.log(floor), 0.0
    else:
        low[1] = high[1] = 0.0
    owner = np.maximum(np.arange(prefix.size, T) - free, 0)
    return _Layout(T, prefix, free, chain, linked, offset, owner, low, high)


def _checked_prefix(
    fixed_prefix: ArrayLike | None, steps: int, gamma: float | None, max_step: float | None
) -> Float:
    if fixed_prefix is None:
        if gamma is not None:
            raise ValueError("gamma= is the base learning rate of fixed_prefix=, which is missing")
        return np.empty(0)
    prefix = schedules.from_array(fixed_prefix, name="fixed_prefix").eta
    if prefix.size >= steps:
        raise ValueError(f"fixed_prefix has {prefix.size} steps: no step of {steps} is free")
    if not prefix.any():
        raise ValueError("fixed_prefix is all zeros: nothing to go on from")
    if max_step is not None and gamma is None:
        raise ValueError(
            "max_step= with fixed_prefix= needs gamma=, the base learning rate of both"
        )
    return prefix


def _chain(monotone: bool | int, steps: int, free: int, prefix: Float) -> tuple[int, bool]:
    """Where the steps begin not to rise, and whether the last one of the prefix is part of it."""
    if isinstance(monotone, (bool, np.bool_)):
        first = free if monotone else steps
    else:
        first = whole_number(monotone, "monotone") - 1
        if first >= steps:
            raise ValueError(f"monotone must be a step from 1 to {steps}, got {monotone}")
    linked = bool(prefix.size) and (monotone is True or first < free)
    if linked and prefix[-1] == 0:
        raise ValueError("fixed_prefix ends at zero, from where steps can only rise")
    return max(first, free), linked


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
        self.sharpness = math.inf
        self.evaluations = 0
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
        part = np.exp(self.sharpness * (ratio - highest))
        value = float(highest + np.log(part.sum()) / self.sharpness)
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


class _Search:
    """Minimises a target over the variables of a layout."""

    def __init__(
        self, minimize: Callable[..., Any], layout: _Layout, target: _Target, iterations: int
    ):
        self._minimize = minimize
        self._layout = layout
        self._target = target
        self._iterations = iterations
        self.converged = True

    def run(self, z: Float, rho: float) -> Float:
        """From a start to the best variables; rho is where that of the last step starts."""
        z = np.append(np.clip(z, self._layout.low, self._layout.high), math.log(rho))
        for sharpness in _SHARPNESS if self._target.is_ratio else (math.inf,):
            self._target.sharpness = sharpness
            z = self._tied(z)
        chain = z[2 + self._layout.chain - self._layout.free : -1]
        np.minimum.accumulate(chain, out=chain)
        return z[:-1]

    def _tied(self, z: Float) -> Float:
        """An active set of the ties that hold neighbours together which would rise."""
        first = 2 + self._layout.chain - self._layout.free
        tie = np.zeros(z.size, np.bool_)  # of each variable to the one before it
        for _ in range(_MOST_ROUNDS):
            z = self._descend(z, tie)
            rising = np.zeros_like(tie)
            rising[first + 1 : -1] = np.diff(z[first:-1]) > _TOLERANCE
            if rising.any():
                tie |= rising
                continue
            if not tie.any():
                return z
            value, slope = self._evaluate(z)
            loose = self._loose(z, slope / value, tie)
            if not loose.any():
                return z
            tie &= ~loose
        self.converged = False
        return z

    def _loose(self, z: Float, slope: Float, tie: Bool) -> Bool:
        """The tie of each group that pulls the wrong way the most."""
        start = np.flatnonzero(~tie)  # of the groups; a variable alone is one too
        group = np.cumsum(~tie) - 1
        before = np.cumsum(slope) - slope
        pull = before - before[start][group]  # of the earlier ones of the group
        total = np.add.reduceat(slope, start)[group]
        high = np.append(self._layout.high, math.inf)
        pull = np.where(z >= high, pull - total, pull)  # what the bound holds back is not the tie's
        pull[~tie] = 0
        least = np.minimum.reduceat(pull, start)[group]
        loose: Bool = tie & (pull == least) & (pull < -_TOLERANCE)
        return loose

    def _evaluate(self, z: Float) -> tuple[float, Float]:
        """The smoothed objective, and its derivatives as if nothing were tied."""
        steps = np.exp(self._layout.log_steps(z[:-1]))
        rho = math.exp(z[-1]) if self._target.has_rho else None
        value, slope, of_rho = self._target.slope(steps, rho)
        return value, np.append(self._layout.pull_back(slope * steps), of_rho * (rho or 0.0))

    def _descend(self, z: Float, tie: Bool) -> Float:
        """Minimise with ties.

        The noise of a step is a square of it, so that a variable bends the objective by what its
        steps have of the noise: its unit is one over the root of that. Far from the minimum nothing
        is known but how many steps a variable has.
        """
        group = np.cumsum(~tie) - 1
        start = np.flatnonzero(~tie)
        units = self._units(np.ones(self._layout.steps), start)
        first = min(_FIRST_ITERATIONS, self._iterations)
        z, _ = self._descend_in(units, z, group, start, first)
        noise = self._target.noise(np.exp(self._layout.log_steps(z[:-1])))
        units = self._units(noise, start)
        z, ended = self._descend_in(units, z, group, start, self._iterations)
        self.converged = self.converged and ended
        return z

    def _units(self, share: Float, start: Int) -> Float:
        """Units of the groups of variables, from what each step has of something."""
        own = np.add.reduceat(np.append(self._layout.pull_back(share), 0.0), start)
        usual = np.median(own[own > 0])
        units: Float = np.sqrt(usual / np.maximum(own, usual / _LARGEST_UNIT**2))
        return units

    def _descend_in(
        self, units: Float, z: Float, group: Int, start: Int, iterations: int
    ) -> tuple[Float, bool]:
        """Minimise over groups of variables in these units; whether that ended by itself."""
        layout, target = self._layout, self._target
        size = self._evaluate(z[start][group])[0]

        def objective(part: Float) -> tuple[float, Float]:
            value, slope = self._evaluate((part * units)[group])
            return value / size, np.add.reduceat(slope / size, start) * units

        low = np.maximum(np.append(layout.low, -math.inf), z - _FARTHEST)[start]
        high = np.minimum(np.append(layout.high, math.inf), z + _FARTHEST)[start]
        found = self._minimize(
            objective,
            np.clip(z[start], low, high) / units,
            jac=True,
            method="L-BFGS-B",
            bounds=list(zip(low / units, high / units, strict=True)),
            options={
                "maxiter": iterations,
                "maxfun": 10 * iterations,
                "maxcor": 20,
                "ftol": 1e-6 / target.sharpness if target.is_ratio else 1e-13,
                "gtol": 1e-11,
            },
        )
        return (found.x * units)[group], found.status != 1  # 1: a limit was reached


def _start(layout: _Layout, target: _Target, start: ArrayLike | None) -> tuple[Float, float]:
    """Variables to start from: the best of some shapes, each at its best scale, and rho."""
    T = layout.steps
    if start is not None:
        shapes = [schedules.from_array(start, name="start").eta]
        if shapes[0].size != T:
            raise ValueError(f"start must have {T} steps, got {shapes[0].size}")
        if not shapes[0].all():
            index = int(np.flatnonzero(shapes[0] == 0)[0])
            raise ValueError(f"start must be positive; found 0 at index {index}")
        if shapes[0].max() > _WIDEST_START * shapes[0].min():
            raise ValueError(
                f"start must not span more than a factor of {_WIDEST_START:g}, got "
                f"{shapes[0].min():g} to {shapes[0].max():g}"
            )
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
    layout: _Layout, target: _Target, objective: Any, limit: int, nthreads: int | None
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


def _report(z: Float, search: _Search, layout: _Layout, target: _Target, D: float) -> Schedule:
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
