"""The executable specification: against the papers, against brute force and against mpmath."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracle
from cvxbound import reference, theory

STEP = st.floats(1e-4, 1.0)
NORM = st.floats(1e-2, 1.0)
SCHEDULE = st.lists(st.tuples(STEP, NORM), min_size=1, max_size=40).map(lambda x: np.array(x).T)
needs_long_double = pytest.mark.skipif(not oracle.HAS_LONG_DOUBLE, reason="long double is double")


def shapes(steps):
    """The schedules of Schaipp et al., which reach zero at step T + 1."""
    t = np.arange(1, steps + 1)
    x = (t - 1) / steps
    cooldown = int(0.2 * steps)
    start = steps + 1 - cooldown
    return {
        "linear": 1 - x,
        "1-sqrt": 1 - np.sqrt(x),
        "cosine": (1 + np.cos(np.pi * x)) / 2,
        "wsd": np.where(t < start, 1.0, 1 - (t - start) / cooldown),
        "1/sqrt": 1 / np.sqrt(t),
        "constant": np.ones(steps),
    }


# Published numbers.


@pytest.mark.parametrize(
    ("name", "gamma", "omega"),
    [
        ("linear", 0.0496, 0.1006),
        ("1-sqrt", 0.0738, 0.1012),
        ("cosine", 0.0482, 0.1034),
        ("wsd", 0.0254, 0.1093),
        ("1/sqrt", 0.2121, 0.1223),
        ("constant", 0.0182, 0.1375),
    ],
)
def test_tuned_schedules_of_schaipp_et_al(name, gamma, omega):
    """Figure 1 of arXiv 2501.18965: T = 400, D = G = 1."""
    tuned = reference.tune(shapes(400)[name])
    assert round(float(tuned.gamma), 4) == gamma
    assert round(float(tuned.omega), 4) == omega


@pytest.mark.parametrize(
    ("name", "worst_case"),
    [
        ("wsd", 0.14207),
        ("cosine", 0.13207),
        ("linear", 0.12945),
        ("constant", 0.17810),
        ("1/sqrt", 0.15478),
    ],
)
def test_tight_is_the_exact_worst_case(name, worst_case):
    """PEPit's value at T = 60 and the base learning rate that is best for `last`."""
    eta = shapes(60)[name]
    gamma = reference.tune(eta).gamma
    assert reference.bound(eta, gamma, kind="tight") == pytest.approx(worst_case, abs=6e-6)


@given(SCHEDULE, st.floats(1e-2, 1e2), st.floats(0.1, 10.0))
def test_last_is_the_published_formula(schedule, gamma, D):
    eta, G = schedule
    for t in {1, (eta.size + 1) // 2, eta.size}:
        expected = reference.published_last(eta, gamma, t, G, D)
        assert reference.bound(eta, gamma, t, G=G, D=D) == pytest.approx(expected, rel=1e-12)


# Order of the bounds and properties they must have.


@given(SCHEDULE, st.floats(1e-2, 1e2))
@settings(max_examples=40)
def test_tight_and_free_are_never_above_last(schedule, gamma):
    eta, G = schedule
    kinds = {
        name: reference.bound(eta, gamma, G=G, D=2.0, kind=kind, last_step=last_step, rho_grid=200)
        for name, kind, last_step in (
            ("given", "last", "given"),
            ("repeat", "last", "repeat"),
            ("free", "last", "free"),
            ("tight", "tight", "given"),
        )
    }
    slack = 1 + 1e-12
    assert kinds["free"] <= min(kinds["given"], kinds["repeat"]) * slack
    assert kinds["tight"] <= kinds["free"] * slack


@given(st.integers(0, 2**32))
@settings(max_examples=30)
def test_tight_bounds_a_subgradient_run(seed):
    """f(x) = max_i |<a_i, x>| with |a_i| <= 1, minimum 0 at the origin."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(4, 3))
    a /= np.maximum(np.linalg.norm(a, axis=1, keepdims=True), 1.0)
    eta = 10 ** rng.uniform(-2, 0, 20)
    x = rng.normal(size=3)
    x /= np.linalg.norm(x)
    for t in range(1, eta.size + 1):
        slopes = a @ x
        i = np.argmax(np.abs(slopes))
        assert abs(slopes[i]) <= reference.bound(eta, t=t, kind="tight", rho_grid=100)
        x = x - eta[t - 1] * np.sign(slopes[i]) * a[i]


@given(SCHEDULE, st.sampled_from(["last", "tight"]), st.floats(-8, 4), st.floats(0.01, 4.0))
def test_the_bound_lies_above_the_solution_of_the_cell(schedule, recursion, x, width):
    """F'' <= F in log rho: the fact the search rests on."""
    eta, G = schedule
    ends = np.exp([x, x + width / 2, x + width])
    distance, noise = reference.walk(eta, ends, G=G, recursion=recursion)
    for p, middle, q in (distance + noise, np.sqrt(distance * noise)):
        assert middle >= (p + q) / (2 * np.cosh(width / 2)) * (1 - 1e-13)


@given(SCHEDULE, st.floats(1e-3, 1e3), st.sampled_from(["last", "tight"]))
@settings(max_examples=40)
def test_the_search_finds_the_global_minimum(schedule, gamma, kind):
    eta, G = schedule
    found = reference.bound(eta, gamma, G=G, kind=kind, last_step="free", rho_grid=50)
    tuned = reference.tune(eta, G=G, kind=kind, last_step="free", rho_grid=50).omega
    rho = np.geomspace(1e-12, 1e12, 20_001)
    distance, noise = reference.walk(eta, rho, G=G, recursion=kind)
    brute = np.min(distance / gamma + gamma * noise)
    assert brute * (1 - 2e-6) <= found <= brute * (1 + 1e-12)
    brute = np.min(2 * np.sqrt(distance * noise))
    assert tuned <= brute * (1 + 1e-12)
    # A wide grid cannot reach the limit rho -> infinity, where the tuned bound is D min(G).
    assert tuned >= brute * (1 - 2e-6)


def test_the_search_is_as_good_on_a_coarse_grid():
    rng = np.random.default_rng(3)
    for case in oracle.schedules(40, rng):
        for kind in ("last", "tight"):
            fine, coarse = (
                reference.tune(
                    case.eta, G=case.norm, kind=kind, last_step="free", rho_grid=points
                ).omega
                for points in (4000, 20)
            )
            assert coarse == pytest.approx(fine, rel=1e-13)


@given(SCHEDULE, st.sampled_from(["last", "tight", "average"]))
@settings(max_examples=30)
def test_tuned_is_the_minimum_over_gamma(schedule, kind):
    eta, G = schedule
    for last_step in ("given", "repeat", "free"):
        options = {"G": G, "D": 2.0, "kind": kind, "last_step": last_step, "rho_grid": 50}
        gamma, omega = reference.tune(eta, **options)
        if np.isnan(gamma):
            assert eta.size == 1
            gamma = 1.0
        for factor in (0.5, 0.99, 1.01, 2.0):
            assert reference.bound(eta, factor * gamma, **options) >= omega * (1 - 1e-12)
        assert reference.bound(eta, gamma, **options) == pytest.approx(omega, rel=1e-12)


@given(SCHEDULE, st.floats(1e-2, 1e2))
@settings(max_examples=40)
def test_average_takes_the_best_last_weight(schedule, gamma):
    eta, G = schedule
    found = reference.bound(eta, gamma, G=G, kind="average", last_step="free")
    distance, noise = reference.average_terms(eta, np.geomspace(1e-8, 1e8, 20_001), G=G)
    assert found == pytest.approx(np.min(distance / gamma + gamma * noise), rel=1e-5)
    tuned = reference.tune(eta, G=G, kind="average", last_step="free").omega
    assert tuned == pytest.approx(2 * np.sqrt(np.min(distance * noise)), rel=1e-5)


def test_average_is_the_textbook_bound():
    eta, G, gamma, D = np.array([0.5, 0.2, 0.7]), np.array([1.0, 2.0, 3.0]), 0.3, 2.0
    S, Q = eta.sum(), ((eta * G) ** 2).sum()
    expected = (D**2 + gamma**2 * Q) / (2 * gamma * S)
    assert reference.bound(eta, gamma, G=G, D=D, kind="average") == pytest.approx(expected)
    repeated = reference.bound(eta, gamma, G=G, D=D, kind="average", last_step="repeat")
    assert repeated == pytest.approx(
        reference.bound([0.5, 0.2, 0.2], gamma, G=G, D=D, kind="average")
    )


@given(SCHEDULE)
@settings(max_examples=25)
def test_units(schedule):
    """Scaling steps by s and gamma by 1/s changes nothing; G and D scale as they should."""
    eta, G = schedule
    for kind in ("last", "tight", "average"):
        value = reference.bound(eta, 0.1, G=G, kind=kind, rho_grid=50)
        scaled = reference.bound(8 * eta, 0.1 / 8, G=G, kind=kind, rho_grid=50)
        assert scaled == pytest.approx(value, rel=1e-12)
        larger = reference.bound(eta, 0.1 * 2 / 3, G=3 * G, D=2.0, kind=kind, rho_grid=50)
        assert larger == pytest.approx(6 * value, rel=1e-12)


# Zero steps and other ends of the range.


def test_a_zero_last_step_makes_last_infinite():
    eta = [1.0, 0.5, 0.0]
    assert reference.bound(eta) == np.inf
    assert reference.bound(eta, last_step="repeat") < np.inf
    assert reference.bound([1.0, 0.0, 0.0], last_step="repeat") == np.inf
    assert reference.tune(eta) == (0, np.inf)
    assert reference.tune(eta).omega == np.inf
    for options in ({"last_step": "free"}, {"kind": "tight"}, {"kind": "average"}):
        assert reference.bound(eta, **options) < np.inf
        assert reference.tune(eta, **options).omega < np.inf


def test_no_positive_step():
    eta = np.zeros(3)
    for kind in ("last", "average"):
        assert reference.bound(eta, kind=kind) == np.inf
        assert reference.bound(eta, kind=kind, last_step="repeat") == np.inf
        assert reference.tune(eta, kind=kind).omega == np.inf
    for kind in ("last", "tight", "average"):
        assert reference.bound(eta, kind=kind, G=3.0, D=2.0, last_step="free") == 6.0
        assert reference.tune(eta, kind=kind, G=3.0, D=2.0, last_step="free").omega == 6.0


def test_zero_steps_contribute_nothing():
    eta, G = np.array([0.5, 0.2, 0.7, 0.1]), np.array([1.0, 2.0, 0.5, 0.8])
    at = [0, 0, 1, 3, 3]
    padded, norms = np.insert(eta, at, 0.0), np.insert(G, at, 7.0)
    for kind in ("last", "tight", "average"):
        for last_step in ("given", "free"):
            options = {"kind": kind, "last_step": last_step}
            expected = reference.bound(eta, 0.3, G=G, **options)
            assert reference.bound(padded, 0.3, G=norms, **options) == pytest.approx(expected)


def test_the_first_horizon():
    assert reference.bound([0.5], 2.0, kind="tight", G=3.0, D=2.0) == 6.0
    assert reference.bound([0.5], 2.0, G=3.0, D=2.0) == pytest.approx(4 / 2 + 9 / 2)
    given, repeat = (reference.bound([0.5, 9.0], t=1, last_step=x) for x in ("given", "repeat"))
    assert given == repeat


def test_zero_norms():
    eta, G = [1.0, 0.5, 0.2], np.array([1.0, 0.0, 0.0])
    assert reference.bound(eta, G=0.0, kind="tight") == 0.0
    assert reference.bound(eta, G=0.0, last_step="free") == 0.0
    assert reference.bound(eta, G=G[::-1], kind="tight") == 0.0
    assert reference.tune(eta, G=0.0, kind="tight").omega == 0.0
    assert reference.tune(eta, G=0.0) == (np.inf, 0.0)
    # A zero norm before the horizon leaves `last` finite at rho -> 0.
    free = reference.bound(eta, G=[1.0, 0.0, 1.0], last_step="free")
    distance, noise = reference.walk(eta, np.geomspace(1e-9, 1e3, 4001), G=[1.0, 0.0, 1.0])
    assert free == pytest.approx(np.min(distance + noise), rel=1e-5)


def test_rho_zero_is_a_limit_not_a_nan():
    for recursion in ("last", "tight"):
        distance, noise = reference.walk([1.0, 0.5], [0.0, 1.0], recursion=recursion)
        assert noise[0] == np.inf
        assert np.isfinite(distance).all()
        distance, noise = reference.walk([0.0, 0.5], 0.0, recursion=recursion)
        assert (distance, noise) == (np.inf, 0.0)


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="unknown kind"):
        reference.bound([1.0], kind="best")
    with pytest.raises(ValueError, match="unknown last_step"):
        reference.tune([1.0], last_step="first")
    with pytest.raises(ValueError, match="recursion must be"):
        reference.walk([1.0], 1.0, recursion="average")
    with pytest.raises(ValueError, match=r"in 1\.\.2, got 3"):
        reference.bound([1.0, 1.0], t=3)
    with pytest.raises(ValueError, match="one schedule"):
        reference.bound([])


# Precision.


@pytest.mark.parametrize("recursion", ["last", "tight"])
def test_walk_agrees_with_mpmath(recursion):
    rng = np.random.default_rng(5)
    for case in oracle.schedules(120, rng):
        for rho in (1e-6, 0.01, 3.0):
            lane = oracle.Lane(case.eta, case.norm, 101, rho)
            expected = [float(x) for x in oracle.walk_mp(lane, recursion)]
            options = {"G": case.norm, "recursion": recursion}
            found = reference.walk(case.eta, rho, 101, **options)
            np.testing.assert_allclose(found, expected, rtol=3e-14)


@needs_long_double
def test_longdouble_keeps_its_precision():
    rng = np.random.default_rng(6)
    for case in oracle.schedules(60, rng):
        lane = oracle.Lane(case.eta, case.norm, 60, 0.3)
        expected = oracle.walk_mp(lane, "tight")
        options = {"G": case.norm, "recursion": "tight", "dtype": np.longdouble}
        for x, y in zip(reference.walk(case.eta, 0.3, **options), expected, strict=True):
            assert x.dtype == np.longdouble
            assert abs(oracle.relative_error(x, y)) < 1e-17
        tuned = reference.tune(case.eta, G=case.norm, kind="tight", rho_grid=50)
        fine = reference.tune(case.eta, G=case.norm, kind="tight", rho_grid=50, dtype=np.longdouble)
        assert fine.omega.dtype == np.longdouble
        assert float(fine.omega) == pytest.approx(tuned.omega, rel=1e-14)


# The oracle of the kernel tests.


@needs_long_double
@pytest.mark.parametrize("recursion", ["last", "tight"])
@pytest.mark.parametrize("steps", [1, 2, 257, 600])
def test_oracle_agrees_with_mpmath(recursion, steps):
    rng = np.random.default_rng(7)
    lanes = [
        oracle.Lane(case.eta, case.norm, t, rho)
        for case in oracle.schedules(steps, rng)
        for t, rho in zip({1, (steps + 1) // 2, steps}, (1e-3, 0.7, 4.0), strict=False)
    ]
    found = zip(*oracle.walk(lanes, recursion), strict=True)
    for lane, terms in zip(lanes, found, strict=True):
        for x, y in zip(terms, oracle.walk_mp(lane, recursion, digits=40), strict=True):
            assert abs(oracle.relative_error(x, y)) < 1e-17


@needs_long_double
def test_oracle_does_not_drift():
    """The sums of a constant schedule are known; added one by one they lose four digits."""
    steps = 100_000
    lane = oracle.Lane(np.full(steps, 0.1), np.ones(steps), steps, 0.1)
    distance, noise = oracle.walk([lane], "last")
    with mpmath.workdps(40):
        step = mpmath.mpf(0.1)
        expected = step / 2 * (1 + mpmath.harmonic(steps - 1))
        assert abs(oracle.relative_error(distance[0], 1 / (2 * steps * step))) < 1e-18
        assert abs(oracle.relative_error(noise[0], expected)) < 1e-18


@needs_long_double
def test_oracle_rho_zero():
    cases = [([1.0, 0.0], 2), ([0.0, 0.0, 1.0], 3), ([0.5], 1)]
    lanes = [oracle.Lane(np.array(eta), np.ones(len(eta)), t, 0.0) for eta, t in cases]
    distance, noise = oracle.walk(lanes, "last")
    assert distance.tolist() == [0.5, np.inf, np.inf]
    assert noise.tolist() == [np.inf, 0.0, 0.0]


@needs_long_double
@pytest.mark.slow
def test_oracle_at_a_million_steps():
    """`wsd_terms` knows the value of every linear cooldown, linear and constant included."""
    steps = 10**6
    ones = np.ones(steps)
    t = np.arange(1, steps + 1)
    starts = [1, 500_000, 800_001, steps]
    lanes = [
        oracle.Lane(np.where(t < x, 1.0, (steps + 1 - t) / (steps + 1 - x)), ones, steps, 0.0)
        for x in starts
    ]
    lanes = [lane._replace(rho=lane.eta[-1]) for lane in lanes]
    distance, noise = oracle.walk(lanes, "last")
    expected = theory.wsd_terms(steps, starts)
    np.testing.assert_allclose(distance.astype(float), expected.distance, rtol=2e-15)
    np.testing.assert_allclose(noise.astype(float), expected.noise, rtol=2e-15)
