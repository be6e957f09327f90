"""Derivatives: their cost beside that of the bound, and of what a user would differentiate with.

Answers are compared before they are timed. `pytest bench/test_gradient.py`.
"""

import numpy as np
import pytest

import cvxbound as cb

STEPS = 100_000
GAMMA = 0.01


@pytest.fixture(scope="module")
def eta():
    return cb.schedules.wsd(STEPS, cooldown=0.2, warmup=1000).eta


def suffix_sums(eta, gamma):
    """The derivative of `last` by NumPy's suffix sums, without care for cancellation."""
    S = np.cumsum(eta[::-1])[::-1]  # S_T - S_{k-1}
    R, source = S[1:], eta[:-1]
    pull = np.concatenate([[0.0], np.cumsum((source / R) ** 2)])
    slope = -(1 / gamma) / (2 * S[0] ** 2) - gamma / 2 * pull
    slope[:-1] += gamma * source / R
    slope[-1] += gamma / 2
    return slope


@pytest.mark.benchmark(group="derivatives of last, one horizon, T = 1e5")
def test_last(benchmark, eta):
    found = benchmark(cb.gradient, eta, GAMMA)
    np.testing.assert_allclose(found, suffix_sums(eta, GAMMA), rtol=1e-6)


@pytest.mark.benchmark(group="derivatives of last, one horizon, T = 1e5")
def test_last_numpy(benchmark, eta):
    found = benchmark(suffix_sums, eta, GAMMA)
    np.testing.assert_allclose(found, cb.gradient(eta, GAMMA), rtol=1e-6)


@pytest.mark.benchmark(group="derivatives of last, one horizon, T = 1e5")
def test_last_jax(benchmark, eta):
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    jnp = jax.numpy

    def bound(x):
        S = jnp.cumsum(x[::-1])[::-1]
        return 1 / (2 * GAMMA * S[0]) + GAMMA / 2 * (x[-1] + (x[:-1] ** 2 / S[1:]).sum())

    slope = jax.jit(jax.grad(bound))
    x = jnp.asarray(eta)
    slope(x).block_until_ready()
    found = benchmark(lambda: slope(x).block_until_ready())
    np.testing.assert_allclose(np.asarray(found), cb.gradient(eta, GAMMA), rtol=1e-6)


@pytest.mark.benchmark(group="derivatives of last, one horizon, T = 1e5")
def test_last_bound_alone(benchmark, eta):
    assert benchmark(cb.bound, eta, GAMMA) > 0


@pytest.mark.parametrize("kind", ["last", "tight"])
@pytest.mark.benchmark(group="derivatives of a sum over all horizons, T = 1e5")
def test_all_horizons(benchmark, eta, kind):
    weights = np.full(STEPS, 1 / STEPS)
    found = benchmark.pedantic(
        cb.gradient, (eta, GAMMA), {"kind": kind, "weights": weights}, rounds=5, warmup_rounds=1
    )
    # Along the schedule itself the sum changes as it does with gamma.
    distance, noise = cb.terms(eta, gamma=GAMMA, kind=kind, at="all")
    assert eta @ found == pytest.approx((GAMMA * noise - distance / GAMMA).mean(), rel=1e-4)


@pytest.mark.parametrize("kind", ["last", "tight"])
@pytest.mark.benchmark(group="derivatives of a sum over all horizons, T = 1e5")
def test_all_horizons_curve_alone(benchmark, eta, kind):
    assert benchmark.pedantic(cb.curve, (eta, GAMMA), {"kind": kind}, rounds=5)[-1] > 0
