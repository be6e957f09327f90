"""The closed forms against the reference walk, against mpmath and against each other."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from cvxbound import reference, theory


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


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 100])
@pytest.mark.parametrize(("G", "D"), [(1.0, 1.0), (3.0, 0.5)])
def test_minimax_steps_reach_the_minimax_bound(steps, G, D):
    eta = theory.minimax_steps(steps, G, D)
    best = theory.minimax_bound(steps, G, D)
    distance, noise = reference.walk(eta, eta[-1], G=G, D=D, recursion="tight")
    np.testing.assert_allclose([distance, noise], best / 2, rtol=1e-13)
    np.testing.assert_allclose(reference.bound(eta, G=G, D=D, kind="tight"), best, rtol=1e-12)
    assert best == pytest.approx(D * G / np.sqrt(steps))


def test_minimax_steps_are_the_printed_ones():
    eta = theory.minimax_steps(50, 2.0, 3.0)
    k = np.arange(1, 50)
    np.testing.assert_allclose(eta[:-1], 3.0 * (50 - k) / (2.0 * 50**1.5), rtol=1e-14)
    assert eta[-1] == eta[-2]
    assert theory.minimax_bound([4, 16]).tolist() == [0.5, 0.25]


@pytest.mark.parametrize(
    "closed", [theory.constant_terms, theory.linear_terms, theory.minimax_steps]
)
def test_steps_must_be_a_positive_integer(closed):
    with pytest.raises(ValueError, match="at least 1"):
        closed(0)
    with pytest.raises(TypeError, match="integer"):
        closed(10.0)


def test_minimax_steps_are_one_schedule():
    with pytest.raises(TypeError, match="one integer"):
        theory.minimax_steps([3, 4])
