"""The search for the variables of a layout at which a target is least."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import schedules
from ._arrays import Float, Int

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ._layout import Layout

Bool = NDArray[np.bool_]

_MOST_ROUNDS = 60  # of finding out which steps the monotone constraint ties together
_WIDEST_START = 1e20
_FIRST_ITERATIONS = 30
_LARGEST_UNIT = 30.0
_FARTHEST = 50.0  # a logarithm of a step goes at once: 21 decades
_TIE_TOLERANCE = 1e-9  # of log steps, in which that constraint holds
TOLERANCE = 1e-13  # of an objective, where it is as exact as its bounds


def minimizer() -> Callable[..., Any]:
    try:
        from scipy.optimize import minimize
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "scipy":
            raise
        raise ImportError('optimize needs SciPy: pip install "cvxbound[fit]"') from None
    return minimize  # type: ignore[no-any-return]


class Target(Protocol):
    """What is to be least, as a function of the steps."""

    @property
    def has_rho(self) -> bool:
        """Whether the virtual last step of the bound is a variable beside the steps."""

    def stages(self) -> Iterable[float]:
        """Prepare what is minimised in turn; the relative tolerance of each."""

    def slope(self, steps: Float, rho: float | None) -> tuple[float, Float, float]:
        """What is minimised, positive, its derivatives by the steps and that by rho."""

    def noise(self, steps: Float) -> Float:
        """What each step adds to the noise, in any unit."""


def checked_start(start: ArrayLike, steps: int) -> Float:
    """A shape that users give to start from, of which there are logarithms."""
    shape = schedules.from_array(start, name="start").eta
    if shape.size != steps:
        raise ValueError(f"start must have {steps} steps, got {shape.size}")
    if not shape.all():
        index = int(np.flatnonzero(shape == 0)[0])
        raise ValueError(f"start must be positive; found 0 at index {index}")
    if shape.max() > _WIDEST_START * shape.min():
        raise ValueError(
            f"start must not span more than a factor of {_WIDEST_START:g}, got "
            f"{shape.min():g} to {shape.max():g}"
        )
    return shape


def _pool(z: Float, rising: Bool) -> Bool:
    """Tie neighbours that rise, as the falling sequence nearest to z does, and level them there.

    A pool that rises above the one before it joins that too: tied one after the other, neighbours
    that rise would take a round each. Returns which are tied to the one before, from the second on.
    """
    from scipy.optimize import isotonic_regression

    nearest = isotonic_regression(z, increasing=False)
    sizes = np.diff(nearest.blocks)
    pool = np.repeat(np.arange(sizes.size), sizes)
    rises = np.zeros(sizes.size, np.bool_)
    rises[pool[1:][rising]] = True
    z[rises[pool]] = nearest.x[rises[pool]]
    tied: Bool = (np.diff(pool) == 0) & rises[pool[1:]]
    return tied


class Search:
    """Minimises a target over the variables of a layout."""

    def __init__(
        self, minimize: Callable[..., Any], layout: Layout, target: Target, iterations: int
    ):
        self._minimize = minimize
        self._layout = layout
        self._target = target
        self._iterations = iterations
        self.converged = True

    def run(self, z: Float, rho: float) -> Float:
        """From a start to the best variables; rho is where that of the last step starts."""
        z = np.append(np.clip(z, self._layout.low, self._layout.high), math.log(rho))
        for tolerance in self._target.stages():
            z = self._tied(z, tolerance)
        chain = z[2 + self._layout.chain - self._layout.free : -1]
        np.minimum.accumulate(chain, out=chain)
        return z[:-1]

    def _tied(self, z: Float, tolerance: float) -> Float:
        """An active set of the ties that hold neighbours together which would rise."""
        first = 2 + self._layout.chain - self._layout.free
        tie = np.zeros(z.size, np.bool_)  # of each variable to the one before it
        least = math.inf  # when ties were last loosened: what gains nothing would go on for ever
        for _ in range(_MOST_ROUNDS):
            z = self._descend(z, tie, tolerance)
            rising = np.diff(z[first:-1]) > _TIE_TOLERANCE
            if rising.any():
                tie[first + 1 : -1] |= _pool(z[first:-1], rising)
                continue
            if not tie.any():
                return z
            value, slope = self._evaluate(z)
            loose = self._loose(z, slope / value, tie)
            if not loose.any() or value >= least * (1 - tolerance):
                return z
            tie &= ~loose
            least = value
        self.converged = False
        return z

    def _loose(self, z: Float, slope: Float, tie: Bool) -> Bool:
        """The tie of each group that pulls the wrong way the most."""
        start = np.flatnonzero(~tie)  # of the groups; a variable alone is one too
        group = np.cumsum(~tie) - 1
        before = np.cumsum(slope) - slope
        pull = before - before[start][group]  # of the earlier ones of the group
        total = np.add.reduceat(slope, start)[group]
        high = np.append(self._layout.high, math.inf)
        pull = np.where(z >= high, pull - total, pull)  # what the bound holds back is not the tie's
        pull[~tie] = 0
        least = np.minimum.reduceat(pull, start)[group]
        loose: Bool = tie & (pull == least) & (pull < -_TIE_TOLERANCE)
        return loose

    def _evaluate(self, z: Float) -> tuple[float, Float]:
        """The smoothed objective, and its derivatives as if nothing were tied."""
        steps = np.exp(self._layout.log_steps(z[:-1]))
        rho = math.exp(z[-1]) if self._target.has_rho else None
        value, slope, of_rho = self._target.slope(steps, rho)
        return value, np.append(self._layout.pull_back(slope * steps), of_rho * (rho or 0.0))

    def _descend(self, z: Float, tie: Bool, tolerance: float) -> Float:
        """Minimise with ties.

        The noise of a step is a square of it, so that a variable bends the objective by what its
        steps have of the noise: its unit is one over the root of that. Far from the minimum nothing
        is known but how many steps a variable has.
        """
        group = np.cumsum(~tie) - 1
        start = np.flatnonzero(~tie)
        units = self._units(np.ones(self._layout.steps), start)
        first = min(_FIRST_ITERATIONS, self._iterations)
        z, _ = self._descend_in(units, z, group, start, first, tolerance)
        noise = self._target.noise(np.exp(self._layout.log_steps(z[:-1])))
        units = self._units(noise, start)
        z, ended = self._descend_in(units, z, group, start, self._iterations, tolerance)
        self.converged = self.converged and ended
        return z

    def _units(self, share: Float, start: Int) -> Float:
        """Units of the groups of variables, from what each step has of something."""
        own = np.add.reduceat(np.append(self._layout.pull_back(share), 0.0), start)
        usual = np.median(own[own > 0])
        units: Float = np.sqrt(usual / np.maximum(own, usual / _LARGEST_UNIT**2))
        return units

    def _descend_in(
        self,
        units: Float,
        z: Float,
        group: Int,
        start: Int,
        iterations: int,
        tolerance: float,
    ) -> tuple[Float, bool]:
        """Minimise over groups of variables in these units; whether that ended by itself."""
        layout = self._layout
        size = self._evaluate(z[start][group])[0]

        def objective(part: Float) -> tuple[float, Float]:
            value, slope = self._evaluate((part * units)[group])
            return value / size, np.add.reduceat(slope / size, start) * units

        low = np.maximum(np.append(layout.low, -math.inf), z - _FARTHEST)[start]
        high = np.minimum(np.append(layout.high, math.inf), z + _FARTHEST)[start]
        found = self._minimize(
            objective,
            np.clip(z[start], low, high) / units,
            jac=True,
            method="L-BFGS-B",
            bounds=list(zip(low / units, high / units, strict=True)),
            options={
                "maxiter": iterations,
                "maxfun": 10 * iterations,
                "maxcor": 20,
                "ftol": tolerance,
                "gtol": 1e-11,
            },
        )
        return (found.x * units)[group], found.status != 1  # 1: a limit was reached
