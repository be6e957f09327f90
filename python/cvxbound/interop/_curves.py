"""The formulas that tools share."""

from __future__ import annotations

import numpy as np

from .._arrays import Float
from .._decay import decayed, fraction_left


def decay(
    done: Float, span: float, shape: str, start: Float | float, end: float, *, held: bool = True
) -> Float:
    """From `start` to `end` after `done` of `span` steps: exact also where little is left.

    Before the decay it is `start`, and after it `end`, unless it is not `held`.
    """
    if span <= 0:
        return np.where(done > 0, end, start)
    x, y = done / span, (span - done) / span
    if held:
        x, y = np.clip(x, 0, 1), np.clip(y, 0, 1)
    return decayed(start, end, fraction_left(x, y, shape, 2.0, 0.5))


def line(done: Float, span: float, start: float, end: float = 1.0) -> Float:
    """From `start` to `end` in `span` steps, going on after them."""
    if span <= 0:
        return np.full(np.shape(done), end)
    return np.asarray(start + (end - start) * done / span)
