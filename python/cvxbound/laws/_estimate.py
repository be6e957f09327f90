"""Fitting a form to losses: robust least squares of the relative error, coefficients eliminated.

For given parameters the coefficients are a non-negative least squares problem, so that only the
parameters are searched (variable projection). Losses that the law cannot explain count less, with
weights of Huber's that are found again from the residuals of each round.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._form import Form, Trace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .._arrays import Float

_ROUNDS = 4  # of weights
_HUBER = 1.345  # times the scale of the residuals: 95 % efficient where they are normal
_NORMAL = 1.4826  # the standard deviation over the median absolute deviation
_LEAST_SCALE = 1e-6  # of relative errors: logs have so many digits


class Estimate(NamedTuple):
    """What a fit found."""

    values: dict[str, float]  # of all parameters
    coefficients: Float
    residuals: Float  # relative, of all observations in turn


class Features:
    """The features of runs, kept for the parameters that they were last asked for."""

    def __init__(self, form: Form, traces: Sequence[Trace]):
        self._form = form
        self._traces = traces
        self._shape = [each.name for each in form.parameters if each.is_shape]
        self._kept: dict[tuple[float, ...], Float] = {}

    def __call__(self, values: Mapping[str, float]) -> Float:
        """Return those of all runs in turn, (m, n)."""
        key = tuple(values[name] for name in self._shape)
        if key not in self._kept:
            if len(self._kept) > 2 * len(self._shape):
                self._kept.clear()
            parts = [self._form.features(trace, values) for trace in self._traces]
            self._kept[key] = np.concatenate(parts, axis=-1)
        return self._kept[key]


def estimate(
    form: Form,
    features: Callable[[Mapping[str, float]], Float],
    loss: Float,
    weights: Float,
    start: Mapping[str, float] | None = None,
    rounds: int = _ROUNDS,
) -> Estimate:
    """Fit a form.

    Parameters
    ----------
    form : Form
    features : callable
        From values of the parameters to the features at all observations.
    loss, weights : ndarray of float64, shape (n,)
        The observations, and how much each counts.
    start : mapping, optional
        Where to search from; by default the best fit of the exponents that a search from one of
        the form's own starts finds.
    rounds : int, default 4
        Of weights.

    Returns
    -------
    Estimate

    Raises
    ------
    ImportError
        SciPy is missing.
    """
    problem = _Problem(form, features, loss)
    if start is None:
        grid = itertools.product(*(each.starts for each in form.free))
        rough = [problem.solve(np.array(each), weights, problem.exponents) for each in grid]
        point = min(rough, key=lambda each: each[0])[1]
    else:
        point = problem.point(start)
    current = weights
    for round_ in range(rounds):
        _, point = problem.solve(point, current)
        residuals = problem.residuals(point, current)
        if round_ < rounds - 1:
            current = weights * _huber(residuals, weights)
    return Estimate(problem.values(point), problem.coefficients(point, current), residuals)


def _huber(residuals: Float, weights: Float) -> Float:
    """Weights that make large residuals count in the first power only."""
    scale = max(_NORMAL * _weighted_median(np.abs(residuals), weights), _LEAST_SCALE)
    return np.minimum(1.0, _HUBER * scale / np.maximum(np.abs(residuals), 1e-300))


def _weighted_median(x: Float, weights: Float) -> float:
    order = np.argsort(x)
    share = np.cumsum(weights[order])
    return float(x[order][np.searchsorted(share, 0.5 * share[-1])])


class _Problem:
    """The relative residuals as a function of the free parameters."""

    def __init__(self, form: Form, features: Callable[[Mapping[str, float]], Float], loss: Float):
        from ._scipy import least_squares, nnls

        self._least_squares, self._nnls = least_squares, nnls
        self._form = form
        self._features = features
        self._loss = loss
        self._low = np.array([each.low for each in form.free])
        self._high = np.array([each.high for each in form.free])
        # Positive parameters of any size are searched in logarithms.
        self._log = np.array([each.is_shape and each.low > 0 for each in form.free], np.bool_)
        self.exponents = np.array([not each.is_shape for each in form.free], np.bool_)

    def values(self, point: Float) -> dict[str, float]:
        searched = dict(zip((each.name for each in self._form.free), point.tolist(), strict=True))
        return {
            each.name: searched[each.name] if each.fixed is None else float(each.fixed)
            for each in self._form.parameters
        }

    def point(self, values: Mapping[str, float]) -> Float:
        return np.array([values[each.name] for each in self._form.free])

    def _columns(self, point: Float) -> Float:
        values = self.values(point)
        columns: Float = self._form.columns(self._features(values), values) / self._loss[:, None]
        return columns

    def coefficients(self, point: Float, weights: Float) -> Float:
        return self._eliminated(self._columns(point), weights)

    def residuals(self, point: Float, weights: Float) -> Float:
        columns = self._columns(point)
        fitted: Float = columns @ self._eliminated(columns, weights)
        return fitted - 1.0

    def _eliminated(self, columns: Float, weights: Float) -> Float:
        """The best coefficients, by a QR decomposition: the rest has as many rows as columns."""
        root = np.sqrt(weights)[:, None]
        scale = np.abs(columns).max(axis=0)
        scale[scale == 0] = 1.0
        q, r = np.linalg.qr(columns / scale * root)
        found: Float = self._nnls(r, q.T @ root[:, 0])[0] / scale
        return found

    def solve(
        self, start: Float, weights: Float, movable: NDArray[np.bool_] | None = None
    ) -> tuple[float, Float]:
        """The least squares from a start, and where; some parameters may stay as they are."""
        root = np.sqrt(weights)
        which = np.ones(start.size, np.bool_) if movable is None else movable
        if not which.any():
            return float(np.sum((root * self.residuals(start, weights)) ** 2)) / 2, start
        low, high = self._searched(self._low)[which], self._searched(self._high)[which]
        z = self._searched(start)

        def point(part: Float) -> Float:
            z[which] = part
            return self._point(z)

        def weighted(part: Float) -> Float:
            return root * self.residuals(point(part), weights)

        begin = np.clip(z[which], low + 1e-6, high - 1e-6)
        found: Any = self._least_squares(
            weighted, begin, bounds=(low, high), diff_step=1e-4, x_scale=0.1, xtol=1e-8, ftol=1e-9
        )
        return float(found.cost), point(found.x)

    def _searched(self, point: Float) -> Float:
        return np.where(self._log, np.log(np.where(self._log, point, 1.0)), point)

    def _point(self, z: Float) -> Float:
        return np.where(self._log, np.exp(np.where(self._log, z, 0.0)), z)
