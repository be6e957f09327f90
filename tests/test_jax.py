"""Bounds of JAX's arrays: the package's own values and derivatives, whatever JAX does.

XLA calls the package itself where it was built with _jax_ffi, or where CVXBOUND_JAX_FFI is the path
of that module, from a build folder of CMake; else it calls Python.
"""

import sys

import numpy as np
import pytest

import cvxbound as cb
import extensions
from cvxbound import _autodiff

jax = pytest.importorskip("jax", reason="cvxbound.jax needs JAX")
if functions := extensions.load("cvxbound._jax_ffi", "CVXBOUND_JAX_FFI"):
    sys.modules["cvxbound._jax_ffi"] = functions
cj = pytest.importorskip("cvxbound.jax", reason="cvxbound.jax needs JAX")
jnp = jax.numpy

REFUSALS = (jax.errors.JaxRuntimeError, ValueError)  # of numbers; XLA chooses
FIXED = [("last", "given"), ("last", "repeat"), ("average", "given"), ("average", "repeat")]
FREE = [("last", "free"), ("tight", "given"), ("average", "free")]
CHOICES = [*FIXED, *FREE]


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def steps(*shape):
    return np.random.default_rng(0).random(shape) + 0.2


ETA = steps(7)
NORMS = steps(2, 7)[1]


# --- values and derivatives are those of the package ---------------------------------------------


@pytest.mark.parametrize(("kind", "last_step"), CHOICES)
@pytest.mark.parametrize("norms", [1.3, NORMS])
def test_derivatives_are_those_of_the_package(kind, last_step, norms):
    which = {"kind": kind, "last_step": last_step}

    @jax.jit
    def both(*given):
        return jax.value_and_grad(
            lambda eta, gamma, G, D: cj.bound(eta, gamma, G=G, D=D, **which), range(4)
        )(*given)

    omega, (by_eta, by_gamma, by_norm, by_radius) = both(ETA, 0.3, norms, 1.7)
    known = {"G": norms, "D": 1.7, **which}
    assert float(omega) == pytest.approx(cb.bound(ETA, 0.3, **known), rel=1e-14)
    np.testing.assert_allclose(by_eta, cb.gradient(ETA, 0.3, **known), rtol=1e-12, atol=1e-14)
    a_norm = cb.gradient(ETA, 0.3, wrt="G", **known)
    np.testing.assert_allclose(by_norm, a_norm if np.ndim(norms) else a_norm.sum(), rtol=1e-12)
    distance, noise = cb.terms(ETA, gamma=0.3, **known)
    assert float(by_gamma) == pytest.approx(noise - distance / 0.3**2, rel=1e-12)
    assert float(by_radius) == pytest.approx(2 * distance / 1.7 / 0.3, rel=1e-12)


@pytest.mark.parametrize("at", [None, [2, 5], 4, np.array([7, 1]), "all"])
def test_curves(at):
    weights = np.arange(1.0, 1 + np.size(cb.curve(ETA, at=at)))
    found = cj.curve(ETA, 0.3, at=at)
    np.testing.assert_array_equal(found, cb.curve(ETA, 0.3, at=at))
    slope = jax.grad(lambda eta: (cj.curve(eta, 0.3, at=at).reshape(-1) * weights).sum())(ETA)
    expected = cb.gradient(ETA, 0.3, at="all" if at is None else at, weights=weights)
    np.testing.assert_allclose(slope, expected, rtol=1e-12)


@pytest.mark.parametrize(("kind", "last_step"), FIXED)
@pytest.mark.parametrize("gamma", [None, 0.3])
def test_terms(kind, last_step, gamma):
    given = (steps(2, 5), steps(5), 1.7)
    which = {"kind": kind, "last_step": last_step, "gamma": gamma, "at": "all"}
    found = cj.terms(given[0], G=given[1], D=given[2], **which)
    expected = cb.terms(given[0], G=given[1], D=given[2], **which)
    np.testing.assert_allclose(found.distance, expected.distance, rtol=1e-15)
    np.testing.assert_array_equal(found.noise, expected.noise)

    @jax.jit
    def both(eta, G, D):
        distance, noise = cj.terms(eta, G=G, D=D, **which)
        return distance + 0.09 * noise  # 0.3 times the bound at 0.3

    slopes = jax.grad(lambda *x: both(*x).sum(), (0, 1, 2))(*given)
    known = {"G": given[1], "D": given[2], "kind": kind, "last_step": last_step, "at": "all"}
    by_eta, by_norm = (0.3 * cb.gradient(given[0], 0.3, wrt=wrt, **known) for wrt in ("eta", "G"))
    np.testing.assert_allclose(slopes[0], by_eta, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(slopes[1], by_norm.sum(axis=0), rtol=1e-11)
    assert float(slopes[2]) == pytest.approx(2 / 1.7 * expected.distance.sum(), rel=1e-12)


@pytest.mark.parametrize(("kind", "last_step"), FREE)
@pytest.mark.parametrize("gamma", [None, 0.3])
def test_terms_of_a_free_last_step(kind, last_step, gamma):
    choice = _autodiff.Choice(kind, last_step, [3, 7])
    weights = np.array([0.3, -2.0]), np.array([1.5, 0.4])

    @jax.jit
    def weighted(eta, gamma, G):
        found = cj.terms(eta, gamma=gamma, G=G, kind=kind, last_step=last_step, at=[3, 7])
        return weights[0] @ found.distance + weights[1] @ found.noise

    wrts = (("eta", 0), ("G", 2)) if gamma is None else (("eta", 0), ("gamma", 1), ("G", 2))
    rate = None if gamma is None else np.asarray(gamma)
    for wrt, index in wrts:
        found = jax.grad(weighted, index)(ETA, gamma, NORMS)
        expected = _autodiff.terms_slope(*weights, ETA, rate, NORMS, choice, wrt)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    by_rows = jax.vmap(jax.grad(weighted), (0, None, 0))(steps(2, 7), gamma, steps(2, 7))
    one = jax.grad(weighted)(steps(2, 7)[1], gamma, steps(2, 7)[1])
    np.testing.assert_allclose(by_rows[1], one, rtol=1e-12)


def test_an_infinite_bound_that_does_not_count():
    eta = np.array([0.0, 1.0, 0.5])
    assert np.isinf(cj.curve(eta, 0.3)[0])
    slopes = jax.grad(lambda eta, gamma: cj.curve(eta, gamma)[2], (0, 1))(eta, 0.3)
    np.testing.assert_allclose(slopes[0], cb.gradient(eta, 0.3), rtol=1e-12)
    assert np.isfinite(slopes[1])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_less_precise_arrays_are_converted_and_get_derivatives_of_their_own(dtype):
    eta = jnp.asarray(ETA, dtype)
    omega, slope = jax.value_and_grad(cj.bound)(eta)
    exact = np.asarray(eta, np.float64)
    assert (omega.dtype, slope.dtype) == (np.float64, dtype)
    assert float(omega) == cb.bound(exact)
    np.testing.assert_array_equal(slope, jnp.asarray(cb.gradient(exact), dtype))


def test_what_is_not_an_array_of_jax():
    schedule = cb.schedules.wsd(50)
    np.testing.assert_array_equal(
        cj.bound(schedule, [0.1, 0.2], G=np.ones(50, np.float32)), cb.bound(schedule, [0.1, 0.2])
    )


# --- batches and compilation ---------------------------------------------------------------------


def test_leading_axes_broadcast():
    given = steps(3, 1, 7), np.array([0.1, 0.2]), steps(2, 7), np.array([[1.0], [2.0], [3.0]])

    def omega(eta, gamma, G, D):
        return cj.bound(eta, gamma, G=G, D=D)

    eta, gamma, G, D = given
    expected = [cb.bound(eta[i], gamma, G=G, D=D[i, 0]) for i in range(3)]
    np.testing.assert_allclose(omega(*given), expected, rtol=1e-14)
    slopes = jax.grad(lambda *x: omega(*x).sum(), (0, 1, 2, 3))(*given)
    assert [x.shape for x in slopes] == [x.shape for x in given]
    by_eta = [cb.gradient(eta[i], gamma, G=G, D=D[i, 0]).sum(axis=0) for i in range(3)]
    np.testing.assert_allclose(slopes[0][:, 0], by_eta, rtol=1e-12)
    np.testing.assert_allclose(gamma @ slopes[1], (eta * slopes[0]).sum(), rtol=1e-11)


def test_grad_under_vmap_under_jit():
    eta = steps(3, 7)
    slope = jax.grad(lambda x: cj.bound(x, 0.3, kind="tight"))
    expected = cb.gradient(eta, 0.3, kind="tight")
    np.testing.assert_allclose(jax.jit(jax.vmap(slope))(eta), expected, rtol=1e-12)
    rows = [cb.gradient(ETA, 0.3, at=t) for t in range(1, 8)]
    jacobian = jax.jacrev(lambda x: cj.curve(x, 0.3))(ETA)
    np.testing.assert_allclose(jacobian, rows, rtol=1e-12, atol=1e-15)


def test_vmap_over_each_argument():
    gamma = np.array([0.1, 0.2, 0.4])
    both = jax.vmap(jax.vmap(cj.bound, (None, 0)), (0, None))(steps(2, 7), gamma)
    np.testing.assert_array_equal(both, cb.bound(steps(2, 1, 7), gamma))
    by_rate = jax.vmap(jax.grad(cj.bound), (None, 0))(ETA, gamma)
    np.testing.assert_allclose(by_rate, cb.gradient(ETA, gamma), rtol=1e-12)
    split = jax.vmap(lambda G: cj.terms(ETA, G=G, at=[2, 7]), in_axes=1)(steps(7, 3))
    np.testing.assert_array_equal(split.noise, cb.terms(ETA, G=steps(7, 3).T, at=[2, 7]).noise)


def test_descent_of_a_schedule():
    """Plain descent along the logarithms of the steps, in one loop of JAX, nears the best bound."""

    def omega(logs):
        return cj.bound(jnp.exp(logs), last_step="free")

    def step(_, logs):
        return logs - 2.0 * jax.grad(omega)(logs)

    logs = jax.jit(lambda: jax.lax.fori_loop(0, 300, step, jnp.full(8, -1.0)))()
    assert float(omega(logs)) == pytest.approx(cb.theory.optimal_bound(8), rel=1e-3)


# --- calls of the package by XLA -----------------------------------------------------------------

by_xla = pytest.mark.skipif(
    not cj._is_registered, reason="XLA calls Python: no _jax_ffi, and CVXBOUND_JAX_FFI is not set"
)


@pytest.fixture
def both_ways(monkeypatch):
    """A function's results where XLA calls the package, and where it calls Python."""

    def results(function, *arguments):
        found = []
        for is_registered in (True, False):
            monkeypatch.setattr(cj, "_is_registered", is_registered)
            jax.clear_caches()
            found.append(jax.tree.leaves(jax.jit(function)(*arguments)))
        return found

    return results


@by_xla
@pytest.mark.parametrize(("kind", "last_step"), CHOICES)
@pytest.mark.parametrize(
    "norms",
    [
        pytest.param(1.0, id="none"),
        pytest.param([[3e99], [1e-99]], id="a constant a row"),
        pytest.param(NORMS, id="a norm a step"),
        pytest.param(1e9 * steps(2, 7), id="large norms a step and row"),
    ],
)
def test_xla_and_python_get_the_same_bits(both_ways, kind, last_step, norms):
    which = {"kind": kind, "last_step": last_step, "at": [2, 6]}

    def everything(eta, gamma, G):
        values = cj.curve(eta, gamma, G=G, **which)
        slopes = jax.grad(lambda *x: cj.curve(*x[:2], G=x[2], **which).sum(), (0, 1, 2))
        parts = cj.terms(eta, G=G, gamma=gamma, **which), cj.terms(eta, G=G, **which)
        return values, slopes(eta, gamma, G), parts

    given = steps(3, 1, 7), np.array([0.1, 0.2]), np.asarray(norms)
    for ours, pythons in zip(*both_ways(everything, *given), strict=True):
        np.testing.assert_array_equal(ours, pythons)


@by_xla
@pytest.mark.parametrize("kind", ["last", "tight", "average"])
def test_xla_and_python_get_the_same_bits_of_long_schedules(both_ways, kind):
    def everything(eta, G):
        values = cj.curve(eta, 0.1, G=G, kind=kind)
        return values, jax.grad(lambda *x: cj.curve(x[0], 0.1, G=x[1], kind=kind).sum(), (0, 1))(
            eta, G
        )

    for norms in (np.ones(()), steps(300)):
        for ours, pythons in zip(*both_ways(everything, steps(300), norms), strict=True):
            np.testing.assert_array_equal(ours, pythons)


@by_xla
def test_xla_and_python_map_and_loop_alike(both_ways):
    def everything(eta, gamma, G):
        several = jax.vmap(jax.vmap(cj.bound, (None, 0)), (0, None))(eta, gamma)
        slopes = jax.vmap(jax.grad(lambda *x: cj.terms(x[0], G=x[1]).noise, (0, 1)), (0, None))
        scanned = jax.lax.map(lambda x: cj.curve(x, kind="tight"), eta)
        gaps = jnp.stack([jnp.zeros(7), G * jnp.array([1, 1, 0, 1, 0, 1, 1])])
        noiseless = [cj.curve(eta[0], 0.1, G=x, kind="tight") for x in (0.0, gaps)]
        return several, slopes(eta, G), scanned, noiseless

    for ours, pythons in zip(
        *both_ways(everything, steps(3, 7), np.array([0.1, 0.2]), NORMS), strict=True
    ):
        np.testing.assert_array_equal(ours, pythons)


@by_xla
def test_a_program_that_is_exported():
    check = jax.export.DisabledSafetyCheck.custom_call("cvxbound_curve")
    exported = jax.export.export(jax.jit(cj.bound), disabled_checks=[check])(ETA, 0.3)
    assert "callback" not in exported.mlir_module()
    assert float(exported.call(ETA, 0.3)) == cb.bound(ETA, 0.3)


@by_xla
def test_a_refusal_names_the_place():
    eta = steps(2, 3)
    eta[1, 2] = np.nan
    with pytest.raises(REFUSALS, match=r"eta must be .* 1e\+300; found nan at index \(1, 2\)"):
        jax.block_until_ready(cj.curve(eta))
    with pytest.raises(REFUSALS, match=r"G must be .* 1e\+100; found -0.5 at index 1"):
        jax.block_until_ready(cj.bound(ETA[:2], G=[1.0, -0.5]))


def test_a_package_that_was_built_for_another_jaxlib(monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("Wrong API version: 9.9")

    monkeypatch.setitem(sys.modules, "cvxbound._jax_ffi", _Functions)
    monkeypatch.setattr(jax.ffi, "register_ffi_target", refuse)
    with pytest.warns(RuntimeWarning, match=r"another jaxlib.*by Python.*\(Wrong API version"):
        assert not cj._register()


class _Functions:
    curve = terms = slope = None


# --- errors --------------------------------------------------------------------------------------


def test_single_precision_is_refused():
    with jax.enable_x64(False), pytest.raises(RuntimeError, match="jax_enable_x64"):
        cj.bound(ETA)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: cj.bound(ETA, D=-1.0), ValueError, "D must be positive and finite, got -1.0"),
        (lambda: cj.terms(ETA, D=[1.0, -2.0]), ValueError, "D must be .* found -2.0 at index 1"),
        (lambda: cj.bound(ETA, G=steps(3)), ValueError, "eta has 7 steps, G has 3"),
        (lambda: cj.bound(1.0), ValueError, "time axis"),
        (lambda: cj.bound(ETA + 1j), TypeError, "eta must hold real numbers.*complex128"),
        (lambda: cj.bound(ETA, G=ETA > 0), TypeError, "G must hold real numbers.*bool"),
        (lambda: cj.bound(ETA, kind="lst"), ValueError, "last"),
        (lambda: cj.curve(ETA, at=[8]), ValueError, r"1\.\.7"),
        (lambda: cj.curve(ETA, at=[1.5]), TypeError, "integer horizons"),
        (lambda: cj.curve(ETA, at="al"), ValueError, "all"),
        (lambda: cj.bound(steps(2, 7), np.ones(3)), ValueError, "do not broadcast together"),
    ],
)
def test_what_is_wrong_with_the_form(call, error, says):
    with pytest.raises(error, match=says):
        call()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: cj.bound(-ETA), "eta must be non-negative"),
        (lambda: cj.bound(ETA, 0.0), "gamma / D must be positive"),
        (lambda: jax.jit(lambda D: cj.bound(ETA, D, D=D))(-1.0), "gamma / D must be positive"),
        (lambda: jax.grad(cj.bound)(jnp.array([1.0, 0.0])), "no derivative: its last step is zero"),
    ],
)
def test_what_is_wrong_with_the_numbers(call, says):
    with pytest.raises(REFUSALS, match=says):
        jax.block_until_ready(call())


@pytest.mark.parametrize("function", [cj.bound, lambda eta: cj.terms(eta).noise])
def test_second_derivatives_are_refused(function):
    with pytest.raises(NotImplementedError, match="second derivatives"):
        jax.grad(lambda x: jax.grad(function)(x).sum())(ETA)
    with pytest.raises(TypeError, match="forward-mode"):
        jax.hessian(function)(ETA)
