"""All horizons of `last`, directly: every pair of target and source."""

import numpy as np
import pytest

import cvxbound as cb
import peers
from cvxbound import reference

# The paper's loop takes minutes at 100 000 steps; --run-slow brings it in.
SIZES = [10_000, 100_000]


def schedule(steps):
    return np.array(cb.schedules.cosine(steps))


def direct(eta):
    return cb.curve(eta, method="direct")


def direct_one_thread(eta):
    return cb.curve(eta, method="direct", nthreads=1)


def assert_curve(omega, eta):
    """Some horizons, each by a NumPy suffix sum of its own prefix."""
    at = np.array([1, 2, 3, 1000, len(eta) // 2, len(eta) - 1, len(eta)])
    expected = [peers.numpy_bound(eta[:t]) for t in at]
    np.testing.assert_allclose(omega[at - 1], expected, rtol=1e-11)


@pytest.mark.parametrize("steps", SIZES)
@pytest.mark.parametrize(
    "method",
    [direct, direct_one_thread, peers.four_fraction_curve, peers.tiled_curve],
    ids=["cvxbound", "one thread", "numba, one division for four", "numba, one division a pair"],
)
def test_last_curve(measure, benchmark, steps, method):
    benchmark.group = f"direct last curve, T = {steps}"
    eta = schedule(steps)
    assert_curve(measure(method, eta, pairs=steps**2 / 2), eta)


@pytest.mark.parametrize(
    ("steps", "rounds"), [(10_000, 2), pytest.param(100_000, 1, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(
    "method",
    [peers.published_curve, peers.suffix_sum_curve],
    ids=["the paper's formula", "suffix sums"],
)
def test_numpy_loops(benchmark, steps, rounds, method):
    benchmark.group = f"direct last curve, T = {steps}"
    benchmark.extra_info["pairs"] = steps**2 / 2
    eta = schedule(steps)
    assert_curve(benchmark.pedantic(method, args=(eta,), rounds=rounds, iterations=1), eta)


def test_tight_curve(measure, benchmark):
    steps = 10_000
    benchmark.group = f"direct tight curve, T = {steps}"
    benchmark.name = "cvxbound, rho searched at every horizon"
    eta = schedule(steps)
    omega = measure(lambda: cb.curve(eta, kind="tight"), rounds=2)
    for t in (2, 300):
        assert omega[t - 1] == pytest.approx(
            float(reference.bound(eta[:t], kind="tight")), rel=1e-9
        )
    # At the last horizon no rho on a dense grid does better.
    distance, noise = peers.tight_walk(eta, np.geomspace(1e-9, 1e3, 2000))
    assert omega[-1] <= (distance + noise).min() * (1 + 1e-12)


def test_average_curve(measure, benchmark):
    steps = 1_000_000
    benchmark.group = f"average curve, T = {steps}"
    benchmark.name = "cvxbound"
    eta = schedule(steps)
    omega = measure(lambda: cb.curve(eta, kind="average"))
    expected = (1 + np.cumsum(eta * eta)) / (2 * np.cumsum(eta))
    np.testing.assert_allclose(omega, expected, rtol=1e-11)
