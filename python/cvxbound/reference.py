"""The three bounds in plain NumPy: slow, readable, the executable specification.

Everything is one picture. At horizon t the bound is a walk backwards from a virtual last step rho::

    R_{t-1} = rho,      noise = 1/2 [ rho G_t^2 + sum_{k<t} eta_k^2 G_k^2 / R_k ],
    R_{k-1} = R_k + eta_k                      (recursion "last")
    R_{k-1} = R_k (1 + eta_k / R_k)^2          (recursion "tight")
    distance = D^2 / (2 R_0),      bound = distance / gamma + gamma noise.

`last` is Theorem 1 of Schaipp et al., ICML 2025 (arXiv 2501.18965), which is Theorem 10 of Defazio
et al. (arXiv 2310.07831), after Abel summation: rho is the last step eta_t. `tight` follows from
the key lemma of Zamani & Glineur (arXiv 2307.11134): every rho > 0 gives a bound, so the best one
is taken. The last step is virtual in both, because x_t does not depend on it.

Horizons t are 1-based, as in the papers; arrays are 0-based. Nothing here is fast: one walk is a
Python loop over the steps, vectorised over rho.

Searching rho. Write x = log rho and y_k = log R_k. With c = (R_k - eta_k) / (R_k + eta_k) a step
of the tight walk gives y_{k-1}' = c y_k' and y_{k-1}'' = c y_k'' + (1 - c^2)/2 y_k'^2, hence by
induction |y'| <= 1 and |y''| <= (1 - y'^2)/2. Each term of the bound is F = const exp(+-y), so that
F'' <= F; sums keep this inequality, minima over gamma too, and the `last` walk satisfies it as
well. A function with F'' <= F lies above the solution of u'' = u through the two ends of an
interval, so the samples of a grid prove in which cells the minimum can be: see `_cell_bound`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ._names import Kind, LastStep, check_names
from ._results import Tuned

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    Real = type[Any]

__all__ = ["average_terms", "bound", "published_last", "tune", "walk"]

Recursion = Literal["last", "tight"]

# Cells looked into at each round of the search; more than this are only left on a flat plateau,
# where their values agree to far more digits than a bound needs.
_CELLS = 64
_PARTS = 8


def _schedule(
    eta: ArrayLike, G: ArrayLike, t: int | None, dtype: Real
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the first t steps and gradient norms."""
    steps = np.asarray(eta, dtype=dtype)
    if steps.ndim != 1 or steps.size == 0:
        raise ValueError(f"eta must be one schedule with at least one step, got {steps.shape}")
    t = steps.size if t is None else t
    if not 1 <= t <= steps.size:
        raise ValueError(f"the horizon must lie in 1..{steps.size}, got {t}")
    norms = np.broadcast_to(np.asarray(G, dtype=dtype), steps.shape)
    return steps[:t], norms[:t]


def walk(
    eta: ArrayLike,
    rho: ArrayLike,
    t: int | None = None,
    *,
    G: ArrayLike = 1.0,
    D: float = 1.0,
    recursion: Recursion = "last",
    dtype: Real = np.float64,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Walk backwards from the virtual last step and return the two terms of the bound.

    Parameters
    ----------
    eta : array_like, shape (T,)
        Steps. ``eta[t - 1]`` itself is not read: `rho` stands in its place.
    rho : array_like
        Virtual last steps, any shape, in units of `eta`.
    t : int, optional
        Horizon, 1-based; the last step by default.
    G : array_like, default 1.0
        Bound on the gradient norms: a scalar or one a step.
    D : float, default 1.0
        Bound on the initial distance to the minimiser.
    recursion : {"last", "tight"}
        Which walk.
    dtype : type, default numpy.float64
        Precision of the walk, such as ``numpy.longdouble``.

    Returns
    -------
    distance, noise : ndarray
        Both of the shape of `rho`; the bound is ``distance / gamma + gamma * noise``. Zero steps
        contribute nothing. ``rho = 0`` gives an infinite noise if a positive step precedes it, an
        infinite distance otherwise.

    Raises
    ------
    ValueError
        If `t` is not a step of the schedule or `recursion` is unknown.

    Notes
    -----
    O(t) operations for each entry of `rho`. Equations in the module's description.

    Examples
    --------
    >>> distance, noise = walk([1.0, 0.5], 0.5)
    >>> float(distance), float(noise)
    (0.3333333333333333, 1.25)
    """
    if recursion not in ("last", "tight"):
        raise ValueError(f'recursion must be "last" or "tight", got {recursion!r}')
    steps, norms = _schedule(eta, G, t, dtype)
    start = np.asarray(rho, dtype=dtype)
    R = start
    noise = start * norms[-1] ** 2
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        for e, g in zip(steps[-2::-1], norms[-2::-1], strict=True):
            if e > 0:
                ratio = e / R
                noise = noise + ratio * (e * g**2)
                R = R + e if recursion == "last" else R + 2 * e + e * ratio
        distance = np.asarray(dtype(D) ** 2 / (2 * R))
    if np.any(steps[:-1] > 0):
        noise = np.where(start == 0, np.inf, noise)
    return distance, np.asarray(noise / 2)


def average_terms(
    eta: ArrayLike,
    rho: ArrayLike,
    t: int | None = None,
    *,
    G: ArrayLike = 1.0,
    D: float = 1.0,
    dtype: Real = np.float64,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the two terms of the textbook bound on the average (and on the best) iterate.

    ``distance = D^2 / (2 S_t)`` and ``noise = Q_t / (2 S_t)`` with ``S_t`` the sum of the steps and
    ``Q_t`` that of ``eta_k^2 G_k^2``, k <= t, where the last step is `rho`.

    Parameters
    ----------
    eta, rho, t, G, D, dtype
        As in `walk`.

    Returns
    -------
    distance, noise : ndarray
        Both of the shape of `rho`; infinite and zero where no step is positive.

    Notes
    -----
    O(t) operations.

    Examples
    --------
    >>> distance, noise = average_terms([1.0, 0.5], 0.5)
    >>> float(distance), round(float(noise), 6)
    (0.3333333333333333, 0.416667)
    """
    steps, norms = _schedule(eta, G, t, dtype)
    last = np.asarray(rho, dtype=dtype)
    S = np.sum(steps[:-1]) + last
    Q = np.sum((steps[:-1] * norms[:-1]) ** 2) + (last * norms[-1]) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(dtype(D) ** 2 / (2 * S)), np.where(S > 0, Q / (2 * S), dtype(0))


def bound(
    eta: ArrayLike,
    gamma: float = 1.0,
    t: int | None = None,
    *,
    G: ArrayLike = 1.0,
    D: float = 1.0,
    kind: Kind = "last",
    last_step: LastStep = "given",
    rho_grid: int = 4000,
    dtype: Real = np.float64,
) -> Any:
    """Bound f(x_t) - f* at one horizon.

    Parameters
    ----------
    eta : array_like, shape (T,)
        Steps; the subgradient method uses ``gamma * eta``.
    gamma : float, default 1.0
        Base learning rate.
    t : int, optional
        Horizon, 1-based; the last step by default.
    G : array_like, default 1.0
        Bound on the gradient norms: a scalar or one a step.
    D : float, default 1.0
        Bound on the initial distance to the minimiser.
    kind : {"last", "tight", "average"}
        Which bound.
    last_step : {"given", "repeat", "free"}
        The last step, which x_t does not depend on: ``eta_t``, ``eta_{t-1}`` (``eta_1`` at t = 1)
        or the best positive number. ``kind="tight"`` is always free.
    rho_grid : int, default 4000
        Points of the first grid in log rho.
    dtype : type, default numpy.float64
        Precision.

    Returns
    -------
    float
        A scalar of type `dtype`. Infinite where the last step is zero (``"given"`` or ``"repeat"``,
        kind ``"last"``) or where no step is positive. A free last step next to a zero gradient norm
        may reach the value 0 in the limit only, and that limit is returned.

    Raises
    ------
    ValueError
        If `t` is not a step of the schedule, or an option is unknown.

    Notes
    -----
    O(t) operations, times about `rho_grid` if the last step is free. Schaipp et al. (arXiv
    2501.18965), Theorem 1; Zamani & Glineur (arXiv 2307.11134).

    Examples
    --------
    >>> round(float(bound([1.0] * 100, 0.1)), 6)
    0.358869
    >>> round(float(bound([1.0] * 100, 0.1, kind="tight")), 6)
    0.226226
    """
    steps, norms = _schedule(eta, G, t, dtype)
    check_names(kind=kind, last_step=last_step)
    gamma = dtype(gamma)

    def value(rho: NDArray[Any]) -> NDArray[Any]:
        distance, noise = _terms(steps, norms, rho, D, kind, dtype)
        return np.asarray(distance / gamma + gamma * noise)

    if kind != "tight" and last_step != "free":
        return value(_given(steps, last_step))[()]
    before = np.flatnonzero(steps[:-1])
    if before.size == 0:  # x_t is the starting point
        return dtype(D) * norms[-1]
    if _reaches_zero(norms[before[-1]], norms[-1], kind):
        return dtype(0)
    if kind == "average":
        S, Q = np.sum(steps[:-1]), np.sum((steps[:-1] * norms[:-1]) ** 2)
        A = dtype(D) ** 2 / gamma + gamma * Q
        B = gamma * norms[-1] ** 2
        return value(A / B / (S + np.sqrt(S**2 + A / B)))[()]
    largest = value(steps[before[-1]]) * 2 / gamma
    return _search(value, *_rho_range(steps, norms, kind, largest), rho_grid, dtype)[1]


def tune(
    eta: ArrayLike,
    t: int | None = None,
    *,
    G: ArrayLike = 1.0,
    D: float = 1.0,
    kind: Kind = "last",
    last_step: LastStep = "given",
    rho_grid: int = 4000,
    dtype: Real = np.float64,
) -> Tuned:
    """Find the best base learning rate at one horizon, and the bound there.

    For a given last step the bound is ``a / gamma + b gamma``, so ``gamma = sqrt(a / b)`` and the
    bound is ``2 sqrt(a b)``; a free last step, in units of `eta`, minimises that.

    Parameters
    ----------
    eta, t, G, D, kind, last_step, rho_grid, dtype
        As in `bound`.

    Returns
    -------
    Tuned
        Scalars of type `dtype`. Where every base learning rate is as good `gamma` is one of them:
        inf where nothing has moved or no noise is left, 0 where a zero last step makes `last`
        infinite, D / G (for a unit step) where a free last step comes after no positive one.

    Raises
    ------
    ValueError
        If `t` is not a step of the schedule, or an option is unknown.

    Notes
    -----
    O(t) operations, times about `rho_grid` if the last step is free.

    Examples
    --------
    >>> gamma, omega = tune([1.0] * 400)
    >>> round(float(gamma), 4), round(float(omega), 4)
    (0.0182, 0.1375)
    """
    steps, norms = _schedule(eta, G, t, dtype)
    check_names(kind=kind, last_step=last_step)

    def value(rho: NDArray[Any]) -> NDArray[Any]:
        distance, noise = _terms(steps, norms, rho, D, kind, dtype)
        return np.asarray(2 * np.sqrt(distance) * np.sqrt(noise))

    before = np.flatnonzero(steps[:-1])
    if kind != "tight" and last_step != "free":
        rho = _given(steps, last_step)
        if rho == 0 and (kind == "last" or before.size == 0):
            return Tuned(dtype(0 if before.size else np.inf), dtype(np.inf))
    elif before.size == 0:
        unmoved = np.inf if norms[-1] == 0 else D / norms[-1]
        return Tuned(dtype(unmoved), dtype(D) * norms[-1])
    elif _reaches_zero(norms[before[-1]], norms[-1], kind):
        return Tuned(dtype(np.inf), dtype(0))
    elif kind == "average":
        Q = np.sum((steps[:-1] * norms[:-1]) ** 2)
        rho = Q / (np.sum(steps[:-1]) * norms[-1] ** 2)
    else:
        rho = _search(value, *_rho_range(steps, norms, kind, None), rho_grid, dtype)[0]
    distance, noise = _terms(steps, norms, rho, D, kind, dtype)
    with np.errstate(divide="ignore"):
        return Tuned(np.sqrt(distance / noise)[()], value(rho)[()])


def published_last(
    eta: ArrayLike,
    gamma: float = 1.0,
    t: int | None = None,
    G: ArrayLike = 1.0,
    D: float = 1.0,
) -> float:
    """Evaluate `last` as printed: three terms, the third a double sum.

    For tests only: ``bound`` computes the same number with fewer operations. Differences of partial
    sums are formed as sums of the steps between, which do not cancel.

    Parameters
    ----------
    eta, gamma, t, G, D
        As in `bound`; every step must be positive.

    Returns
    -------
    float
        The bound at horizon `t`.

    Notes
    -----
    O(t) operations. Schaipp et al. (arXiv 2501.18965), Theorem 1; Defazio et al. (arXiv
    2310.07831), Theorem 10.

    Examples
    --------
    >>> round(published_last([1.0] * 100, 0.1), 6)
    0.358869
    """
    steps, norms = _schedule(eta, G, t, np.float64)
    S = np.cumsum(steps[::-1])[::-1]  # S_t - S_{k-1}, k = 1..t
    Q = np.cumsum(((steps * norms) ** 2)[::-1])[::-1]  # Q_t - Q_{k-1}
    double_sum = np.sum(steps[:-1] / S[1:] * (Q[:-1] / S[:-1]))
    return float(D**2 / (2 * gamma * S[0]) + gamma / 2 * (Q[0] / S[0] + double_sum))


def _terms(
    steps: NDArray[Any], norms: NDArray[Any], rho: Any, D: float, kind: Kind, dtype: Real
) -> tuple[NDArray[Any], NDArray[Any]]:
    if kind == "average":
        return average_terms(steps, rho, G=norms, D=D, dtype=dtype)
    return walk(steps, rho, G=norms, D=D, recursion=kind, dtype=dtype)


def _given(steps: NDArray[Any], last_step: LastStep) -> Any:
    """Return the last step where it is not free."""
    return steps[-1] if last_step == "given" or steps.size == 1 else steps[-2]


def _reaches_zero(norm_before: Any, norm_last: Any, kind: Kind) -> bool:
    """Whether the bound tends to 0 at an end of the range of a free last step.

    It does for rho -> infinity if G_t = 0, and for `tight` also for rho -> 0 if the last positive
    step before t had a zero norm: R then tends to infinity just before that step.
    """
    return bool(norm_last == 0 or (kind == "tight" and norm_before == 0))


def _rho_range(
    steps: NDArray[Any], norms: NDArray[Any], kind: Kind, largest: Any
) -> tuple[Any, Any]:
    """Enclose a minimising rho.

    `largest` is 2 F / gamma for a value F of the bound at fixed gamma, None for the tuned bound.
    Let m be the last positive step before t, e = eta_m, S and Q the sums of eta_k and of
    q_k = eta_k^2 G_k^2 over k < t; F and N stand for the bound and twice its noise.

    `last`: below e G_m / G_t the terms rho G_t^2 + q_m / rho decrease with rho and so does the
    rest. Above: at fixed gamma, gamma rho G_t^2 <= 2 F. Tuned, 4 a b = D^2 N / (rho + S); in
    x = log rho, log N grows at a rate of at least 1 - 2 (Q / rho) / (rho G_t^2) and log(rho + S)
    at 1 - S / (rho + S), so the ratio grows beyond max(S, 4 Q / (G_t^2 S)).

    `tight`: replacing rho by e^2 / rho leaves R_{m-1} unchanged and exchanges G_t and G_m in
    rho G_t^2 + e^2 G_m^2 / rho. So the larger of rho and e^2 / rho, v >= e, belongs to the smaller
    norm g. At fixed gamma, gamma v g^2 <= 2 F. Tuned, for v >= 4 S every R_k <= 1.5625 v, so
    log R_0 grows at a rate of at most exp(-1.28 S / v) <= 1 - 1.07 S / v while log N grows at one
    of at least 1 - 2 Q / (g v)^2, with the larger norm in q_m: the ratio grows beyond
    max(4 S, 1.9 Q / (g^2 S)).

    With F taken at rho = e the upper end is at least twice the lower one.
    """
    m = np.flatnonzero(steps[:-1])[-1]
    e, before, last = steps[m], norms[m], norms[-1]
    S = np.sum(steps[:-1])
    Q = np.sum((steps[:-1] * norms[:-1]) ** 2)
    if kind == "last":
        high = largest / last**2 if largest is not None else max(S, 4 * Q / (last**2 * S))
        # With q_m = 0 the minimum may be at rho = 0, where the bound is finite and smooth.
        low = e * before / last if before > 0 else min(e, high) * steps.dtype.type(1e-20)
        return low, high
    small, large = min(before, last), max(before, last)
    Q += e**2 * (large**2 - before**2)
    high = largest / small**2 if largest is not None else max(4 * S, 1.9 * Q / (small**2 * S))
    return (e, high) if last <= before else (e / high * e, e)


def _cell_bound(width: Any, p: NDArray[Any], q: NDArray[Any]) -> NDArray[Any]:
    """Bound F from below in cells with end values p and q.

    F'' <= F, so F is at least the solution u of u'' = u through both ends. If p cosh(width) > q
    and q cosh(width) > p the minimum of u lies inside the cell, otherwise at one of the ends.
    """
    half = width / 2
    slope = (p - q) / (2 * np.sinh(half))
    inside = (p * np.cosh(width) > q) & (q * np.cosh(width) > p)
    u = np.sqrt(np.maximum(p * q - slope**2, 0)) / np.cosh(half)
    return np.asarray(np.where(inside, u, np.minimum(p, q)))


def _search(
    f: Callable[[NDArray[Any]], NDArray[Any]], low: Any, high: Any, points: int, dtype: Real
) -> tuple[Any, Any]:
    """Find the global minimiser rho of f in [low, high] and the minimum.

    A uniform grid in log rho, then every cell that may hold something lower is divided again,
    until none can improve on the best value by more than rounding.
    """
    tolerance = 1 - 4 * np.finfo(dtype).eps
    x = np.linspace(np.log(low), np.log(high), points, dtype=dtype)
    y = f(np.exp(x))
    best, at = y.min(), x[np.argmin(y)]
    width = x[1] - x[0]
    left, p, q = x[:-1], y[:-1], y[1:]
    while True:
        lowest = _cell_bound(width, p / best, q / best)
        order = np.argsort(lowest)[:_CELLS]
        order = order[lowest[order] < tolerance]
        if order.size == 0:
            return np.exp(at), best
        width = width / _PARTS
        x = left[order, None] + width * np.arange(_PARTS + 1, dtype=dtype)
        y = f(np.exp(x))
        if y.min() < best:
            best, at = y.min(), x.ravel()[np.argmin(y)]
        left, p, q = x[:, :-1].ravel(), y[:, :-1].ravel(), y[:, 1:].ravel()
