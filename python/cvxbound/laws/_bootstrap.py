"""How far a fit can be trusted: the same fit to resampled runs and segments of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ._estimate import Estimate, estimate
from ._form import Form, Trace
from ._observe import Observations

if TYPE_CHECKING:
    from .._arrays import Float, Int

_QUANTILES = 101
_MOST_GROUPS = 10  # of runs, left out one after the other
_SEGMENTS = 10  # of a run: residuals of neighbours are alike, so that they are drawn together
_FEWEST_RUNS = 4  # to draw from; fewer runs are all kept, and their segments drawn
_NUDGE = 1e-3  # of the logarithm of a shape parameter, for derivatives


class Linearized:
    """Features as if their logarithms were linear in those of the shape parameters.

    Replicates differ little from the fit, and features cost a pass over every schedule.
    """

    def __init__(self, form: Form, traces: Sequence[Trace], values: Mapping[str, float]):
        def features(at: Mapping[str, float]) -> Float:
            return np.concatenate([form.features(trace, at) for trace in traces], axis=-1)

        self._values = dict(values)
        self._base = features(values)
        self._slopes = {}
        for each in form.free:
            if each.is_shape:
                step = _NUDGE if each.low > 0 else _NUDGE * (each.high - each.low)
                there = dict(values)
                there[each.name] = _moved(values[each.name], step, each.low > 0)
                self._slopes[each.name] = (features(there) - self._base) / step, each.low > 0

    def __call__(self, values: Mapping[str, float], part: slice = slice(None)) -> Float:
        """Return the features at other parameters, (m, n), at a part of the steps."""
        base = self._base[:, part]
        if not self._slopes:
            return base
        change = np.zeros_like(base)
        for name, (slope, is_log) in self._slopes.items():
            by = values[name] - self._values[name]
            if is_log:
                by = np.log(values[name] / self._values[name])
            change += slope[:, part] * by
        positive = base > 0
        relative = np.divide(change, base, out=np.zeros_like(change), where=positive)
        return np.where(positive, base * np.exp(np.clip(relative, -50, 50)), base + change)


def _moved(value: float, step: float, is_log: bool) -> float:
    return value * float(np.exp(step)) if is_log else value + step


def bootstrap(
    form: Form,
    observations: Observations,
    features: Linearized,
    found: Estimate,
    count: int,
    rng: int | np.random.Generator,
) -> Float:
    """Fit to resampled losses, in runs and segments of runs.

    Returns
    -------
    ndarray of float64, shape (count, free parameters + coefficients)
    """
    replicates = np.empty((count, form.size))
    generator = np.random.default_rng(rng)
    segment = _segments(observations)
    for row in replicates:
        weight = observations.weight * _multiplicity(observations, segment, generator)
        one = _refit(form, observations, features, found, weight)
        row[:] = [*(one.values[each.name] for each in form.free), *one.coefficients]
    return replicates


def leave_out(
    form: Form, observations: Observations, features: Linearized, found: Estimate
) -> Float:
    """Return the relative errors on parts that a fit did not see, as quantiles of either sign.

    The parts are runs, in at most ten groups; the last third of a single run.
    """
    groups = _groups(observations)
    missed = []
    for group in np.unique(groups[groups >= 0]):
        out = groups == group
        weight = np.where(out, 0.0, observations.weight)
        if np.count_nonzero(weight) <= form.size:
            continue
        one = _refit(form, observations, features, found, weight)
        predicted = form.columns(features(one.values), one.values)[out] @ one.coefficients
        missed.append(observations.loss[out] / predicted - 1)
    errors = np.concatenate(missed) if missed else found.residuals
    # Which way the next run will be missed is not known.
    either: Float = np.quantile(np.concatenate([errors, -errors]), np.linspace(0, 1, _QUANTILES))
    return either


def _groups(observations: Observations) -> Int:
    """The part that each loss is left out with, -1 for none."""
    count = len(observations.runs)
    if count == 1:
        late = np.arange(observations.step.size) >= 2 * observations.step.size // 3
        return np.where(late, 0, -1)
    return observations.run * min(count, _MOST_GROUPS) // count


def _refit(
    form: Form, observations: Observations, features: Linearized, found: Estimate, weight: Float
) -> Estimate:
    """Fit from the parameters found, with other weights."""
    kept = np.flatnonzero(weight)
    return estimate(
        form,
        lambda values: features(values)[:, kept],
        observations.loss[kept],
        weight[kept],
        found.values,
        rounds=2,
    )


def _segments(observations: Observations) -> Int:
    """The segment of its run that each loss is in."""
    segment = np.empty(observations.run.size, np.int64)
    for index in range(len(observations.runs)):
        own = np.flatnonzero(observations.run == index)
        segment[own] = np.arange(own.size) * _SEGMENTS // max(own.size, 1)
    return segment


def _multiplicity(
    observations: Observations, segment: Int, generator: np.random.Generator
) -> Float:
    """How often each loss is drawn."""
    runs = len(observations.runs)
    if runs >= _FEWEST_RUNS:
        times = np.bincount(generator.integers(runs, size=runs), minlength=runs)
    else:
        times = np.ones(runs, np.int64)
    drawn = np.stack(
        [
            np.bincount(generator.integers(_SEGMENTS, size=_SEGMENTS), minlength=_SEGMENTS)
            for _ in range(runs)
        ]
    )
    return (times[:, None] * drawn)[observations.run, segment].astype(float)
