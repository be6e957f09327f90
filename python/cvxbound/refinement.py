"""The schedule that the gradient norms of a run ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from . import schedules
from ._arrays import (
    LARGEST_NORM,
    Float,
    check_range,
    positive_array,
    real_array,
    step_count,
    whole_number,
)
from ._messages import did_you_mean
from ._names import Kind, check_names
from ._optimal import optimal_bound, optimal_steps
from .bounds import tune
from .schedules import Schedule

__all__ = ["refine"]

_SMALLEST_NORM = 1e-100
_WIDEST = 1e60  # the schedule and its bound are made of squares of ratios
_RISEN = 0.95  # of the peak: a noisy plateau may have its highest step anywhere

# What a refined schedule is compared with: families, and a grid for the parameters of each.
_FRACTIONS = [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
_GRID: dict[Callable[..., Schedule], list[dict[str, Any]]] = {
    schedules.constant: [{}],
    schedules.linear: [{}],
    schedules.cosine: [{}, {"final": 0.1}],
    schedules.wsd: [{"cooldown": c, "shape": s} for s in ("linear", "1-sqrt") for c in _FRACTIONS],
    schedules.power: [{"exponent": p} for p in (1.5, 2.0, 3.0, 4.0, 6.0, 10.0)],
    schedules.inverse_sqrt: [{"cooldown": c} for c in (0.0, 0.1, 0.2, 0.4, 0.8)],
    schedules.exponential: [{"final": f} for f in (0.01, 0.1)],
}


def refine(
    G: ArrayLike,
    *,
    steps: int | None = None,
    smooth: float = 0,
    warmup: float | Literal["auto"] | None = None,
    kind: Kind = "tight",
    compare: bool = True,
) -> Schedule:
    """Make the schedule with the smallest bound for the gradient norms of a run.

    Norms are large early in training and the best schedule then is small there: it warms up by
    itself, and decays to zero at the end.

    Parameters
    ----------
    G : array_like of float, shape (n,)
        Norm of the gradient at each step of a run, or at evenly spaced ones with `steps`; positive,
        at most 1e100. They may come from a run with any schedule.
    steps : int, optional
        Number of steps T of the schedule; by default n. The norms are spread evenly over the T
        steps and interpolated linearly.
    smooth : int or float, default 0
        Window of a running median that the norms pass first, reflected at both ends: an int is
        entries of `G`, a float in [0, 1] a fraction of them; an even number counts as the next odd
        one. Norms of single batches need it: a schedule should follow their trend.
    warmup : int, float or "auto", optional
        Replace the rise at the start by a linear warm-up of the families' kind, t / (W + 1) of the
        value at step W + 1: an int is its W steps, a float in [0, 1] a fraction of the schedule,
        "auto" takes all steps before the first one within 5 % of the peak. By default the schedule
        stays as it comes out.
    kind : {"tight", "last", "average"}, default "tight"
        Which bound is to be smallest.
    compare : bool, default True
        Whether to look for the nearest of the families.

    Returns
    -------
    Schedule
        Of peak 1. Its ``params`` hold ``kind``, ``smooth`` (entries) and ``warmup`` (steps), and,
        for the norms as they came, over T steps and with D = 1: ``gamma`` and ``omega``, the best
        base learning rate and the bound there, as from `tune`; ``optimum``, the smallest bound of
        any schedule, and ``ratio``, omega over it; ``nearest``, the schedule of a built-in family
        whose tuned bound is smallest, and ``nearest_ratio``, that bound over the optimum. The last
        two are None without `compare`.

    Raises
    ------
    TypeError, ValueError
        If `G` is not one series of positive numbers (the index), another argument has the wrong
        type or range, or `kind` is unknown.

    Notes
    -----
    O(T), and O(n log n) for the median; `compare` tunes about eighty schedules, which takes half a
    second at 50,000 steps and nine seconds at a million.

    The steps are those of `theory.optimal_steps` at horizon T + 1, whose norm is taken to be that
    of the last step: the best for the iterate after all T steps. The virtual step at the end is
    left out; the schedule would reach zero there, as the families do, and constant norms give
    ``schedules.linear(T)``. As everywhere, ``omega`` bounds the iterate before the last step. For
    that alone ``ratio`` exceeds 1, by 1.7e-5 at 10,000 steps (`last`: 1e-4); the rest is what
    smoothing and a straight warm-up cost, measured by norms whose every accident counts.

    Nearest is meant in the bound, not in the shape: schedules that look alike may differ in what
    they are worth, above all by their last steps, and the bound is what one would choose by. The
    families are tried on a fixed grid of parameters, with and without the warm-up.

    References
    ----------
    Defazio, Cutkosky, Mehta, Mishchenko (arXiv 2310.07831): refinement by ``eta_t ~ w_t sum_{p>t}
    w_p``, ``w_t = G_t^-2``, which is exactly the optimum of `tight` (docs/optimal.md), and the
    running median.

    Examples
    --------
    >>> import numpy as np
    >>> norms = 1 + 4 * np.exp(-np.arange(1000) / 50)
    >>> schedule = refine(norms, warmup="auto")
    >>> schedule.params["warmup"]
    190
    >>> round(schedule.params["ratio"], 3), schedule.params["nearest"].name
    (1.001, 'wsd')
    >>> refine([2.0, 2.0, 2.0, 2.0]).eta.tolist()
    [1.0, 0.75, 0.5, 0.25]
    """
    check_names(kind=kind)
    norms = _checked(G)
    window = step_count(smooth, norms.size, "smooth")
    count = norms.size if steps is None else whole_number(steps, "steps")
    trend = _stretched(_running_median(norms, window), count)
    given = _stretched(norms, count)
    eta = optimal_steps(count + 1, np.append(trend, trend[-1]), kind=kind)[:-1]
    length = _warmup(eta, warmup)
    eta[:length] = eta[min(length, count - 1)] * (np.arange(1, length + 1) / (length + 1))
    eta /= eta.max()
    gamma, omega = tune(eta, G=given, kind=kind)
    optimum = optimal_bound(count, given, kind=kind)
    params: dict[str, Any] = {
        "kind": kind,
        "smooth": window,
        "warmup": length,
        "gamma": float(gamma),
        "omega": float(omega),
        "optimum": optimum,
        "ratio": float(omega) / optimum,
        "nearest": None,
        "nearest_ratio": None,
    }
    if compare:
        nearest, bound = _nearest(given, sorted({0, length or _rise(eta)}), kind)
        params.update(nearest=nearest, nearest_ratio=bound / optimum)
    return Schedule(eta, "refined", params, _note(params))


def _checked(G: ArrayLike) -> Float:
    norms = real_array(G, "G")
    if norms.ndim != 1 or not norms.size:
        raise ValueError(f"G must be one norm a step, of shape (n,) with n >= 1; got {norms.shape}")
    check_range(norms, "G", LARGEST_NORM)
    positive_array(norms, "G")
    if norms.min() < max(_SMALLEST_NORM, norms.max() / _WIDEST):
        raise ValueError(
            f"G must be at least {_SMALLEST_NORM:g}, and no norm more than {_WIDEST:g} times as "
            f"large as another; found {norms.min():g} at index {int(np.argmin(norms))}, and "
            f"{norms.max():g} at index {int(np.argmax(norms))}"
        )
    return norms


def _running_median(x: Float, window: int) -> Float:
    """Take the median of the window around each entry, with `x` reflected at its ends.

    All windows descend together through the bits of the ranks (a wavelet matrix): at each bit, the
    entries before any place that have it unset are counted, and those go before the others.
    """
    half = window // 2
    if half == 0:
        return x
    padded = np.pad(x, half, mode="reflect")
    order = np.argsort(padded, kind="stable")
    ranks = np.empty_like(order)
    ranks[order] = np.arange(padded.size)
    left = np.arange(x.size)
    right, wanted, found = left + 2 * half + 1, np.full(x.size, half), np.zeros_like(left)
    for bit in range(padded.size.bit_length() - 1, -1, -1):
        is_set = (ranks >> bit & 1).astype(bool)
        unset = np.concatenate([[0], np.cumsum(~is_set)])
        low, high = unset[left], unset[right]
        goes_up = wanted >= high - low
        wanted = np.where(goes_up, wanted - (high - low), wanted)
        left = np.where(goes_up, unset[-1] + left - low, low)
        right = np.where(goes_up, unset[-1] + right - high, high)
        found |= goes_up.astype(found.dtype) << bit
        ranks = np.concatenate([ranks[~is_set], ranks[is_set]])
    return padded[order[found]]


def _stretched(x: Float, count: int) -> Float:
    """Spread the entries evenly over `count` steps, linearly between their middles."""
    if count == x.size:
        return x
    where = (np.arange(count) + 0.5) / count
    return np.interp(where, (np.arange(x.size) + 0.5) / x.size, x)


def _warmup(eta: Float, warmup: float | str | None) -> int:
    if warmup is None:
        return 0
    if isinstance(warmup, str):
        if warmup != "auto":
            raise did_you_mean(warmup, ("auto",), "warmup")
        return _rise(eta)
    return step_count(warmup, eta.size, "warmup")


def _rise(eta: Float) -> int:
    """Count the steps before the first one that is near the peak."""
    return int(np.argmax(eta >= _RISEN * eta.max()))


def _nearest(G: Float, warmups: list[int], kind: Kind) -> tuple[Schedule, float]:
    """Return the schedule of the grid whose tuned bound is smallest, and that bound."""
    best: tuple[Schedule, float] | None = None
    for family, grid in _GRID.items():
        for params in grid:
            for warmup in warmups:
                if params.get("cooldown", 0) + warmup / G.size > 1:
                    continue
                schedule = family(G.size, warmup=warmup, **params)
                bound = float(tune(schedule, G=G, kind=kind).omega)
                if best is None or bound < best[1]:
                    best = schedule, bound
    assert best is not None
    return best


def _note(params: Mapping[str, Any]) -> str:
    """Say what the schedule is worth, and which familiar one comes next."""
    notes = [f"{params['kind']} {params['ratio']:.3f} times the optimum"]
    nearest = params["nearest"]
    if nearest is not None:
        arguments = f"({nearest.note})" if nearest.note else ""
        notes.append(f"nearest {nearest.name}{arguments} {params['nearest_ratio']:.3f} times")
    return ", ".join(notes)
