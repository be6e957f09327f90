"""Fitting a form to losses: robust least squares of the relative error, coefficients eliminated.

For given parameters the coefficients are a non-negative least squares problem, so that only the
parameters are searched (variable projection). Losses that the law cannot explain count less: weights
of Huber's, found again from the residuals of each round.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._form import Form, Trace

if TYPE_CHECKING:
    from .._arrays import Float

_ROUNDS = 4  # of weights
_HUBER = 1.345  # times the scale of the residuals: 95 % efficient where they are normal
_NORMAL = 1.4826  # the standard deviation over the median absolute deviation
_LEAST_SCALE = 1e-6  # of relative errors: logs have so many digits


class Observed(NamedTuple):
    """A run as a law is fitted to it."""

    trace: Trace
    loss: Float  # (n,)
    weight: Float  # (n,)


class Estimate(NamedTuple):
    """What a fit found."""

    values: dict[str, float]  # of all parameters
    coefficients: Float
    residuals: Float  # relative, of all observations in turn
    weights: Float  # of the last round


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
    starts: Sequence[Mapping[str, float]] | None = None,
) -> Estimate:
    """Fit a form.

    Parameters
    ----------
    form : Form
    features : callable
        From values of the parameters to the features at all observations.
    loss, weights : ndarray of float64, shape (n,)
        The observations, and how much each counts.
    starts : sequence of mappings, optional
        Where to search from; by default every combination of the form's own starts.

    Returns
    -------
    Estimate

    Raises
    ------
    ImportError
        SciPy is missing.
    """
    problem = _Problem(form, features, loss)
    if starts is None:
        grid = itertools.product(*(each.starts for each in form.free))
        starts = [problem.values(np.array(point)) for point in grid]
    current = weights
    for round_ in range(_ROUNDS):
        found = [problem.solve(problem.point(start), current) for start in starts]
        cost, point = min(found, key=lambda each: each[0])
        residuals = problem.residuals(point, current)
        if round_ < _ROUNDS - 1:
            current = weights * _huber(residuals, weights)
            starts = [problem.values(point)]
    return Estimate(
        problem.values(point), problem.coefficients(point, current), residuals, current
    )


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

    def __init__(
        self, form: Form, features: Callable[[Mapping[str, float]], Float], loss: Float
    ):
        from ._scipy import least_squares, nnls

        self._least_squares, self._nnls = least_squares, nnls
        self._form = form
        self._features = features
        self._loss = loss
        self._low = np.array([each.low for each in form.free])
        self._high = np.array([each.high for each in form.free])
        # Positive parameters of any size are searched in logarithms.
        self._log = np.array([each.is_shape and each.low > 0 for each in form.free], np.bool_)

    def values(self, point: Float) -> dict[str, float]:
        found = {each.name: each.fixed for each in self._form.parameters if each.fixed is not None}
        found.update(zip((each.name for each in self._form.free), point.tolist(), strict=True))
        return found

    def point(self, values: Mapping[str, float]) -> Float:
        return np.array([values[each.name] for each in self._form.free])

    def _columns(self, point: Float) -> Float:
        values = self.values(point)
        return self._form.columns(self._features(values), values) / self._loss[:, None]

    def coefficients(self, point: Float, weights: Float) -> Float:
        return self._eliminated(self._columns(point), weights)

    def residuals(self, point: Float, weights: Float) -> Float:
        columns = self._columns(point)
        return columns @ self._eliminated(columns, weights) - 1.0

    def _eliminated(self, columns: Float, weights: Float) -> Float:
        """The best coefficients, by a QR decomposition: the rest has as many rows as columns."""
        root = np.sqrt(weights)[:, None]
        scale = np.abs(columns).max(axis=0)
        scale[scale == 0] = 1.0
        q, r = np.linalg.qr(columns / scale * root)
        found: Float = self._nnls(r, q.T @ root[:, 0])[0]
        return found / scale

    def solve(self, start: Float, weights: Float) -> tuple[float, Float]:
        """The least squares from a start, and where."""
        root = np.sqrt(weights)
        if not start.size:
            return float(np.sum((root * self.residuals(start, weights)) ** 2)), start
        low, high = self._searched(self._low), self._searched(self._high)

        def weighted(z: Float) -> Float:
            return root * self.residuals(self._point(z), weights)

        z = np.clip(self._searched(start), low + 1e-6, high - 1e-6)
        found: Any = self._least_squares(
            weighted, z, bounds=(low, high), diff_step=1e-4, x_scale=0.1, xtol=1e-9, ftol=1e-10
        )
        return float(found.cost), self._point(found.x)

    def _searched(self, point: Float) -> Float:
        return np.where(self._log, np.log(np.where(self._log, point, 1.0)), point)

    def _point(self, z: Float) -> Float:
        return np.where(self._log, np.exp(np.where(self._log, z, 0.0)), z)
