"""One horizon of a million steps: a single backward walk, or a search over the free last step."""

import numpy as np
import pytest

import cvxbound as cb
import peers
from cvxbound import _core, reference

STEPS = 1_000_000


@pytest.fixture(scope="module")
def eta():
    return np.array(cb.schedules.cosine(STEPS))


def bound(eta):
    return cb.bound(eta, nthreads=1)


@pytest.mark.parametrize(
    "method",
    [bound, peers.serial_bound, peers.numpy_bound],
    ids=["cvxbound", "numba, serial walk", "numpy, suffix sum"],
)
def test_last(measure, benchmark, eta, method):
    benchmark.group = f"one horizon of last, T = {STEPS}, one thread"
    value = measure(method, eta, pairs=STEPS, rounds=20)
    assert value == pytest.approx(cb.bound(eta), rel=1e-10)


def test_floor(measure, benchmark, eta):
    """Reading the steps once is the least any method does."""
    benchmark.group = f"one horizon of last, T = {STEPS}, one thread"
    benchmark.name = "floor: numpy max, one read"
    assert measure(np.max, eta, pairs=STEPS, rounds=20) == 1


@pytest.mark.parametrize("name", ["cosine", "linear", "wsd", "constant", "inverse_sqrt"])
def test_tune_tight(measure, benchmark, name):
    benchmark.group = f"tune, T = {STEPS}, {name}, one thread"
    benchmark.name = "tight, rho searched"
    steps = np.array(cb.schedules.by_name(name, STEPS))
    tuned = measure(lambda: cb.tune(steps, kind="tight", nthreads=1))
    assert tuned.omega <= cb.tune(steps).omega


@pytest.mark.parametrize("name", ["cosine", "linear", "wsd", "constant", "inverse_sqrt"])
def test_tune_last(measure, benchmark, name):
    benchmark.group = f"tune, T = {STEPS}, {name}, one thread"
    benchmark.name = "cvxbound last"
    steps = np.array(cb.schedules.by_name(name, STEPS))
    tuned = measure(lambda: cb.tune(steps, nthreads=1), rounds=20)
    distance = 0.5 / steps.sum()
    noise = peers.numpy_bound(steps) - distance
    assert tuned.omega == pytest.approx(2 * np.sqrt(distance * noise), rel=1e-9)


def walk(eta, rho):
    return _core.walk(_core.Kind.tight, eta, None, rho)


@pytest.mark.parametrize(
    "method", [walk, peers.tight_walk], ids=["cvxbound", "numba, lanes over rho"]
)
def test_tight_at_given_rho(measure, benchmark, eta, method):
    benchmark.group = f"tight at 64 given rho, T = {STEPS}, one thread"
    rho = np.geomspace(1e-6, 1e2, 64)
    distance, noise = measure(method, eta, rho, pairs=STEPS * len(rho))
    for other in (walk, peers.tight_walk):
        expected = other(eta, rho[::16].copy())
        np.testing.assert_allclose(distance[::16], expected[0], rtol=1e-9)
        np.testing.assert_allclose(noise[::16], expected[1], rtol=1e-9)


@pytest.mark.parametrize("kind", ["last", "tight"])
def test_batch_of_short_schedules(measure, benchmark, kind):
    benchmark.group = f"10 000 schedules of 1 000 steps, {kind}"
    benchmark.name = "cvxbound, all at once"
    rng = np.random.default_rng(0)
    batch = rng.random((10_000, 1_000)) + 1e-3
    omega = measure(lambda: cb.bound(batch, kind=kind), pairs=batch.size, rounds=3)
    for i in (0, 7, 9_999):
        if kind == "last":
            expected = peers.numpy_bound(batch[i])
        else:
            expected = float(reference.bound(batch[i], kind=kind))
        assert omega[i] == pytest.approx(expected, rel=1e-9)
