"""How the functions take and return arrays, and what they refuse."""

import importlib
import subprocess
import sys

import numpy as np
import pytest

import cvxbound as cb

RNG = np.random.default_rng(0)
BATCH = RNG.random((3, 2, 50)) + 0.01
FUNCTIONS = [cb.bound, cb.curve, cb.terms, cb.tune]


# --- arrays in, arrays out -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["last", "tight", "average"])
def test_leading_axes_broadcast(kind):
    """Schedules, norms and rates broadcast like the operands of a ufunc."""
    norm = RNG.random((2, 50)) + 0.1
    gamma = np.array([0.1, 1.0, 10.0])[:, None]
    found = cb.bound(BATCH, gamma, G=norm, kind=kind)
    assert found.shape == (3, 2)
    for i in range(3):
        for j in range(2):
            assert found[i, j] == cb.bound(BATCH[i, j], gamma[i, 0], G=norm[j], kind=kind)


def test_gamma_adds_axes():
    gamma = np.geomspace(0.1, 10, 4)
    one = BATCH[0, 0]
    assert cb.bound(one, gamma).shape == (4,)
    assert cb.curve(one, gamma).shape == (4, 50)
    np.testing.assert_array_equal(cb.curve(one, gamma)[2], cb.curve(one, gamma[2]))
    assert cb.terms(BATCH, gamma=gamma[:, None, None], kind="tight").noise.shape == (4, 3, 2)


def test_norm_constant_for_each_entry():
    """A time axis of length one is a constant norm."""
    norm = np.array([1.0, 3.0])[:, None]
    found = cb.bound(BATCH, 0.3, G=norm)
    np.testing.assert_array_equal(found[:, 1], cb.bound(BATCH[:, 1], 0.3, G=3.0))


@pytest.mark.parametrize("kind", ["last", "tight", "average"])
def test_constant_norm_equals_the_same_norm_at_every_step(kind):
    np.testing.assert_allclose(
        cb.curve(BATCH, 0.3, G=np.full(50, 3e40), D=1e30, kind=kind),
        cb.curve(BATCH, 0.3, G=3e40, D=1e30, kind=kind),
        rtol=1e-12,
    )


def test_at():
    every = cb.curve(BATCH)
    np.testing.assert_allclose(cb.curve(BATCH, at=[50, 1, 7]), every[..., [49, 0, 6]], rtol=1e-13)
    assert cb.curve(BATCH, at=7).shape == (3, 2)
    np.testing.assert_array_equal(cb.curve(BATCH, at="all"), every)
    assert cb.terms(BATCH).noise.shape == (3, 2)
    assert cb.tune(BATCH, at="all").gamma.shape == (3, 2, 50)
    np.testing.assert_allclose(
        cb.tune(BATCH, at=[50]).omega[..., 0], cb.tune(BATCH).omega, rtol=1e-13
    )


def test_axis():
    moved = np.moveaxis(BATCH, -1, 0)
    np.testing.assert_array_equal(cb.bound(moved, axis=0), cb.bound(BATCH))
    np.testing.assert_array_equal(cb.curve(moved, axis=0), np.moveaxis(cb.curve(BATCH), -1, 0))
    np.testing.assert_array_equal(
        cb.curve(moved, G=moved, axis=0), np.moveaxis(cb.curve(BATCH, G=BATCH), -1, 0)
    )


def test_positive_and_negative_axes_agree():
    """Counted from the end of eta, whatever axes gamma adds; a norm a step needs one axis only."""
    eta, norm, gamma = BATCH[:, 0], RNG.random(50) + 0.1, np.ones((7, 1))
    np.testing.assert_array_equal(
        cb.curve(eta, gamma, G=norm, axis=1), cb.curve(eta, gamma, G=norm, axis=-1)
    )
    turned = cb.curve(eta.T, gamma, G=norm, axis=0)
    np.testing.assert_array_equal(turned, np.moveaxis(cb.curve(eta, gamma, G=norm), -1, -2))


def test_out():
    out = np.empty((3, 2))
    assert cb.bound(BATCH, out=out) is out
    np.testing.assert_array_equal(out, cb.bound(BATCH))
    curves = np.empty((50, 3, 2))
    assert cb.curve(np.moveaxis(BATCH, -1, 0), axis=0, out=curves) is curves
    np.testing.assert_array_equal(curves[-1], cb.curve(BATCH)[..., -1])


def test_out_is_checked_before_the_work():
    """A curve of a million steps would take half a minute."""
    long = np.ones(1_000_000)
    locked = np.empty(1_000_000)
    locked.flags.writeable = False
    with pytest.raises(ValueError, match=r"out must be a float64 array of shape \(1000000,\)"):
        cb.curve(long, out=np.empty(3))
    with pytest.raises(ValueError, match=r"got complex128 \(1000000,\)"):
        cb.curve(long, out=np.empty(1_000_000, complex))
    with pytest.raises(ValueError, match="out is read-only"):
        cb.curve(long, out=locked)


def test_terms_broadcast_against_gamma():
    for kind in ("last", "tight", "average"):
        assert cb.terms(BATCH[0, 0], gamma=[1, 2, 3], kind=kind).noise.shape == (3,)


def test_scalars_come_back_as_scalars():
    assert isinstance(cb.bound([1, 1]), np.float64)
    assert isinstance(cb.tune([1, 1]).gamma, np.float64)
    assert isinstance(cb.terms([1, 1]).noise, np.float64)
    assert cb.curve([1.0]).shape == (1,)


@pytest.mark.parametrize(
    "other",
    [
        BATCH.astype(np.float32),
        np.asfortranarray(BATCH),
        BATCH[..., ::-1][..., ::-1],
        np.repeat(BATCH, 2, axis=-1)[..., ::2],
        BATCH.astype(">f8"),
        BATCH.tolist(),
    ],
    ids=["float32", "fortran", "reversed", "strided", "big-endian", "list"],
)
def test_any_layout_of_real_numbers(other):
    exact = np.asarray(other, dtype=np.float64)
    np.testing.assert_array_equal(cb.bound(other), cb.bound(np.ascontiguousarray(exact)))


def test_misaligned_buffer():
    buffer = np.zeros(8 * 50 + 1, np.uint8)
    odd = buffer[1:].view(np.float64)
    odd[:] = BATCH[0, 0]
    assert not odd.flags.aligned
    assert cb.bound(odd) == cb.bound(BATCH[0, 0])


def test_integers_and_schedules():
    assert cb.bound([1, 1, 1]) == cb.bound(cb.schedules.constant(3))
    assert cb.bound(np.ones(3, np.int8)) == cb.bound(np.ones(3))


def test_inputs_are_left_alone():
    eta, norm = BATCH.copy(), BATCH.copy() * 1e50
    for function in FUNCTIONS:
        function(eta, G=norm, kind="tight")
    np.testing.assert_array_equal(eta, BATCH)
    np.testing.assert_array_equal(norm, BATCH * 1e50)


def test_empty_batch():
    assert cb.bound(np.ones((0, 5))).shape == (0,)
    assert cb.curve(np.ones((2, 0, 5)), kind="tight").shape == (2, 0, 5)


@pytest.mark.parametrize("kind", ["last", "tight", "average"])
def test_threads_do_not_change_a_bit(kind):
    """An explicit number of threads is obeyed, however little there is to do."""
    long = RNG.random(3000) + 1e-3
    many = RNG.random((300, 40)) + 1e-3
    for eta in (long, many):
        at = [1, 17, 40] if kind == "tight" else "all"
        one = cb.curve(eta, 0.1, kind=kind, at=at, nthreads=1)
        for nthreads in (2, 3, 7):
            other = cb.curve(eta, 0.1, kind=kind, at=at, nthreads=nthreads)
            np.testing.assert_array_equal(other, one)


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    ("eta", "error", "message"),
    [
        ([1, -0.5], ValueError, r"eta must be non-negative.*found -0.5 at index 1"),
        ([[1, 1], [1, np.nan]], ValueError, r"found nan at index \(1, 1\)"),
        ([1, np.inf], ValueError, "found inf at index 1"),
        ([1, 1e301], ValueError, r"at most 1e\+300; found 1e\+301 at index 1"),
        ([1, 1j], TypeError, "eta must hold real numbers, got an array of complex128"),
        ([1, None], TypeError, "eta must hold real numbers, got an array of object"),
        (["1", "2"], TypeError, "eta must hold real numbers"),
        ([True, False], TypeError, "eta must hold real numbers, got an array of bool"),
        ([[1, 2], [3]], ValueError, "eta must be a regular array"),
        ([], ValueError, "eta is empty"),
        (np.ones((3, 0)), ValueError, r"eta is empty.*shape \(3, 0\)"),
        (1.0, ValueError, "eta must have a time axis"),
    ],
)
def test_bad_steps(function, eta, error, message):
    for kind in ("last", "tight", "average"):
        with pytest.raises(error, match=message):
            function(eta, kind=kind)


@pytest.mark.parametrize(
    ("G", "error", "message"),
    [
        ([1, -1, 1], ValueError, "G must be non-negative.*found -1.0 at index 1"),
        ([1, np.nan, 1], ValueError, "found nan at index 1"),
        ([1e50, -3, 1], ValueError, r"found -3\.0 at index 1"),
        (-2.0, ValueError, "G must be non-negative.*found -2.0"),
        ([1, 1], ValueError, "differ in the time axis: eta has 3 steps, G has 2"),
        ("big", TypeError, "G must hold real numbers"),
        (np.ones((2, 4)), ValueError, "differ in the time axis"),
    ],
)
def test_bad_norms(G, error, message):
    for kind in ("last", "tight", "average"):
        with pytest.raises(error, match=message):
            cb.bound([1, 1, 1], G=G, kind=kind)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"gamma": 0}, ValueError, "gamma must be positive and finite; found 0.0"),
        ({"gamma": [1, -1]}, ValueError, "found -1.0 at index 1"),
        ({"gamma": "fast"}, TypeError, "gamma must hold real numbers"),
        ({"gamma": [1, 2, 3, 4]}, ValueError, r"do not broadcast together: eta \(3, 2\)"),
        ({"G": np.ones((7, 50))}, ValueError, r"do not broadcast together.*G \(7,\)"),
        ({"D": 0}, ValueError, "D must be positive"),
        ({"D": [1, 2]}, TypeError, "D must be a scalar"),
        ({"kind": "tigth"}, ValueError, "unknown kind 'tigth'; did you mean 'tight'"),
        ({"kind": None}, ValueError, "unknown kind None"),
        ({"last_step": "fre"}, ValueError, "did you mean 'free'"),
        ({"axis": 5}, ValueError, "axis 5 is out of range"),
        ({"axis": 0.5}, TypeError, "axis must be an integer"),
        ({"nthreads": 0}, ValueError, "nthreads must be from 1 to 4096"),
        ({"nthreads": 1.5}, TypeError, "nthreads must be a positive integer"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        cb.bound(BATCH, **arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"at": 0}, ValueError, r"at must lie in 1..50 \(1-based steps\); found 0"),
        ({"at": [1, 51]}, ValueError, "found 51 at index 1"),
        ({"at": []}, ValueError, "at is empty"),
        ({"at": 1.5}, TypeError, "at must be integer horizons"),
        ({"at": "al"}, ValueError, "unknown at 'al'; did you mean 'all'"),
        ({"at": [[1]]}, ValueError, "one-dimensional"),
        ({"method": "dirct"}, ValueError, "did you mean 'direct'"),
    ],
)
def test_bad_horizons(arguments, error, message):
    for function in (cb.curve, cb.terms, cb.tune):
        with pytest.raises(error, match=message):
            function(BATCH, **arguments)


def test_rate_beyond_the_range_of_a_double():
    with pytest.raises(ValueError, match=r"gamma G / D must be positive and finite; found 0\.0"):
        cb.bound([1, 1], 1e-300, G=1e-30)


def test_unknown_keyword():
    with pytest.raises(TypeError, match="gama"):
        cb.bound([1, 1], gama=1)


# --- frameworks that may be missing --------------------------------------------------------------


def test_the_package_imports_no_framework():
    code = "import sys, cvxbound; print({'torch', 'jax', 'cupy'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "set()\n"


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_a_framework_that_is_missing(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, f"cvxbound.{name}", raising=False)
    with pytest.raises(ImportError, match=rf'needs .*: pip install "cvxbound\[{name}\]"'):
        importlib.import_module(f"cvxbound.{name}")
