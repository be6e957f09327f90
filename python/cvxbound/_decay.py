"""How a cooldown falls: the shapes f(x), from f(0) = 1 to f(1) = 0."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from ._arrays import Float, real_array
from ._messages import did_you_mean

Shape = str | Callable[[Float], ArrayLike]

SHAPES = ("linear", "1-sqrt", "cosine", "power", "exponential")

_SHAPE_ALIASES = {"sqrt": "1-sqrt", "minus_sqrt": "1-sqrt", "cos": "cosine", "exp": "exponential"}

_ROUNDING = 1e-12


def known_shape(shape: Shape) -> Shape:
    """Return a function as it is, a name without its aliases."""
    if callable(shape):
        return shape
    if not isinstance(shape, str):
        raise TypeError(f"shape must be a name or a function of x, got {shape!r}")
    name = _SHAPE_ALIASES.get(shape.lower(), shape.lower())
    if name not in SHAPES:
        raise did_you_mean(shape, SHAPES, "cooldown shape")
    return name


def fraction_left(x: Float, y: Float, shape: Shape, exponent: float, rate: float) -> Float:
    """Evaluate the decay f(x), from f(0) = 1 to f(1) = 0, given both x and y = 1 - x.

    The last steps of a decay are its smallest and the bound divides by them, so each formula is a
    product of factors that do not cancel and keeps full relative accuracy up to x = 1.
    """
    if callable(shape):
        return _called(shape, x)
    if shape == "1-sqrt":
        root: Float = np.sqrt(x)
        return y / (1 + root)
    if shape == "cosine":  # (1 + cos(pi x)) / 2
        return np.square(np.sin(np.pi / 2 * y))
    if shape == "power":  # 1 - x^p, the logarithm of x from the smaller of x and y
        with np.errstate(divide="ignore"):  # log(0) = -inf is right at x = 0
            log_x = np.where(x < y, np.log(x), np.log1p(-y))
        return -np.expm1(exponent * log_x)
    if shape == "exponential" and rate != 1:  # (r^x - r) / (1 - r) = r^x (1 - r^y) / (1 - r)
        log_rate = math.log(rate)
        left = np.power(rate, x) * (np.expm1(log_rate * y) / math.expm1(log_rate))
        return np.minimum(left, 1)  # which rounding may exceed at x = 0
    return y


def _called(shape: Callable[[Float], ArrayLike], x: Float) -> Float:
    """Evaluate a decay given as a function, whose values may be off by rounding."""
    left = real_array(shape(x), "shape(x)")
    if left.shape != x.shape:
        raise ValueError(f"shape(x) must have the shape of x, {x.shape}; it has {left.shape}")
    good = (left >= -_ROUNDING) & (left <= 1 + _ROUNDING)  # not where it is NaN
    if not good.all():
        bad = int(np.flatnonzero(~good)[0])
        raise ValueError(
            f"shape(x) must lie in [0, 1] and be finite; it is {left[bad]} at x = {x[bad]:.6g}"
        )
    return np.clip(left, 0, 1)


def decayed(start: Float | float, end: Float | float, left: Float) -> Float:
    """Learning rates between `start` and `end`, given the fraction that is left of the decay."""
    return start * left + end * (1 - left)  # a sum of terms of one sign
