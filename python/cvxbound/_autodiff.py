"""What torch and jax ask of the bounds: values and derivatives of NumPy arrays, at D = 1.

D needs no derivative of its own: bounds are D times, and distances D^2 times, those at D = 1 and
gamma / D. Batch axes are as many in all arrays, and the last axis of G is the steps, or has
length 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from . import _arrays, bounds, gradients
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
NO_FREE_TERMS = (
    "distance and noise have no derivatives of their own where the last step is free (kind='tight' "
    "or last_step='free'): it is the best for both together; differentiate bound or curve"
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


def curve(eta: Float, gamma: Float, G: Float, choice: Choice) -> Float:
    """Bounds (*batch, horizons)."""
    return bounds.curve(eta, _checked(gamma), G=G, **choice.options)


def terms(eta: Float, gamma: Float | None, G: Float, choice: Choice) -> Terms:
    """Distance and noise, (*batch, horizons) each."""
    rate = None if gamma is None else _checked(gamma)
    return bounds.terms(eta, gamma=rate, G=G, **choice.options)


def curve_slope(
    weights: Float, eta: Float, gamma: Float, G: Float, choice: Choice, wrt: Wrt
) -> Float:
    """Derivatives of the sum of weights times bounds: (*batch, T), or (*batch,) by gamma."""
    _check_weights(weights)
    if wrt == "gamma":
        distance, noise = terms(eta, gamma, G, choice)
        with np.errstate(over="ignore", invalid="ignore"):
            slope = noise - distance / gamma[..., None] ** 2
            # A bound without weight may be infinite.
            weighted = np.where(weights == 0, 0.0, weights * slope)
        return np.asarray(weighted.sum(axis=-1))
    rate = _checked(gamma)
    return gradients.gradient(eta, rate, G=G, weights=weights, wrt=wrt, **choice.options)


def terms_slope(
    of_distance: Float,
    of_noise: Float,
    eta: Float,
    G: Float,
    choice: Choice,
    wrt: Literal["eta", "G"],
) -> Float:
    """Derivatives of the sum of weights times terms, (*batch, T), for a last step that is not free.

    gamma times the bound tends to the distance for a small gamma, and the bound over gamma to the
    noise for a large one: at the rates taken here nothing is left of the other term.
    """
    _check_weights(of_distance)
    _check_weights(of_noise)
    small, large = _extreme_rates(eta, G, choice)

    def slope(gamma: Float, weights: Float) -> Float:
        return gradients.gradient(eta, gamma, G=G, weights=weights, wrt=wrt, **choice.options)

    by_noise = slope(large, of_noise) / large[..., None]
    return by_noise if wrt == "G" else small[..., None] * slope(small, of_distance) + by_noise


def _extreme_rates(eta: Float, G: Float, choice: Choice) -> tuple[Float, Float]:
    distance, noise = terms(eta, None, G, choice)
    with np.errstate(divide="ignore", invalid="ignore"):
        balance = np.sqrt(distance) / np.sqrt(noise)
    balance = np.where((balance > 0) & (balance < np.inf), balance, 1.0)
    return 1e-20 * balance.min(axis=-1), 1e20 * balance.max(axis=-1)


def _checked(gamma: Float) -> Float:
    return _arrays.positive_array(gamma, "gamma / D", array_module(gamma))


def _check_weights(weights: Float) -> None:
    _arrays.check_finite(weights, "the derivatives by the bounds, which come back to them,")
