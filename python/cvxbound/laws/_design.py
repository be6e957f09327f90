"""The schedule of which a law predicts the least loss, under constraints."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .. import _backend, bounds, schedules, theory
from .._arrays import SMALLEST_RTOL, positive_scalar, whole_number
from .._layout import Layout, lay_out
from .._problem import make_problem
from .._roots import minimum
from .._search import TOLERANCE, Search, checked_start, minimizer
from ..schedules import Schedule
from ._bound import Bound
from ._form import Form, Trace, Values
from ._rates import MOST_DECAY, effective_rates, learning_rates, pull_back

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .._arrays import Float

_LONG = 20_000  # steps, from where on threads gain more than they cost
_APART = 1e12  # in units of the rates: there the bound is its distance alone, or its noise
_STRIDE = math.log(4.0)  # of the logarithm of a base learning rate, towards the best one
_SCALE_TOLERANCE = 0.02  # of two strides, in which it is found


def design(
    form: Form,
    values: Values,
    coefficients: ArrayLike,
    steps: int,
    *,
    fixed_prefix: ArrayLike | None = None,
    monotone: bool | int = False,
    max_step: float | None = None,
    warmup: int | float = 0,
    final: float = 0.0,
    start: ArrayLike | None = None,
    max_iterations: int = 2000,
    nthreads: int | None = None,
) -> Schedule:
    """Find the learning rates after which a law predicts the least loss.

    Parameters
    ----------
    form : Bound
        The law, with constant norms.
    values : mapping
        Its parameters.
    coefficients : array_like (3,)
        C, p and q; the last two positive.
    steps : int
        Number of steps T. The prediction does not depend on the last one, which is like the one
        before.
    fixed_prefix : array_like or Schedule, optional
        The learning rates of the first steps, which stay as they are: the part of a run already
        done.
    monotone, warmup, final
        As for `optimize`.
    max_step : float, optional
        The largest learning rate that a free step may have.
    start : array_like (T,) or Schedule, optional
        Where to start, positive; its scale does not matter. By default the best of a few families
        and of the optimum without constraints.
    max_iterations, nthreads
        As for `optimize`.

    Returns
    -------
    Schedule
        Its peak is 1, or its first steps are `fixed_prefix`. ``params`` has ``lr``, the base
        learning rate, 1 for a prefix; ``loss``, the prediction after the last step; ``optimum``,
        that of the best schedule without constraints; ``evaluations``; and ``converged``.

    Raises
    ------
    ImportError
        SciPy is missing.
    TypeError, ValueError
        For a law that has no best schedule, and as for `optimize`.

    Notes
    -----
    L-BFGS-B over the logarithms of the learning rates and of the virtual last step, with exact
    derivatives. Growth and decay of the weights make it a problem that need not be convex: what is
    found is better than all it started from. Without constraints it is the optimum, as any
    effective rates have learning rates: those of the bound's own best schedule are the best.
    No step takes more than half of the weights.

    The virtual last step is the best for the loss, where the law takes that of the least noise;
    their predictions differ by O(1 / T**2), and by O(1 / T) for `average`.
    """
    minimize = minimizer()
    C, p, q = _checked_law(form, coefficients)
    assert isinstance(form, Bound)
    limit = whole_number(max_iterations, "max_iterations")
    largest = None if max_step is None else positive_scalar(max_step, "max_step")
    decay = values["weight_decay"]
    if decay:
        largest = min(math.inf if largest is None else largest, MOST_DECAY / decay)
    gamma = None if fixed_prefix is None else 1.0
    layout = lay_out(steps, 1.0, gamma, fixed_prefix, monotone, largest, warmup, final)
    if decay * layout.prefix.max(initial=0.0) >= 1:
        raise ValueError(
            f"fixed_prefix must hold absolute learning rates, below 1 / weight_decay = "
            f"{1 / decay:g}; found {layout.prefix.max():g} at index {layout.prefix.argmax()}"
        )
    target = _Loss(form, values, p, q, layout.steps, nthreads)
    search = Search(minimize, layout, target, limit)
    z = _start(layout, target, start)
    rates = target.rates(np.exp(layout.log_steps(z)))
    z = search.run(z, float(rates[-1]))
    return _report(z, search, layout, target, C)


def _checked_law(form: Form, coefficients: ArrayLike) -> tuple[float, float, float]:
    if not isinstance(form, Bound):
        raise ValueError(
            f"only a law of the form 'bound' has a best schedule to search for, got {form.name!r}"
        )
    if form.norms != "constant":
        raise ValueError(
            f"norms must be 'constant' for a best schedule, got {form.norms!r}: the gradient norms "
            "of a schedule not yet run are unknown; fit the law with norms='constant'"
        )
    C, p, q = np.asarray(coefficients, np.float64).tolist()
    for name, value, part, best in (("p", p, "distance", "smallest"), ("q", q, "noise", "largest")):
        if not 0 < value < math.inf:
            raise ValueError(
                f"{name} must be positive, got {value:g}: where the loss does not depend on the "
                f"{part}, the {best} learning rates are the best; fit the law to more runs, of "
                "other learning rates and lengths"
            )
    return C, p, q


class _Loss:
    """The predicted loss without C, as a function of the learning rates."""

    has_rho = True

    def __init__(
        self, form: Bound, values: Values, p: float, q: float, steps: int, nthreads: int | None
    ):
        self.kind: Any = form.kind
        self.evaluations = 0
        self._form = form
        self._values = values
        self._factors = np.array([p, q])
        self._exponents = np.array(form.exponents(values))
        self._weights = values["weight_decay"], values["weight_rms"]
        self._at = np.array([steps])
        if steps < _LONG:
            nthreads = 1
        problem = make_problem(
            np.ones(steps),
            1.0,
            1.0,
            form.kind,
            "free",
            self._at,
            "auto",
            SMALLEST_RTOL,
            -1,
            nthreads,
        )
        self._request = problem.request

    def stages(self) -> Iterator[float]:
        yield TOLERANCE

    def rates(self, steps: Float) -> Float:
        """Effective rates of learning rates."""
        return effective_rates(steps, *self._weights)

    def learning_rates(self, rates: Float) -> Float:
        """Learning rates of effective ones."""
        return learning_rates(rates, *self._weights)

    def value(self, steps: Float) -> float:
        """What the law predicts, without C."""
        features = self._form.features(Trace(steps, None, self._at), self._values)
        columns = self._form.columns(features, self._values)
        return float(columns[0, 1:] @ self._factors)

    def slope(self, steps: Float, rho: float | None) -> tuple[float, Float, float]:
        self.evaluations += 1
        rates = self.rates(steps)
        # The distance alone and the noise alone are bounds at a tiny and at a huge weight.
        weight = np.array([1 / _APART, _APART]) / rates.max()
        found = _backend.gradient(
            self._request._replace(eta=rates, batch=(2,)),
            weight,
            np.array([[weight[0]], [1 / weight[1]]]),
            np.array([[rho], [rho]]),
        )
        terms = found.omega[:, 0] * np.array([weight[0], 1 / weight[1]])
        parts = self._factors * terms**self._exponents
        share = self._exponents * parts / terms
        by_steps = pull_back(steps, *self._weights, share @ found.eta)
        return float(parts.sum()), by_steps, float(share @ found.rho[:, 0])

    def noise(self, steps: Float) -> Float:
        rates = self.rates(steps)
        norms = self._request.norms.spread(steps.size)
        request = self._request._replace(eta=rates, norms=norms)
        found = _backend.gradient(request, np.asarray(1 / rates.max()), np.ones(1))
        assert found.norm is not None  # the request has norms a step
        return found.norm

    def best_rates(self) -> tuple[Float, float]:
        """The best effective rates of all, and the loss there without C."""
        shape = theory.optimal_steps(self._request.eta.size, kind=self.kind)
        distance, noise = bounds.terms(shape, gamma=1.0, kind=self.kind, last_step="free")
        scale = self.best_scale(shape)
        terms = np.array([distance / scale, noise * scale])
        return scale * shape, float(self._factors @ terms**self._exponents)

    def best_scale(self, rates: Float) -> float:
        """The factor with which effective rates have the least loss."""
        terms = np.array(bounds.terms(rates, gamma=1.0, kind=self.kind, last_step="free"))
        distance, noise = self._exponents * self._factors * terms**self._exponents
        return float((distance / noise) ** (1 / self._exponents.sum()))


def _start(layout: Layout, target: _Loss, start: ArrayLike | None) -> Float:
    """Variables to start from: the best of some shapes, each at its best scale."""
    if start is not None:
        shapes = [checked_start(start, layout.steps)]
    else:
        best = target.learning_rates(target.best_rates()[0])
        shapes = [best, *_families(layout)]
    found = [_best_scaled(layout, target, shape) for shape in shapes]
    return min(found, key=lambda each: each[0])[1]


def _families(layout: Layout) -> list[Float]:
    """Usual shapes of the free steps; those before them follow from the layout."""
    n = layout.steps - layout.free
    usual = [
        schedules.linear(n),
        schedules.cosine(n),
        schedules.inverse_sqrt(n, cooldown=0.2),
        *(schedules.wsd(n, cooldown=part) for part in (0.1, 0.2, 0.4)),
    ]
    return [np.concatenate([np.ones(layout.free), each.eta]) for each in usual]


def _best_scaled(layout: Layout, target: _Loss, shape: Float) -> tuple[float, Float]:
    """The least loss of a shape over its scales, and the variables there."""

    def variables(log_scale: float) -> Float:
        return layout.variables(shape * math.exp(log_scale))

    def loss(log_scale: float) -> float:
        return target.value(np.exp(layout.log_steps(variables(log_scale))))

    x = math.log(target.best_scale(shape))  # that of weights of constant norm
    low, high = _bracket(loss, x)
    x = minimum(loss, low, high, _SCALE_TOLERANCE)
    return loss(x), variables(x)


def _bracket(function: Callable[[float], float], x: float) -> tuple[float, float]:
    """Two points around a minimum, found downhill from a point."""
    middle, left, right = function(x), function(x - _STRIDE), function(x + _STRIDE)
    stride, ahead = (-_STRIDE, left) if left < right else (_STRIDE, right)
    while ahead < middle:
        x += stride
        middle, ahead = ahead, function(x + stride)
    return x - _STRIDE, x + _STRIDE


def _report(z: Float, search: Search, layout: Layout, target: _Loss, C: float) -> Schedule:
    steps = np.exp(layout.log_steps(z))
    if layout.steps > layout.free + 1:
        steps[-1] = steps[-2]  # on which nothing depends
    lr = 1.0 if layout.prefix.size else float(steps.max())
    value = target.value(steps)
    optimum = target.best_rates()[1]
    params = {
        "lr": lr,
        "loss": C + value,
        "optimum": C + optimum,
        "evaluations": target.evaluations,
        "converged": search.converged,
    }
    note = f"lr {lr:.4g}, predicted loss {C + value:.4g}"
    if not search.converged:
        note += ", not converged: give more max_iterations"
    shape = np.concatenate([layout.prefix, steps[layout.prefix.size :] / lr])
    return Schedule(
        shape, "optimized", {"steps": layout.steps, "kind": target.kind, **params}, note
    )
