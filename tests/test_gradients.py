"""Derivatives of bounds: against differences in high precision, and the laws they obey."""

import functools
import itertools

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import mpmath
import numpy as np
import pytest

import cvxbound as cb
import oracle
from cvxbound import _autodiff, _core

KINDS = ["last", "tight", "average"]
FREEDOMS = [("last", "given"), ("last", "repeat"), ("last", "free"), ("tight", "free")]


def schedule_of(steps, name, seed=0):
    rng = np.random.default_rng((seed, steps))
    return {
        "cosine": lambda: cb.schedules.cosine(steps, warmup=min(5, steps // 3)).eta.copy(),
        "wsd": lambda: cb.schedules.wsd(steps, cooldown=0.3, shape="1-sqrt").eta.copy(),
        "random": lambda: rng.lognormal(0, 1.5, steps),
        "zeros": lambda: np.where(np.arange(steps) % 3 == 1, 0.0, rng.random(steps) + 0.1),
    }[name]()


def norms_of(steps, seed=1):
    return np.random.default_rng((seed, steps)).lognormal(0, 0.7, steps)


# --- against differences in high precision -----------------------------------------------------


def exact_bound(eta, norm, horizon, gamma, kind, last_step):
    """One bound in mpmath."""
    distance, noise = exact_terms(eta, norm, horizon, gamma, kind, last_step)
    return 2 * mpmath.sqrt(distance * noise) if gamma is None else distance / gamma + gamma * noise


def exact_terms(eta, norm, horizon, gamma, kind, last_step):
    """Its terms; a free last step is where the derivative over log rho vanishes."""

    def terms(rho):
        if kind == "average":
            S = sum(eta[: horizon - 1], rho)
            Q = sum((e * e * g * g for e, g in zip(eta[: horizon - 1], norm, strict=False)), 0)
            return 1 / (2 * S), (Q + (rho * norm[horizon - 1]) ** 2) / (2 * S)
        R, noise = rho, rho * norm[horizon - 1] ** 2
        for k in range(horizon - 2, -1, -1):
            noise += (eta[k] * norm[k]) ** 2 / R
            R = R + eta[k] if kind == "last" else (R + eta[k]) ** 2 / R
        return 1 / (2 * R), noise / 2

    def value(rho):
        distance, noise = terms(rho)
        if gamma is None:
            return 2 * mpmath.sqrt(distance * noise)
        return distance / gamma + gamma * noise

    if last_step != "free":
        return terms(eta[horizon - 2 if last_step == "repeat" and horizon > 1 else horizon - 1])
    x = mpmath.log(start_of(eta, norm, horizon, gamma, kind))
    h = mpmath.mpf(10) ** -15
    for _ in range(4):  # Newton, from within 1e-4 of the best log rho
        low, middle, high = (value(mpmath.exp(x + i * h)) for i in (-1, 0, 1))
        bend = (high - 2 * middle + low) / h**2
        if bend > mpmath.mpf(10) ** -20 * middle:
            x -= (high - low) / (2 * h) / bend
    return terms(mpmath.exp(x))


def best_rho(eta, norm, gamma, kind):
    """The virtual last steps that the core finds, at every horizon."""
    one, none = np.zeros(1, np.int64), np.zeros(0, np.int64)
    rate, rate_row = (None, none) if gamma is None else (np.array([gamma]), one)
    kind, free, direct = getattr(_core.Kind, kind), _core.LastStep.free, _core.Method.direct
    rows = (eta[None].copy(), norm[None].copy(), rate, one, one, rate_row)
    return _core.terms(*rows, None, kind, free, direct, 1e-12, 1, True)[2][0]


@functools.cache
def _start(eta, norm, gamma, kind):
    return best_rho(np.array(eta), np.array(norm), gamma, kind)[-1]


def start_of(eta, norm, horizon, gamma, kind):
    """The same for all the neighbours of a difference."""
    rounded = (tuple(max(round(float(x), 12), 0.0) for x in y[:horizon]) for y in (eta, norm))
    return _start(*rounded, gamma and round(float(gamma), 12), kind)


def differences(eta, norm, weights, gamma, kind, last_step, wrt):
    """Central differences of weighted bounds, whose error is about 1e-20."""

    def weighted(eta, norm):
        return sum(
            mpmath.mpf(weight) * exact_bound(eta, norm, t, gamma, kind, last_step)
            for t, weight in enumerate(weights, start=1)
            if weight
        )

    return differences_of(weighted, eta, norm, wrt)


def differences_of(function, eta, norm, wrt):
    with mpmath.workdps(60):
        h = mpmath.mpf(10) ** -14
        arrays = {"eta": [mpmath.mpf(x) for x in eta], "G": [mpmath.mpf(x) for x in norm]}
        found = []
        for k, x in enumerate(arrays[wrt]):
            values = []
            for sign in (1, -1):
                arrays[wrt][k] = x + sign * h
                values.append(function(arrays["eta"], arrays["G"]))
            arrays[wrt][k] = x
            found.append(float((values[0] - values[1]) / (2 * h)))
    return np.array(found)


@pytest.mark.parametrize("gamma", [None, 0.3])
@pytest.mark.parametrize(
    "kind, last_step", [*FREEDOMS, ("average", "given"), ("average", "repeat"), ("average", "free")]
)
def test_differences_in_high_precision(kind, last_step, gamma):
    for steps, name in itertools.product([1, 2, 3, 9], ["cosine", "random"]):
        eta, norm = schedule_of(steps, name), norms_of(steps)
        weights = np.random.default_rng(steps).normal(size=steps)
        for wrt in ("eta", "G"):
            exact = differences(eta, norm, weights, gamma, kind, last_step, wrt)
            error = 1e-11 * (np.abs(exact).max() + np.abs(weights).max())
            for method in ("direct", "fast"):
                options = {"kind": kind, "last_step": last_step, "method": method, "wrt": wrt}
                found = cb.gradient(eta, gamma, G=norm, weights=weights, **options)
                where = f"{steps} {method}"
                np.testing.assert_allclose(found, exact, rtol=0, atol=error, err_msg=where)


@pytest.mark.parametrize("gamma", [None, 0.3])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [1, 2, 9])
def test_terms_whose_last_step_is_free_in_high_precision(kind, gamma, steps):
    eta, norm = schedule_of(steps, "random"), norms_of(steps)
    weights = np.random.default_rng(steps).normal(size=(2, steps))
    choice = _autodiff.Choice(kind, "free", None)

    def weighted(eta, norm, gamma=gamma):
        return sum(
            mpmath.mpf(of_distance) * distance + mpmath.mpf(of_noise) * noise
            for t, (of_distance, of_noise) in enumerate(weights.T, start=1)
            for distance, noise in [exact_terms(eta, norm, t, gamma, kind, "free")]
        )

    def slope(wrt):
        rate = None if gamma is None else np.asarray(gamma)
        return _autodiff.terms_slope(*weights, eta, rate, norm, choice, wrt)

    for wrt in ("eta", "G"):
        exact = differences_of(weighted, eta, norm, wrt)
        error = 1e-11 * (np.abs(exact).max() + np.abs(weights).max())
        np.testing.assert_allclose(slope(wrt), exact, rtol=0, atol=error)
    if gamma is not None:
        with mpmath.workdps(60):
            h, rate = mpmath.mpf(10) ** -14, mpmath.mpf(gamma)
            low, high = (weighted(eta.tolist(), norm.tolist(), rate + x) for x in (-h, h))
            exact = float((high - low) / (2 * h))
        assert slope("gamma") == pytest.approx(exact, rel=1e-10, abs=1e-11 * np.abs(weights).max())


def test_terms_whose_last_step_hardly_counts():
    """Norms of many decades: the best last step is told by few digits of the bound, or by none."""
    eta, norm = np.array([1.07, 1.03, 0.28, 0.71]), np.array([17, 450, 9.9, 0.006])
    choice = _autodiff.Choice("last", "free", [4])

    def noise(eta, norm):
        return exact_terms(eta, norm, 4, None, "last", "free")[1]

    exact = differences_of(noise, eta, norm, "eta")
    weights = np.zeros(1), np.ones(1)
    found = _autodiff.terms_slope(*weights, eta, None, norm, choice, "eta")
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-4 * np.abs(exact).max())
    with pytest.raises(ValueError, match="almost any last step is as good"):
        _autodiff.terms_slope(*weights, eta, None, norm * [1, 40, 1, 1], choice, "eta")


@pytest.mark.parametrize("kind", ["last", "tight"])
@pytest.mark.parametrize("name", ["wsd", "random", "zeros"])
def test_one_horizon_in_high_precision(kind, name):
    steps = 40
    eta, norm = schedule_of(steps, name), norms_of(steps)
    weights = np.zeros(steps)
    weights[-1] = 1
    found = cb.gradient(eta, 0.2, G=norm, kind=kind)
    last_step = "free" if kind == "tight" else "given"
    exact = differences(eta, norm, weights, 0.2, kind, last_step, "eta")
    np.testing.assert_allclose(found, exact, rtol=1e-10, atol=1e-12 * np.abs(exact).max())


@pytest.mark.skipif(not oracle.HAS_LONG_DOUBLE, reason="long double is no more than double here")
@pytest.mark.parametrize("kind", ["last", "tight"])
@pytest.mark.parametrize("name", ["wsd", "random"])
def test_all_horizons_in_long_double(kind, name):
    steps, gamma, h = 700, 0.05, np.longdouble(1e-6)
    eta, norm = schedule_of(steps, name), norms_of(steps)
    weights = np.random.default_rng(3).random(steps)
    found = cb.gradient(eta, gamma, G=norm, kind=kind, weights=weights, method="fast")

    def bounds(steps_now, log_rho):
        lanes = [
            oracle.Lane(steps_now, norm, t, float(r))
            for t, r in enumerate(np.exp(log_rho), start=1)
        ]
        distance, noise = oracle.walk(lanes, kind)
        return distance / gamma + gamma * noise

    x = np.log(eta)
    if kind == "tight":  # Newton over log rho at every horizon, from the core's own
        x = np.log(best_rho(eta, norm, gamma, kind))
        for _ in range(2):
            low, middle, high = (bounds(eta, x + d) for d in (-1e-4, 0, 1e-4))
            x = x - np.float64((high - low) / 2 / (high - 2 * middle + low) * 1e-4)
    for k in (0, 3, 350, 690, steps - 2):
        up, down = eta.copy(), eta.copy()
        up[k] *= 1 + float(h)
        down[k] *= 1 - float(h)
        last = (np.log(up), np.log(down)) if kind == "last" else (x, x)
        width = np.longdouble(up[k]) - np.longdouble(down[k])
        slope = float((weights * (bounds(up, last[0]) - bounds(down, last[1]))).sum() / width)
        assert found[k] == pytest.approx(slope, rel=1e-8, abs=1e-8 * np.abs(found).max()), k


# --- both methods ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind, last_step", FREEDOMS)
@pytest.mark.parametrize("name", ["cosine", "random", "zeros"])
def test_fast_is_direct(kind, last_step, name):
    for steps, gamma, wrt in itertools.product(
        [31, 32, 33, 64, 65, 515], [None, 0.1], ["eta", "G"]
    ):
        eta = schedule_of(steps, name)
        previous = np.concatenate([eta[:1], eta[:-1]])
        weights = np.random.default_rng(steps).random(steps)
        weights[(previous if last_step == "repeat" else eta) == 0] = 0
        options = {"G": norms_of(steps), "kind": kind, "last_step": last_step, "weights": weights}
        direct = cb.gradient(eta, gamma, wrt=wrt, method="direct", **options)
        fast = cb.gradient(eta, gamma, wrt=wrt, method="fast", **options)
        np.testing.assert_allclose(fast, direct, rtol=0, atol=2e-9 * np.abs(direct).max())


@pytest.mark.parametrize("kind", ["last", "tight"])
def test_hostile_schedules(kind):
    """Spikes, zeros, decays over hundreds of decades: right, or refused."""
    steps, seen = 400, 0
    for case in oracle.hostile(steps, np.random.default_rng(steps)):
        options = {"G": case.norm, "kind": kind, "weights": 1.0 * (case.eta > 0)}
        try:
            direct = cb.gradient(case.eta, 0.3, method="direct", **options)
            fast = cb.gradient(case.eta, 0.3, method="fast", **options)
        except ValueError as error:
            if "has no derivative" not in str(error):
                raise
            continue
        seen += 1
        atol = 1e-10 * np.abs(case.eta * direct).max()
        np.testing.assert_allclose(case.eta * fast, case.eta * direct, rtol=0, atol=atol)
    assert seen >= 5


@pytest.mark.parametrize("kind", ["last", "tight"])
def test_a_long_schedule(kind):
    steps = 100_000
    eta = cb.schedules.wsd(steps, cooldown=0.2, warmup=1000)
    weights = np.zeros(steps)
    weights[[9, 500, 77_777, steps - 1]] = [0.1, 2, -1, 1]
    direct = cb.gradient(eta, 0.01, kind=kind, weights=weights, method="direct")
    fast = cb.gradient(eta, 0.01, kind=kind, weights=weights, method="fast")
    np.testing.assert_allclose(fast, direct, rtol=0, atol=1e-10 * np.abs(direct).max())


@pytest.mark.parametrize("kind", KINDS)
def test_threads_do_not_change_a_bit(kind):
    eta = schedule_of(40_000, "random")
    weights = np.ones(eta.size)
    options = {"kind": kind, "weights": weights, "method": "fast"}
    alone = cb.gradient(eta, 0.1, nthreads=1, **options)
    np.testing.assert_array_equal(alone, cb.gradient(eta, 0.1, nthreads=3, **options))


# --- laws --------------------------------------------------------------------------------------

STEPS = hnp.arrays(np.float64, st.integers(1, 80), elements=st.floats(1e-3, 10.0))


@hypothesis.given(STEPS, st.sampled_from(KINDS), st.floats(0.01, 10.0), st.floats(0.1, 10.0))
def test_scaling(eta, kind, gamma, factor):
    """Omega(c eta, gamma) = Omega(eta, c gamma), and D and G only set units."""
    at_scaled = cb.gradient(factor * eta, gamma, kind=kind)
    expected = cb.gradient(eta, factor * gamma, kind=kind) / factor
    scale = np.abs(expected).max()
    np.testing.assert_allclose(at_scaled, expected, rtol=0, atol=1e-8 * scale)
    in_units = cb.gradient(eta, gamma * 3 / 7, G=7.0, D=3.0, kind=kind)
    expected = 21 * cb.gradient(eta, gamma, kind=kind)
    np.testing.assert_allclose(in_units, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


@hypothesis.given(STEPS, st.sampled_from(KINDS), st.floats(0.01, 10.0))
def test_euler(eta, kind, gamma):
    """Steps and gamma come as a product, and the noise is quadratic in the norms."""
    distance, noise = cb.terms(eta, gamma=gamma, kind=kind)
    size = distance / gamma + gamma * noise
    by_eta = cb.gradient(eta, gamma, kind=kind)
    by_norm = cb.gradient(eta, gamma, kind=kind, wrt="G")
    assert eta @ by_eta == pytest.approx(gamma * noise - distance / gamma, abs=2e-4 * size)
    assert by_norm.sum() == pytest.approx(2 * gamma * noise, abs=2e-4 * size)
    tuned = cb.gradient(eta, None, kind=kind)
    assert abs(eta @ tuned) <= 1e-8 * size


@pytest.mark.parametrize("kind", KINDS)
def test_small_change(kind):
    """The derivative is what the bound changes by."""
    eta, step = cb.schedules.wsd(300).eta, np.random.default_rng(0).normal(size=300)
    change = 1e-6 * eta * step
    slope = cb.gradient(eta, 0.02, kind=kind) @ change
    assert cb.bound(eta + change, 0.02, kind=kind) - cb.bound(
        eta - change, 0.02, kind=kind
    ) == pytest.approx(2 * slope, rel=1e-6)


def test_optimal_steps_are_stationary():
    for kind in ("last", "average"):
        eta = cb.theory.optimal_steps(50, kind=kind)
        assert np.abs(eta * cb.gradient(eta, kind=kind)).max() < 1e-15
    eta = cb.theory.optimal_steps(50, kind="tight")
    assert np.abs(cb.gradient(eta, kind="tight") * eta).max() < 1e-10


# --- arguments ---------------------------------------------------------------------------------


def test_horizons_and_weights():
    eta = schedule_of(60, "random")
    every = [cb.gradient(eta, 0.3, at=t) for t in range(1, 61)]
    np.testing.assert_allclose(cb.gradient(eta, 0.3), every[-1])
    np.testing.assert_allclose(cb.gradient(eta, 0.3, at="all"), sum(every))
    chosen = cb.gradient(eta, 0.3, at=[50, 7, 50], weights=[1, 2, 3])
    np.testing.assert_allclose(chosen, 4 * every[49] + 2 * every[6], rtol=1e-12, atol=1e-15)
    weights = np.arange(60) % 4
    expected = sum(w * g for w, g in zip(weights, every, strict=True))
    np.testing.assert_allclose(cb.gradient(eta, 0.3, weights=weights), expected, rtol=1e-10)
    np.testing.assert_array_equal(cb.gradient(eta, weights=np.zeros(60)), np.zeros(60))


def test_batches():
    eta = np.random.default_rng(0).random((3, 1, 50)) + 0.1
    gamma, norm = np.array([0.1, 1.0]), norms_of(50)
    found = cb.gradient(eta, gamma, G=norm, kind="tight")
    assert found.shape == (3, 2, 50)
    for i, j in itertools.product(range(3), range(2)):
        alone = cb.gradient(eta[i, 0], gamma[j], G=norm, kind="tight")
        np.testing.assert_array_equal(found[i, j], alone)
    moved = cb.gradient(eta[:, 0].T, 0.1, axis=0)
    np.testing.assert_array_equal(moved, cb.gradient(eta[:, 0], 0.1).T)
    shares = np.eye(50)[[9, 49]]
    both = cb.gradient(eta[0, 0], 0.1, weights=shares)
    np.testing.assert_allclose(both[0], cb.gradient(eta[0, 0], 0.1, at=10))


def test_refusals():
    eta = np.array([1.0, 0.5, 0.0])
    with pytest.raises(ValueError, match=r"after step 3 has no derivative: its last step is zero"):
        cb.gradient(eta)
    assert np.isfinite(cb.gradient(eta, last_step="repeat")).all()
    assert np.isfinite(cb.gradient(eta, weights=[1, 1, 0])).all()
    with pytest.raises(ValueError, match=r"weights must be finite; found nan at index 1"):
        cb.gradient([1.0, 1.0], weights=[1, np.nan])
    with pytest.raises(ValueError, match="one entry for each of the 2 horizons"):
        cb.gradient([1.0, 1.0], weights=[1, 2, 3])
    with pytest.raises(ValueError, match="unknown wrt 'g'"):
        cb.gradient(eta, wrt="g")
    with pytest.raises(ValueError, match="after step 1 has no derivative"):
        cb.gradient([1.0, 1.0], None, G=[0.0, 1.0], at=1)
    with pytest.raises(ValueError, match=r"eta must be non-negative.*found -1.0 at index 0"):
        cb.gradient([-1.0, 1.0])
