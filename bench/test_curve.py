"""All horizons of `last`, directly: every pair of target and source."""

import numpy as np
import pytest

import cvxbound as cb
import peers

# The paper's loop takes minutes at 100 000 steps; --run-slow brings it in.
SIZES = [10_000, 100_000]


def schedule(steps):
    return np.asarray(cb.schedules.cosine(steps))


def direct(eta):
    return cb.curve(eta, method="direct")


def direct_one_thread(eta):
    return cb.curve(eta, method="direct", nthreads=1)


@pytest.mark.parametrize("steps", SIZES)
@pytest.mark.parametrize(
    "method",
    [direct, direct_one_thread, peers.four_fraction_curve, peers.tiled_curve],
    ids=["cvxbound", "one thread", "numba, one division for four", "numba, one division a pair"],
)
def test_last_curve(measure, benchmark, steps, method):
    benchmark.group = f"direct last curve, T = {steps}"
    eta = schedule(steps)
    omega = measure(method, eta, pairs=steps**2 / 2)
    np.testing.assert_allclose(
        omega[-5:], cb.curve(eta, at=range(steps - 4, steps + 1)), rtol=1e-11
    )


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
    omega = benchmark.pedantic(method, args=(eta,), rounds=rounds, iterations=1)
    np.testing.assert_allclose(omega, cb.curve(eta), rtol=1e-10)


@pytest.mark.parametrize("kind", ["tight", "average"])
def test_other_kinds(measure, benchmark, kind):
    steps = 10_000
    benchmark.group = f"direct {kind} curve, T = {steps}"
    eta = schedule(steps)
    omega = measure(lambda: cb.curve(eta, kind=kind), rounds=2)
    assert omega[-1] == cb.bound(eta, kind=kind)
