"""The kernels against long double walks away from the target, on easy and hostile schedules."""

import functools
import math

import numpy as np
import pytest

import cvxbound as cb
import oracle
from cvxbound import _core

pytestmark = pytest.mark.skipif(
    not oracle.HAS_LONG_DOUBLE, reason="long double has no more digits than double here"
)

SIZES = [1, 2, 3, 31, 32, 33, 1000, pytest.param(1_000_000, marks=pytest.mark.slow)]
KINDS = ["last", "tight"]


@functools.lru_cache(maxsize=2)
def cases(steps):
    return oracle.schedules(steps, np.random.default_rng(steps))


def split(case, horizons, kind, last_step="given", gamma=None, method="direct", rtol=1e-12):
    """distance, noise and rho of the core itself, so that rho can be given to the oracle."""
    none = np.zeros(0, np.int64)
    one = np.zeros(1, np.int64)
    found = _core.terms(
        np.ascontiguousarray(case.eta)[None],
        np.ascontiguousarray(case.norm)[None],
        None if gamma is None else np.array([gamma]),
        one,
        one,
        none if gamma is None else one,
        None if horizons is None else np.asarray(horizons, np.int64),
        getattr(_core.Kind, kind),
        getattr(_core.LastStep, last_step),
        getattr(_core.Method, method),
        rtol,
        0,
        True,
    )
    return [array[0] for array in found]


def assert_terms(distance, noise, lanes, kind, rtol):
    """Both terms within rtol of the oracle's; infinite exactly where its value leaves the range."""
    for name, value, exact in zip(
        ("distance", "noise"), (distance, noise), oracle.walk(lanes, kind), strict=True
    ):
        with np.errstate(over="ignore", invalid="ignore"):
            rounded = exact.astype(np.float64)
            error = np.abs(value - exact) / np.where(exact == 0, 1, np.abs(exact))
        error[value == rounded] = 0
        worst = int(np.argmax(np.nan_to_num(error, nan=np.inf)))
        assert error[worst] <= rtol, (name, lanes[worst].horizon, value[worst], exact[worst])


@pytest.mark.parametrize("steps", SIZES)
def test_one_horizon_of_last(steps):
    """Relative error at most 1e-14 log2(T) where each horizon is walked by itself."""
    horizons = oracle.horizons(steps)
    distances, noises, lanes = [], [], []
    for case in cases(steps):
        for t in horizons:
            distance, noise, rho = split(case, [t], "last")
            assert rho[0] == case.eta[t - 1]
            distances.append(distance[0])
            noises.append(noise[0])
            lanes.append(oracle.Lane(case.eta, case.norm, t, rho[0]))
    rtol = 1e-14 * max(1, np.log2(steps))
    assert_terms(np.array(distances), np.array(noises), lanes, "last", rtol)


@pytest.mark.parametrize("steps", SIZES)
def test_one_horizon_of_tight(steps):
    """The split at the rho found is the walk's from that rho, to 1e-14 log2(T)."""
    horizons = [t for t in oracle.horizons(steps) if t > 1][-10:]
    distances, noises, lanes = [], [], []
    for case in cases(steps):
        distance, noise, rho = split(case, horizons or [1], "tight")
        distances.extend(distance)
        noises.extend(noise)
        lanes.extend(
            oracle.Lane(case.eta, case.norm, t, r)
            for t, r in zip(horizons or [1], rho, strict=True)
        )
    rtol = 1e-14 * max(1, np.log2(steps))
    assert_terms(np.array(distances), np.array(noises), lanes, "tight", rtol)


@pytest.mark.parametrize("steps", [1, 2, 31, 33, 255, 256, 257, 1000, 20_000])
def test_direct_curve(steps):
    """1e-13 on the tiled all-horizons kernel."""
    for case in cases(steps):
        omega = cb.terms(case.eta, G=case.norm, at="all", method="direct")
        horizons = oracle.horizons(steps)
        lanes = [oracle.Lane(case.eta, case.norm, t, case.eta[t - 1]) for t in horizons]
        at = np.array(horizons) - 1
        assert_terms(omega.distance[at], omega.noise[at], lanes, "last", 1e-13)


@pytest.mark.parametrize("steps", [1, 2, 33, 300])
def test_direct_tight_curve(steps):
    """Every horizon of `tight`, at the rho found for it."""
    horizons = np.arange(1, steps + 1)
    for case in cases(steps):
        distance, noise, rho = split(case, horizons, "tight")
        lanes = [oracle.Lane(case.eta, case.norm, t, r) for t, r in zip(horizons, rho, strict=True)]
        assert_terms(distance, noise, lanes, "tight", 1e-13)


@pytest.mark.parametrize("steps", [1, 2, 33, 1000, 100_000])
def test_average(steps):
    """Exact sums of the whole prefix, divided once."""
    for case in cases(steps):
        omega = cb.terms(case.eta, G=case.norm, kind="average", at="all")
        for t in oracle.horizons(steps):
            length = math.fsum(case.eta[:t])
            squares = math.fsum((case.eta[:t] * case.norm[:t]) ** 2)
            if length > 0:
                assert omega.distance[t - 1] == pytest.approx(0.5 / length, rel=1e-15)
                assert omega.noise[t - 1] == pytest.approx(0.5 * squares / length, rel=1e-14)
            else:
                assert (omega.distance[t - 1], omega.noise[t - 1]) == (np.inf, 0)


@pytest.mark.slow
def test_direct_curve_of_a_million_steps():
    """1e-13 at a million steps, the last ten horizons among them (a minute of computing)."""
    steps = 1_000_000
    case = next(case for case in cases(steps) if case.name == "cosine, random norms")
    omega = cb.terms(case.eta, G=case.norm, at="all", method="direct")
    horizons = oracle.horizons(steps)
    lanes = [oracle.Lane(case.eta, case.norm, t, case.eta[t - 1]) for t in horizons]
    at = np.array(horizons) - 1
    assert_terms(omega.distance[at], omega.noise[at], lanes, "last", 1e-13)


def test_last_value_of_a_long_cosine():
    """Prefix sums leave no digit of a cosine's last steps; walking from the target keeps all."""
    steps = 10_000_000
    eta = np.array(cb.schedules.cosine(steps))
    distance, noise = cb.terms(eta)
    exact = oracle.walk([oracle.Lane(eta[-1000:], np.ones(1000), 1000, eta[-1])], "last")
    far = np.cumsum(eta[:-1000][::-1].astype(np.longdouble))
    gap = 0.5 / exact[0][0]
    length = gap + far
    more = np.sum(eta[:-1000][::-1].astype(np.longdouble) ** 2 / (gap + far - eta[:-1000][::-1]))
    assert float(abs(distance * 2 * length[-1] - 1)) < 2e-13
    assert float(abs(noise / (exact[1][0] + more / 2) - 1)) < 2e-13


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [1e-290, 1e-40, 1e40, 1e290])
def test_extreme_scales(kind, scale):
    """Omega of (s eta, gamma / s) is Omega of (eta, gamma), however far from one s is."""
    eta = np.random.default_rng(0).random(700) + 1e-3
    expected = cb.curve(eta, 0.1, kind=kind, at=[1, 300, 700])
    found = cb.curve(eta * scale, 0.1 / scale, kind=kind, at=[1, 300, 700])
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize(("method", "rtol"), [("direct", 1e-13), ("fast", 1e-12)])
def test_steps_over_the_whole_range(method, rtol):
    """Six hundred decades in one schedule: no overflow, no NaN, right to rtol."""
    rng = np.random.default_rng(1)
    eta = 10.0 ** rng.uniform(-300, 299, 600)
    omega = cb.terms(eta, at="all", method=method)
    lanes = [oracle.Lane(eta, np.ones(600), t, eta[t - 1]) for t in range(1, 601)]
    assert_terms(omega.distance, omega.noise, lanes, "last", rtol)
    assert np.isfinite(cb.bound(eta, 1e-290, kind="tight"))
