"""Which steps to evaluate so that a curve over very many of them can be drawn from a few."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._arrays import Float, Int

ROUNDS = 5
"""In how many rounds `refine` adds horizons."""

_VISIBLE = 5e-4  # of the height of a figure: about half a pixel
_USEFUL, _USEFUL_LOG = 4.0, 40.0  # a curve is drawn up to less than this times its last value


def spread(steps: int, count: int) -> Int:
    """About `count` of the steps 1..`steps`, half of them evenly spaced and half in proportion.

    Parameters
    ----------
    steps : int
        The last step.
    count : int
        How many, before duplicates are dropped.

    Returns
    -------
    ndarray of int64
        Increasing, from 1 to `steps`.

    Examples
    --------
    >>> spread(1000, 12).tolist()
    [1, 4, 16, 63, 201, 251, 401, 600, 800, 1000]
    """
    even = np.linspace(1, steps, count // 2)
    growing = np.geomspace(1, steps, count - count // 2)
    return np.unique(np.rint(np.concatenate([even, growing])).astype(np.int64))


def outline(values: Float, bins: int) -> Int:
    """The steps at which each of `bins` stretches of a sequence is lowest and highest.

    Drawn through these, with the two ends, a sequence of any length looks as it does in full: no
    spike is lost.

    Parameters
    ----------
    values : ndarray of float64, shape (T,)
        The sequence.
    bins : int
        How many stretches.

    Returns
    -------
    ndarray of int64
        Increasing 1-based steps, at most ``2 * bins + 2`` of them; all where that is no fewer.

    Examples
    --------
    >>> outline(np.array([1.0, 1.0, 5.0, 1.0, 1.0, 0.0, 1.0, 1.0]), bins=2).tolist()
    [1, 3, 5, 6, 8]
    """
    if values.size <= 2 * bins:
        return np.arange(1, values.size + 1)
    edges = np.linspace(0, values.size, bins + 1).astype(np.int64)
    found = {0, values.size - 1}
    for start, stop in itertools.pairwise(edges):
        stretch = values[start:stop]
        found.update((int(start + stretch.argmin()), int(start + stretch.argmax())))
    return np.array(sorted(found), dtype=np.int64) + 1


def refine(
    curve: Callable[[Int], Float], start: Int, count: int, *, logarithmic: bool = False
) -> tuple[Int, Float]:
    """Sample a curve where straight lines between the samples miss it most.

    Parameters
    ----------
    curve : callable
        Values at increasing steps; called once for `start` and at most `ROUNDS` times more.
    start : ndarray of int64
        The steps to begin with, increasing; the first and the last one are the ends.
    count : int
        How many steps to have in the end, fewer where no line is visibly off.
    logarithmic : bool, default False
        Whether the lines are straight between logarithms, of the steps and of the values.

    Returns
    -------
    at : ndarray of int64
        Increasing steps, `start` among them.
    values : ndarray of float64
        The curve there.

    Notes
    -----
    A line is judged by how far the samples at its ends are from the line that leaves them out.
    Values far above the last one count as equal: a figure cuts them off.

    Examples
    --------
    >>> at, values = refine(lambda t: np.minimum(t, 600) / 600, spread(1000, 8), 12)
    >>> at.tolist()
    [1, 10, 100, 334, 500, 541, 562, 583, 625, 667, 833, 1000]
    """
    at, values = start, curve(start)
    for left in range(ROUNDS, 0, -1):
        new = _worst(at, values, (count - at.size) // left, logarithmic)
        if not new.size:
            break
        order = np.argsort(merged := np.concatenate([at, new]))
        at, values = merged[order], np.concatenate([values, curve(new)])[order]
    return at, values


def _worst(at: Int, values: Float, count: int, logarithmic: bool) -> Int:
    """The middles of the `count` intervals in which a straight line is furthest off, increasing."""
    x = np.log(at) if logarithmic else at.astype(np.float64)
    cap = (_USEFUL_LOG if logarithmic else _USEFUL) * values[-1]
    y = np.minimum(values, cap) if np.isfinite(cap) else values
    if logarithmic:
        with np.errstate(divide="ignore"):
            y = np.log(y)
    error = np.zeros(at.size)
    weight = (x[1:-1] - x[:-2]) / (x[2:] - x[:-2])
    with np.errstate(invalid="ignore"):  # inf - inf, beside horizons where the bound is infinite
        error[1:-1] = np.abs(y[1:-1] - (1 - weight) * y[:-2] - weight * y[2:])
    error = np.nan_to_num(error, nan=0.0, posinf=0.0)
    worst = np.maximum(error[:-1], error[1:])
    finite = y[np.isfinite(y)]
    height = np.ptp(finite) if finite.size else 0.0
    chosen = np.flatnonzero((worst > _VISIBLE * height) & (np.diff(at) > 1))
    chosen = chosen[np.argsort(-worst[chosen], kind="stable")][: max(count, 0)]
    low, high = at[np.sort(chosen)], at[np.sort(chosen) + 1]
    middle = np.rint(np.sqrt(low * high.astype(np.float64))) if logarithmic else (low + high) // 2
    return np.clip(middle.astype(np.int64), low + 1, high - 1)
