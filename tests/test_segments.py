"""Schedules as segments: the same steps and the same bounds as of the schedules themselves."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import cvxbound as cb
from cvxbound import _core
from cvxbound._backend import segment_split
from cvxbound._segments import SEGMENT, CellError
from cvxbound.schedules import FAMILIES, SHAPES, segment_table

_FRACTIONS = st.sampled_from([0.0, 0.01, 0.2, 0.45])


@st.composite
def cells(draw, most=200_000):
    """A family and what it takes."""
    family = draw(st.sampled_from(sorted(FAMILIES)))
    steps = draw(st.one_of(st.integers(1, 300), st.integers(1, most)))
    params = {
        "steps": steps,
        "final": draw(st.sampled_from([0.0, 1e-6, 0.1, 1.0])),
        "warmup": draw(_FRACTIONS),
        "warmup_start": draw(st.sampled_from([None, 0.0, 0.5])),
        "endpoint": draw(st.booleans()),
    }
    exponent, rate = draw(st.floats(0.1, 30)), draw(st.sampled_from([None, 1e-12, 0.3, 1.0, 3.0]))
    if family in ("wsd", "inverse_sqrt", "piecewise", "cyclic_wsd"):
        params |= {"cooldown": draw(_FRACTIONS), "shape": draw(st.sampled_from(SHAPES))}
        params |= {"exponent": exponent, "rate": rate}
    if family == "power":
        params["exponent"] = exponent
    if family == "exponential":
        params["rate"] = rate
    if family == "cosine":
        params["cycle"] = draw(st.sampled_from([0.3, 1.0, 1.7]))
    if family == "piecewise":
        params |= {
            "milestones": (0.3, 0.7),
            "factors": (0.3, draw(st.sampled_from([0.0, 0.1, 2.0]))),
        }
        assume(steps > 3)
    if family == "cyclic_wsd":
        params |= {"cycles": draw(st.integers(1, 3)), "warmup": 0}
        assume(steps >= 3)
    return family, params


@given(cells(most=20_000))
@settings(max_examples=150)
def test_the_core_lays_out_the_same_steps(cell):
    family, params = cell
    found = _core.lay_out(segment_table(family, params, 1))
    # What rises to `final` instead of falling is a difference of numbers next to 1 times it.
    atol = 1e-15 * params["final"]
    np.testing.assert_allclose(found, FAMILIES[family](**params), rtol=2e-13, atol=atol)


@pytest.mark.parametrize("method", ["direct", "fast"])
@given(
    cells(),
    st.sampled_from([("last", "given"), ("last", "repeat"), ("average", "given")]),
    st.floats(0, 1),
)
@settings(max_examples=120)
def test_the_terms_are_those_of_the_schedule(method, cell, bound, part):
    family, params = cell
    kind, last_step = bound
    horizon = max(1, round(part * params["steps"]))
    schedule = FAMILIES[family](**params)
    distance, noise = segment_split(
        segment_table(family, params, 1),
        np.array([[horizon, params["steps"]]]),
        kind=kind,
        last_step=last_step,
        method=method,
    )
    expected = cb.terms(schedule, kind=kind, last_step=last_step, at=[horizon, len(schedule)])
    np.testing.assert_allclose(distance[0], expected.distance, rtol=1e-12)
    np.testing.assert_allclose(noise[0], expected.noise, rtol=1e-12)


@pytest.mark.parametrize("family", ["linear", "cosine", "wsd", "inverse_sqrt"])
@pytest.mark.parametrize("steps", [10**6, 10**7, 10**8])
def test_the_fast_way_of_long_schedules(family, steps):
    table = segment_table(family, {"steps": steps, "warmup": 0.01}, 1)
    at = np.array([[steps]])
    walked = segment_split(table, at, kind="last", last_step="given", method="direct")
    fast = segment_split(table, at, kind="last", last_step="given", method="fast")
    np.testing.assert_allclose(fast, walked, rtol=1e-11)


def test_zeros_after_a_schedule_take_no_time():
    """Where the last step is free they change nothing; walks would take seconds."""
    at, steps = 3 * 10**8, 10**9
    table = segment_table("cosine", {"steps": steps, "cycle": 0.3}, 1)
    split = segment_split(table, np.array([[at, steps]]), kind="tight", last_step="given")
    np.testing.assert_allclose(split[0][0, 0] * split[1][0, 0], split[0][0, 1] * split[1][0, 1])


@pytest.mark.parametrize(("kind", "last_step"), [("tight", "given"), ("last", "free")])
def test_a_free_last_step(kind, last_step):
    params = {"steps": np.array([50, 400]), "cooldown": np.array([0.2, 0.5])}
    table = segment_table("wsd", params, 2)
    split = segment_split(table, np.array([[50], [400]]), kind=kind, last_step=last_step)
    weight = np.array([0.03, 0.1])
    at = segment_split(
        table, np.array([[50], [400]]), kind=kind, last_step=last_step, weight=weight
    )
    for i in range(2):
        schedule = cb.schedules.wsd(int(params["steps"][i]), float(params["cooldown"][i]))
        best = cb.terms(schedule, kind=kind, last_step=last_step)
        assert (split[0][i, 0], split[1][i, 0]) == pytest.approx(best, rel=1e-9)
        fixed = cb.terms(schedule, kind=kind, last_step=last_step, gamma=weight[i])
        assert (at[0][i, 0], at[1][i, 0]) == pytest.approx(fixed, rel=1e-9)


@given(
    cells(most=20_000),
    st.sampled_from([("tight", "given"), ("last", "free"), ("average", "free")]),
    st.sampled_from([None, 1e-3, 0.1, 30.0]),
    st.floats(0, 1),
)
@settings(max_examples=100)
def test_a_free_last_step_by_panels(cell, bound, weight, part):
    """The bound is the one that walks of the schedule find."""
    family, params = cell
    kind, last_step = bound
    horizon = max(1, round(part * params["steps"]))
    distance, noise = segment_split(
        segment_table(family, params, 1),
        np.array([[horizon]]),
        kind=kind,
        last_step=last_step,
        weight=None if weight is None else np.array([weight]),
        method="fast",
    )
    schedule = FAMILIES[family](**params)
    options = {"kind": kind, "last_step": last_step, "at": horizon, "method": "direct"}
    if weight is None:
        found = 2 * np.sqrt(distance[0, 0] * noise[0, 0])
        expected = cb.tune(schedule, **options).omega
    else:
        found = distance[0, 0] / weight + weight * noise[0, 0]
        expected = cb.curve(schedule, weight, **options)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("steps", [10**4, 10**6, 10**9, 10**12])
def test_the_best_bound_of_all_schedules(steps):
    """Decay to zero at the last step is the best there is: D G / sqrt(T) (Zamani & Glineur)."""
    table = segment_table("linear", {"steps": steps, "endpoint": True}, 1)
    at = np.array([[steps]])
    distance, noise = segment_split(table, at, kind="tight", last_step="given", method="fast")
    np.testing.assert_allclose(2 * np.sqrt(distance * noise), steps**-0.5, rtol=1e-11)


def test_many_cells_are_many_schedules():
    steps = np.array([10, 100, 1000, 17])
    params = {
        "steps": steps,
        "cooldown": np.array([0.1, 0.2, 0.5, 0.3]),
        "warmup": np.array([1, 2, 3, 4]),
        "final": np.array([0.0, 0.1, 0.2, 1.0]),
    }
    table = segment_table("wsd", params, 4)
    assert table.dtype == SEGMENT
    for i in range(4):
        one = {name: values[i].item() for name, values in params.items()}
        expected = cb.schedules.wsd(**one)
        np.testing.assert_allclose(_core.lay_out(table[i : i + 1]), expected, rtol=1e-15)


def test_threads_do_not_change_a_bit():
    steps = np.arange(2000, 4000)
    table = segment_table("cosine", {"steps": steps}, len(steps))
    one, two = (
        segment_split(table, steps[:, None], kind="last", last_step="given", nthreads=n)
        for n in (1, 2)
    )
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("method", ["direct", "fast"])
def test_a_last_step_too_small_to_divide_by(method):
    params = {"steps": 3, "milestones": (0.5, 0.75), "factors": (0.0, 5e-324)}
    table = segment_table("piecewise", params, 1)
    at = np.array([[3]])
    found = segment_split(table, at, kind="last", last_step="given", method=method)
    assert (found[0][0, 0], found[1][0, 0]) == (0.5, np.inf)


def test_unwanted_horizons_are_nan():
    table = segment_table("linear", {"steps": 10}, 1)
    for kind in ("last", "tight"):
        distance, noise = segment_split(table, np.array([[0, 5]]), kind=kind, last_step="given")
        assert np.isnan([distance[0, 0], noise[0, 0]]).all()
        assert np.isfinite([distance[0, 1], noise[0, 1]]).all()


def test_a_cell_that_makes_no_schedule_is_named():
    params = {"steps": np.array([10, 10, 10]), "warmup": np.array([1, 6, 2]), "cooldown": 5}
    with pytest.raises(CellError, match=r"warmup \(6 steps\) and cooldown \(5 steps\)") as caught:
        segment_table("wsd", params, 3)
    assert caught.value.index == 1
    with pytest.raises(CellError, match=r"final must be a ratio to the peak.*1\.5") as caught:
        segment_table("linear", {"steps": 10, "final": np.array([0.5, 1.5])}, 2)
    assert caught.value.index == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"form": 9}, "unknown form in item 0"),
        ({"steps": -1}, "a segment of less than 0"),
        ({"start": np.nan}, "negative or infinite"),
        ({"steps": 0}, "no steps in item 0"),
    ],
)
def test_the_core_refuses_bad_segments(change, message):
    table = segment_table("constant", {"steps": 3}, 1)[:, 1:].copy()
    for name, value in change.items():
        table[name] = value
    with pytest.raises(ValueError, match=message):
        segment_split(table, np.array([[0]]), kind="last", last_step="given")
