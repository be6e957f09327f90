"""What torch and jax ask of the bounds: values and derivatives of NumPy arrays, at D = 1.

D needs no derivative of its own: bounds are D times, and distances D^2 times, those at D = 1 and
gamma / D. Batch axes are as many in all arrays, and the last axis of G is the steps, or has
length 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from . import _arrays, _terms_slope, bounds, gradients
from ._device import array_module
from ._messages import did_you_mean
from ._names import Kind, LastStep, check_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._arrays import Float, Int
    from ._results import Terms

Wrt = Literal["eta", "gamma", "G"]

NO_SECOND = (
    "second derivatives of a bound are not available: cvxbound computes first ones alone, in a "
    "graph that cannot be differentiated again"
)


class Choice(NamedTuple):
    """Which bound, and its horizons: None for all."""

    kind: Kind
    last_step: LastStep
    at: Sequence[int] | Int | None

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of the public functions."""
        at = "all" if self.at is None else self.at
        return {"kind": self.kind, "last_step": self.last_step, "at": at}

    @property
    def is_free(self) -> bool:
        """Whether the terms depend on gamma, through the virtual last step."""
        return self.kind == "tight" or self.last_step == "free"


def check_choice(kind: str, last_step: str, D: object) -> None:
    """Refuse what can be refused before any number is known."""
    check_names(kind=kind, last_step=last_step)
    if isinstance(D, (int, float)) and not 0 < D < float("inf"):
        raise ValueError(f"D must be positive and finite, got {D}")


def horizons(at: Any, steps: int, every: bool) -> tuple[tuple[int, ...] | None, bool]:
    """The horizons of a `Choice`, and whether the result keeps their axis.

    None is every step, or for `every` False the last.
    """
    if isinstance(at, str) and at != "all":
        raise did_you_mean(at, ("all",), "at")
    if isinstance(at, str) or (at is None and every):
        return None, True
    found = _arrays.horizons(steps if at is None else at, steps)
    return tuple(found.reshape(-1).tolist()), found.ndim == 1


def curve(eta: Float, gamma: Float, G: Float, *, choice: Choice) -> Float:
    """Bounds (*batch, horizons)."""
    return bounds.curve(eta, _checked(gamma), G=G, **choice.options)


def terms(eta: Float, G: Float, gamma: Float | None = None, *, choice: Choice) -> Terms:
    """Distance and noise, (*batch, horizons) each."""
    rate = None if gamma is None else _checked(gamma)
    return bounds.terms(eta, gamma=rate, G=G, **choice.options)


def slope(
    weights: Float, eta: Float, gamma: Float, G: Float, *, choice: Choice, by_norm: bool
) -> Float:
    """Derivatives of the sum of weights times bounds by the steps or the norms, (*batch, T)."""
    _check_weights(weights)
    wrt: Literal["eta", "G"] = "G" if by_norm else "eta"
    rate = _checked(gamma)
    return gradients.gradient(eta, rate, G=G, weights=weights, wrt=wrt, **choice.options)


def free_slope(
    of_distance: Float,
    of_noise: Float,
    eta: Float,
    G: Float,
    gamma: Float | None = None,
    *,
    choice: Choice,
    wrt: Wrt,
) -> Any:
    """Derivatives of the sum of weights times terms whose last step is free."""
    _check_weights(of_distance)
    _check_weights(of_noise)
    return _terms_slope.free_slope(of_distance, of_noise, eta, gamma, G, choice, wrt)


def _check_weights(weights: Float) -> None:
    _arrays.check_finite(weights, "the derivatives by the bounds, which come back to them,")


def _checked(gamma: Float) -> Float:
    return _arrays.positive_array(gamma, "gamma / D", array_module(gamma))


# --- what follows from these ---------------------------------------------------------------------


class Calls(NamedTuple):
    """The functions above for the arrays of a module, that of NumPy or of JAX."""

    xp: Any = np
    terms: Callable[..., tuple[Any, Any]] = terms
    slope: Callable[..., Any] = slope
    free_slope: Callable[..., Any] = free_slope


_NUMPY = Calls()


def curve_slope(
    weights: Any, eta: Any, gamma: Any, G: Any, choice: Choice, wrt: Wrt, by: Calls = _NUMPY
) -> Any:
    """Derivatives of the sum of weights times bounds: (*batch, T), or (*batch,) by gamma."""
    if wrt != "gamma":
        return by.slope(weights, eta, gamma, G, choice=choice, by_norm=wrt == "G")
    distance, noise = by.terms(eta, G, gamma, choice=choice)
    with np.errstate(over="ignore", invalid="ignore"):
        slope = noise - distance / gamma[..., None] ** 2
        # A bound without weight may be infinite.
        weighted = by.xp.where(weights == 0, 0.0, weights * slope)
    return by.xp.asarray(weighted.sum(axis=-1))


def terms_slope(
    of_distance: Any,
    of_noise: Any,
    eta: Any,
    gamma: Any,
    G: Any,
    choice: Choice,
    wrt: Wrt,
    by: Calls = _NUMPY,
) -> Any:
    """Derivatives of the sum of weights times terms: (*batch, T), or (*batch,) by gamma."""
    if choice.is_free:
        return by.free_slope(of_distance, of_noise, eta, G, gamma, choice=choice, wrt=wrt)
    if wrt == "gamma":
        return by.xp.zeros(of_noise.shape[:-1])
    return _terms_slope.fixed_slope(of_distance, of_noise, eta, G, choice, wrt, by)
