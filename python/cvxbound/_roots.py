"""Where a function of one number is zero, or least."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Function = Callable[[float], float]

_GOLDEN = (math.sqrt(5) - 1) / 2
_MOST = 100  # evaluations; ten are usual


def root(
    function: Function, low: float, high: float, at_low: float, at_high: float, small: float
) -> float:
    """Find where a function is zero between two points at which it has opposite signs.

    Chandrupatla's method: inverse quadratic interpolation where the last three points make it
    safe, else bisection. Returns a point at which the function is at most `small`, or that no other
    is closer to.
    """
    new, at_new, far, at_far = low, at_low, high, at_high  # the bracket
    share = at_low / (at_low - at_high)
    for _ in range(_MOST):
        old, at_old = new, at_new
        new += share * (far - new)
        at_new = function(new)
        if abs(at_new) <= small or new in (old, far):
            break
        if (at_new > 0) != (at_old > 0):
            old, at_old, far, at_far = far, at_far, old, at_old
        x, y = (new - far) / (old - far), (at_new - at_far) / (at_old - at_far)
        share = 0.5
        if y * y < x and (1 - y) ** 2 < 1 - x:
            share = at_new / (at_far - at_new) * at_old / (at_far - at_old) + (old - new) / (
                far - new
            ) * at_new / (at_old - at_new) * at_far / (at_old - at_far)
    return new


def minimum(function: Function, low: float, high: float, tolerance: float) -> float:
    """Find where a function with one valley is least in [low, high], the ends included.

    Golden sections down to `tolerance` times the width. An end is returned as it is.
    """
    width = high - low
    left, right = high - _GOLDEN * width, low + _GOLDEN * width
    ends = [(function(x), x) for x in (low, high)]
    at_left, at_right = function(left), function(right)
    while high - low > tolerance * width:
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = function(right)
    return min((at_left, left), (at_right, right), *ends)[1]
