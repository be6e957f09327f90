"""Which of very many steps to draw, so that a curve looks as it does in full."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ._arrays import Float, Int


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


def outline(values: Float, bins: int, *, logarithmic: bool = False) -> Int:
    """The ends of each of `bins` stretches of a sequence, its lowest and highest, their neighbours.

    Drawn through these, a sequence of any length looks as it does in full: no spike is lost.

    Parameters
    ----------
    values : ndarray of float64, shape (T,)
        The sequence.
    bins : int
        How many stretches.
    logarithmic : bool, default False
        Whether the stretches are equally long on a logarithmic axis.

    Returns
    -------
    ndarray of int64
        Increasing 1-based steps, at most ``8 * bins`` of them; all where that is no fewer.

    Examples
    --------
    >>> outline(np.array([1.0, 1.0, 1.0, 5.0, 1.0, 1.0, 0.0, 1.0, 1.0]), bins=1).tolist()
    [1, 3, 4, 5, 6, 7, 8, 9]
    """
    if values.size <= 8 * bins:
        return np.arange(1, values.size + 1)
    if logarithmic:
        edges = np.unique(np.geomspace(1, values.size + 1, bins + 1).astype(np.int64)) - 1
    else:
        edges = np.linspace(0, values.size, bins + 1).astype(np.int64)
    found: set[int] = set()
    for start, stop in itertools.pairwise(edges.tolist()):
        stretch = values[start:stop]
        lowest, highest = int(stretch.argmin()), int(stretch.argmax())
        for middle in (start + lowest, start + highest):  # a jump is between neighbours
            found.update(range(max(middle - 1, start), min(middle + 2, stop)))
        found.update((start, stop - 1))
    return np.array(sorted(found), dtype=np.int64) + 1
