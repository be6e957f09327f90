"""The schedule of least predicted loss: known optima, derivatives, constraints and refusals."""

import math

import numpy as np
import pytest

import cvxbound as cb
from cvxbound.laws._bound import Bound
from cvxbound.laws._design import _Loss, design
from cvxbound.laws._form import Trace
from cvxbound.laws._published import Omega
from cvxbound.laws._rates import effective_rates, learning_rates, pull_back

pytest.importorskip("scipy", reason="the search needs the extra fit")

KINDS = ["tight", "last", "average"]
COEFFICIENTS = [2.0, 0.05, 4.0]
NO_GROWTH = {"weight_decay": 0.0, "weight_rms": math.inf}
WEIGHTS = [
    {"weight_decay": 0.1, "weight_rms": 0.02},
    {"weight_decay": 0.0, "weight_rms": 0.02},
    {"weight_decay": 2.0, "weight_rms": math.inf},
    NO_GROWTH,
]


def values_of(weights=WEIGHTS[0], kappa=0.5, mu=0.8):
    return {"kappa": kappa, "mu": mu, **weights}


def predicted(lr, kind="tight", values=None, coefficients=COEFFICIENTS):
    """The law's own prediction after the last step."""
    form, values = Bound(kind=kind), values or values_of()
    features = form.features(Trace(lr, None, np.array([lr.size])), values)
    return float((form.columns(features, values) @ coefficients)[0])


def absolute(schedule):
    return schedule.eta * schedule.params["lr"]


def designed(steps, kind="tight", values=None, **constraints):
    """A design, whose report must be what the law says of it."""
    values = values or values_of()
    found = design(Bound(kind=kind), values, COEFFICIENTS, steps, **constraints)
    assert found.params["converged"]
    assert found.params["loss"] == pytest.approx(predicted(absolute(found), kind, values), 1e-14)
    assert found.params["loss"] >= found.params["optimum"] * (1 - 1e-12)
    return found


# --- derivatives -------------------------------------------------------------------------------


def by_differences(function, x, which):
    """Derivatives by the logarithms of some entries of x."""
    slope = []
    for k in which:
        up, down = x.copy(), x.copy()
        up[k] *= 1 + 1e-6
        down[k] *= 1 - 1e-6
        slope.append((function(up) - function(down)) / 2e-6)
    return np.array(slope)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_rates_pull_back(weights):
    rng = np.random.default_rng(0)
    lr = rng.lognormal(-6, 1, 300)
    share = rng.normal(size=300)
    which = [0, 1, 150, 298, 299]
    slope = pull_back(lr, *weights.values(), share) * lr
    numeric = by_differences(lambda x: share @ effective_rates(x, *weights.values()), lr, which)
    np.testing.assert_allclose(slope[which], numeric, rtol=1e-6, atol=1e-8 * np.abs(slope).max())


def test_rates_pull_back_where_the_decay_overflows():
    """A decay of all steps by exp(-2000) is taken in chunks."""
    lr = np.full(40_000, 0.01)
    share = np.zeros(lr.size)
    share[-1] = 1.0
    slope = pull_back(lr, 2.5, 0.02, share) * lr
    assert np.isfinite(slope).all()
    last = slope.size - 1
    numeric = by_differences(lambda x: effective_rates(x, 2.5, 0.02)[-1], lr, [last - 1, last])
    np.testing.assert_allclose(slope[-2:], numeric, rtol=1e-6)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_learning_rates_are_the_inverse_of_effective_ones(weights):
    lr = np.random.default_rng(0).lognormal(-6, 1, 300)
    rates = effective_rates(lr, *weights.values())
    np.testing.assert_allclose(learning_rates(rates, *weights.values()), lr, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weights", WEIGHTS)
def test_derivatives_of_the_loss(kind, weights):
    target = _Loss(Bound(kind=kind), values_of(weights), 0.05, 4.0, 60, None)
    lr = np.random.default_rng(1).lognormal(-6, 0.5, 60)
    rho = 0.7 * lr[-1]
    _, by_steps, by_rho = target.slope(lr, rho)
    numeric = by_differences(lambda x: target.slope(x, rho)[0], lr, range(60))
    np.testing.assert_allclose(by_steps * lr, numeric, rtol=1e-6, atol=1e-9)
    numeric = by_differences(lambda x: target.slope(lr, x[0])[0], np.array([rho]), [0])
    np.testing.assert_allclose(by_rho * rho, numeric, rtol=1e-6)


@pytest.mark.parametrize("kind", ["tight", "last"])
def test_the_loss_at_its_best_last_step_is_what_the_law_predicts(kind):
    """The law takes the last step of the least noise, with a loss of O(1 / T**2) above."""
    target = _Loss(Bound(kind=kind), values_of(), 0.05, 4.0, 1000, None)
    lr = 3e-3 * cb.schedules.wsd(1000).eta
    rho = target.rates(lr)[-2] * np.geomspace(1e-3, 1e3, 601)
    least = min(target.slope(lr, each)[0] for each in rho)
    assert least == pytest.approx(target.value(lr), rel=1e-4)


# --- optima that are known ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind, rtol, constraints",
    [
        ("tight", 1e-6, {}),
        ("tight", 1e-6, {"warmup": 20, "monotone": True}),
        ("tight", 1e-6, {"final": 0.1}),
        ("last", 1e-4, {}),  # of which `optimize` has the last step where the law has its own
    ],
)
def test_without_growth_it_is_the_best_bound(kind, rtol, constraints):
    """L = C + D**2 a + G**2 b is the bound itself."""
    D, G = math.sqrt(0.05), 2.0
    found = designed(100, kind, values_of(NO_GROWTH, kappa=1.0, mu=1.0), **constraints)
    best = cb.optimize(100, D=D, G=G, kind=kind, **constraints)
    assert found.params["loss"] - 2.0 == pytest.approx(best.params["omega"], rel=rtol)
    steps = (best.eta * best.params["gamma"])[:-1]
    np.testing.assert_allclose(absolute(found)[:-1], steps, atol=1e-3 * steps.max())


@pytest.mark.parametrize("kind", ["tight", "last"])
def test_without_constraints_the_effective_rates_are_those_of_the_best_bound(kind):
    found = designed(300, kind)
    assert found.params["loss"] == pytest.approx(found.params["optimum"], rel=1e-6)
    rates = effective_rates(absolute(found), *WEIGHTS[0].values())[:-1]
    best = cb.theory.optimal_steps(300, kind=kind)[:-1]
    np.testing.assert_allclose(rates / rates[0], best / best[0], atol=1e-3)
    assert found.eta.argmax() > 30  # while the weights grow, so do learning rates


def test_the_longest_run_is_the_best():
    losses = [designed(steps).params["loss"] for steps in (2, 10, 50, 250)]
    assert losses == sorted(losses, reverse=True)


# --- constraints -------------------------------------------------------------------------------

CONSTRAINTS = [
    {"monotone": True},
    {"warmup": 20, "monotone": True},
    {"warmup": 0.1, "final": 0.05},
    {"max_step": 0.004, "monotone": True, "final": 0.1},
    {"fixed_prefix": np.full(100, 0.004)},
    {"fixed_prefix": np.full(100, 0.002), "monotone": True},
    {"fixed_prefix": np.full(100, 0.002), "max_step": 0.003},
]


def projected(lr, constraints):
    """Rows of learning rates that keep to the constraints, near others."""
    lr = np.minimum(lr, constraints.get("max_step", math.inf))
    prefix = constraints.get("fixed_prefix", [])
    warmup = constraints.get("warmup", 0)
    free = len(prefix) or (warmup if isinstance(warmup, int) else round(warmup * lr.shape[1]))
    lr[:, : len(prefix)] = prefix
    if constraints.get("monotone"):
        first = max(free - 1, 0) if len(prefix) else free
        lr[:, first:] = np.minimum.accumulate(lr[:, first:], axis=1)
    if warmup:
        lr[:, :free] = lr[:, [free]] * np.arange(1, free + 1) / (free + 1)
    floor = constraints.get("final", 0.0) * lr[:, free:].max(axis=1, keepdims=True)
    lr[:, free:] = np.maximum(lr[:, free:], floor)
    return lr


@pytest.mark.parametrize("kind", ["tight", "last"])
@pytest.mark.parametrize("constraints", CONSTRAINTS)
def test_constraints_hold_and_nothing_near_is_better(kind, constraints):
    found = designed(200, kind, **constraints)
    lr = absolute(found)
    np.testing.assert_allclose(projected(lr[None].copy(), constraints)[0], lr, rtol=1e-9)
    rng = np.random.default_rng(0)
    for size in (1e-1, 1e-2):
        change = rng.normal(size=(60, lr.size)) * size
        change[::2] = np.cumsum(change[::2], axis=1) / 5  # smooth ones too
        for trial in projected(lr * np.exp(change), constraints):
            assert predicted(trial, kind) >= found.params["loss"] * (1 - 1e-8)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weights", WEIGHTS)
def test_usual_shapes_are_no_better(kind, weights):
    values = values_of(weights)
    loss = designed(200, kind, values, warmup=20, monotone=True).params["loss"]
    for name in ("wsd", "linear", "cosine"):
        shape = cb.schedules.by_name(name, 200, warmup=20).eta
        rivals = [predicted(scale * shape, kind, values) for scale in np.geomspace(1e-5, 0.04, 60)]
        assert loss <= min(rivals)


def test_a_prefix_stays_as_it_is():
    prefix = 0.003 * cb.schedules.constant(100, warmup=10).eta
    found = designed(200, fixed_prefix=prefix)
    np.testing.assert_array_equal(found.eta[:100], prefix)
    assert found.params["lr"] == 1


def test_where_it_starts():
    found = designed(200, start=cb.schedules.linear(200))
    assert found.params["loss"] == pytest.approx(designed(200).params["loss"], rel=1e-6)


def test_no_step_takes_more_than_half_of_the_weights():
    values = values_of({"weight_decay": 100.0, "weight_rms": 0.02})
    assert absolute(designed(50, values=values)).max() <= 0.5 / 100 * (1 + 1e-12)


@pytest.mark.slow
def test_a_long_run():
    found = designed(100_000, warmup=1000, monotone=True)
    assert found.params["evaluations"] < 600


# --- arguments ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, message",
    [
        ({"form": Omega()}, "only a law of the form 'bound' .* got 'omega'"),
        ({"form": Bound(norms="power")}, "norms must be 'constant' .* got 'power'"),
        ({"coefficients": [2, 0, 1]}, "p must be positive, got 0: .* the smallest learning rates"),
        ({"coefficients": [2, 1, 0]}, "q must be positive, got 0: .* the largest learning rates"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"fixed_prefix": [0.1, 20.0]}, "below 1 / weight_decay = 10; found 20 at index 1"),
        ({"fixed_prefix": [0.1] * 10}, "no step of 10 is free"),
        ({"max_step": -1.0}, "max_step must be positive"),
        ({"start": [1.0]}, "start must have 10 steps, got 1"),
        ({"final": 1.0}, "final must be below 1"),
    ],
)
def test_refusals(options, message):
    given = {"form": Bound(), "coefficients": COEFFICIENTS, "steps": 10, **options}
    with pytest.raises(ValueError, match=message):
        design(values=values_of(), **given)


def test_a_limit_of_iterations_is_told():
    start = cb.schedules.constant(50)
    found = design(Bound(), values_of(), COEFFICIENTS, 50, start=start, max_iterations=1)
    assert not found.params["converged"]
    assert "not converged" in repr(found)
