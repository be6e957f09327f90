"""What the bounds are: published numbers, closed forms, laws, and the reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import cvxbound as cb
from cvxbound import _core, reference

KINDS = ["last", "tight", "average"]
LAST_STEPS = ["given", "repeat", "free"]

steps = hnp.arrays(
    np.float64,
    st.integers(1, 60),
    elements=st.one_of(st.just(0.0), st.floats(1e-6, 1e3), st.floats(0.5, 2)),
)
moving = steps.filter(lambda eta: eta[-1] > 0)
norms = st.floats(1e-2, 1e2)
rates = st.floats(1e-4, 1e4)
fast = settings(max_examples=60)


def same(x, y, rtol=1e-12):
    np.testing.assert_allclose(x, y, rtol=rtol)


# --- the paper's numbers -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "gamma", "omega"),
    [
        (cb.schedules.linear(400), 0.0496, 0.1006),
        (cb.schedules.wsd(400, cooldown=1.0, shape="1-sqrt"), 0.0738, 0.1012),
        (cb.schedules.cosine(400), 0.0482, 0.1034),
        (cb.schedules.wsd(400, cooldown=0.2), 0.0254, 0.1093),
        (cb.schedules.inverse_sqrt(400), 0.2121, 0.1223),
        (cb.schedules.constant(400), 0.0182, 0.1375),
    ],
    ids=lambda x: x.name if isinstance(x, cb.Schedule) else None,
)
def test_published_optima(schedule, gamma, omega):
    """T = 400, D = G = 1; schedules reach zero at step T + 1."""
    tuned = cb.tune(schedule)
    assert (round(float(tuned.gamma), 4), round(float(tuned.omega), 4)) == (gamma, omega)


@pytest.mark.parametrize(
    ("name", "worst_case"),
    [
        ("wsd", 0.14207),
        ("cosine", 0.13207),
        ("linear", 0.12945),
        ("constant", 0.17810),
        ("inverse_sqrt", 0.15478),
    ],
)
def test_tight_is_the_exact_worst_case(name, worst_case):
    """Semidefinite programs (PEPit) at T = 60, at the best rate for `last`."""
    schedule = cb.schedules.by_name(name, 60)
    gamma = cb.tune(schedule).gamma
    assert cb.bound(schedule, gamma, kind="tight") == pytest.approx(worst_case, abs=1e-5)


# --- closed forms --------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 100, 12_345])
def test_constant_schedule(count):
    same(
        cb.terms(cb.schedules.constant(count), G=3.0, D=2.0),
        cb.theory.constant_terms(count, 3.0, 2.0),
    )


@pytest.mark.parametrize("count", [1, 2, 3, 100, 12_345])
def test_linear_schedule(count):
    same(
        cb.terms(cb.schedules.linear(count), G=3.0, D=2.0), cb.theory.linear_terms(count, 3.0, 2.0)
    )


@pytest.mark.parametrize("count", [40, 400, 4000])
@pytest.mark.parametrize("cooldown", [0.05, 0.2, 0.5])
def test_wsd_theorem_dominates(count, cooldown):
    start = count + 1 - round(cooldown * count)
    tuned = cb.tune(cb.schedules.wsd(count, cooldown))
    assert tuned.omega <= cb.theory.wsd_bound(count, start) * (1 + 1e-12)


@pytest.mark.parametrize("count", [2, 10, 20, 1000, 100_000])
def test_tight_at_the_minimax_steps(count):
    eta = cb.theory.optimal_steps(count, G=2.0, D=3.0, kind="tight")
    same(cb.bound(eta, G=2.0, D=3.0, kind="tight"), 6.0 / np.sqrt(count))


# --- laws ----------------------------------------------------------------------------------------


@fast
@given(moving, rates, norms)
def test_last_equals_the_published_three_term_form(eta, gamma, norm):
    same(cb.bound(eta, gamma, G=norm), reference.published_last(eta, gamma, G=norm), 1e-10)


@fast
@given(moving, rates)
def test_tight_is_at_most_last(eta, gamma):
    assert cb.bound(eta, gamma, kind="tight") <= cb.bound(eta, gamma) * (1 + 1e-12)


@fast
@given(moving, rates, st.sampled_from(KINDS))
def test_free_last_step_is_never_worse(eta, gamma, kind):
    free = cb.bound(eta, gamma, kind=kind, last_step="free")
    for last_step in ("given", "repeat"):
        assert free <= cb.bound(eta, gamma, kind=kind, last_step=last_step) * (1 + 1e-12)


@fast
@given(moving, rates, norms, norms, st.floats(1e-3, 1e3), st.sampled_from(KINDS))
def test_scaling(eta, gamma, G, D, scale, kind):
    """Steps against gamma, and D G as the unit of the bound."""
    value = cb.bound(eta, gamma, G=G, D=D, kind=kind)
    same(cb.bound(eta * scale, gamma / scale, G=G, D=D, kind=kind), value)
    same(cb.bound(eta, gamma * G / D, kind=kind) * G * D, value)


@fast
@given(steps, st.sampled_from(KINDS), st.sampled_from(LAST_STEPS), rates)
def test_a_curve_is_the_bound_of_every_prefix(eta, kind, last_step, gamma):
    curve = cb.curve(eta, gamma, kind=kind, last_step=last_step)
    each = [
        cb.bound(eta[:t], gamma, kind=kind, last_step=last_step) for t in range(1, len(eta) + 1)
    ]
    same(curve, each)
    assert not np.isnan(curve).any()
    assert (curve >= 0).all()


@fast
@given(moving, st.sampled_from(KINDS), st.sampled_from(LAST_STEPS))
def test_tuned_gamma_minimises_the_bound(eta, kind, last_step):
    gamma, omega = cb.tune(eta, kind=kind, last_step=last_step)
    if not 1e-200 < gamma < 1e200:
        return
    same(cb.bound(eta, gamma, kind=kind, last_step=last_step), omega, 1e-10)
    for factor in (0.5, 0.99, 1.01, 2):
        other = cb.bound(eta, gamma * factor, kind=kind, last_step=last_step)
        assert omega <= other * (1 + 1e-10)


@fast
@given(moving, rates, st.sampled_from(KINDS), st.sampled_from(LAST_STEPS))
def test_terms_add_up(eta, gamma, kind, last_step):
    distance, noise = cb.terms(eta, gamma=gamma, kind=kind, last_step=last_step)
    same(distance / gamma + gamma * noise, cb.bound(eta, gamma, kind=kind, last_step=last_step))


@fast
@given(moving, st.integers(0, 60), rates, st.sampled_from(["tight", "average"]))
def test_idle_steps_change_nothing(eta, count, gamma, kind):
    """Zero steps anywhere leave the iterate, and the bound, where it was."""
    idle = np.insert(eta, min(count, len(eta) - 1), [0.0] * 3)
    same(
        cb.bound(idle, gamma, kind=kind, last_step="free"),
        cb.bound(eta, gamma, kind=kind, last_step="free"),
        1e-11,
    )


@fast
@given(moving, rates, st.floats(1, 4))
def test_larger_norms_give_larger_bounds(eta, gamma, factor):
    norm = np.linspace(0.5, 2, len(eta))
    for kind in KINDS:
        small = cb.bound(eta, gamma, G=norm, kind=kind)
        assert small <= cb.bound(eta, gamma, G=norm * factor, kind=kind) * (1 + 1e-12)


@fast
@given(moving, rates, st.sampled_from(KINDS), st.sampled_from(LAST_STEPS))
def test_reference(eta, gamma, kind, last_step):
    """The slow implementation is the specification."""
    norm = np.geomspace(2, 0.3, len(eta))
    expected = reference.bound(eta, gamma, G=norm, D=1.5, kind=kind, last_step=last_step)
    found = cb.bound(eta, gamma, G=norm, D=1.5, kind=kind, last_step=last_step)
    same(found, float(expected), 1e-9)


# --- the search over the free last step ----------------------------------------------------------


def hostile(rng):
    count = int(rng.choice([2, 3, 5, 10, 40, 100, 300]))
    eta = 10 ** rng.uniform(-rng.choice([0.5, 2, 8, 12]), 0, count)
    shape = rng.integers(5)
    if shape == 1:
        eta[rng.random(count) < 0.4] = 0
    if shape == 2:
        eta = np.sort(eta)[:: rng.choice([-1, 1])].copy()
    if shape == 3:
        eta = (np.arange(count, 0, -1) / count) ** rng.choice([0.5, 2, 6])
    eta[0] = max(eta[0], 1e-3)
    norm = 10 ** rng.uniform(-rng.choice([0, 1, 4]), 0, count)
    return eta, norm


@pytest.mark.parametrize("kind", ["last", "tight"])
@pytest.mark.parametrize("seed", range(4))
def test_rho_is_never_a_local_minimum(kind, seed):
    """At most rounding above the least of 4000 rho, on random schedules with several minima."""
    rng = np.random.default_rng(seed)
    for _ in range(100):
        eta, norm = hostile(rng)
        gamma = 10 ** rng.uniform(-6, 6)
        core_kind = getattr(_core.Kind, kind)
        positive = eta[:-1][eta[:-1] > 0]
        low, high = np.log(positive.min()) - 10, np.log(positive.sum()) + 10
        for rate in (gamma, None):
            far = high if rate is None else max(high, 5 - np.log(rate * norm.min()))
            rho = np.exp(np.linspace(low, far, 4000))
            distance, noise = _core.walk(core_kind, eta, norm, rho)
            if rate is None:
                dense = 2 * np.sqrt(distance * noise).min()
                found = cb.tune(eta, G=norm, kind=kind, last_step="free").omega
            else:
                dense = (distance / rate + rate * noise).min()
                found = cb.bound(eta, rate, G=norm, kind=kind, last_step="free")
            assert found <= dense * (1 + 1e-12)


@pytest.mark.parametrize("ratio", [1e6, 1e18, 1e30, 1e50])
@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_one_huge_norm(ratio, place):
    """A single bad gradient cannot make the tuned bound worse than standing still, D G_t."""
    norm = np.ones(4)
    norm[place] = ratio
    for kind in ("tight", "last"):
        omega = cb.tune(np.ones(4), G=norm, kind=kind, last_step="free").omega
        assert omega <= norm[-1] * (1 + 1e-12)


def test_two_equal_minima():
    """For constant norms the bound is symmetric under rho -> eta_m^2 / rho."""
    eta = np.array([1.0, 0.1, 5.0, 0.3])
    rho = np.geomspace(1, 1e3, 50)
    one = _core.walk(_core.Kind.tight, eta, None, rho)
    two = _core.walk(_core.Kind.tight, eta, None, 25 / rho)
    same(one, two)


@fast
@given(moving, st.sampled_from(KINDS), st.sampled_from(LAST_STEPS))
def test_tune_against_the_reference(eta, kind, last_step):
    expected = reference.tune(eta, D=2.0, G=0.5, kind=kind, last_step=last_step)
    found = cb.tune(eta, D=2.0, G=0.5, kind=kind, last_step=last_step)
    same(found.omega, float(expected.omega), 1e-9)


# --- the edges -----------------------------------------------------------------------------------


def test_zero_steps():
    """`last` divides by the last step; a zero before any positive one contributes nothing."""
    with np.errstate(all="raise"):
        same(cb.curve([0, 1, 1, 0, 1]), [np.inf, 1, 1.25, np.inf, 0.5 / 3 + 0.5 * (1 + 1 + 0.5)])
        assert cb.bound([0, 0]) == np.inf
        assert cb.bound([1, 0], last_step="repeat") == cb.bound([1, 1])
        assert cb.bound([1, 0, 0], last_step="repeat") == np.inf
        assert np.isfinite(cb.curve([0, 1, 1, 0, 0], kind="tight")).all()
        assert cb.tune([1, 0]) == (0, np.inf)
        assert cb.tune([0, 0]) == (np.inf, np.inf)


def test_nothing_has_moved_yet():
    """The first iterate is within D G of the optimum whatever the schedule."""
    for eta in ([1.0], [0.0, 0.0, 0.0], [0.0, 7.0]):
        assert cb.bound(eta, 0.3, G=2, D=5, kind="tight") == pytest.approx(10)
        assert cb.tune(eta, G=2, D=5, kind="tight").omega == pytest.approx(10)


@pytest.mark.parametrize("D", [1e-200, 1e200])
@pytest.mark.parametrize("G", [1e-99, 1.0, 1e99])
@pytest.mark.parametrize("kind", KINDS)
def test_extreme_units(D, G, kind):
    """Answers that a double can hold come out, though D^2 or G^2 would not fit."""
    eta = [1.0, 0.5, 0.25]
    one = cb.tune(eta, kind=kind)
    tuned = cb.tune(eta, D=D, G=G, kind=kind)
    same(tuned, (one.gamma * (D / G), one.omega * (D * G)))
    same(cb.bound(eta, tuned.gamma, D=D, G=G, kind=kind), tuned.omega)


def test_smallest_steps():
    """Where even the sum of the steps is subnormal nothing is NaN."""
    for kind in KINDS:
        assert not np.isnan(cb.tune([5e-324] * 2, kind=kind)).any()


def test_vanishing_gradients():
    """A zero norm at the last iterate, or at the one it came from, puts `tight` at zero."""
    for norm in ([1, 1, 0], [1, 0, 1]):
        assert cb.bound([1, 1, 1], G=norm, kind="tight") == 0
        assert cb.tune([1, 1, 1], G=norm, kind="tight").omega == 0
    assert cb.bound([1, 1, 1], G=0, kind="tight") == 0
    assert cb.bound([1, 1, 1], G=0) == 1 / 6
    assert cb.tune([1, 1, 1], G=0) == (np.inf, 0)
