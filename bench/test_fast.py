"""All horizons in linear time, against other methods that are nearly linear, and against itself."""

import importlib.util

import numpy as np
import pytest

import cvxbound as cb
import peers
import rivals
from cvxbound import _core

HUGE = pytest.param(10_000_000, marks=pytest.mark.slow)
SIZES = [100_000, 1_000_000]

needs_jax = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="jax is not installed"
)
needs_fmm2d = pytest.mark.skipif(
    importlib.util.find_spec("fmm2dpy") is None, reason="fmm2dpy is not installed"
)


def schedule(steps):
    return np.array(cb.schedules.cosine(steps))


def assert_curve(omega, eta, rtol):
    """Some horizons, each by a walk of its own."""
    steps = len(eta)
    at = np.unique(
        np.r_[1, 2, 3, 1000, np.linspace(1, steps, 40).astype(int), steps - 9 : steps + 1]
    )
    at = at[at <= steps]
    np.testing.assert_allclose(omega[at - 1], cb.curve(eta, at=at, method="direct"), rtol=rtol)


def fast(rtol):
    return lambda eta: cb.curve(eta, method="fast", rtol=rtol)


METHODS = [
    pytest.param(fast(1e-12), 1e-12, id="cvxbound"),
    pytest.param(fast(1e-9), 1e-9, id="rtol 1e-9"),
    pytest.param(fast(1e-6), 1e-6, id="rtol 1e-6"),
    pytest.param(
        lambda eta: rivals.exponential_curve(eta, 1e-10),
        1e-9,
        id="jax, sum of exponentials, 1e-10",
        marks=needs_jax,
    ),
    pytest.param(
        lambda eta: rivals.exponential_curve(eta, 1e-12),
        1e-12,
        id="jax, sum of exponentials, 1e-12",
        marks=needs_jax,
    ),
]


@pytest.mark.parametrize("steps", SIZES)
@pytest.mark.parametrize(("method", "rtol"), METHODS)
def test_last(measure, benchmark, steps, method, rtol):
    benchmark.group = f"fast last curve, T = {steps}"
    eta = schedule(steps)
    assert_curve(measure(method, eta), eta, rtol)


@needs_fmm2d
@pytest.mark.parametrize("steps", [100_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_last_by_fmm2d(benchmark, steps):
    benchmark.group = f"fast last curve, T = {steps}"
    benchmark.name = "fmm2d, divide and conquer, 1e-12"
    eta = schedule(steps)
    omega = benchmark.pedantic(rivals.multipole_curve, args=(eta,), rounds=1, iterations=1)
    assert_curve(omega, eta, 1e-12)


def test_the_direct_kernel(measure, benchmark):
    """Times a hundred for a million steps."""
    benchmark.group = "fast last curve, T = 100000"
    benchmark.name = "direct"
    eta = schedule(100_000)
    assert_curve(measure(lambda x: cb.curve(x, method="direct"), eta), eta, 1e-12)


@pytest.mark.parametrize("kind", ["last", "tight"])
@pytest.mark.parametrize("steps", [*SIZES, HUGE])
def test_growth(measure, benchmark, steps, kind):
    benchmark.group = f"how it grows: {kind}"
    benchmark.name = "cvxbound" if steps == SIZES[0] else f"T = {steps}"
    eta = schedule(steps)
    omega = measure(lambda: cb.curve(eta, kind=kind, method="fast"), rounds=3)
    at = np.array([1000, steps // 2, steps])
    expected = cb.curve(eta, kind=kind, at=at, method="direct")
    np.testing.assert_allclose(omega[at - 1], expected, rtol=1e-9)


@pytest.mark.parametrize("kind", ["last", "tight"])
def test_kinds(measure, benchmark, kind):
    """`tight` is searched at every horizon."""
    benchmark.group = "last and tight, T = 1000000"
    benchmark.name = "cvxbound last" if kind == "last" else "tight"
    eta = schedule(1_000_000)
    omega = measure(lambda: cb.curve(eta, kind=kind), rounds=3)
    distance, noise = _core.walk(_core.Kind.tight, eta, None, np.geomspace(1e-9, 1e3, 2000))
    if kind == "tight":
        assert omega[-1] <= (distance + noise).min() * (1 + 1e-9)
    else:
        assert_curve(omega, eta, 1e-12)


def batch_of_short():
    return np.random.default_rng(0).random((10_000, 1_000)) + 1e-3


@pytest.mark.parametrize(
    "method",
    [cb.curve, peers.four_fraction_curves],
    ids=["cvxbound", "numba, one division for four"],
)
def test_batch(measure, benchmark, method):
    benchmark.group = "10 000 schedules of 1 000 steps, all horizons"
    batch = batch_of_short()
    omega = measure(method, batch, rounds=3)
    for i in (0, 77, 9_999):
        np.testing.assert_allclose(omega[i], peers.suffix_sum_curve(batch[i]), rtol=1e-10)


def test_one_schedule_as_long(measure, benchmark):
    benchmark.group = "10 000 schedules of 1 000 steps, all horizons"
    benchmark.name = "one schedule of 10 000 000 steps"
    eta = batch_of_short().ravel()
    omega = measure(cb.curve, eta, rounds=3)
    at = np.array([1000, 10_000_000])
    np.testing.assert_allclose(omega[at - 1], cb.curve(eta, at=at, method="direct"), rtol=1e-12)


def test_floor(measure, benchmark):
    """Reading steps and writing a result is the least any method does."""
    benchmark.group = "fast last curve, T = 1000000"
    benchmark.name = "floor: numpy, read and write once"
    eta = schedule(1_000_000)
    assert measure(np.negative, eta, rounds=20)[0] == -1
