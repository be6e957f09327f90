"""All horizons in linear time: as accurate as asked for, whatever the schedule and the threads."""

import functools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cvxbound as cb
import oracle
from cvxbound import _core, _names
from test_accuracy import assert_terms, split

SIZES = [1, 2, 31, 32, 33, 160, 161, 1023, 1024, 1025, 4099]
LARGE = pytest.param(1_000_003, marks=pytest.mark.slow)
RTOLS = [1e-6, 1e-9, 1e-12]

needs_long_double = pytest.mark.skipif(
    not oracle.HAS_LONG_DOUBLE, reason="long double has no more digits than double here"
)


@functools.lru_cache(maxsize=2)
def cases(steps):
    """Ordinary and hostile ones; every fifth of the longest."""
    rng = np.random.default_rng(steps)
    every = oracle.schedules(steps, rng) + oracle.hostile(steps, rng)
    return every[::5] if steps > 100_000 else every


def some_horizons(steps, count=60):
    """Some early and late, the ends of tiles, and random ones; few of a long schedule."""
    if steps > 100_000:
        return np.array([1000, steps // 2, steps - 1, steps])
    random = np.random.default_rng(steps).integers(1, steps + 1, count)
    edges = [t for t in (32, 33, 64, 65, 96, 160, 161, 288, 289) if t <= steps]
    return np.unique([*oracle.horizons(steps), *edges, *random])


def bound_of(distance, noise, gamma=None):
    """At gamma, or at the best one."""
    with np.errstate(over="ignore", invalid="ignore"):
        if gamma is None:
            return 2 * np.sqrt(distance) * np.sqrt(noise)
        return distance / gamma + gamma * noise


@functools.lru_cache(maxsize=2)
def last_lanes(steps):
    """For each case the horizons to look at, its lanes and the oracle's terms there."""
    at = some_horizons(steps)
    found = []
    for case in cases(steps):
        lanes = [oracle.Lane(case.eta, case.norm, t, case.eta[t - 1]) for t in at]
        with np.errstate(over="ignore"):
            noise = oracle.walk(lanes, "last")[1]
        # Sums are made of numbers up to a few powers of two larger.
        keep = np.isinf(noise) | (noise < 1e307)
        found.append((case, at[keep] - 1, [lanes[i] for i in np.flatnonzero(keep)]))
    return found


# --- accuracy ------------------------------------------------------------------------------------


@needs_long_double
@pytest.mark.parametrize("steps", [*SIZES, LARGE])
@pytest.mark.parametrize("rtol", RTOLS)
def test_last(steps, rtol):
    for case, chosen, lanes in last_lanes(steps):
        distance, noise, _ = split(case, None, "last", method="fast", rtol=rtol)
        assert_terms(distance[chosen], noise[chosen], lanes, "last", rtol)


@needs_long_double
@pytest.mark.parametrize("steps", [*SIZES[:-1], 3001])
@pytest.mark.parametrize("rtol", RTOLS)
@pytest.mark.parametrize("gamma", [None, 0.1])
def test_tight(steps, gamma, rtol):
    """The split is the walk's from the rho returned."""
    at = some_horizons(steps)
    for case in cases(steps):
        distance, noise, rho = split(case, None, "tight", gamma=gamma, method="fast", rtol=rtol)
        ordinary = (rho[at - 1] > 1e-300) & (rho[at - 1] < 1e300) & np.isfinite(noise[at - 1])
        chosen = at[ordinary]
        lanes = [oracle.Lane(case.eta, case.norm, t, rho[t - 1]) for t in chosen]
        if lanes:
            assert_terms(distance[chosen - 1], noise[chosen - 1], lanes, "tight", rtol)


@pytest.mark.parametrize("gamma", [None, 0.03, 3.0])
@pytest.mark.parametrize(("kind", "last_step"), [("tight", "given"), ("last", "free")])
@pytest.mark.parametrize("steps", [1, 2, 33, 300, 1025])
def test_the_best_last_step_is_found(steps, kind, last_step, gamma):
    """Never more than 1e-9 above what walking each horizon by itself finds."""
    at = some_horizons(steps, 20)
    for case in cases(steps):
        fast = split(case, None, kind, last_step, gamma, "fast")
        direct = split(case, at, kind, last_step, gamma, "direct")
        found = bound_of(fast[0][at - 1], fast[1][at - 1], gamma)
        expected = bound_of(direct[0], direct[1], gamma)
        # Beyond, neither method is sure to find what a double can still hold. Without noise in the
        # last step taken, `last` falls towards zero with rho, and stops somewhere.
        good = expected < 1e280
        worst = np.max(found[good] - expected[good] * (1 + 1e-9), initial=-1.0)
        assert worst <= 1e-11, case.name


@pytest.mark.parametrize("name", ["wild, then smooth", "warm restarts", "bursts", "rising"])
def test_no_rho_on_a_dense_grid_does_better(name):
    """Where rho is interpolated between neighbours, too."""
    steps = 700
    case = next(case for case in cases(steps) if case.name == name)
    distance, noise, _ = split(case, None, "tight", method="fast")
    grid = np.geomspace(1e-9, 1e6, 3000)
    for t in range(2, steps + 1, 3):
        walked = _core.walk(_core.Kind.tight, case.eta[:t].copy(), None, grid)
        best = bound_of(*walked).min()
        assert bound_of(distance[t - 1], noise[t - 1]) <= best * (1 + 1e-9)


@pytest.mark.parametrize("method", ["direct", "fast"])
@pytest.mark.parametrize("gamma", [None, 1e-3, 1e3])
@pytest.mark.parametrize("kind", ["last", "tight"])
def test_norms_over_many_decades(kind, gamma, method):
    """Against a dense grid that the search knows nothing of."""
    rng = np.random.default_rng(0)
    grid = np.geomspace(1e-80, 1e60, 8000)
    for steps in (2, 3, 8, 31, 40):
        for decades in (3, 30):
            eta = 10.0 ** rng.uniform(-2, 0, steps)
            norm = 10.0 ** rng.uniform(-decades, 0, steps)
            case = oracle.Case("", eta, norm)
            distance, noise, _ = split(case, [steps], kind, "free", gamma, method)
            best = bound_of(*_core.walk(getattr(_core.Kind, kind), eta, norm, grid), gamma).min()
            assert bound_of(distance[0], noise[0], gamma) <= best * (1 + 1e-9)


def valleys(eta, norm, gamma):
    """Excess over a dense grid at the last horizon, from the search on the maps."""
    case = oracle.Case("", eta, norm)
    found = split(case, [eta.size], "tight", "given", gamma, "fast")
    grid = np.geomspace(eta[:-1].min() * 1e-3, eta[:-1].sum() * 1e3, 1000)
    best = bound_of(*_core.walk(_core.Kind.tight, eta, norm, grid), gamma).min()
    return bound_of(found[0][0], found[1][0], gamma) / best - 1


@pytest.mark.parametrize("trials", [300, pytest.param(20_000, marks=pytest.mark.slow)])
def test_two_minima_that_are_about_equal(trials):
    """Hill climbing on the excess drives schedules to where two minima compete."""
    rng = np.random.default_rng(trials)
    worst = 0.0
    while trials > 0:
        steps = int(rng.integers(3, 14)) if rng.random() < 0.6 else int(rng.integers(34, 80))
        eta = 10.0 ** rng.uniform(-rng.choice([1, 3, 6]), 0, steps)
        norm = 10.0 ** rng.uniform(-rng.choice([0, 1, 3]), 0, steps)
        gamma = None if rng.random() < 0.6 else 10.0 ** rng.uniform(-2, 6)
        excess = valleys(eta, norm, gamma)
        for _ in range(50):
            move = rng.normal(size=(2, steps)) * (rng.random((2, steps)) < 0.3)
            size = rng.choice([0.02, 0.2, 1.0])
            other = eta * 10.0 ** (size * move[0]), norm * 10.0 ** (0.2 * size * move[1])
            if (new := valleys(*other, gamma)) > excess:
                eta, norm = other
                excess = new
            trials -= 1
        worst = max(worst, excess)
    assert worst < 1e-9


# --- laws ----------------------------------------------------------------------------------------

step_sizes = st.one_of(st.just(0.0), st.floats(1e-6, 1e3), st.floats(0.5, 2))
# Runs of equal steps, single steps, and their repetition: long schedules from few choices.
pieces = st.lists(
    st.tuples(step_sizes, st.integers(1, 90), st.floats(0.9, 1.1)), min_size=1, max_size=8
)
quick = settings(max_examples=60)


def assemble(parts):
    runs = [first * ratio ** np.arange(length) for first, length, ratio in parts]
    return np.concatenate(runs)


@quick
@given(parts=pieces, last_step=st.sampled_from(["given", "repeat", "free"]), seed=st.integers(0, 9))
def test_equal_to_the_direct_method(parts, last_step, seed):
    eta = assemble(parts)
    norm = 10.0 ** np.random.default_rng(seed).uniform(-1, 1, eta.size) if seed else 1.0
    fast = cb.curve(eta, 0.5, G=norm, last_step=last_step, method="fast")
    direct = cb.curve(eta, 0.5, G=norm, last_step=last_step, method="direct")
    np.testing.assert_allclose(fast, direct, rtol=1e-9 if last_step == "free" else 1e-12)


@quick
@given(parts=pieces, exponent=st.integers(-30, 30))
def test_scaling(parts, exponent):
    """Omega of (s eta, gamma / s) is Omega of (eta, gamma)."""
    eta, scale = assemble(parts), 4.0**exponent
    for kind in ("last", "tight"):
        expected = cb.curve(eta, 0.5, kind=kind, method="fast")
        found = cb.curve(eta * scale, 0.5 / scale, kind=kind, method="fast")
        np.testing.assert_allclose(found, expected, rtol=1e-9 if kind == "tight" else 1e-12)


@quick
@given(parts=pieces)
def test_a_horizon_does_not_see_later_steps(parts):
    eta = assemble(parts)
    full = cb.curve(eta, 0.5, method="fast")
    t = eta.size // 2 + 1
    np.testing.assert_allclose(cb.curve(eta[:t], 0.5, method="fast"), full[:t], rtol=1e-12)


@quick
@given(parts=pieces)
def test_tight_is_never_above_last(parts):
    eta = assemble(parts)
    tight = cb.tune(eta, kind="tight", at="all", method="fast").omega
    last = cb.tune(eta, at="all", method="fast").omega
    assert np.all(tight <= last * (1 + 1e-9))


# --- how it is called ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["last", "tight"])
def test_threads_do_not_change_a_bit(kind):
    eta = np.array(cb.schedules.wsd(150_001, warmup=0.01))
    eta[70_000:70_100] *= np.random.default_rng(0).random(100)
    one = cb.terms(eta, kind=kind, at="all", method="fast", nthreads=1)
    for nthreads in (2, 3, 7):
        many = cb.terms(eta, kind=kind, at="all", method="fast", nthreads=nthreads)
        np.testing.assert_array_equal(many, one)


@pytest.mark.parametrize("kind", ["last", "tight"])
def test_chosen_horizons(kind):
    """In any order, and more than once."""
    eta = np.array(cb.schedules.cosine(50_000, warmup=100))
    full = cb.curve(eta, 0.1, kind=kind, method="fast")
    at = np.array([50_000, 1, 33, 32, 49_999, 20_000, 33, 16_385, 16_384, 16_416, 16_417])
    chosen = cb.curve(eta, 0.1, kind=kind, method="fast", at=at)
    np.testing.assert_allclose(chosen, full[at - 1], rtol=1e-9 if kind == "tight" else 1e-14)


@pytest.mark.parametrize("kind", ["last", "tight"])
@pytest.mark.parametrize(("items", "steps"), [(50, 700), (3, 20_000)])
def test_batches(kind, items, steps):
    rng = np.random.default_rng(items)
    eta, norm = rng.random((items, steps)) + 1e-3, rng.random((2, 1, steps)) + 0.1
    both = cb.curve(eta, 0.3, G=norm, kind=kind, method="fast", nthreads=2)
    assert both.shape == (2, items, steps)
    for i in (0, items - 1):
        alone = cb.curve(eta[i], 0.3, G=norm[1, 0], kind=kind, method="fast", nthreads=1)
        np.testing.assert_array_equal(both[1, i], alone)


def test_a_workspace_is_used_again():
    """Schedules of one batch that have nothing in common but their memory."""
    rng = np.random.default_rng(0)
    batch = np.stack([rng.random(3000), 1e200 * rng.random(3000), np.zeros(3000), np.ones(3000)])
    together = cb.curve(batch, 1e-3, method="fast", nthreads=1)
    for row, expected in zip(batch, together, strict=True):
        np.testing.assert_array_equal(cb.curve(row, 1e-3, method="fast"), expected)


def test_zero_steps():
    for kind in ("last", "tight"):
        omega = cb.curve(np.zeros(1000), kind=kind, method="fast")
        np.testing.assert_array_equal(omega, np.inf if kind == "last" else 1.0)
    eta = np.r_[np.zeros(300), 1.0, np.zeros(300), 0.5]
    omega = cb.curve(eta, method="fast")
    assert np.isinf(omega[:300]).all()
    assert np.isinf(omega[301:601]).all()
    assert omega[601] == pytest.approx(0.5 / 1.5 + 0.5 * (0.5 + 1 / 0.5), rel=1e-12)


def test_steps_too_small_for_maps_are_walked():
    """Below 1e-300 the fast method hands over to the direct one."""
    eta = np.r_[np.full(500, 1e-305), 1.0, 1.0]
    np.testing.assert_array_equal(cb.curve(eta, method="fast"), cb.curve(eta, method="direct"))


def test_auto_takes_the_cheaper_method():
    long = np.array(cb.schedules.cosine(20_000))
    np.testing.assert_array_equal(cb.curve(long), cb.curve(long, method="fast"))
    at = [19_999]
    np.testing.assert_array_equal(cb.curve(long, at=at), cb.curve(long, at=at, method="direct"))
    strict = cb.curve(long[:3000], rtol=1e-13)
    np.testing.assert_array_equal(strict, cb.curve(long[:3000], method="direct"))


def test_less_accuracy_is_another_result():
    """rtol reaches the kernels."""
    eta = np.random.default_rng(0).random(2000)
    exact = cb.curve(eta, method="direct")
    errors = [np.max(np.abs(cb.curve(eta, method="fast", rtol=r) / exact - 1)) for r in RTOLS]
    assert errors[0] > 10 * errors[1] > 100 * errors[2]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"rtol": 1e-13, "method": "fast"}, ValueError, "rtol must be at least 1e-12"),
        ({"rtol": 0}, ValueError, "rtol must be positive and finite; found 0"),
        ({"rtol": [1e-6]}, TypeError, "rtol must be a scalar"),
        ({"method": "fats"}, ValueError, "did you mean 'fast'"),
    ],
)
def test_bad_arguments(arguments, error, message):
    for function in (cb.curve, cb.terms, cb.tune):
        with pytest.raises(error, match=message):
            function(np.ones(5), **arguments)


def test_every_method_has_a_name():
    assert {name.replace("auto", "automatic", 1) for name in _names.Method.__args__} == {
        method.name for method in _core.Method
    }


def test_memory():
    """At most 64 bytes a step besides input and result, here of `tight` with norms."""
    steps = 3_000_000
    code = f"""
import resource, numpy as np, cvxbound as cb
eta, norm = np.ones({steps}), np.linspace(1, 2, {steps})
cb.curve(eta[:1000], G=norm[:1000], kind="tight", method="fast")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
omega = cb.curve(eta, G=norm, kind="tight", method="fast", rtol=1e-6)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(done.stdout) * unit <= steps * (8 + 64)
