"""Derivatives of distance and noise, each of its own, from those of bounds.

Where the last step is fixed they are limits: gamma times the bound tends to the distance for a
small gamma, the bound over gamma to the noise for a large one.

Where the last step is free, it moves with the schedule. A bound does not change with its virtual
last step rho to first order, for rho is at its best; distance and noise do, in opposite directions.
That rho is where d Omega / d rho = 0, so a step moves it by minus the derivative of d Omega / d eta
by rho, over d^2 Omega / d rho^2. As functions of log rho, bounds and their derivatives by steps are
analytic in the strip |Im| < pi: they are rational in rho, with poles where some R_k is zero, which
only a rho on the negative axis brings about. So their values at Chebyshev nodes differentiate them
to rounding, whatever the schedule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from . import _arrays, _backend
from ._problem import make_problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._arrays import Float
    from ._autodiff import Calls, Choice, Wrt
    from ._backend import Derivatives, Request

_FAR = 1e20  # how far from the best one a gamma is at which nothing is left of one term

_NODES = 14
_HALF_WIDTH = 0.5  # of the interval of log rho: the polynomial's error is about (4 pi)^-14
_ROUNDS = 2  # of Newton: from the digits that the search finds to all, and once more for the bend
_LONGEST_STEP = 0.05  # of Newton, in log rho; a longer one is none that polishes
_FLAT = 1e-13  # of the parts of a first derivative: a second one that is rounding
_CURVED = 1e-10  # one that is known to four digits


def fixed_slope(
    of_distance: Any,
    of_noise: Any,
    eta: Any,
    G: Any,
    choice: Choice,
    wrt: Literal["eta", "G"],
    by: Calls,
) -> Any:
    """Derivatives of the sum of weights times terms, (*batch, T)."""
    near, far = _extreme_rates(by.xp, *by.terms(eta, G, choice=choice))

    def slope(weights: Any, gamma: Any) -> Any:
        return by.slope(weights, eta, gamma, G, choice=choice, by_norm=wrt == "G")

    by_noise = slope(of_noise, far) / far[..., None]
    return by_noise if wrt == "G" else near[..., None] * slope(of_distance, near) + by_noise


def _extreme_rates(xp: Any, distance: Any, noise: Any) -> tuple[Any, Any]:
    with np.errstate(divide="ignore", invalid="ignore"):
        balance = xp.sqrt(distance) / xp.sqrt(noise)
    balance = xp.where((balance > 0) & (balance < np.inf), balance, 1.0)
    return balance.min(axis=-1) / _FAR, balance.max(axis=-1) * _FAR


def free_slope(
    of_distance: Float,
    of_noise: Float,
    eta: Float,
    gamma: Float | None,
    G: Float,
    choice: Choice,
    wrt: Wrt,
) -> Any:
    """Derivatives of the sum of weights times terms: (*batch, T), or (*batch,) by gamma.

    The terms are those of `cvxbound.terms` at `gamma`, or at the best one for None, with D = 1.
    About fifty times the work of the derivatives of a bound.
    """
    at = "all" if choice.at is None else choice.at
    problem = make_problem(eta, G, 1.0, choice.kind, choice.last_step, at, "auto", 1e-12, -1, None)
    weight = None if gamma is None else problem.weight(_arrays.positive_array(gamma, "gamma / D"))
    batch = _arrays.broadcast_batch(terms=problem.batch(weight), weights=of_noise.shape[:-1])
    request = problem.request._replace(batch=batch)
    distance, noise, rho = _backend.split_and_rho(request, weight)
    if wrt == "G":
        request = request._replace(norms=request.norms.spread(eta.shape[-1]))
    of_distance = np.broadcast_to(of_distance, rho.shape)
    of_noise = np.broadcast_to(of_noise, rho.shape) * problem.scale**2
    is_wanted = (of_distance != 0) | (of_noise != 0)

    free = _Free(request, weight, is_wanted, *_extreme_rates(np, distance, noise))
    rho, bend = free.polished(rho)
    square, of_rho = free.balance(rho)
    pull = (of_distance - of_noise / square) * of_rho / bend
    if wrt == "gamma":
        return np.asarray((pull * 2 * of_rho / square * problem.scale).sum(axis=-1))

    def slope(share: Float, gamma: Float | None, rho: Float) -> Any:
        found = free.bound(share, gamma, rho)
        by_norm: Any = found.norm
        return found.eta if wrt == "eta" else by_norm / problem.scale

    at_rest = free.near[..., None] * slope(of_distance, free.near, rho)
    at_rest += slope(of_noise, free.far, rho) / free.far[..., None]
    return at_rest + _derivative(lambda at: slope(-pull, weight, rho * np.exp(at)))


class _Free(NamedTuple):
    """Bounds (*batch, horizons) as functions of their virtual last steps."""

    request: Request
    weight: Float | None  # gamma G, (*batch,), or None for the best
    is_wanted: Any  # of each bound; of others nothing is known
    near: Float  # gammas, (*batch,), where the distance is all of a bound
    far: Float  # and where the noise is

    def bound(self, share: Float, gamma: Float | None, rho: Float) -> Derivatives:
        return _backend.gradient(self.request, gamma, share, rho)

    def balance(self, rho: Float) -> tuple[Float, Float]:
        """gamma^2, and the distance's derivative by log rho; the noise's is -1 / gamma^2 of it."""
        share = self.is_wanted.astype(np.float64)
        near, far = self.near[..., None], self.far[..., None]
        at_near = self.bound(share, self.near, rho)
        if self.weight is not None:
            square = np.broadcast_to(self.weight[..., None] ** 2, rho.shape)
        else:
            square = near * at_near.omega / (self.bound(share, self.far, rho).omega / far)
        return np.where(self.is_wanted, square, 1.0), near * at_near.rho * rho

    def polished(self, rho: Float) -> tuple[Float, Float]:
        """The best last steps to the last digit, and the bounds' second derivatives by their logs.

        The latter are infinite where no bound is wanted, and where no last step is better than
        another, as before the first step that is not zero.
        """
        square, of_rho = self.balance(rho)
        share = self.is_wanted.astype(np.float64)

        def slope(at: float) -> Any:
            moved = rho * np.exp(at)
            return moved * self.bound(share, self.weight, moved).rho

        for _ in range(_ROUNDS):
            bend = _derivative(slope)
            size = abs(of_rho) / np.sqrt(square)
            if (self.is_wanted & (bend > _FLAT * size) & (bend < _CURVED * size)).any():
                raise ValueError(
                    "distance and noise alone have no derivative here that double precision can "
                    "tell: almost any last step is as good; give gamma, or differentiate the bound"
                )
            bend = np.where(self.is_wanted & (bend > _FLAT * size), bend, np.inf)
            step = -slope(0.0) / bend
            rho = rho * np.exp(np.where(abs(step) < _LONGEST_STEP, step, 0.0))
        return rho, bend


def _derivative(function: Callable[[float], Any]) -> Any:
    """That of a function of log rho, at 0 of what is added to it."""
    degrees = np.arange(_NODES)
    angles = np.pi * (degrees + 0.5) / _NODES
    polynomials = np.cos(np.outer(degrees, angles)) * np.where(degrees == 0, 1, 2)[:, None] / _NODES
    slopes = degrees * np.sin(degrees * np.pi / 2) / _HALF_WIDTH  # of each at 0
    places, counts = _HALF_WIDTH * np.cos(angles), slopes @ polynomials
    return sum(count * function(at) for at, count in zip(places, counts, strict=True))
