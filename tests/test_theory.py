"""The closed forms against the reference walk, against mpmath and against each other."""

from __future__ import annotations

import importlib.util
import sys

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import cvxbound as cb
from cvxbound import reference, theory

KINDS = ["last", "tight", "average"]
RNG = np.random.default_rng(0)


def wsd(steps, start):
    t = np.arange(1, steps + 1)
    return np.where(t < start, 1.0, 1 - (t - start) / (steps + 1 - start))


def omega(terms):
    return 2 * np.sqrt(terms.distance * terms.noise)


def test_harmonic_matches_mpmath():
    n = np.concatenate([np.arange(300), 10 ** np.arange(3, 19)])
    with mpmath.workdps(40):
        expected = np.array([float(mpmath.harmonic(int(k))) for k in n])
    np.testing.assert_allclose(theory.harmonic(n), expected, rtol=4e-16)


def test_harmonic_of_a_scalar_is_a_float():
    assert theory.harmonic(0) == 0.0
    assert theory.harmonic(1) == 1.0
    assert isinstance(theory.harmonic(100), float)
    assert theory.harmonic([[1, 2], [30, 40]]).shape == (2, 2)


def test_harmonic_refuses_what_is_not_a_count():
    with pytest.raises(ValueError, match="at least 0"):
        theory.harmonic([3, -1])
    with pytest.raises(TypeError, match="must be integer"):
        theory.harmonic(2.5)


@pytest.mark.parametrize("steps", [1, 2, 3, 17, 400])
@pytest.mark.parametrize(("G", "D"), [(1.0, 1.0), (3.0, 0.5)])
def test_constant_and_linear_are_the_walk(steps, G, D):
    constant = np.ones(steps)
    linear = np.arange(steps, 0, -1) / steps
    for eta, closed in ((constant, theory.constant_terms), (linear, theory.linear_terms)):
        expected = reference.walk(eta, eta[-1], G=G, D=D)
        np.testing.assert_allclose(closed(steps, G, D), expected, rtol=1e-14)
    expected = reference.average_terms(constant, 1.0, G=G, D=D)
    np.testing.assert_allclose(theory.constant_average_terms(steps, G, D), expected, rtol=1e-14)


def test_linear_terms_are_the_printed_formula():
    T = np.array([1, 2, 5, 1000, 10**9])
    distance, noise = theory.linear_terms(T, 2.0, 3.0)
    np.testing.assert_allclose(distance, 9 / (T + 1), rtol=1e-15)
    printed = 2 * (1 / T + 2 / T * (T - 1 + theory.harmonic(T - 1)))
    np.testing.assert_allclose(noise, printed, rtol=1e-14)


def test_wsd_terms_are_the_walk():
    for steps in range(1, 25):
        for start in range(1, steps + 1):
            eta = wsd(steps, start)
            expected = reference.walk(eta, eta[-1], G=2.0, D=3.0)
            found = theory.wsd_terms(steps, start, 2.0, 3.0)
            np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_wsd_terms_end_at_constant_and_linear():
    T = np.arange(1, 50)
    np.testing.assert_allclose(theory.wsd_terms(T, T), theory.constant_terms(T), rtol=1e-14)
    np.testing.assert_allclose(theory.wsd_terms(T, 1), theory.linear_terms(T), rtol=1e-14)


def test_terms_broadcast():
    terms = theory.wsd_terms([[100], [200]], [10, 20, 30])
    assert terms.distance.shape == terms.noise.shape == (2, 3)
    assert isinstance(theory.constant_terms(5).noise, float)
    assert theory.constant_average_terms([5, 6]).noise.shape == (2,)


@pytest.mark.parametrize("steps", [3, 4, 5, 6, 12, 31, 60])
def test_wsd_theorem_dominates_the_tuned_schedule(steps):
    for start in range(2, steps):
        tuned = reference.tune(wsd(steps, start), G=2.0, D=0.5).omega
        assert theory.wsd_bound(steps, start, G=2.0, D=0.5) > tuned


@pytest.mark.parametrize("steps", [100, 10**3, 10**6, 10**9])
def test_wsd_theorem_dominates_for_long_schedules(steps):
    edge = np.arange(60)
    starts = np.concatenate([2 + edge, np.linspace(2, steps - 1, 500, dtype=int), steps - 1 - edge])
    starts = np.unique(np.clip(starts, 2, steps - 1))
    ratio = theory.wsd_bound(steps, starts) / omega(theory.wsd_terms(steps, starts))
    assert ratio.min() > 1
    assert ratio.max() < np.sqrt(2)


@pytest.mark.parametrize("start", [0, 1, 100, 101])
def test_wsd_theorem_refuses_a_start_where_it_fails(start):
    with pytest.raises(ValueError, match="cooldown_start must"):
        theory.wsd_bound(100, start)


def test_wsd_terms_refuse_a_start_outside_the_schedule():
    with pytest.raises(ValueError, match="cooldown_start must"):
        theory.wsd_terms(100, 0)
    with pytest.raises(ValueError, match=r"in 1\.\.steps"):
        theory.wsd_terms(100, 101)


@pytest.mark.parametrize("closed", [theory.constant_terms, theory.linear_terms])
def test_steps_must_be_positive_integers(closed):
    with pytest.raises(ValueError, match="at least 1"):
        closed(0)
    with pytest.raises(TypeError, match="integer"):
        closed(10.0)


# --- the best schedule of all ---------------------------------------------------------------------


def wild_norms(steps):
    return np.exp(2 * np.random.default_rng(steps).standard_normal(steps))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [1, 2, 3, 10, 1000])
@pytest.mark.parametrize("norms", [lambda steps: 3.0, wild_norms], ids=["constant", "wild"])
def test_optimal_steps_attain_the_optimal_bound(kind, steps, norms):
    """At a base learning rate of 1, which is also their best one."""
    G = norms(steps)
    eta = theory.optimal_steps(steps, G, 0.5, kind=kind)
    best = theory.optimal_bound(steps, G, 0.5, kind=kind)
    assert cb.bound(eta, G=G, D=0.5, kind=kind) == pytest.approx(best, rel=1e-12)
    assert cb.tune(eta, G=G, D=0.5, kind=kind).omega == pytest.approx(best, rel=1e-12)
    assert eta[-1] > 0


@pytest.mark.parametrize("kind", ["last", "average"])
def test_nothing_near_the_optimal_steps_is_better(kind):
    """These two bounds are convex in the steps: what is best nearby is best of all."""
    G = wild_norms(12)
    eta = theory.optimal_steps(12, G, kind=kind)
    changes = np.exp(1e-3 * RNG.standard_normal((200, 12)))
    assert cb.bound(eta * changes, G=G, kind=kind).min() > theory.optimal_bound(12, G, kind=kind)


@given(
    arrays(float, 6, elements=st.floats(0.01, 100)),
    arrays(float, 6, elements=st.floats(0.1, 10)),
    st.sampled_from(KINDS),
)
def test_no_schedule_is_below_the_optimal_bound(eta, G, kind):
    best = theory.optimal_bound(6, G, kind=kind)
    assert cb.tune(eta, G=G, kind=kind).omega >= best * (1 - 1e-12)


@given(
    arrays(float, (2, 6), elements=st.floats(0.01, 100)),
    st.sampled_from(["last", "average"]),
)
def test_last_and_average_are_convex_in_the_steps(pair, kind):
    G = wild_norms(6)
    middle = cb.bound(pair.mean(axis=0), G=G, kind=kind)
    assert middle <= cb.bound(pair, G=G, kind=kind).mean() * (1 + 1e-12)


def test_optimal_steps_of_tight_are_the_printed_ones():
    """Zamani and Glineur's for constant norms, Defazio et al.'s refinement for others."""
    k = np.arange(1, 50)
    eta = theory.optimal_steps(50, 2.0, 3.0, kind="tight")
    np.testing.assert_allclose(eta[:-1], 3.0 * (50 - k) / (2.0 * 50**1.5), rtol=1e-14)
    assert eta[-1] == pytest.approx(eta[-2])
    G = wild_norms(50)
    w = G**-2.0
    refined = [w[t] * w[t + 1 :].sum() / w.sum() for t in range(49)]
    eta = theory.optimal_steps(50, G, kind="tight")
    np.testing.assert_allclose(eta[:-1] / eta[0], np.array(refined) / refined[0], rtol=1e-12)


def test_optimal_bounds_in_numbers():
    assert (
        theory.optimal_bound(16, kind="tight") == theory.optimal_bound(16, kind="average") == 0.25
    )
    assert theory.optimal_bound(10**5) * np.sqrt(10**5) == pytest.approx(2, abs=1e-3)
    cost = {T: omega(theory.linear_terms(T)) / theory.optimal_bound(T) for T in (10, 100, 1000)}
    assert cost == pytest.approx({10: 1.1584, 100: 1.0175, 1000: 1.0018}, abs=5e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_norms_of_any_size(kind):
    """Squares of these norms are out of range."""
    G = np.array([1e-100, 1e100, 1e-100, 1e100, 1e-100])
    ordinary = theory.optimal_bound(3, kind=kind)
    assert theory.optimal_bound(5, G, kind=kind) == pytest.approx(1e-100 * ordinary)
    assert np.isfinite(theory.optimal_steps(5, G, kind=kind)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_envelope_is_the_optimum_at_every_horizon(kind):
    found = theory.horizon_envelope(30, 2.0, 3.0, kind=kind)
    expected = [theory.optimal_bound(t, 2.0, 3.0, kind=kind) for t in range(1, 31)]
    np.testing.assert_allclose(found, expected, rtol=1e-13)


@pytest.mark.parametrize("optimum", [theory.optimal_steps, theory.optimal_bound])
def test_refusals_of_the_optima(optimum):
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        optimum(0)
    with pytest.raises(TypeError, match="steps must be one integer"):
        optimum([3, 4])
    with pytest.raises(ValueError, match=r"one norm a step, of shape \(3,\); got shape \(2,\)"):
        optimum(3, [1, 2])
    with pytest.raises(ValueError, match=r"found 0\.0 at index 1: a step without noise is free"):
        optimum(3, [1, 0, 2])
    with pytest.raises(ValueError, match="at index 2"):
        optimum(3, [1, 2, np.nan])
    with pytest.raises(ValueError, match="unknown kind 'lost'; did you mean 'last'"):
        optimum(3, kind="lost")


def test_the_envelope_needs_constant_norms():
    with pytest.raises(TypeError, match="G must be a scalar"):
        theory.horizon_envelope(2, [1.0, 2.0])


# --- wrong learning rates, unknown horizons -------------------------------------------------------


@pytest.mark.parametrize("factor", [0.01, 0.5, 1.0, 3.0])
def test_the_cost_of_a_wrong_rate(factor):
    eta = RNG.random(40) + 0.01
    for kind in ("last", "average"):
        gamma, best = cb.tune(eta, kind=kind)
        found = cb.bound(eta, gamma * factor, kind=kind) / best
        assert found == pytest.approx(theory.wrong_rate(factor), rel=1e-12)
    gamma, best = cb.tune(eta, kind="tight")
    found = cb.bound(eta, gamma * factor, kind="tight") / best
    assert found <= theory.wrong_rate(factor) * (1 + 1e-12)


def test_tight_forgives_a_rate_that_is_far_too_small():
    """With constant norms its virtual step is the last but one, until that is far from enough."""
    eta = cb.schedules.linear(40)
    gamma, best = cb.tune(eta, kind="tight")
    costs = [cb.bound(eta, gamma * factor, kind="tight") / best for factor in (0.1, 0.5, 10)]
    expected = [0.8645 * theory.wrong_rate(0.1), theory.wrong_rate(0.5), theory.wrong_rate(10)]
    assert costs == pytest.approx(expected, rel=1e-4)


def test_wrong_rates_that_are_none():
    with pytest.raises(ValueError, match="factor must be positive"):
        theory.wrong_rate([1, 0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("from_step", [1, 20, 60])
@pytest.mark.parametrize("name", ["constant", "inverse_sqrt", "wsd"])
def test_the_price_of_anytime_is_the_smallest_of_all_gammas(kind, from_step, name):
    eta = cb.schedules.by_name(name, 60)
    found = theory.price_of_anytime(eta, kind=kind, from_step=from_step)
    at = np.arange(from_step, 61)
    best = theory.horizon_envelope(60, kind=kind)[from_step - 1 :]
    gammas = found.gamma * np.geomspace(0.01, 100, 401)
    ratios = (cb.curve(eta, gammas, kind=kind, at=at) / best).max(axis=-1)
    assert found.worst == pytest.approx(ratios.min(), rel=1e-9)
    assert np.argmin(ratios) == 200
    assert found.ratio.shape == at.shape
    assert found.ratio[found.step - from_step] == found.ratio.max() == found.worst


def test_the_price_is_known_where_one_horizon_counts():
    found = theory.price_of_anytime(cb.schedules.wsd(400), from_step=400, G=4.0, D=2.0)
    gamma, tuned = cb.tune(cb.schedules.wsd(400), G=4.0, D=2.0)
    assert found.gamma == pytest.approx(gamma)
    assert found.worst == pytest.approx(tuned / theory.optimal_bound(400, 4.0, 2.0))
    assert found.step == 400


@pytest.mark.parametrize("kind", KINDS)
def test_the_optimal_schedule_pays_nothing_at_its_horizon(kind):
    eta = theory.optimal_steps(30, 4.0, 2.0, kind=kind)
    found = theory.price_of_anytime(eta, 1.0, G=4.0, D=2.0, kind=kind)
    assert found.ratio[-1] == pytest.approx(1)
    assert found.ratio.min() > 1 - 1e-12
    assert found.worst > 1.1


@pytest.mark.parametrize(
    ("name", "known", "late", "any_time"),
    [
        ("constant", 1.455, 1.653, 5.855),
        ("inverse_sqrt", 1.284, 1.284, 1.537),
        ("wsd", 1.085, 1.588, 5.478),
        ("cosine", 1.030, 1.316, 3.861),
        ("linear", 1.002, 1.299, 3.712),
    ],
)
def test_prices_in_numbers(name, known, late, any_time):
    """The table of docs/optimal.md."""
    eta = cb.schedules.by_name(name, 1000)
    found = [theory.price_of_anytime(eta, from_step=first).worst for first in (1000, 100, 1)]
    assert found == pytest.approx([known, late, any_time], abs=5e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_the_price_does_not_depend_on_the_size_of_the_steps(kind, size):
    """Squares of these steps are out of range."""
    one = theory.price_of_anytime(cb.schedules.wsd(30), kind=kind)
    other = theory.price_of_anytime(size * cb.schedules.wsd(30).eta, kind=kind)
    assert other.worst == pytest.approx(one.worst)
    assert other.gamma * size == pytest.approx(one.gamma)


def test_refusals_of_the_price():
    with pytest.raises(ValueError, match=r"eta must be non-negative, .* at index 1"):
        theory.price_of_anytime([1.0, -1.0])
    with pytest.raises(ValueError, match="infinite at step 1"):
        theory.price_of_anytime([0.0, 0.0])
    with pytest.raises(ValueError, match=r"infinite at step 2, .*from_step="):
        theory.price_of_anytime([1.0, 0.0, 1.0])
    assert theory.price_of_anytime([1.0, 0.0, 1.0], from_step=3).worst > 1
    assert theory.price_of_anytime([1.0, 0.0, 1.0], kind="tight").worst > 1
    assert theory.price_of_anytime([1.0, 0.0, 1.0], 1.0).worst == np.inf
    with pytest.raises(ValueError, match="from_step must be at most the number of steps, 3; got 4"):
        theory.price_of_anytime([1, 1, 1], from_step=4)
    with pytest.raises(TypeError, match="from_step must be one integer"):
        theory.price_of_anytime([1, 1, 1], from_step=0.5)
    with pytest.raises(ValueError, match="eta must be one schedule"):
        theory.price_of_anytime([[1, 1, 1]])


# --- the exact worst case -------------------------------------------------------------------------

semidefinite = pytest.mark.skipif(
    not importlib.util.find_spec("PEPit"), reason='no PEPit: pip install "cvxbound[pep]"'
)


@semidefinite
@pytest.mark.parametrize("steps", range(1, 9))
def test_tight_is_the_exact_worst_case_of_random_steps(steps):
    eta = np.random.default_rng(steps).random(steps)
    expected = theory.worst_case(eta, 1.5, G=2.0, D=3.0)
    assert cb.bound(eta, 1.5, G=2.0, D=3.0, kind="tight") == pytest.approx(expected, rel=1e-5)


@semidefinite
@pytest.mark.parametrize("name", ["linear", "wsd", "cosine", "inverse_sqrt"])
def test_tight_is_the_exact_worst_case_of_schedules(name):
    eta = cb.schedules.by_name(name, 8)
    gamma, tuned = cb.tune(eta, kind="tight")
    assert theory.worst_case(eta, gamma) == pytest.approx(tuned, rel=1e-5)


@semidefinite
def test_the_worst_case_of_the_optimal_steps_is_the_optimal_bound():
    """And it does not depend on the last step."""
    eta = theory.optimal_steps(6, kind="tight")
    assert theory.worst_case(eta) == pytest.approx(6**-0.5, rel=1e-6)
    assert theory.worst_case([*eta[:-1], 9.0]) == pytest.approx(6**-0.5, rel=1e-6)


@semidefinite
def test_a_worst_case_that_is_not_solved_is_refused(monkeypatch):
    """Never a number that the solver does not stand for."""
    import cvxpy

    def fail(*_, **__):
        raise cvxpy.error.SolverError("too hard")

    monkeypatch.setattr(cvxpy.Problem, "solve", fail)
    with pytest.raises(RuntimeError, match=r"stopped without an answer \(too hard\)"):
        theory.worst_case([1.0, 0.5])


def test_refusals_of_the_worst_case(monkeypatch):
    with pytest.raises(ValueError, match=r"at most 30 steps, got 31: .*kind=\"tight\""):
        theory.worst_case(np.ones(31))
    with pytest.raises(ValueError, match=r"found -1\.0 at index 1"):
        theory.worst_case([1, -1])
    with pytest.raises(ValueError, match=r"at most 500; found 501\.0 at index 0"):
        theory.worst_case([501, 1], G=2.0)
    with pytest.raises(ValueError, match="eta must be one schedule"):
        theory.worst_case(1.0)
    monkeypatch.setitem(sys.modules, "PEPit", None)
    with pytest.raises(ImportError, match=r"pip install \"cvxbound\[pep\]\""):
        theory.worst_case([1, 1])
