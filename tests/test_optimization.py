"""The best schedule under constraints: known optima, the conditions of optimality, and refusals."""

import itertools

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

import cvxbound as cb

pytest.importorskip("scipy", reason="optimize needs the extra fit")

KINDS = ["last", "tight", "average"]


def norms_of(steps, seed=0, spread=0.5):
    return np.random.default_rng((seed, steps)).lognormal(0, spread, steps)


def absolute(schedule):
    """The steps themselves, base learning rate included."""
    return schedule.eta * schedule.params["gamma"]


# --- optima that are known ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [2, 3, 10, 400])
@pytest.mark.parametrize("varying", [False, True])
def test_closed_form(kind, steps, varying):
    """From linear decay to the optimum that theory has in closed form."""
    G = norms_of(steps) if varying else 2.0
    best = cb.optimize(steps, G=G, D=3.0, kind=kind, start=cb.schedules.linear(steps))
    optimum = cb.theory.optimal_bound(steps, G, 3.0, kind=kind)
    assert best.params["converged"]
    assert best.params["optimum"] == pytest.approx(optimum, rel=1e-14)
    assert best.params["omega"] == pytest.approx(optimum, rel=1e-6)
    again = cb.bound(best, best.params["gamma"], G=G, D=3.0, kind=kind)
    assert again == pytest.approx(best.params["omega"], rel=1e-12)
    assert best.eta.max() == 1


@pytest.mark.parametrize("kind, steps, cooldown", [("last", 100_000, 1.0), ("tight", 30_000, 0.5)])
def test_a_long_schedule(kind, steps, cooldown):
    """`tight` reaches D G / sqrt(T)."""
    start = cb.schedules.wsd(steps, cooldown=cooldown)
    best = cb.optimize(steps, kind=kind, start=start)
    assert best.params["omega"] == pytest.approx(
        cb.theory.optimal_bound(steps, kind=kind), rel=1e-6
    )


def test_the_default_start_is_the_optimum_without_constraints():
    best = cb.optimize(1000, G=norms_of(1000), kind="last")
    assert best.params["evaluations"] < 100
    assert best.params["omega"] == pytest.approx(best.params["optimum"], rel=1e-10)


@pytest.mark.parametrize("G", [1e-90, 1e90])
def test_units_do_not_matter(G):
    plain = cb.optimize(100, start=cb.schedules.linear(100))
    scaled = cb.optimize(100, G=G, D=1 / G, start=cb.schedules.linear(100))
    assert scaled.params["omega"] == pytest.approx(plain.params["omega"], rel=1e-9)
    assert cb.optimize(100, horizons=100) == cb.optimize(100)


@pytest.mark.parametrize("steps", [20_000, pytest.param(100_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "options",
    [{"final": 0.1}, {"monotone": True, "warmup": 1000}, {"monotone": True, "final": 0.1}],
)
def test_long_schedules_under_constraints(steps, options):
    found = cb.optimize(steps, **options)
    assert found.params["converged"]
    assert found.params["evaluations"] < 300  # of a few milliseconds each


# --- constraints -------------------------------------------------------------------------------


def assert_optimal(found, kind, G, tied=None, at_most=None):
    """No small change that keeps to the constraints lowers the bound: a thousand random ones."""
    steps = absolute(found)
    rng = np.random.default_rng(0)
    value = cb.bound(steps, G=G, kind=kind)
    for size in (1e-2, 1e-3):
        change = rng.normal(size=(300, steps.size)) * size
        change[::3] = np.cumsum(change[::3], axis=1) / 5  # smooth ones too
        trial = tied(steps * np.exp(change))
        assert (cb.bound(trial, G=G, kind=kind) >= value * (1 - 1e-9)).all()


def falling(first):
    def project(trial):
        trial = trial.copy()
        trial[:, first:] = np.minimum.accumulate(trial[:, first:], axis=1)
        return trial

    return project


@pytest.mark.parametrize("kind", ["last", "tight"])
@pytest.mark.parametrize("varying", [False, True])
def test_monotone(kind, varying):
    G = norms_of(60) if varying else 1.0
    found = cb.optimize(60, G=G, kind=kind, monotone=True)
    assert (np.diff(found.eta) <= 0).all()
    assert found.params["converged"]
    assert_optimal(found, kind, G, falling(0))
    later = cb.optimize(60, G=G, kind=kind, monotone=21)
    assert (np.diff(later.eta[20:]) <= 0).all()
    assert_optimal(later, kind, G, falling(20))
    free = cb.optimize(60, G=G, kind=kind)
    assert free.params["omega"] <= later.params["omega"] <= found.params["omega"]


def test_monotone_meets_the_conditions_of_optimality():
    """Multipliers of the ties are sums of derivatives, none of them negative."""
    G = norms_of(200, spread=0.8)
    found = cb.optimize(200, G=G, monotone=True)
    slope = absolute(found) * cb.gradient(absolute(found), G=G) / found.params["omega"]
    multiplier = np.cumsum(slope)
    ties = np.diff(found.eta) == 0
    assert ties.any() and not ties.all()
    assert (multiplier[:-1][ties] > -1e-8).all()
    assert np.abs(multiplier[:-1][~ties]).max() < 1e-5
    assert abs(multiplier[-1]) < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_monotone_steps_that_would_fall_and_rise(kind):
    """A few rounds tie a long wave together, not a round for each of its steps."""
    wave = np.exp(-(np.linspace(-2, 2, 1000) ** 2))
    for G in (1 + wave, 1 / (1 + wave)):
        found = cb.optimize(1000, G=G, kind=kind, monotone=True)
        assert found.params["converged"]
        assert found.params["evaluations"] < 500
        assert_optimal(found, kind, G, falling(0))


def test_largest_step():
    free = cb.optimize(100)
    cap = 0.6 * free.params["gamma"] * np.median(free.eta)
    for monotone in (False, True):
        found = cb.optimize(100, max_step=cap, monotone=monotone)
        assert absolute(found).max() == pytest.approx(cap, rel=1e-12)
        project = falling(0) if monotone else lambda trial: trial
        assert_optimal(found, "last", 1.0, lambda trial: project(np.minimum(trial, cap)))  # noqa: B023
    assert cb.optimize(100, max_step=10.0).params["omega"] == pytest.approx(
        free.params["omega"], rel=1e-9
    )
    in_units = cb.optimize(100, max_step=cap * 5, D=5.0)
    assert absolute(in_units).max() == pytest.approx(cap * 5, rel=1e-12)


@pytest.mark.parametrize("monotone", [False, True])
def test_final(monotone):
    found = cb.optimize(100, final=0.2, monotone=monotone)
    assert found.eta.min() == pytest.approx(0.2, rel=1e-12)
    assert found.eta.max() == 1
    wsd = cb.tune(cb.schedules.linear(100, final=0.2)).omega
    assert found.params["omega"] < wsd


def test_warmup():
    found = cb.optimize(100, warmup=20, monotone=True)
    np.testing.assert_allclose(found.eta[:21], np.arange(1, 22) / 21, rtol=1e-12)
    assert (np.diff(found.eta[20:]) <= 0).all()
    linear = cb.tune(cb.schedules.linear(100, warmup=20)).omega
    assert found.params["optimum"] < found.params["omega"] < linear


@pytest.mark.parametrize("kind", KINDS)
def test_prefix(kind):
    run = cb.schedules.constant(60, warmup=10)
    found = cb.optimize(100, fixed_prefix=run, kind=kind)
    np.testing.assert_array_equal(found.eta[:60], run.eta)
    wsd = cb.tune(cb.schedules.wsd(100, cooldown=40, warmup=10), kind=kind).omega
    assert found.params["omega"] < wsd
    gamma = 0.8 * found.params["gamma"]
    held = cb.optimize(100, fixed_prefix=run, gamma=gamma, kind=kind)
    np.testing.assert_array_equal(held.eta[:60], run.eta)
    assert held.params["gamma"] == pytest.approx(gamma, rel=1e-15)
    assert held.params["omega"] >= found.params["omega"]


def test_prefix_that_must_not_rise():
    run = cb.schedules.constant(60)
    for gamma in (None, 0.03):
        found = cb.optimize(100, fixed_prefix=run, gamma=gamma, monotone=True)
        np.testing.assert_array_equal(found.eta[:60], run.eta)
        assert (np.diff(found.eta[59:]) <= 1e-15).all()
    # With half the LR the rest would rather rise, and may not.
    low = cb.optimize(100, fixed_prefix=run, gamma=0.01, monotone=True)
    rising = cb.optimize(100, fixed_prefix=run, gamma=0.01)
    assert rising.eta[60] > 1.2
    assert low.eta[60] == pytest.approx(1, rel=1e-12)


@hypothesis.settings(max_examples=15)
@hypothesis.given(st.integers(5, 60), st.sampled_from(KINDS), st.integers(0, 1000))
def test_constraints_hold_together(steps, kind, seed):
    G = norms_of(steps, seed)
    warmup, cap = steps // 4, 0.7 * cb.theory.optimal_steps(steps, G, kind=kind).max()
    options = {"warmup": warmup, "max_step": cap, "final": 0.05}
    found = cb.optimize(steps, G=G, kind=kind, monotone=True, **options)
    assert absolute(found).max() <= cap * (1 + 1e-12)
    assert found.eta[warmup:].min() >= 0.05 * (1 - 1e-12)
    assert (np.diff(found.eta[warmup:]) <= 0).all()
    assert found.params["omega"] >= found.params["optimum"] * (1 - 1e-9)


# --- several horizons --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["last", "tight"])
def test_weighted_horizons(kind):
    """Better than what is best for each of them, by its own measure."""
    at, weights = [50, 100], [1.0, 2.0]
    found = cb.optimize(100, kind=kind, horizons=at, weights=weights)
    curve = cb.curve(found, found.params["gamma"], kind=kind, at=at)
    assert found.params["value"] == pytest.approx(curve @ weights, rel=1e-9)
    for other in (cb.optimize(100, kind=kind), cb.schedules.inverse_sqrt(100, cooldown=0.1)):
        gamma = np.geomspace(0.01, 1, 400)
        rivals = cb.curve(other, gamma, kind=kind, at=at) @ weights
        assert found.params["value"] < rivals.min()


def test_anytime():
    found = cb.optimize(200, horizons="all", objective="ratio", max_iterations=300)
    price = cb.theory.price_of_anytime(found, found.params["gamma"])
    assert found.params["value"] == pytest.approx(price.worst, rel=1e-9)
    assert price.worst < 1.25
    for name in ("inverse_sqrt", "linear", "constant", "wsd"):
        assert (
            cb.theory.price_of_anytime(cb.schedules.by_name(name, 200)).worst > price.worst + 0.15
        )


# --- arguments ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, message",
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"steps": 5, "kind": "lst"}, "unknown kind 'lst'; did you mean 'last'"),
        ({"steps": 5, "objective": "max"}, "unknown objective 'max'"),
        ({"steps": 5, "horizons": [3]}, "no horizon lies beyond step 3"),
        ({"steps": 5, "weights": [0.0]}, "weights are all zero"),
        ({"steps": 5, "weights": [-1.0]}, "weights must be non-negative"),
        ({"steps": 5, "weights": [1], "objective": "ratio"}, "weights= has no meaning"),
        ({"steps": 5, "gamma": 1.0}, "gamma= is the base learning rate of fixed_prefix="),
        ({"steps": 5, "fixed_prefix": [1.0] * 5}, "no step of 5 is free"),
        ({"steps": 5, "fixed_prefix": [0.0]}, "all zeros"),
        ({"steps": 5, "fixed_prefix": [1.0, 0.0], "monotone": True}, "ends at zero"),
        ({"steps": 5, "fixed_prefix": [1.0], "warmup": 1}, "exclude each other"),
        ({"steps": 5, "fixed_prefix": [1.0], "max_step": 1.0}, "needs gamma="),
        ({"steps": 5, "warmup": 5}, "no step is free"),
        ({"steps": 5, "monotone": 6}, "monotone must be a step from 1 to 5"),
        ({"steps": 5, "final": 1.0}, "final must be below 1"),
        ({"steps": 5, "max_step": 0.0}, "max_step must be positive"),
        ({"steps": 5, "start": [1.0, 1.0]}, "start must have 5 steps, got 2"),
        ({"steps": 5, "start": [1, 1, 0, 1, 1]}, "start must be positive; found 0 at index 2"),
        ({"steps": 5, "G": np.ones((2, 5))}, r"G must be a scalar or of shape \(5,\)"),
        ({"steps": 5, "G": 0.0}, "G must be positive"),
        ({"steps": 2**70}, "steps must be at most"),
        ({"steps": 5, "weights": [1, 2, 3]}, r"weights must be one for each of the 1 horizons"),
        ({"steps": 4, "start": np.geomspace(1e-200, 1e200, 4)}, "start must not span more"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        cb.optimize(**options)


def test_a_limit_of_iterations_is_told():
    found = cb.optimize(50, start=cb.schedules.constant(50), max_iterations=2)
    assert not found.params["converged"]
    assert "not converged" in repr(found)


def test_results_do_not_depend_on_the_threads():
    for nthreads, kind in itertools.product([1, 3], KINDS):
        found = cb.optimize(300, kind=kind, monotone=True, nthreads=nthreads)
        np.testing.assert_array_equal(found.eta, cb.optimize(300, kind=kind, monotone=True).eta)
