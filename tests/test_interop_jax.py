"""Schedules from and for optax and Keras: each against the tool's own values."""

import importlib
import warnings

import numpy as np
import pytest

from cvxbound.schedules import from_array, from_keras, from_optax, wsd

jax = pytest.importorskip("jax", reason="schedules of optax and Keras are made with JAX")
jnp = jax.numpy

T, W, LR = 1000, 100, 1e-3


def rates_of(schedule):
    return schedule.eta * schedule.params["peak"]


# --- optax ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def optax():
    return pytest.importorskip("optax")


OPTAX = {
    "constant": lambda o: o.constant_schedule(LR),
    "linear": lambda o: o.linear_schedule(LR, 0.0, T),
    "polynomial": lambda o: o.polynomial_schedule(LR, 1e-5, 2, T),
    "cosine": lambda o: o.cosine_decay_schedule(LR, T, 0.1),
    "exponential": lambda o: o.exponential_decay(LR, 100, 0.5),
    "piecewise": lambda o: o.piecewise_constant_schedule(LR, {300: 0.3, 700: 0.1}),
    "interpolate": lambda o: o.piecewise_interpolate_schedule("linear", LR, {300: 0.3, 700: 0.1}),
    "linear one cycle": lambda o: o.linear_onecycle_schedule(T, LR),
    "cosine one cycle": lambda o: o.cosine_onecycle_schedule(T, LR),
    "warmup constant": lambda o: o.warmup_constant_schedule(0.0, LR, W),
    "warmup cosine": lambda o: o.warmup_cosine_decay_schedule(0.0, LR, W, T),
    "warmup exponential": lambda o: o.warmup_exponential_decay_schedule(0.0, LR, W, 100, 0.5),
    "restarts": lambda o: o.sgdr_schedule(
        [
            {
                "init_value": 0.0,
                "peak_value": LR,
                "decay_steps": T // 2,
                "warmup_steps": W,
                "end_value": 0.0,
            }
        ]
        * 2
    ),
    "joined": lambda o: o.join_schedules(
        [o.linear_schedule(0.0, LR, W), o.constant_schedule(LR), o.linear_schedule(LR, 0.0, 200)],
        [W, T - 200],
    ),
    "in Python": lambda o: lambda t: LR if t < 500 else LR / 2,
    "in NumPy": lambda o: lambda t: np.interp(t, [0, T], [LR, 0.0]),
    "table": lambda o: lambda t: np.linspace(LR, 0.0, T)[t],
}
UNTRACEABLE = ("in Python", "in NumPy", "table")


@pytest.mark.parametrize("name", OPTAX)
def test_every_step_of_a_schedule(optax, name):
    fn = OPTAX[name](optax)
    found = from_optax(fn, T, last_step="given")
    assert not jax.config.jax_enable_x64
    at = [0, 1, W - 1, W, W + 1, 299, 300, 301, 499, 500, 501, 799, 800, 801, T - 2, T - 1]
    one = fn if name in UNTRACEABLE else jax.jit(fn)
    usual = [float(one(t)) for t in at]  # in float32
    np.testing.assert_allclose(rates_of(found)[at], usual, rtol=1e-5, atol=1e-7 * LR)
    with jax.enable_x64(True):
        wide = [float(one(t)) for t in at]
    np.testing.assert_allclose(rates_of(found)[at], wide, rtol=1e-12, atol=1e-15 * LR)


def test_the_tail_of_a_long_decay_is_not_zero(optax):
    found = from_optax(optax.warmup_cosine_decay_schedule(0.0, LR, W, 100_000), 100_000)
    assert np.all(found.eta[1:] > 0)
    assert "last step repeated" in repr(found)


def test_an_optimizer_follows_a_schedule_under_jit(optax):
    schedule = wsd(20, 5, warmup=3)
    optimizer = optax.sgd(schedule.to_optax(LR))
    update = jax.jit(lambda grad, state: optimizer.update(grad, state))
    state, rates = optimizer.init(jnp.zeros(())), []
    for _ in range(25):
        step, state = update(jnp.ones(()), state)
        rates.append(-float(step))
    np.testing.assert_allclose(rates[:20], LR * schedule.eta, rtol=1e-6)
    np.testing.assert_allclose(rates[20:], LR * schedule.eta[-1], rtol=1e-6)


def test_one_step_and_many(optax):
    fn = wsd(20, 5).to_optax()
    np.testing.assert_allclose(fn(19), 0.2)
    np.testing.assert_allclose(fn(jnp.array([0, 19, 30])), [1, 0.2, 0.2])
    np.testing.assert_allclose(jax.vmap(fn)(jnp.arange(20)), wsd(20, 5).eta, rtol=1e-6)


@pytest.mark.parametrize("of", [lambda fn: fn, jax.jit, jax.vmap])
def test_counts_that_are_floats(of):
    """As the schedules of optax take them."""
    counts = jnp.array([0.0, 3.0, 16.5, 40.0])
    fn = of(wsd(20, 5).to_optax())
    np.testing.assert_allclose(fn(counts), wsd(20, 5).eta[[0, 3, 16, 19]], rtol=1e-6)


def test_a_count_of_python_that_is_a_float():
    assert float(wsd(20, 5).to_optax()(3.0)) == 1


def test_what_is_no_function():
    with pytest.raises(TypeError, match=r"fn must be a function of the step.*optax.*got 0.001"):
        from_optax(LR, 10)


@pytest.mark.parametrize("lr", [None, 0.7])
def test_there_and_back_again(lr):
    first = from_optax(from_array(np.random.default_rng(0).random(100)).to_optax(lr), 100)
    again = from_optax(first.to_optax(lr), 100)
    assert again == first
    assert again.params["peak"] == (lr or first.params["peak"])
    assert from_optax(wsd(T, warmup=W).to_optax(lr), T, last_step="given") == wsd(T, warmup=W)


# --- Keras ---------------------------------------------------------------------------------------

STEPS = 60
KERAS = {
    "ExponentialDecay": (LR, 20, 0.5),
    "PiecewiseConstantDecay": ([20, 40], [LR, LR / 2, LR / 4]),
    "PolynomialDecay": (LR, STEPS, 1e-5, 2.0),
    "InverseTimeDecay": (LR, 10, 0.5),
    "CosineDecay": (0.0, STEPS - 10, 0.1, "CosineDecay", LR, 10),
    "CosineDecayRestarts": (LR, 25),
}


@pytest.fixture(scope="module")
def keras():
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv("KERAS_BACKEND", "jax")
        if importlib.util.find_spec("keras") is None:
            pytest.skip("Keras is not installed")
        return importlib.import_module("keras")


@pytest.mark.parametrize("name", KERAS)
def test_schedules_of_keras(keras, name):
    decay = getattr(keras.optimizers.schedules, name)(*KERAS[name])
    found = from_keras(decay, STEPS, last_step="given")
    assert keras.config.floatx() == "float32"
    at = [0, 9, 10, 25, STEPS - 1]
    usual = [float(decay(t)) for t in at]  # in float32
    np.testing.assert_allclose(rates_of(found)[at], usual, rtol=1e-4, atol=1e-6 * LR)
    assert found.eta.dtype == np.float64


def test_an_optimizer_of_keras_is_no_schedule(keras):
    with pytest.raises(TypeError, match=r"schedule must be one of keras.optimizers.schedules; got"):
        from_keras(keras.optimizers.SGD(), 10)


def test_an_optimizer_of_keras_starts_at_step_zero(keras):
    decay = keras.optimizers.schedules.PolynomialDecay(LR, 5, 0.0)
    optimizer = keras.optimizers.SGD(decay)
    weight = keras.Variable(np.zeros(1, np.float32))
    optimizer.build([weight])
    steps = []
    for _ in range(4):
        before = float(np.asarray(weight.value)[0])
        optimizer.apply([np.ones(1, np.float32)])
        steps.append(before - float(np.asarray(weight.value)[0]))
    np.testing.assert_allclose(steps, rates_of(from_keras(decay, 4, last_step="given")), rtol=1e-5)
