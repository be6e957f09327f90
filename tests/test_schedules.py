"""What a schedule is, and which learning rate each family takes at each step."""

import copy
import inspect
import pickle

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvxbound import _schedule, schedules
from cvxbound.schedules import (
    FAMILIES,
    SHAPES,
    Schedule,
    by_name,
    constant,
    cosine,
    cyclic_wsd,
    exponential,
    find,
    from_array,
    inverse_sqrt,
    linear,
    piecewise,
    power,
    wsd,
)

REQUIRED = {"power": {"exponent": 2.0}, "piecewise": {"milestones": [0.5], "factors": [0.1]}}


def make(name, steps, **params):
    return by_name(name, steps, **REQUIRED.get(name, {}), **params)


# --- a schedule -----------------------------------------------------------------------------------


def test_rounding_makes_no_step_negative():
    """A decay that rises from zero starts at zero."""
    steps = schedules.piecewise(
        51, (0.3, 0.7), (0.3, 0.0), cooldown=0.01, shape="exponential", rate=3.0, final=1e-6
    )
    assert np.asarray(steps).min() == 0


def test_a_schedule_is_an_array_for_numpy():
    schedule = linear(4)
    assert len(schedule) == 4
    np.testing.assert_array_equal(np.cumsum(schedule), [1, 1.75, 2.25, 2.5])
    assert np.asarray(schedule) is schedule.eta
    assert np.asarray(schedule, dtype=np.float32).dtype == np.float32
    assert np.array(schedule, copy=True).flags.writeable
    with pytest.raises(ValueError, match="copy"):
        np.array(schedule, dtype=np.float32, copy=False)


def test_a_schedule_cannot_be_changed():
    source = np.ones(3)
    schedule = from_array(source)
    source[:] = 7
    assert schedule.eta.tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="read-only"):
        schedule.eta[0] = 2
    with pytest.raises(TypeError):
        wsd(10).params["cooldown"] = 1
    with pytest.raises(AttributeError):
        schedule.name = "other"


def test_equal_schedules_take_equal_steps():
    assert linear(100) == wsd(100, cooldown=1.0)
    assert hash(linear(100)) == hash(wsd(100, cooldown=1.0))
    assert from_array([0.0, 1.0]) == from_array([-0.0, 1.0])
    assert hash(from_array([0.0, 1.0])) == hash(from_array([-0.0, 1.0]))
    assert linear(100) != linear(101)
    assert linear(2) != "linear"
    assert (linear(2) == linear(2).eta).tolist() == [True, True]


def test_schedules_survive_pickling_and_copying():
    schedule = wsd(10, cooldown=0.5, shape="1-sqrt")
    for other in (pickle.loads(pickle.dumps(schedule)), copy.deepcopy(schedule)):
        assert other == schedule
        assert (other.name, other.params, repr(other)) == ("wsd", schedule.params, repr(schedule))
        assert not other.eta.flags.writeable


def test_repr_tells_what_is_not_the_default():
    assert repr(wsd(1000)) == "<Schedule wsd: 1000 steps>"
    assert repr(wsd(1000, 0.2, "cosine")) == "<Schedule wsd: 1000 steps, shape='cosine'>"
    assert repr(linear(1, final=np.float64(0.5))) == "<Schedule linear: 1 step, final=0.5>"
    assert repr(piecewise(9, np.array([3]), [0.1])) == (
        "<Schedule piecewise: 9 steps, milestones=(3,), factors=(0.1,)>"
    )


def test_params_are_all_arguments():
    assert wsd(100, 30, warmup=0.1).params == {
        "steps": 100,
        "cooldown": 30,
        "shape": "linear",
        "exponent": 2.0,
        "rate": None,
        "final": 0.0,
        "warmup": 0.1,
        "warmup_start": None,
        "endpoint": False,
    }


@pytest.mark.parametrize("name", FAMILIES)
def test_params_rebuild_the_schedule(name):
    schedule = make(name, 50, final=0.1, warmup=7)
    assert by_name(schedule.name, **schedule.params) == schedule


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_documented_in_full(name):
    family = FAMILIES[name]
    assert "{" not in family.__doc__
    for argument in inspect.signature(family).parameters:
        assert f"\n{argument} : " in family.__doc__


# --- arrays ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "steps", [[1, 2], (1.0, 2.0), np.array([1, 2], dtype=np.float32), np.ones(4)[::2] * [1, 2]]
)
def test_from_array_takes_real_numbers(steps):
    schedule = from_array(steps, name="mine")
    assert schedule.eta.dtype == np.float64
    assert schedule.eta.tolist() == [1, 2]
    assert schedule.name == "mine"


@pytest.mark.parametrize(
    ("steps", "error", "message"),
    [
        ([1, 2, -0.5], ValueError, r"array must be non-negative.*found -0\.5 at index 2"),
        ([1, np.nan], ValueError, "found nan at index 1"),
        ([np.inf], ValueError, "found inf at index 0"),
        ([], ValueError, "array must have at least one step"),
        ([[1.0, 2.0]], ValueError, r"array must have one axis, the steps; got shape \(1, 2\)"),
        (1.0, ValueError, r"one axis, the steps; got shape \(\)"),
        ([1j], TypeError, "array must hold real numbers, got an array of complex128"),
        (["1", "2"], TypeError, "array must hold real numbers"),
        ([None, 1.0], TypeError, "array must hold real numbers, got an array of object"),
        ([True, False], TypeError, "array must hold real numbers, got an array of bool"),
        ([[1, 2], [3]], (TypeError, ValueError), "array"),
    ],
)
def test_from_array_refuses(steps, error, message):
    with pytest.raises(error, match=message):
        from_array(steps)


# --- the layout -----------------------------------------------------------------------------------


def test_warmup_reaches_the_peak_at_the_step_after_it():
    np.testing.assert_allclose(constant(5, warmup=3).eta, [0.25, 0.5, 0.75, 1, 1])
    np.testing.assert_allclose(
        constant(5, warmup=3, warmup_start=0.1).eta, [0.1, 0.4, 0.7, 1, 1], rtol=1e-15
    )
    np.testing.assert_array_equal(constant(3, warmup=3).eta, [0.25, 0.5, 0.75])
    np.testing.assert_array_equal(constant(3, warmup=1, warmup_start=0).eta, [0, 1, 1])


def test_final_is_reached_at_the_step_after_the_last():
    np.testing.assert_allclose(linear(4, final=0.2).eta, [1, 0.8, 0.6, 0.4], rtol=1e-15)
    np.testing.assert_allclose(wsd(6, cooldown=2).eta, [1, 1, 1, 1, 1, 0.5])
    np.testing.assert_allclose(linear(5, final=0.2, endpoint=True).eta, [1, 0.8, 0.6, 0.4, 0.2])
    np.testing.assert_allclose(wsd(6, cooldown=3, endpoint=True).eta, [1, 1, 1, 1, 0.5, 0])
    assert wsd(3, cooldown=1, shape="power", endpoint=True).eta.tolist() == [1, 1, 0]


def test_a_cooldown_starts_from_the_body():
    body = inverse_sqrt(100, warmup=10).eta
    cooled = inverse_sqrt(100, warmup=10, cooldown=20, shape="1-sqrt", final=0.1).eta
    np.testing.assert_array_equal(cooled[:81], body[:81])
    x = np.arange(20) / 20
    expected = 0.1 + (body[80] - 0.1) * (1 - np.sqrt(x))
    np.testing.assert_allclose(cooled[80:], expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("whole", "shape"),
    [
        (linear(50, warmup=7, final=0.1), {"shape": "linear"}),
        (cosine(50, warmup=7, final=0.1), {"shape": "cosine"}),
        (power(50, 3, warmup=7, final=0.1), {"shape": "power", "exponent": 3}),
        (exponential(50, warmup=7, final=0.1), {"shape": "exponential"}),
        (exponential(50, warmup=7, final=0.1, rate=3), {"shape": "exponential", "rate": 3}),
    ],
)
def test_a_decay_over_the_run_is_a_cooldown_of_all_steps_after_the_warmup(whole, shape):
    assert whole == wsd(50, cooldown=43, warmup=7, final=0.1, **shape)


def test_bodies():
    np.testing.assert_allclose(
        inverse_sqrt(8, warmup=3).eta, [0.25, 0.5, 0.75, *np.sqrt(4 / np.arange(4, 9))]
    )
    assert constant(3, final=0.5).eta.tolist() == [1, 1, 1]


def test_cosine_cycle():
    """A short cycle stays at final, a long one does not get there."""
    short = cosine(100, cycle=0.5, final=0.1).eta
    np.testing.assert_allclose(short[:50], cosine(50, final=0.1).eta, rtol=1e-14)
    np.testing.assert_array_equal(short[50:], 0.1)
    np.testing.assert_array_equal(cosine(100, cycle=2).eta, cosine(200).eta[:100])


def test_piecewise_factors_hold_from_the_step_after_the_milestone():
    assert piecewise(5, [2, 4], [0.5, 0.1]).eta.tolist() == [1, 1, 0.5, 0.5, 0.1]
    assert piecewise(10, [0.2, 0.8], [2, 0]).eta.tolist() == [1, 1, 2, 2, 2, 2, 2, 2, 0, 0]
    assert piecewise(2, [], []).eta.tolist() == [1, 1]
    np.testing.assert_allclose(
        piecewise(6, [2], [0.5], cooldown=2, warmup=1).eta, [0.5, 1, 0.5, 0.5, 0.5, 0.25]
    )


def test_cyclic_wsd_repeats_a_wsd_of_the_length_of_each_cycle():
    found = cyclic_wsd(100, cycles=[30, 100], cooldown=0.2, warmup=5, shape="cosine").eta
    np.testing.assert_array_equal(found[:30], wsd(30, 0.2, "cosine", warmup=5).eta)
    np.testing.assert_array_equal(found[30:], wsd(70, 0.2, "cosine").eta)
    assert cyclic_wsd(100, cycles=1) == wsd(100)
    assert cyclic_wsd(9, cycles=3, cooldown=1.0).eta.tolist() == [*linear(3).eta] * 3
    ends = np.flatnonzero(np.diff(cyclic_wsd(11, cycles=3, cooldown=2).eta) > 0) + 1
    assert ends.tolist() == [3, 7]


def test_fractions_are_rounded_to_the_nearest_step():
    assert wsd(1000, 0.3, warmup=0.05) == wsd(1000, 300, warmup=50)
    assert wsd(10, 0.26) == wsd(10, 3)
    assert wsd(10, 0.24) == wsd(10, 2)
    assert wsd(10, np.int64(1)) == wsd(10, 1) != wsd(10, 1.0) == wsd(10, np.float32(1))
    wsd(15, cooldown=0.9, warmup=0.1)  # 13.5 and 1.5 steps are all there are


# --- laws -----------------------------------------------------------------------------------------

lengths = st.integers(1, 300)
parts = st.floats(0, 1)


@given(lengths, parts, parts, st.sampled_from(SHAPES), parts, st.booleans())
@settings(max_examples=200)
def test_every_wsd_rises_holds_and_falls(steps, warmup, cooldown, shape, final, endpoint):
    cooldown *= 1 - warmup
    eta = wsd(steps, cooldown, shape, warmup=warmup, final=final, endpoint=endpoint).eta
    top = int(np.argmax(eta))
    assert eta.max() <= 1 + 1e-15
    assert (np.diff(eta[: top + 1]) >= 0).all()
    assert (np.diff(eta[top:]) <= 1e-15).all()
    assert eta[0] > 0 or endpoint
    assert eta[-1] > 0 or endpoint


@given(st.integers(10, 300), st.sampled_from(sorted(FAMILIES)), st.integers(0, 300), parts)
def test_families_have_the_length_and_peak_they_were_asked_for(steps, name, warmup, final):
    eta = make(name, steps, warmup=min(warmup, steps // 3), final=final, **_no_cooldown(name)).eta
    assert eta.size == steps
    assert eta.max() == pytest.approx(1, abs=1e-15)


def _no_cooldown(name):
    return {"cooldown": 0} if "cooldown" in inspect.signature(FAMILIES[name]).parameters else {}


@given(lengths, st.integers(0, 100), st.sampled_from(["linear", "1-sqrt", "cosine"]))
def test_callables_are_shapes_too(steps, cooldown, shape):
    formula = {
        "linear": lambda x: 1 - x,
        "1-sqrt": lambda x: 1 - np.sqrt(x),
        "cosine": lambda x: (1 + np.cos(np.pi * x)) / 2,
    }[shape]
    cooldown = min(cooldown, steps)
    np.testing.assert_allclose(wsd(steps, cooldown, formula).eta, wsd(steps, cooldown, shape).eta)


def test_a_shape_may_be_off_by_rounding():
    found = wsd(10, 5, lambda x: (1 - x) * (1 + 1e-15) - 1e-16, endpoint=True).eta
    np.testing.assert_allclose(found, wsd(10, 5, endpoint=True).eta, atol=1e-15)
    assert found[-1] == 0


def test_steps_are_checked_once(monkeypatch):
    checked = []
    check = _schedule.check_range
    monkeypatch.setattr(_schedule, "check_range", lambda *args: checked.append(0) or check(*args))
    from_array([1, 2])
    assert len(checked) == 1


# --- accuracy -------------------------------------------------------------------------------------

EXACT = {
    "linear": lambda x, p, r: 1 - x,
    "1-sqrt": lambda x, p, r: 1 - mpmath.sqrt(x),
    "cosine": lambda x, p, r: (1 + mpmath.cos(mpmath.pi * x)) / 2,
    "power": lambda x, p, r: 1 - x**p,
    "exponential": lambda x, p, r: (r**x - r) / (1 - r),
}


@pytest.mark.parametrize(
    ("shape", "p", "r"),
    [
        *((shape, 2.0, 0.5) for shape in SHAPES),
        *(("power", p, 0.5) for p in (0.01, 0.5, 3.7, 50.0)),
        *(("exponential", 2.0, r) for r in (0.1, 0.99, 1 - 1e-9, 1.5)),
    ],
)
@pytest.mark.parametrize("final", [0.0, 1e-3])
def test_the_last_steps_have_full_relative_accuracy(shape, p, r, final):
    """The bound divides by them; at a million steps a cosine ends near 2.5e-12."""
    steps = 1_000_000
    eta = wsd(steps, cooldown=1.0, shape=shape, exponent=p, rate=r, final=final).eta
    done = [0, 1, 2, 777, 499_999, 500_000, 500_001, 987_654, *range(steps - 9, steps)]
    with mpmath.workdps(50):
        for k in done:
            left = EXACT[shape](mpmath.mpf(k) / steps, mpmath.mpf(p), mpmath.mpf(r))
            exact = final + (1 - mpmath.mpf(final)) * left
            assert abs(eta[k] - exact) <= 6e-16 * exact, k


def test_a_cosine_of_ten_million_steps_ends_as_it_should():
    assert cosine(10_000_000).eta[-1] == pytest.approx((np.pi / 2e7) ** 2, rel=1e-14)


def test_the_exponential_is_final_to_the_power_of_x():
    x = np.arange(1000) / 1000
    np.testing.assert_allclose(exponential(1000, final=0.01).eta, 0.01**x, rtol=1e-14)
    np.testing.assert_allclose(exponential(1000).eta, 2 * 0.5**x - 1, rtol=1e-11)
    np.testing.assert_allclose(exponential(1000, rate=1).eta, linear(1000).eta)
    assert exponential(3, final=1).eta.tolist() == [1, 1, 1]


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alias", "name"),
    [("cos", "cosine"), ("exp", "exponential"), ("inv_sqrt", "inverse_sqrt"), ("WSD", "wsd")],
)
def test_aliases_of_families(alias, name):
    assert find(alias) is FAMILIES[name]
    assert by_name(alias, 10) == FAMILIES[name](10)
    assert by_name("inverse-sqrt", 10, warmup=2) == inverse_sqrt(10, warmup=2)


@pytest.mark.parametrize(
    ("alias", "shape"),
    [("sqrt", "1-sqrt"), ("minus_sqrt", "1-sqrt"), ("cos", "cosine"), ("exp", "exponential")],
)
def test_aliases_of_shapes(alias, shape):
    assert wsd(50, shape=alias) == wsd(50, shape=shape)


def test_unknown_names_are_answered_with_the_nearest():
    for call in (lambda: by_name("cosin", 10), lambda: find("cosin")):
        with pytest.raises(
            ValueError, match=r"unknown schedule 'cosin'; did you mean 'cosine'\? \(con"
        ):
            call()
    with pytest.raises(
        TypeError, match="unknown argument of wsd 'cooldwn'; did you mean 'cooldown'"
    ):
        by_name("wsd", 10, cooldwn=3)
    with pytest.raises(TypeError, match=r"^power needs exponent; there is no default$"):
        by_name("power", 10)
    with pytest.raises(TypeError, match=r"^piecewise needs milestones and factors; "):
        by_name("piecewise", 10)
    expected = (
        r"unknown cooldown shape '1-sqr'; did you mean '1-sqrt'\? "
        r"\(linear, 1-sqrt, cosine, power, exponential\)"
    )
    for cooldown in (0.2, 0):
        with pytest.raises(ValueError, match=expected):
            wsd(10, cooldown, shape="1-sqr")


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: linear(0), ValueError, r"steps must be from 1 to 2\*\*40, got 0"),
        (lambda: linear(2**40 + 1), ValueError, r"steps must be from 1 to 2\*\*40"),
        (lambda: linear(10.0), TypeError, r"steps must be an integer, got 10\.0"),
        (lambda: linear(True), TypeError, "steps must be an integer, got True"),
        (lambda: wsd(10, True), TypeError, "cooldown must be an int"),
        (lambda: wsd(10, "0.2"), TypeError, "cooldown must be an int"),
        (lambda: wsd(10, 1.5), ValueError, r"cooldown must be from 0 to 1.*got 1\.5"),
        (lambda: wsd(10, float("nan")), ValueError, "cooldown must be from 0 to 1.*got nan"),
        (lambda: wsd(10, 11), ValueError, "cooldown must be from 0 to 10 steps, got 11"),
        (lambda: wsd(10, -1), ValueError, "cooldown must be from 0 to 10 steps, got -1"),
        (
            lambda: wsd(10, 0.5, warmup=6),
            ValueError,
            r"warmup \(6 steps\) and cooldown \(5 steps\)",
        ),
        (lambda: linear(10, warmup=300.0), ValueError, r"warmup.*\(a number of steps is an int\)"),
        (lambda: linear(10, warmup=11), ValueError, "warmup must be from 0 to 10 steps"),
        (lambda: linear(10, warmup_start=-0.1), ValueError, "warmup_start must be a ratio"),
        (lambda: linear(10, final=-0.1), ValueError, r"final must be a ratio.*got -0\.1"),
        (lambda: linear(10, final=1.1), ValueError, "final must be a ratio"),
        (lambda: linear(10, final=float("nan")), ValueError, "final must be a ratio"),
        (lambda: linear(10, final=None), TypeError, "final must hold real numbers"),
        (lambda: linear(10, endpoint=1), TypeError, "endpoint must be True or False, got 1"),
        (lambda: cosine(10, cycle=0), ValueError, "cycle must be positive"),
        (lambda: power(10, -1), ValueError, "exponent must be positive"),
        (lambda: exponential(10, rate=0), ValueError, "rate must be positive"),
        (lambda: wsd(10, shape=3), TypeError, "shape must be a name or a function of x, got 3"),
        (lambda: wsd(10, shape=lambda x: x[:-1]), ValueError, r"shape\(x\) must have the shape"),
        (
            lambda: wsd(10, 5, lambda x: 1 - 2 * x),
            ValueError,
            r"shape\(x\) must lie in \[0, 1\] and be finite; it is -0\.1999.* at x = 0\.6",
        ),
        (lambda: wsd(10, 5, lambda x: 1 + x), ValueError, r"it is 1\.2 at x = 0\.2"),
        (lambda: wsd(10, 5, lambda x: x + np.nan), ValueError, r"it is nan at x = 0"),
        (lambda: wsd(10, 5, lambda x: 1 - x + 0j), TypeError, r"shape\(x\) must hold real"),
        (lambda: wsd(1, 2), ValueError, "cooldown must be from 0 to 1 step, got 2"),
        (lambda: piecewise(10, [5, 5], [1, 1]), ValueError, r"milestones must increase.*\[1\]"),
        (lambda: piecewise(10, [11], [1]), ValueError, r"milestones\[0\] must be from 0 to 10"),
        (lambda: piecewise(10, [2], [1, 2]), ValueError, r"factors must be one value for each"),
        (lambda: piecewise(10, [2], [-1]), ValueError, "factors must be non-negative"),
        (lambda: piecewise(10, 5, [1]), TypeError, "milestones must be a sequence"),
        (lambda: cyclic_wsd(10, 0), ValueError, "cycles must be from 1 to the number of steps"),
        (lambda: cyclic_wsd(10, 11), ValueError, "cycles must be from 1 to the number of steps"),
        (lambda: cyclic_wsd(10, True), TypeError, "cycles must be a sequence"),
        (lambda: cyclic_wsd(10, [5, 9]), ValueError, "the last at 10"),
        (lambda: cyclic_wsd(9, 3, warmup=4), ValueError, r"warmup \(4 steps\)"),
        (lambda: Schedule([1, -1], name="mine"), ValueError, "mine must be non-negative"),
    ],
)
def test_refusals_name_the_argument_and_what_came(call, error, message):
    with pytest.raises(error, match=message):
        call()
