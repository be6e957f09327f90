"""Sweeps: every cell is what the bound functions give, and a plan says what it will do."""

import dataclasses
import doctest
import functools
import importlib
import itertools
import json
import os
import pickle
import re
import subprocess
import sys
import textwrap
import threading
import tracemalloc
import types
import warnings
from functools import partial
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import cvxbound as cb
import sweep_families
from cvxbound import schedules
from cvxbound.sweeps import Plan, SweepAccessor, _accessor, _cells, _cost

KINDS = ["last", "tight", "average"]
LAST_STEPS = ["given", "repeat", "free"]

# --- every cell -----------------------------------------------------------------------------------


def axis(values, least=1, most=3):
    return st.lists(values, min_size=least, max_size=most, unique=True)


def fractions(most):
    return st.floats(0, most).map(lambda x: round(x, 3))


STEPS = st.integers(1, 300)
RATIOS = st.floats(0, 1).map(lambda x: round(x, 3))
POSITIVE = st.floats(0.01, 10).map(lambda x: round(x, 3))


def parabola(x):
    return (1 - x) ** 2


SHARED = {
    "final": RATIOS,
    "warmup": fractions(0.3),
    "warmup_start": RATIOS | st.none(),
    "endpoint": st.booleans(),
}
DECAY = {
    "cooldown": fractions(0.6),
    "shape": st.sampled_from(schedules.SHAPES) | st.just(parabola),
    "exponent": POSITIVE,
    "rate": st.floats(0.01, 0.9) | st.none(),
}
ENDS = st.lists(st.floats(0.05, 0.9), min_size=2, max_size=2, unique=True).map(sorted)
FAMILIES = {
    "constant": {},
    "linear": {},
    "cosine": {"cycle": POSITIVE},
    "wsd": DECAY,
    "inverse_sqrt": DECAY,
    "power": {"exponent": POSITIVE},
    "exponential": {"rate": st.floats(0.01, 0.9) | st.none()},
    "piecewise": {
        **DECAY,
        "milestones": ENDS,
        "factors": st.lists(st.floats(0, 2), min_size=2, max_size=2),
    },
    "cyclic_wsd": {**DECAY, "cycles": st.integers(1, 3) | ENDS.map(lambda ends: [*ends, 1.0])},
}
NEEDED = {"power": ["exponent"], "piecewise": ["milestones", "factors"]}


@st.composite
def sweeps(draw):
    """A family, the axes of a sweep of it, and what is fixed."""
    family = draw(st.sampled_from(sorted(FAMILIES)))
    known = {**SHARED, **FAMILIES[family]}
    names = draw(st.lists(st.sampled_from(sorted(known)), max_size=3, unique=True))
    names += [name for name in NEEDED.get(family, []) if name not in names]
    axes, fixed = {"steps": draw(axis(STEPS))}, {}
    for name in names:
        if name == "cycles" or draw(st.booleans()):  # a list of ends is an axis
            axes[name] = draw(st.lists(known[name], min_size=1, max_size=3, unique_by=repr))
        else:
            fixed[name] = draw(known[name])
    return family, axes, fixed


def cells(axes):
    """Index and parameters of each cell of a product."""
    sizes = [range(len(values)) for values in axes.values()]
    for index in itertools.product(*sizes):
        yield (
            index,
            {name: values[i] for i, (name, values) in zip(index, axes.items(), strict=True)},
        )


def schedule_of(family, params):
    """The schedule of a cell, None where there is none."""
    try:
        return schedules.FAMILIES[family](**params)
    except ValueError:
        return None


def consistent(family, axes, fixed):
    return all(schedule_of(family, {**fixed, **params}) for _, params in cells(axes))


@settings(max_examples=75)
@given(sweep=sweeps(), kind=st.sampled_from(KINDS), last_step=st.sampled_from(LAST_STEPS))
def test_cells_of_all_families(sweep, kind, last_step):
    """The product of any axes of any built-in family: terms, tuned rates and bounds."""
    family, axes, fixed = sweep
    assume(consistent(family, axes, fixed))
    found = cb.sweep(family, kind=kind, last_step=last_step, **axes, **fixed).run()
    assert found.distance.dims == tuple(axes)
    tuned = found.cvx.tune(D=2.0, G=0.5)
    free = kind == "tight" or last_step == "free"
    for index, params in cells(axes):
        eta = schedule_of(family, {**fixed, **params})
        options = {"kind": kind, "last_step": last_step}
        expected = cb.terms(eta, **options)
        ours = found.distance.values[index], found.noise.values[index]
        if not free:
            np.testing.assert_allclose(ours, expected, rtol=1e-11)
            omega = found.isel(dict(zip(axes, index, strict=True))).cvx.omega(0.3, 2.0, 0.5)
            bound = cb.bound(eta, 0.3, D=2.0, G=0.5, **options)
            np.testing.assert_allclose(omega, bound, rtol=1e-11)
        best = cb.tune(eta, D=2.0, G=0.5, **options)
        ours = tuned.gamma.values[index], tuned.omega.values[index]
        # Where a last step is free, the minimum is flat.
        np.testing.assert_allclose(ours[0], best.gamma, rtol=1e-4 if free else 1e-11)
        np.testing.assert_allclose(ours[1], best.omega, rtol=1e-11)


@settings(max_examples=40)
@given(
    steps=axis(STEPS),
    cooldown=axis(fractions(1.0)),
    gamma=axis(POSITIVE),
    scales=st.tuples(POSITIVE, POSITIVE),
    final_lr=axis(st.floats(0, 0.3)),
    warmup_start_lr=st.floats(0, 0.3),
    kind=st.sampled_from(KINDS),
    last_step=st.sampled_from(LAST_STEPS),
)
def test_absolute_learning_rates(
    steps, cooldown, gamma, scales, final_lr, warmup_start_lr, kind, last_step
):
    """`final` is then another one at each gamma, so gamma is computed; a mask drops what rises."""
    D, G = scales
    axes = {"steps": steps, "final_lr": final_lr, "cooldown": cooldown, "gamma": gamma}
    assume(max(*final_lr, warmup_start_lr) <= max(gamma) and min(cooldown) <= 0.9)
    found = cb.sweep(
        "wsd",
        where="final_lr <= gamma and warmup_start_lr <= gamma and cooldown <= 0.9",
        kind=kind,
        last_step=last_step,
        warmup=0.1,
        warmup_start_lr=warmup_start_lr,
        D=D,
        G=G,
        **axes,
    )
    omega = found.run().cvx.omega()
    assert omega.dims == tuple(axes)
    for index, params in cells(axes):
        rate = params["gamma"]
        if max(params["final_lr"], warmup_start_lr) > rate or params["cooldown"] > 0.9:
            assert np.isnan(omega.values[index])
            continue
        eta = schedules.wsd(
            params["steps"],
            params["cooldown"],
            final=params["final_lr"] / rate,
            warmup=0.1,
            warmup_start=warmup_start_lr / rate,
        )
        expected = cb.bound(eta, rate, D=D, G=G, kind=kind, last_step=last_step)
        np.testing.assert_allclose(omega.values[index], expected, rtol=1e-11)


@settings(max_examples=40)
@given(
    steps=axis(STEPS),
    at=axis(st.integers(1, 300)) | axis(st.floats(0.001, 1)),
    kinds=axis(st.sampled_from(KINDS)),
    last_step=st.sampled_from(LAST_STEPS),
)
def test_kinds_and_horizons(steps, at, kinds, last_step):
    assume(min(at) <= max(steps))
    at = [horizon for horizon in at if horizon <= max(steps)]
    found = cb.sweep("wsd", kind=kinds, last_step=last_step, at=at, steps=steps, cooldown=0.4).run()
    assert found.distance.dims == ("kind", "steps", "horizon")
    omega = found.cvx.tune().omega
    for kind, total, horizon in itertools.product(kinds, steps, at):
        ours = float(omega.sel(kind=kind, steps=total, horizon=horizon))
        step = horizon
        if isinstance(horizon, float):
            step = max(int(np.ceil(horizon * total - 0.5)), 1)
        if step > total:
            assert np.isnan(ours)
            continue
        eta = schedules.wsd(total, cooldown=0.4)
        expected = cb.tune(eta, kind=kind, last_step=last_step, at=step).omega
        np.testing.assert_allclose(ours, expected, rtol=1e-11)


@settings(max_examples=40)
@given(
    lengths=st.lists(st.tuples(STEPS, fractions(0.5)), min_size=1, max_size=4, unique=True),
    slope=axis(st.floats(0, 1)),
    limit=st.integers(0, 300),
    kind=st.sampled_from(KINDS),
    last_step=st.sampled_from(LAST_STEPS),
    gamma=st.none() | axis(POSITIVE),
)
def test_functions_zips_and_masks(lengths, slope, limit, kind, last_step, gamma):
    """A function that returns an array, with coupled axes, and cells that are left out."""

    def family(steps, slope, warmup):
        eta = sweep_families.ramp(steps, slope)
        return np.minimum(eta, np.arange(1, steps + 1) / (warmup * steps + 1))

    steps, warmup = map(list, zip(*lengths, strict=True))
    assume(min(steps) >= limit or max(steps) >= limit)
    plan = cb.sweep(
        family,
        cb.zip("run", steps=steps, warmup=warmup),
        slope=slope,
        where=lambda steps: steps >= limit,
        kind=kind,
        last_step=last_step,
        **({} if gamma is None else {"gamma": gamma}),
    )
    found = plan.run()
    omega = found.cvx.tune().omega if gamma is None else found.cvx.omega()
    assert omega.dims == ("run", "slope", *([] if gamma is None else ["gamma"]))
    for (i, (total, ramp)), (j, each) in itertools.product(enumerate(lengths), enumerate(slope)):
        ours = omega.values[i, j]
        if total < limit:
            assert np.isnan(ours).all()
            continue
        eta = family(total, each, ramp)
        options = {"kind": kind, "last_step": last_step}
        expected = (
            cb.tune(eta, **options).omega if gamma is None else cb.bound(eta, gamma, **options)
        )
        np.testing.assert_allclose(ours, expected, rtol=1e-12)


@settings(max_examples=25)
@given(
    data=st.data(),
    kind=st.sampled_from(["last", "tight"]),
    D=axis(POSITIVE, 1, 2),
    G=axis(POSITIVE, 1, 2),
    gamma=axis(POSITIVE),
)
def test_a_free_last_step_depends_on_the_rate(data, kind, D, G, gamma):
    """Then gamma, D and G are computed, not free."""
    order = data.draw(st.permutations(["steps", "gamma", "D", "G"]))
    axes = {"steps": [7, 50], "gamma": gamma, "D": D, "G": G}
    axes = {name: axes[name] for name in order}
    plan = cb.sweep("linear", kind=kind, last_step="free", **axes)
    assert plan.shape == tuple(map(len, axes.values()))
    omega = plan.run().cvx.omega()
    for index, params in cells(axes):
        eta = schedules.linear(params.pop("steps"))
        expected = cb.bound(eta, **params, kind=kind, last_step="free")
        np.testing.assert_allclose(omega.values[index], expected, rtol=1e-11)


def test_a_function_of_the_rate():
    """A family with a parameter gamma is computed at each of its values."""

    def capped(steps, gamma):
        return np.minimum(schedules.linear(steps).eta, 0.5 / gamma)

    omega = cb.sweep(capped, steps=[10, 100], gamma=[0.1, 0.7, 3.0]).run().cvx.omega()
    for steps, gamma in itertools.product([10, 100], [0.1, 0.7, 3.0]):
        expected = cb.bound(capped(steps, gamma), gamma)
        np.testing.assert_allclose(omega.sel(steps=steps, gamma=gamma), expected, rtol=1e-14)


def test_functions_of_all_sorts():
    """What has no signature, takes anything, or is partly applied."""

    class Ramp:
        def __init__(self, power):
            self.power = power

        def __call__(self, steps, slope):
            return sweep_families.ramp(steps, slope) ** self.power

    def anything(**parameters):
        return Ramp(2)(**parameters)

    families = [
        Ramp(2),
        anything,
        partial(lambda power, steps, slope: Ramp(power)(steps, slope), 2),
    ]
    results = [cb.sweep(each, steps=[5, 9], slope=[0.2, 0.4]).run() for each in families]
    for result in results[1:]:
        np.testing.assert_array_equal(result.noise, results[0].noise)


def test_steps_that_a_function_knows_by_itself():
    plan = cb.sweep(
        lambda seed: np.random.default_rng(seed).random(10 + seed), seed=range(4), at=12
    )
    found = plan.run()
    assert np.isnan(found.distance).values.tolist() == [True, True, False, False]


def test_cells_from_many_pieces(monkeypatch):
    plan = cb.sweep("wsd", steps=range(50, 120), cooldown=np.linspace(0, 1, 11), warmup=[0])
    whole = plan.compute(0)
    monkeypatch.setattr(_cells, "_PIECE", 64)
    for name, values in plan.compute(0).items():
        np.testing.assert_array_equal(values, whole[name])


def test_threads_change_nothing():
    plan = cb.sweep("wsd", steps=[1000, 30_000], cooldown=np.linspace(0.1, 1, 50), kind=KINDS)
    one, several = plan.compute(0, nthreads=1), plan.compute(0, nthreads=3)
    for name, values in one.items():
        np.testing.assert_array_equal(values, several[name])


# --- the fast evaluation is not taken on trust ----------------------------------------------------


def _off(monkeypatch, error, kinds=("last", "tight")):
    """Let what is not walked be wrong."""
    from cvxbound import _backend

    split, methods = _backend.segment_split, []

    def wrong(*args, method, kind, **options):
        methods.append(method)
        distance, noise = split(*args, method=method, kind=kind, **options)
        return distance * (1 + error * (method != "direct" and kind in kinds)), noise

    monkeypatch.setattr(_backend, "segment_split", wrong)
    return methods


@pytest.mark.parametrize("kind", ["last", "tight"])
def test_walks_replace_what_is_off(monkeypatch, caplog, kind):
    plan = cb.sweep("wsd", steps=[1000, 2000], cooldown=np.linspace(0.1, 1, 30), kind=kind)
    expected = plan.compute(0)
    methods = _off(monkeypatch, 1e-10)
    found = plan.compute(0)
    np.testing.assert_allclose(found["distance"], expected["distance"], rtol=1e-11)
    assert methods == ["auto", "direct", "direct"]
    assert f"wsd: the fast evaluation of {kind} is off" in caplog.text


def test_what_agrees_is_not_walked(monkeypatch, caplog):
    """Only the kind that is off is computed anew, and only where that ends soon."""
    monkeypatch.setattr(_cells, "_LONGEST", 1500)
    plan = cb.sweep(
        "wsd", steps=[1000, 2000], cooldown=np.linspace(0.1, 1, 30), kind=["average", "last"]
    )
    expected = plan.compute(0)
    methods = _off(monkeypatch, 1e-10, kinds=["last"])
    found = plan.compute(0)
    assert methods == ["auto", "auto", "direct", "direct", "direct"]
    off = np.abs(found["distance"] / expected["distance"] - 1) > 1e-11
    assert off.any(axis=2).tolist() == [[False, False], [False, True]]
    assert "of last is off" in caplog.text and "1500 steps" in caplog.text


def test_what_is_close_enough_stays(monkeypatch, caplog):
    plan = cb.sweep("wsd", steps=[1000, 2000], cooldown=np.linspace(0.1, 1, 30))
    methods = _off(monkeypatch, 1e-12)
    plan.compute(0)
    assert methods == ["auto", "direct"]
    assert not caplog.text


def test_the_sample_is_small_and_always_the_same():
    plan = cb.sweep("wsd", steps=[10, 10**6], cooldown=np.linspace(0.1, 1, 500))
    cells_, _ = _cells._cells_of(plan, range(plan.kernels))
    first, again = _cells._sample(cells_, 10**8), _cells._sample(cells_, 10**8)
    np.testing.assert_array_equal(first, again)
    assert 1 <= first.size <= 4
    steps = cells_.each("steps")
    assert first.size == 1 or steps[first].sum() <= 0.05 * steps.sum()
    assert set(steps[_cells._sample(cells_, 100)]) <= {10}


def test_long_schedules_take_no_longer(monkeypatch):
    """A trillion steps; for a linear decay the best bound falls as the root of the horizon."""
    short = cb.sweep("linear", steps=10**6).run().cvx.tune()
    monkeypatch.setattr(
        _cells, "_verified", lambda *args: _cells._native(*args[:2], "auto", args[2])
    )
    long = cb.sweep("linear", steps=10**12).run().cvx.tune()
    assert float(long.omega) == pytest.approx(float(short.omega) / 1e3, rel=1e-5)


# --- axes -----------------------------------------------------------------------------------------


def flat(x):
    return [1.0]


@pytest.mark.parametrize(
    "family, axes, message",
    [
        ("wsx", {"steps": [3]}, r"unknown schedule 'wsx'; did you mean 'wsd'"),
        (3, {"steps": [3]}, r"family must be the name of one.*got 3"),
        ("wsd", {}, "wsd needs steps"),
        ("power", {"steps": 3}, "power needs exponent"),
        (sweep_families.ramp, {"steps": 3}, "ramp needs slope"),
        ("wsd", {"steps": 3, "cooldwn": 0.2}, r"unknown parameter of wsd 'cooldwn'.*'cooldown'"),
        (sweep_families.ramp, {"steps": 3, "slop": 1.0}, r"unknown parameter of ramp.*'slope'"),
        (sweep_families.ramp, {"steps": 3, "slope": 1.0, "final_lr": 0.1}, "unknown parameter"),
        ("wsd", {"steps": []}, "axis steps is empty"),
        ("wsd", {"steps": [3, 4.5]}, "axis steps at index 0: steps must be integers"),
        ("wsd", {"steps": np.geomspace(1, 9, 3)}, r"steps must be integers.*astype\(int\)"),
        ("wsd", {"steps": [3, 0, 5]}, "axis steps at index 1: steps must be at least 1, got 0"),
        ("wsd", {"steps": [3, 2**41]}, "axis steps at index 1: steps must be at most"),
        ("wsd", {"steps": [3, 10**400]}, "steps has an integer of more than 63 bits"),
        (flat, {"x": np.array([1, 2**63], np.uint64)}, "x has an integer of more than 63 bits"),
        (flat, {"x": 2**63}, "x has an integer of more than 63 bits"),
        (
            flat,
            {"x": [{"a": 1}, {"b": 2}]},
            "axis x at index 0: expected a number, a text or a fun",
        ),
        ("wsd", {"steps": [3, "x"]}, "axis steps at index 1: steps must be one integer, got 'x'"),
        ("wsd", {"steps": [3, 5, 3]}, "axis steps has steps=3 twice, at index 0 and 2"),
        ("wsd", {"steps": 3, "cooldown": [0, 0.5]}, r"all int \(steps\) or all float"),
        ("wsd", {"steps": 3, "cooldown": [0.2, 1.5]}, "axis cooldown at index 1: .*from 0 to 1"),
        ("wsd", {"steps": 3, "cooldown": [0.2, np.nan]}, "cooldown must be finite; found nan at"),
        ("wsd", {"steps": 3, "shape": ["linear", "sqt"]}, r"axis shape at index 1.*'sqt'"),
        ("wsd", {"steps": 3, "shape": ["1-sqrt", "sqrt"]}, r"axis shape has shape='1-sqrt' twice"),
        ("wsd", {"steps": 3, "final": [0.0, -0.1]}, "axis final at index 1: final must be a ratio"),
        ("wsd", {"steps": 3, "warmup_start": [None, 2.0]}, "at index 1: warmup_start must be"),
        ("wsd", {"steps": 3, "endpoint": [True, 1]}, "at index 1: endpoint must be True or False"),
        ("wsd", {"steps": 3, "gamma": [0.1, 0.0]}, "axis gamma at index 1: gamma must be positive"),
        ("wsd", {"steps": 3, "gamma": True}, "gamma must hold real numbers"),
        ("wsd", {"steps": 3, "D": "x"}, "D must hold real numbers"),
        ("wsd", {"steps": 3, "final_lr": 0.1}, "final_lr is an absolute.*needs gamma"),
        ("wsd", {"steps": 3, "final_lr": 1.0, "gamma": 2.0, "final": 0.5}, "not both"),
        ("wsd", {"steps": 3, "final_lr": [0.1, -1.0], "gamma": 2.0}, "final_lr must be non-neg"),
        ("wsd", {"steps": 3, "horizon": [1, 2]}, "an axis cannot be called 'horizon'"),
        ("cyclic_wsd", {"steps": 9, "cycles": [0.5, 1.0]}, r"cycles=\[\[0\.5, 1\.0\]\]"),
        ("piecewise", {"steps": 9, "milestones": 3, "factors": [1.0]}, "milestones must be a seq"),
        (lambda steps, x: 1, {"steps": 9, "x": [object()]}, "x: expected a number, a text"),
        (lambda steps, x: 1, {"steps": 9, "x": np.inf}, "x must be finite, got inf"),
        (lambda steps, gamma=1.0: 1, {"steps": 9}, "needs gamma"),
    ],
)
def test_axes_that_make_no_sense(family, axes, message):
    with pytest.raises((TypeError, ValueError), match=message):
        cb.sweep(family, **axes)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"kind": "lst"}, "unknown kind 'lst'; did you mean 'last'"),
        ({"kind": None}, "unknown kind None; choose one of these"),
        ({"kind": 3}, "unknown kind 3; choose one of these"),
        ({"kind": ["last", 3]}, "unknown kind 3; choose one of these"),
        ({"kind": []}, "kind must be one bound or several"),
        ({"kind": ["last", "last"]}, "kind must be one bound or several different ones"),
        ({"last_step": "fre"}, "unknown last_step"),
        ({"at": 0}, "at must be steps from 1 on"),
        ({"at": [0.5, 1.5]}, "at must be steps from 1 on .* got 1.5"),
        ({"at": []}, "at is empty"),
        ({"at": [1, 0.5]}, "all int .* or all float"),
        ({"at": [3, 3]}, "at has a horizon twice"),
        ({"at": "all"}, "at must be steps"),
        ({"at": [[1], [2, 3]]}, r"at must be steps .*, got \[\[1\], \[2, 3\]\]"),
        ({"at": b"1"}, "at must be steps"),
        ({"at": [5, 500]}, "at has step 500, and no schedule has more than 100 steps"),
        ({"block": 0}, "block must be at least 1"),
        ({"block": 2.5}, "block must be one integer"),
        ({"where": 3}, "where must be a function of the axes or an expression"),
        ({"where": "stps > 3"}, "unknown axis in where 'stps'; did you mean 'steps'"),
        ({"where": lambda stps: stps > 3}, "unknown axis in where 'stps'"),
        ({"where": lambda **all: True}, "must take axes by their names"),
        ({"where": "gamma < 0.2"}, "where cannot use gamma: it costs nothing here"),
        ({"where": "steps >"}, "is not an expression"),
        ({"where": "__import__('os')"}, r"__import__\('os'\)\" is not understood"),
        ({"where": "steps.real > 1"}, r"'steps\.real' is not understood"),
        ({"where": "[1] == steps"}, r"'\[1\]' is not understood"),
        ({"where": "steps % 2 == 0"}, "'%' is not understood; expected comparisons"),
        ({"where": "steps + 1"}, "must be True or False for each cell"),
        ({"where": "steps < 'x'"}, "\"steps < 'x'\" is not defined for numbers and texts$"),
        ({"where": "1 < -'x'"}, "\"-'x'\" is not defined for texts$"),
        ({"where": "-(steps > 3)"}, r"'-\(steps > 3\)' is not defined for True or False$"),
        ({"where": "steps > None"}, "'steps > None' is not defined for None and numbers$"),
        ({"where": "9" * 400 + " > steps"}, "cannot be evaluated: int too large"),
        ({"where": lambda steps: steps[:1] > 3}, r"shape \(2,\) here; it is of bool, shape \(1,\)"),
        ({"where": "steps > 1000"}, "where='steps > 1000' leaves no cell to compute"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        cb.sweep("wsd", **{"steps": [10, 100], "gamma": [0.1, 0.2], **options})


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: cb.zip(), "zip needs axes"),
        (lambda: cb.zip(steps=[1, 2], warmup=[1]), "one length; steps has 2, warmup has 1"),
        (
            lambda: cb.zip(steps=[1, 2], warmup=0.1),
            "zip takes axes, lists of values; warmup is 0.1",
        ),
        (lambda: cb.zip(3, steps=[1, 2]), "dim must be a name, got 3"),
        (lambda: cb.sweep("wsd", [1, 2]), r"expected cb\.zip"),
        (lambda: cb.sweep("wsd", cb.zip(steps=[1]), steps=[1]), "steps is given twice"),
        (lambda: cb.sweep("wsd", cb.zip(steps=[1]), cb.zip(steps=[1])), "steps is given twice"),
        (lambda: cb.sweep("wsd", cb.zip("kind", steps=[1])), "cannot name its dimension 'kind'"),
        (
            lambda: cb.sweep("wsd", cb.zip("shape", steps=[1]), shape="cosine"),
            "cannot name its dimension 'shape', which is taken",
        ),
        (
            lambda: cb.sweep("wsd", cb.zip(steps=[10, 10, 10], warmup=[1, 2, 1])),
            "axis steps_warmup has steps=10, warmup=1 twice, at index 0 and 2",
        ),
    ],
)
def test_zips_that_make_no_sense(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


def test_a_cell_without_a_schedule_is_found_beforehand():
    """Among many, and named by its coordinates."""
    axes = {"steps": range(100, 200), "cooldown": [10, 50, 120], "warmup": range(20)}
    with pytest.raises(
        ValueError, match=r"no schedule at steps=100, cooldown=120, warmup=0: .*whe"
    ):
        cb.sweep("wsd", **axes)
    plan = cb.sweep("wsd", **axes, where="cooldown + warmup <= steps")
    assert int(plan.run().distance.isnull().sum()) == sum(
        120 + warmup > steps for steps in axes["steps"] for warmup in axes["warmup"]
    )


def test_advice_can_be_followed():
    """What the message says of a cell leaves it out, and no other one."""
    axes = {"steps": [100, 200], "cooldown": [10, 120], "warmup": [0, 5]}
    where = []
    for _ in range(2):
        condition = " and ".join(where) or None
        with pytest.raises(ValueError, match="leaves this cell out") as refused:
            cb.sweep("wsd", **axes, where=condition)
        where.append(re.search(r"where='(.*)' leaves", str(refused.value))[1])
    assert (
        int(cb.sweep("wsd", **axes, where=" and ".join(where)).run().distance.isnull().sum()) == 2
    )


def test_a_cell_without_a_schedule_in_a_function():
    def family(steps, slope):
        return {} if slope == 0.5 and steps == 4 else sweep_families.ramp(steps, slope)

    with pytest.raises(cb.SweepError, match=r"no schedule at steps=4, slope=0\.5: TypeError"):
        cb.sweep(family, steps=[3, 4], slope=[0.25, 0.5], block=1).run()


def test_a_rate_that_rises_instead_of_falling():
    with pytest.raises(
        ValueError, match=r"no schedule at gamma=0\.1: final_lr is above gamma.*where"
    ):
        cb.sweep("wsd", steps=10, final_lr=0.5, gamma=[0.5, 0.1])


def test_large_plans_find_it_while_they_run():
    axes = {"steps": range(100, 60_000, 30), "cooldown": range(120)}
    plan = cb.sweep("wsd", **axes, block=1200)
    with pytest.raises(ValueError, match="no schedule at steps=100, cooldown=101"):
        plan.compute(0)


def test_sequences_are_values():
    """Milestones and factors take lists: a list of lists is an axis."""
    plan = cb.sweep("piecewise", steps=[10, 20], milestones=[0.5, 0.75], factors=[0.5, 0.1])
    assert plan.shape == (2,)
    plan = cb.sweep(
        "piecewise", cb.zip("drops", milestones=[[0.5], [0.5, 0.75]], factors=[[0.5], [0.5, 0.1]]),
        steps=[10, 20],
    )  # fmt: skip
    found = plan.run()
    assert found.milestones.values.tolist() == ["[0.5]", "[0.5, 0.75]"]
    expected = cb.terms(schedules.piecewise(20, [0.5, 0.75], [0.5, 0.1]))
    np.testing.assert_allclose(found.noise[1, 1], expected.noise, rtol=1e-12)


def test_axes_may_come_in_many_forms():
    """Tuples, ranges, arrays and labelled arrays; whole numbers where others are meant."""
    forms = [[100, 200], (100, 200), range(100, 300, 100), np.array([100, 200], np.uint16)]
    forms += [xr.DataArray([100, 200], dims="x")]
    plans = [cb.sweep("wsd", steps=steps, gamma=[1, 2], final=[0, 1]) for steps in forms]
    assert len({plan.hash for plan in plans}) == 1
    assert plans[0].hash == cb.sweep("wsd", steps=[100, 200], gamma=[1.0, 2], final=[0.0, 1]).hash


@pytest.mark.parametrize(
    "values", [{3, 4}, {3: 0}.keys(), iter([3, 4]), (x for x in [3, 4])], ids=lambda x: str(type(x))
)
@pytest.mark.parametrize("family", ["wsd", sweep_families.ramp])
def test_what_has_no_order_or_no_end_is_no_axis(family, values):
    with pytest.raises(TypeError, match="steps: an axis is a list, a tuple, a range or an array"):
        cb.sweep(family, steps=values, **({} if family == "wsd" else {"slope": 0.5}))


@pytest.mark.parametrize(
    "text, part",
    [
        ("steps in [1, 2]", "in"), ("steps not in [1]", "not in"), ("steps is None", "is"),
        ("steps is not None", "is not"), ("steps // 2 > 1", "//"), ("steps % 2 == 0", "%"),
        ("(steps > 1) & (steps < 9)", "&"), ("(steps > 1) | (steps < 9)", "|"), ("~steps > 1", "~"),
        ("steps ^ 1 > 1", "^"), ("steps << 1 > 1", "<<"), ("steps >> 1 > 1", ">>"),
        ("steps @ 1 > 1", "@"), ("abs(steps) > 1", "abs(steps)"), ("[steps] == 1", "[steps]"),
    ],
)  # fmt: skip
def test_what_an_expression_cannot_have_is_named_as_it_was_written(text, part):
    with pytest.raises(ValueError, match=f": '{re.escape(part)}' is not understood; expected comp"):
        cb.sweep("wsd", steps=[1, 2], where=text)


def test_an_expression_is_what_python_makes_of_it():
    names = {"a": np.array([1, 2, 3]), "b": np.array([0.5, 2.0, -1.0])}
    names["s"] = np.array(["x", "y", None], object)
    from cvxbound.sweeps import _where

    for text in (
        "a < b", "a <= 2 and b > 0 or not a == 1", "1 < a <= 3", "a ** 2 - 1 > -b / 2",
        "s == 'x'", "s != None", "+a > 2 ** -1", "True", "a < 9**9**9",
    ):  # fmt: skip
        found = _where.parse(f"  {text} ").mask(names, 3)
        each = [
            bool(eval(text.replace("9**9**9", "1e300"), {}, {k: v[i] for k, v in names.items()}))
            for i in range(3)
        ]
        assert found.tolist() == each, text


# --- plans ----------------------------------------------------------------------------------------

PLANS = {
    "one": lambda: cb.sweep("wsd", steps=10),
    "free": lambda: cb.sweep("wsd", steps=[10, 20], gamma=[0.1, 0.2], D=2.0),
    "zip": lambda: cb.sweep("wsd", cb.zip(steps=[10, 20], warmup=[1, 2]), shape=["cosine"]),
    "all": lambda: cb.sweep(
        "wsd", steps=[10, 20], kind=KINDS, last_step="free", at=[0.5, 1.0], final=0.1,
        shape=["cosine", parabola], where="steps > 5", block=1,
    ),
    "function": lambda: cb.sweep(sweep_families.ramp, steps=range(5, 200), slope=0.5),
}  # fmt: skip

SAME = """
    import sys
    import numpy as np
    import cvxbound as cb
    import test_sweeps
    print(*test_sweeps.all_hashes())
"""


def all_hashes():
    fixed = {"names": {"a": 1, "b": 2}}
    plans = [make() for make in PLANS.values()]
    plans += [cb.sweep(make(1), steps=5, **fixed.get(name, {})) for name, make in HOLDERS.items()]
    return [plan.hash for plan in plans]


def test_a_plan_has_the_same_hash_in_another_process():
    here = Path(__file__).parent
    for seed in "12":
        environment = os.environ | {"PYTHONPATH": str(here), "PYTHONHASHSEED": seed}
        out = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(SAME)],
            env=environment, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        assert out.split() == all_hashes()


def closure(power):
    return lambda steps: np.ones(steps) * power


def test_any_change_changes_the_hash():
    base = {"steps": [10, 20], "cooldown": [0.1, 0.2]}
    changes = [
        {}, {"steps": [10, 21]}, {"steps": [20, 10]}, {"steps": [10]}, {"steps": 10},
        {"cooldown": [0.1, np.nextafter(0.2, 1)]}, {"cooldown": [1, 2]}, {"shape": "cosine"},
        {"shape": ["cosine"]}, {"shape": parabola}, {"shape": lambda x: (1 - x) ** 3},
        {"shape": lambda x: (1 - x) ** 4}, {"kind": "tight"}, {"kind": ["last"]},
        {"last_step": "repeat"}, {"at": 0.5}, {"at": [0.5]}, {"at": 5}, {"where": "steps > 3"},
        {"where": "steps > 4"}, {"where": lambda steps: steps > 3}, {"block": 1}, {"block": 2},
        {"gamma": 0.1}, {"gamma": [0.1]}, {"D": 2.0}, {"final_lr": 0.01, "gamma": 0.1},
    ]  # fmt: skip
    plans = [cb.sweep("wsd", **{**base, **change}) for change in changes]
    plans += [
        cb.sweep("linear", steps=[10, 20]),
        cb.sweep("wsd", cooldown=[0.1, 0.2], steps=[10, 20]),
    ]
    plans += [cb.sweep("wsd", cb.zip(steps=[10, 20], cooldown=[0.1, 0.2]))]
    plans += [cb.sweep("wsd", cb.zip("x", steps=[10, 20], cooldown=[0.1, 0.2]))]
    plans += [cb.sweep(closure(power), steps=[10, 20]) for power in (1, 2)]
    plans += [cb.sweep(partial(sweep_families.ramp, slope=x), steps=[10, 20]) for x in (0.1, 0.2)]
    assert len({plan.hash for plan in plans}) == len(plans)
    assert plans[0] == cb.sweep("wsd", **base) != plans[1]
    assert hash(plans[0]) == hash(cb.sweep("wsd", **base))


def held(value):
    """A family that holds something in its closure."""
    return lambda steps: np.ones(steps) * bool(value)


@dataclasses.dataclass(slots=True)
class Slotted:
    level: float

    def __call__(self, steps):
        return np.full(steps, self.level)


class Ringed:
    """It holds itself."""

    def __init__(self, level):
        self.level, self.ring = level, [self]

    def family(self, steps):
        return np.full(steps, self.level)

    @functools.cached_property
    def cache(self):
        return object()


def local(level):
    class Local:
        height = level

        def __call__(self, steps):
            return np.full(steps, self.height)

    return Local()


def swapped(names):
    return eval(f"lambda steps, {names}: np.ones(steps) * ({names.replace(', ', ' - ')})")


# Families of two contents each, which differ in nothing else.
HOLDERS = {
    "schedule": lambda i: held(schedules.linear(10 + i)),
    "parameters": lambda i: held(schedules.Schedule([1.0], params={"a": i})),
    "set": lambda i: held({"x", "y", f"z{i}"}),
    "set of tuples": lambda i: held({("x", "y"), ("z", i)}),
    "frozenset": lambda i: held([frozenset({"x", "y", f"z{i}"})]),
    "order": lambda i: held([{"a": 1, "b": 2}, {"b": 2, "a": 1}][i]),
    "keys": lambda i: held([{1: 2}, {"1": 2}][i]),
    "list or tuple": lambda i: held([[1, 2], (1, 2)][i]),
    "shape": lambda i: held(np.ones([(6, 20), (20, 6)][i])),
    "objects": lambda i: held(np.array([None, {"a": i}])),
    "numbers": lambda i: held([complex(1, i), np.float32(i), bytes(i), range(i), slice(i)]),
    "namespace": lambda i: held(types.SimpleNamespace(level=i)),
    "expression": lambda i: held(re.compile("a" * i)),
    "generator": lambda i: held(np.random.default_rng(i)),
    "slots": Slotted,
    "method": lambda i: Ringed(i).family,
    "class": local,
    "cycle": lambda i: held(Ringed(i)),
    "functions": lambda i: held([np.sin, np.linspace, closure(i)]),
    "partial": lambda i: held(partial(closure, power=i)),
    "cached": lambda i: functools.lru_cache(closure(i)),
    "names": lambda i: swapped(["a, b", "b, a"][i]),
}


@pytest.mark.parametrize("make", HOLDERS.values(), ids=HOLDERS)
def test_what_a_function_holds_counts_by_its_contents(make):
    fixed = {"a": 1, "b": 2} if make is HOLDERS["names"] else {}
    hashes = [cb.sweep(make(i), steps=[5, 6], **fixed).hash for i in (0, 0, 1)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_the_use_of_an_object_does_not_count():
    first, second = Ringed(1), Ringed(1)
    assert first.cache is first.cache
    assert cb.sweep(held(first), steps=5).hash == cb.sweep(held(second), steps=5).hash


@pytest.mark.parametrize(
    "value", [threading.Lock(), np.frompyfunc(abs, 1, 1), (x for x in "ab")],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
@pytest.mark.parametrize("use", ["family", "shape", "where"])
def test_what_cannot_be_identified_is_refused(value, use):
    uses = {
        "family": {"family": held([value])},
        "shape": {"shape": lambda x: 1 - x * bool(value)},
        "where": {"where": lambda steps: steps > bool(value)},
    }
    options = {"family": "wsd", **uses[use]}
    with pytest.raises(TypeError, match=r"<lambda> cannot be identified: it holds <.*make it ins"):
        cb.sweep(options.pop("family"), steps=[5, 6], **options)


def test_what_is_nested_too_deeply_is_refused():
    deep = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(TypeError, match="cannot be identified: what it holds is nested too deeply"):
        cb.sweep(held(deep), steps=5)


def test_long_axes_count_by_every_value():
    values = np.linspace(0.1, 1, 1000)
    first = cb.sweep("wsd", steps=100, cooldown=values)
    values[500] += 1e-12
    second = cb.sweep("wsd", steps=100, cooldown=values)
    assert first.hash != second.hash
    assert len(json.dumps(first.identity)) < 1000


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_can_be_pickled(name):
    plan = PLANS[name]()
    again = pickle.loads(pickle.dumps(plan))
    assert (again, again.identity, again.part) == (plan, plan.identity, plan.part)
    for each, values in plan.compute(0).items():
        np.testing.assert_array_equal(again.compute(0)[each], values)


def test_functions_without_a_module_are_pickled_by_value():
    cloudpickle = pytest.importorskip("cloudpickle")
    plan = cb.sweep(lambda steps: np.ones(steps), steps=[3, 4], where=lambda steps: steps > 3)
    again = pickle.loads(cloudpickle.dumps(plan))
    assert again.hash == plan.hash
    np.testing.assert_array_equal(again.compute(0)["noise"], plan.compute(0)["noise"])


def test_a_plan_is_small_however_many_cells_it_has():
    plan = cb.sweep("wsd", steps=range(100, 1100), cooldown=np.linspace(0, 1, 1000),
                    final=np.linspace(0, 1, 1000))  # fmt: skip
    plan.compute(0)
    assert plan.kernels == 10**9
    assert len(pickle.dumps(plan)) < 50_000


@given(
    sizes=st.lists(st.integers(1, 8), max_size=4),
    block=st.integers(1, 600),
    kinds=st.sampled_from(["last", ["last", "average"]]),
    at=st.sampled_from([None, 1.0, [0.5, 1.0]]),
    shards=st.integers(1, 3),
)
def test_blocks_cover_the_grid_once(sizes, block, kinds, at, shards):
    names = ["steps", "final", "cooldown", "exponent"]
    axes = {
        name: range(1, size + 1) if name == "steps" else np.linspace(0.1, 0.9, size)
        for name, size in zip(names, sizes, strict=False)
    } or {"steps": 3}
    plan = cb.sweep("wsd", block=block, kind=kinds, at=at, **axes)
    count = np.zeros(plan.variable_shape, int)
    seen = []
    for index in range(shards):
        for number in plan.shard(index, shards).blocks:
            count[plan.region(number)] += 1
            seen += plan.span(number)
            inside = np.zeros(plan.shape, bool)
            inside[plan.slices(number)] = True
            np.testing.assert_array_equal(np.flatnonzero(inside), plan.span(number))
            assert len(plan.span(number)) <= block
            assert inside[plan.slices(number)].shape <= plan.block_shape
    assert (count == 1).all()
    assert sorted(seen) == list(range(plan.kernels))
    assert len(plan.chunks) == len(plan.variable_dims) == len(plan.variable_shape)
    *outer, inner = plan.block_shape or (1,)
    assert all(size == 1 for size in outer) or inner == plan.shape[-1]


def test_how_large_blocks_are():
    """About half a second each, at most ten thousand of them and a million kernels."""
    grid = {"steps": range(1000, 2000), "final": np.linspace(0, 0.99, 1000)}
    plan = cb.sweep("wsd", **grid)
    assert 4 <= plan.block_count <= 20
    slow = cb.sweep("wsd", kind="tight", **grid)
    assert plan.block_count < slow.block_count <= 10_000
    huge = cb.sweep("wsd", **grid, exponent=np.linspace(1, 2, 1000), kind="average")
    assert np.prod(huge.block_shape) <= 2**20
    assert huge.block_count <= 10_000
    assert cb.sweep("wsd", steps=10**12, kind="tight").block_count == 1
    called = cb.sweep(sweep_families.ramp, steps=10**8, slope=np.linspace(0.1, 1, 100))
    assert called.block_count == 100


@pytest.mark.parametrize("index, count", [(2, 2), (-1, 2), (0, 0), (0.5, 2), (True, 2), (0, "2")])
def test_shards_that_make_no_sense(index, count):
    with pytest.raises((TypeError, ValueError), match=r"(index|count) must be"):
        PLANS["free"]().shard(index, count)


@pytest.mark.parametrize("retries", [-1, 0.5, True])
def test_retries_that_make_no_sense(retries):
    with pytest.raises(ValueError, match="retries must be an integer from 0 on"):
        PLANS["one"]().run(retries=retries)


def test_a_block_that_is_none():
    with pytest.raises(ValueError, match="block must be from 0 to 0, got 1"):
        PLANS["free"]().compute(1)


def test_what_a_plan_says():
    plan = cb.sweep(
        "wsd",
        cooldown=np.linspace(0.01, 1, 100),
        shape=["linear", "1-sqrt", "cosine"],
        steps=np.geomspace(1e3, 1e6, 200).astype(int),
        gamma=np.geomspace(1e-5, 1, 1000),
    )
    first, second, third = repr(plan).splitlines()
    assert first == "<Sweep of wsd: 60,000,000 cells = 60,000 kernels x 1,000 free (gamma)"
    assert second == "  cooldown 100 x shape 3 x steps 200; last; final step"
    assert third.startswith("  1 block; result 960 kB; about 0.")
    assert third.endswith(("threads>", "thread>"))
    plan = cb.sweep("wsd", steps=range(10, 20), kind=KINDS, at=range(1, 9), block=3).shard(1, 2)
    assert repr(plan).splitlines()[0].endswith("240 cells = 10 kernels x 3 kinds x 8 horizons")
    assert "steps 10; last, tight, average; at steps 1, 2, 3, 4, ..." in repr(plan)
    assert "4 blocks of up to 3 kernels" in repr(plan)
    assert repr(plan).endswith("shard 1 of 2: 2 blocks>")
    plan = cb.sweep("wsd", steps=[9], cooldown=[0.1, 0.2], shape=["cosine"], gamma=[0.1], at=[3])
    first, second, _ = repr(plan).splitlines()
    assert first == "<Sweep of wsd: 2 cells = 2 kernels"
    assert second == "  cooldown 2, steps=9, shape='cosine'; last; at step 3"
    assert "\n  steps=9; last; at 0.5, 1.0 of the run\n" in repr(
        cb.sweep("wsd", steps=[9], at=[0.5, 1.0])
    )
    assert "result 1 MB;" in repr(cb.sweep("wsd", steps=range(1, 62_492)))
    assert repr(cb.sweep("wsd", steps=9)).startswith(
        "<Sweep of wsd: 1 cell = 1 kernel\n  one cell;"
    )


def test_where_a_block_is():
    plan = cb.sweep(
        "wsd", cb.zip(steps=[10, 20], warmup=[1, 2]), shape=["linear", "cosine"],
        cooldown=[0.1, 0.2, 0.3], block=2,
    )  # fmt: skip
    assert plan.where_is(0) == "steps=10, warmup=1, shape='linear', cooldown=0.1..0.2"
    assert plan.where_is(7) == "steps=20, warmup=2, shape='cosine', cooldown=0.3"
    assert cb.sweep("wsd", steps=[10, 20]).where_is(0) == "all cells"


# --- results --------------------------------------------------------------------------------------


def test_coordinates_and_attributes():
    plan = cb.sweep(
        "wsd", cb.zip("run", steps=[100, 200], warmup=[10, 20]), cooldown=[0.1, 0.2],
        warmup_start=[None, 0.5], shape=[parabola, "cosine"], final=0.1, rate=None,
        gamma=[0.1, 0.2], at=[0.5, 1.0], kind=["last", "average"],
    )  # fmt: skip
    found = plan.run()
    assert found.distance.dims == (
        "kind", "run", "cooldown", "warmup_start", "shape", "horizon",
    )  # fmt: skip
    assert found.sizes["gamma"] == 2
    assert found.steps.dims == found.warmup.dims == ("run",)
    assert found["shape"].values.tolist() == ["parabola", "cosine"]
    np.testing.assert_array_equal(found.warmup_start, [np.nan, 0.5])
    assert float(found.final) == 0.1
    assert "rate" not in found.coords
    units = {name: found[name].attrs.get("units") for name in found.coords}
    assert units["steps"] == units["warmup"] == "steps"
    assert units["cooldown"] == units["horizon"] == "fraction of steps"
    assert units["gamma"] == "D/G"
    assert found.cvx.omega().attrs == {"long_name": "bound", "units": "D G"}
    assert found.attrs["cvxbound"] == cb.__version__
    assert found.attrs["kernel"] == cb.info()["isa"]
    assert found.attrs["plan"] == plan.hash
    assert (found.attrs["family"], found.attrs["last_step"]) == ("wsd", "given")
    json.dumps(found.attrs)
    assert "units" not in plan.run().cvx.omega(D=3.0).attrs


def test_two_functions_of_one_name_have_two_labels():
    shapes = [lambda x: 1 - x, lambda x: (1 - x) ** 2]
    labels = cb.sweep("wsd", steps=9, shape=shapes).run()["shape"].values.tolist()
    assert labels == ["<lambda>", "<lambda> 2"]


def test_a_sweep_of_one_cell():
    found = cb.sweep("cosine", steps=400).run()
    assert found.distance.shape == ()
    assert float(found.cvx.tune().omega) == pytest.approx(0.1034, abs=5e-5)
    assert float(found.cvx.best().omega) == float(found.cvx.tune().omega)


def test_coupled_scales():
    """A free axis that is coupled to a computed one is a coordinate of it."""
    found = cb.sweep("linear", cb.zip(steps=[10, 20], gamma=[0.3, 0.2]), D=[1.0, 2.0]).run()
    assert found.distance.dims == ("steps_gamma",)
    expected = cb.bound(schedules.linear(20), 0.2, D=2.0)
    np.testing.assert_allclose(found.cvx.omega()[1, 1], expected, rtol=1e-12)
    assert found.cvx.omega().dims == ("steps_gamma", "D")


def test_the_import_needs_numpy_alone():
    text = """
        import sys
        import cvxbound as cb
        plan = cb.sweep("wsd", steps=[10, 20], gamma=[0.1])
        repr(plan), plan.hash, plan.compute(0)
        print({"xarray", "zarr", "dask", "pandas", "rich"} & {*sys.modules})
        sys.modules["xarray"] = None
        try:
            plan.run()
        except ImportError as error:
            print(error)
    """
    out = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)], capture_output=True, text=True, check=True
    ).stdout
    assert out == 'set()\na sweep needs xarray: pip install "cvxbound[sweep]"\n'


def test_texts_of_coordinates_are_written_without_warnings(tmp_path):
    found = cb.sweep("wsd", steps=[10, 20], shape=["linear", "cosine"], at=0.5).run()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found.to_zarr(tmp_path / "a.zarr", zarr_format=3, consolidated=False)


# --- .cvx -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def grid():
    """Two shapes at lengths and cooldowns, with free axes; a mask and an infinite bound."""
    return cb.sweep(
        "wsd",
        steps=[20, 50, 90],
        cooldown=[0.2, 0.5, 0.9],
        endpoint=[False, True],
        gamma=np.geomspace(0.01, 1, 7),
        D=[2.0, 0.5, 1.0],
        where="cooldown * steps < 60",
        kind=["last", "average"],
    ).run()


def every(data, **scales):
    """All cells at once, the slow way."""
    known = {name: data[name] for name in ("gamma", "D", "G") if name in data.coords}
    known = {"D": 1.0, "G": 1.0} | known | scales
    gamma, D, G = known["gamma"], known["D"], known["G"]
    omega = D**2 * data.distance / gamma + G**2 * gamma * data.noise
    order = ("kind", "steps", "cooldown", "endpoint", "gamma", "D", "G")
    return omega.transpose(*order, missing_dims="ignore")


def test_omega(grid):
    xr.testing.assert_allclose(grid.cvx.omega(), every(grid), rtol=1e-12)
    given = grid.cvx.omega(D=3.0, G=2.0)
    assert given.dims == ("kind", "steps", "cooldown", "endpoint", "gamma")
    np.testing.assert_allclose(given, every(grid, D=3.0, G=2.0), rtol=1e-12)
    several = grid.cvx.omega(gamma=[0.1, 0.3], G=[1.0, 2.0])
    assert several.sizes["gamma"] == several.sizes["G"] == 2
    np.testing.assert_array_equal(several.gamma, [0.1, 0.3])
    each = xr.DataArray([0.1, 0.2, 0.3], dims="steps", coords={"steps": grid.steps})
    assert grid.cvx.omega(gamma=each).dims == ("kind", "steps", "cooldown", "endpoint", "D")


def test_omega_of_selections(grid):
    one = grid.sel(steps=50, cooldown=0.5, kind="last").isel(gamma=3)
    assert one.cvx.omega().dims == ("endpoint", "D")
    xr.testing.assert_allclose(one.cvx.omega(), every(one), rtol=1e-12)


@pytest.mark.parametrize("value", [0.0, -1.0, np.inf, np.nan])
def test_scales_are_positive(grid, value):
    with pytest.raises(ValueError, match="gamma must be positive"):
        grid.cvx.omega(gamma=value)
    with pytest.raises(ValueError, match="D must be positive"):
        grid.cvx.tune(D=xr.DataArray([1.0, value], dims="D"))


def test_a_rate_is_missing():
    found = cb.sweep("wsd", steps=[10, 20]).run()
    with pytest.raises(ValueError, match=r"gamma is missing: give omega\(gamma=...\).*tune\(\)"):
        found.cvx.omega()
    with pytest.raises(ValueError, match="G must be a number, an axis or a DataArray"):
        found.cvx.omega(gamma=0.1, G=[[1.0]])


@pytest.mark.parametrize(
    "ask, error, message",
    [
        (lambda cvx: cvx.best(3), TypeError, "dim must be the name of a dimension.*; got 3"),
        (lambda cvx: cvx.best([3]), ValueError, "unknown dimension 3"),
        (lambda cvx: cvx.best(G=[]), ValueError, "G is empty: expected at least one value"),
        (lambda cvx: cvx.best("steps", gamma=[]), ValueError, "gamma is empty"),
        (lambda cvx: cvx.omega(gamma=[]), ValueError, "gamma is empty"),
        (lambda cvx: cvx.omega(gamma=xr.DataArray([], dims="x")), ValueError, "gamma is empty"),
        (lambda cvx: cvx.tune(D=[]), ValueError, "D is empty"),
    ],
)
def test_questions_that_make_no_sense(grid, ask, error, message):
    with pytest.raises(error, match=message):
        ask(grid.cvx)


@pytest.mark.parametrize("dim", ["steps", "gamma", "D"])
@pytest.mark.parametrize("along", [None, "cooldown", "gamma"])
def test_the_best_of_an_empty_selection(grid, dim, along):
    with pytest.raises(ValueError, match=f"dimension '{dim}' is empty, so there is no best cell"):
        grid.isel({dim: []}).cvx.best(along)


def test_rates_that_the_sweep_was_computed_at():
    found = cb.sweep("wsd", steps=[10, 20], gamma=[0.1, 0.2], final_lr=0.01).run()
    with pytest.raises(ValueError, match=r"computed at its own gamma.*\.sel\(gamma="):
        found.cvx.omega(gamma=0.15)
    with pytest.raises(ValueError, match=r"best\(\"gamma\"\)"):
        found.cvx.tune()
    assert found.cvx.omega(D=2.0).dims == ("steps", "gamma")


def test_rates_that_the_sweep_does_not_know():
    found = cb.sweep("wsd", steps=[10, 20], kind="tight").run()
    for act in (found.cvx.omega, partial(found.cvx.omega, gamma=0.1)):
        with pytest.raises(ValueError, match=r"terms are those at the best gamma.*give gamma"):
            act()
    expected = cb.tune(schedules.wsd(20), kind="tight", D=2.0)
    assert float(found.cvx.tune(D=2.0).omega[1]) == pytest.approx(expected.omega, rel=1e-12)


def test_something_else_has_no_bounds():
    with pytest.raises(
        ValueError, match="not the result of a sweep: it has no distance and no noi"
    ):
        SweepAccessor(xr.Dataset({"x": 1})).omega()


def test_scales_replace_those_of_the_sweep():
    """Also where another one that is fixed comes along as a coordinate."""
    result = cb.sweep("wsd", steps=[100, 200], gamma=0.1, D=0.4).run()
    schedule = cb.schedules.wsd(200)
    tuned = result.cvx.tune(D=[1.0, 3.0]).sel(steps=200)
    for D in (1.0, 3.0):
        assert float(tuned.omega.sel(D=D)) == pytest.approx(cb.tune(schedule, D=D).omega)
    assert float(result.cvx.tune().omega[1]) == pytest.approx(cb.tune(schedule, D=0.4).omega)
    bound = result.cvx.omega(D=2.0, G=3.0).sel(steps=200)
    assert float(bound) == pytest.approx(cb.bound(schedule, 0.1, D=2.0, G=3.0))
    best = result.cvx.best("steps", D=2.0)
    assert float(best.omega) == pytest.approx(cb.bound(schedule, 0.1, D=2.0))


def test_tune(grid):
    tuned = grid.cvx.tune(G=0.3)
    assert tuned.omega.dims == ("kind", "steps", "cooldown", "endpoint", "D")
    ends_at_zero = tuned.omega.sel(kind="last", endpoint=True)
    assert set(np.unique(ends_at_zero.values[:, :2])) == {np.inf}
    masked = grid.distance.isnull()
    assert masked.any()
    np.testing.assert_array_equal(tuned.omega.isel(D=0).isnull(), masked)
    finite = tuned.where(np.isfinite(tuned.omega))
    again = grid.cvx.omega(gamma=finite.gamma.fillna(1.0), G=0.3).where(finite.omega.notnull())
    np.testing.assert_allclose(again.transpose(*finite.omega.dims), finite.omega, rtol=1e-12)
    for factor in (0.9, 1.1):
        worse = grid.cvx.omega(gamma=finite.gamma.fillna(1.0) * factor, G=0.3)
        assert not (worse < finite.omega).any()


DIMS = ["kind", "steps", "cooldown", "endpoint", "gamma", "D"]


@settings(max_examples=30)
@given(
    dims=st.none() | st.lists(st.sampled_from(DIMS), unique=True) | st.sampled_from(DIMS),
    held=st.sampled_from([5, 100, 10**6]),
    scales=st.fixed_dictionaries(
        {},
        optional={
            "gamma": POSITIVE | st.just([0.5, 0.1, 0.2]),
            "D": POSITIVE,
            "G": st.just([2.0, 0.5]),
        },
    ),
    lazy=st.booleans(),
)
def test_the_best_cell(grid, dims, held, scales, lazy):
    """Whatever is looked along, by whichever pieces: the least, and where it is."""
    data = grid.chunk({"steps": 2, "cooldown": 2}) if lazy else grid
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_accessor, "_MOST_HELD", held)
        patch.setattr(_accessor, "_MOST_READ", held)
        wanted = dims
        omega = grid.cvx.omega(**scales)
        if dims is not None:
            wanted = [dims] if isinstance(dims, str) else dims
            wanted = [dim for dim in wanted if dim in omega.dims]
        best = data.cvx.best(wanted, **scales)
    gone = [dim for dim in omega.dims if dim != "kind"] if dims is None else wanted
    expected = omega.min(gone)
    assert best.omega.dims == expected.dims
    np.testing.assert_allclose(best.omega, expected, rtol=1e-12)
    for index in list(np.ndindex(expected.shape))[:: expected.size // 20 + 1]:
        cell = best.isel(dict(zip(expected.dims, index, strict=True)))
        if np.isnan(cell.omega):
            assert all(
                np.isnan(float(cell[dim])) for dim in gone if dim not in ("kind", "endpoint")
            )
            continue
        place = {dim: cell[dim].item() for dim in omega.dims}
        np.testing.assert_allclose(omega.sel(place), cell.omega, rtol=1e-12)


def test_the_best_cell_of_coupled_axes():
    found = cb.sweep(
        "wsd", cb.zip("run", steps=[10, 500, 90], warmup=[1, 5, 9]), shape=["linear", "cosine"]
    ).run()
    best = found.cvx.best()
    assert (int(best.steps), int(best.warmup)) == (500, 5)
    assert best["shape"].item() in ("linear", "cosine")
    assert float(best.omega) == float(found.cvx.tune().omega.min())
    assert float(best.gamma) == float(found.cvx.tune().gamma.sel(shape=best["shape"].item())[1])
    assert found.cvx.best("shape").omega.dims == ("run",)
    assert found.cvx.best("shape").steps.dims == ("run",)


def test_the_best_of_coupled_scales():
    """Gamma that goes with D is looked at value by value."""
    scales = cb.zip("setting", gamma=[0.3, 0.1, 0.2], D=[1.0, 4.0, 0.5])
    found = cb.sweep("linear", scales, steps=[10, 50], G=[3.0, 1.0]).run()
    best = found.cvx.best(["setting", "G"])
    xr.testing.assert_allclose(
        best.omega.drop_vars("steps"), found.cvx.omega().min(["setting", "G"]).drop_vars("steps")
    )
    assert best.G.values.tolist() == [1.0, 1.0]
    assert set(zip(best.gamma.values, best.D.values, strict=True)) <= {(0.2, 0.5), (0.1, 4.0)}


def test_the_best_where_nothing_is():
    found = cb.sweep("wsd", steps=[10, 20], shape=["linear", "cosine"], where="steps > 10").run()
    best = found.cvx.best("shape")
    assert best["shape"].values.tolist()[1:] == ["linear"]
    assert best["shape"].isnull().values.tolist() == [True, False]
    assert np.isnan(best.omega[0])
    best = found.isel(steps=[0]).cvx.best()
    assert np.isnan(best.omega)
    assert np.isnan(best.steps)


def test_the_best_of_something_else(grid):
    with pytest.raises(ValueError, match="unknown dimension 'stps'; did you mean 'steps'"):
        grid.cvx.best("stps")


def test_the_best_from_a_store(tmp_path, grid):
    plan = cb.sweep("wsd", steps=range(20, 60), cooldown=np.linspace(0.1, 1, 25), block=25,
                    gamma=np.geomspace(0.01, 1, 50))  # fmt: skip
    memory, stored = plan.run(), plan.run(tmp_path / "a.zarr")
    for dims in (None, "gamma", ["steps", "gamma"]):
        xr.testing.assert_identical(stored.cvx.best(dims), memory.cvx.best(dims))
    xr.testing.assert_identical(cb.open_sweep(tmp_path / "a.zarr").load(), memory)


def test_a_million_kernels_at_a_thousand_rates():
    """The best of 1e9 cells, read piece by piece: a tenth of what the kernels take is held."""

    class Pieces(xr.backends.BackendArray):
        shape, dtype = (1000, 1000), np.dtype(float)

        def __init__(self, slope):
            self.slope = slope

        def __getitem__(self, key):
            return xr.core.indexing.explicit_indexing_adapter(
                key, self.shape, xr.core.indexing.IndexingSupport.BASIC, self._read
            )

        def _read(self, key):
            row, column = (np.arange(1000)[each] for each in key)
            sizes.append(row.size * column.size)
            return 1 + (row[:, None] * 1000 + column - 456_789.0) ** 2 * self.slope

    sizes = []
    values = [xr.core.indexing.LazilyIndexedArray(Pieces(slope)) for slope in (1e-6, 1e-9)]
    chunks = {"preferred_chunks": {"x": 10, "y": 1000}}
    terms = [xr.Variable(("x", "y"), each, encoding=chunks) for each in values]
    data = xr.Dataset(
        dict(zip(("distance", "noise"), terms, strict=True)),
        {"x": np.arange(1000), "y": np.arange(1000), "gamma": np.linspace(0.5, 1.5, 1001)},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_accessor, "_MOST_READ", 2**15)
        patch.setattr(_accessor, "_MOST_HELD", 2**14)
        tracemalloc.start()
        try:
            best = data.cvx.best()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert (int(best.x), int(best.y), float(best.gamma), float(best.omega)) == (456, 789, 1.0, 2.0)
    assert sum(sizes) == 2_000_000
    assert max(sizes) <= 2**15
    assert peak < 4e6


def test_a_sweep_of_a_billion_cells(tmp_path):
    """Into a store; its best cell is found there, and is what the bound says."""
    plan = cb.sweep(
        "wsd",
        steps=np.geomspace(1e3, 1e6, 1000).astype(int),
        cooldown=np.linspace(0, 1, 1000),
        gamma=np.geomspace(1e-4, 1, 1000),
    )
    assert plan.cells == 10**9
    plan.run(tmp_path / "a.zarr")
    best = cb.open_sweep(tmp_path / "a.zarr").cvx.best()
    eta = schedules.wsd(int(best.steps), float(best.cooldown))
    assert float(best.omega) == pytest.approx(cb.bound(eta, float(best.gamma)), rel=1e-11)


def test_lazy_results_stay_lazy(grid):
    data = grid.chunk()
    assert data.cvx.omega().chunks is not None
    assert data.cvx.tune().omega.chunks is not None
    xr.testing.assert_allclose(data.cvx.tune().compute(), grid.cvx.tune())


def test_figures_of_results(grid):
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    omega = grid.isel(endpoint=0, D=0).sel(kind="average").cvx.omega()
    line = omega.sel(steps=20, cooldown=0.2).plot()
    assert line[0].axes.get_ylabel() == "bound"
    plt.figure()
    mesh = omega.sel(cooldown=0.2).plot()
    assert mesh.axes.get_xlabel() == "base learning rate"
    plt.figure()
    free = cb.sweep("wsd", steps=[50, 90], cooldown=[0.1, 0.2]).run()
    assert "[D G]" in free.cvx.tune().omega.sel(steps=50).plot()[0].axes.get_ylabel()
    plt.close("all")


@pytest.mark.parametrize("name", ["_accessor", "_errors", "_identity", "_plan", "_where"])
def test_examples(name):
    module = importlib.import_module(f"cvxbound.sweeps.{name}")
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed == 0


def test_examples_of_the_notes():
    path = Path(__file__).parents[1] / "docs" / "sweeps.md"
    results = doctest.testfile(str(path), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert results.attempted
    assert results.failed == 0


def test_costs_are_known_for_every_plan():
    for make in PLANS.values():
        assert 0 < _cost.kernel_seconds(make()) < 1
    assert isinstance(PLANS["one"](), Plan)


# --- what is refused before anything is done ------------------------------------------------------


@pytest.mark.parametrize("at", [[1, np.float64(0.5)], [np.int64(1), 0.5]])
def test_horizons_are_all_steps_or_all_fractions(at):
    with pytest.raises(ValueError, match="all int"):
        cb.sweep("wsd", steps=100, at=at)


def test_a_bad_number_of_threads_makes_no_store(tmp_path):
    with pytest.raises(ValueError, match="nthreads"):
        cb.sweep("wsd", steps=100).run(tmp_path / "a.zarr", nthreads=0)
    assert not list(tmp_path.iterdir())


def test_an_expression_that_is_too_long():
    with pytest.raises(ValueError, match="where is too long"):
        cb.sweep("wsd", steps=100, where="+".join(["steps"] * 500) + " > 1")


@pytest.mark.parametrize(
    "text",
    [
        "-" * 990 + "1 > 0",
        "(" * 490 + "1 > 0" + ")" * 490,
        "not " * 240 + "True",
        "1" + "+1" * 490 + "> 0",
        "1" + "**1" * 320 + "> 0",
    ],
    ids=lambda text: text[:4],
)
def test_an_expression_that_is_too_deep(text):
    """Deeper than Python's stack, in its own parser or here: never a RecursionError."""
    with pytest.raises(ValueError, match=r"where is nested too deeply|too many nested parentheses"):
        cb.sweep("wsd", steps=100, where=text)


def test_an_expression_may_be_long_and_flat():
    text = " or ".join(["steps < 1"] * 70 + ["steps > 10"])
    assert cb.sweep("wsd", steps=[10, 20], where=text).run().noise.notnull().values.tolist() == [
        False,
        True,
    ]


def test_a_mask_that_fails_says_where_it_came_from():
    def keep(steps, cooldown):
        return {}[steps[0]]

    message = (
        r"where=keep\(steps, cooldown\) failed: KeyError: .*10.* an array with one entry a cell"
    )
    with pytest.raises(ValueError, match=message) as error:
        cb.sweep("wsd", steps=[10, 20], cooldown=[0.1, 0.2], where=keep)
    assert isinstance(error.value.__cause__, KeyError)


def test_a_store_without_a_name():
    with pytest.raises(ValueError, match=r"a store is a path.*got no name"):
        PLANS["one"]().run("")


def test_the_longest_schedules_take_no_longer():
    found = cb.sweep("wsd", steps=2**40, cooldown=[0.1, 0.2]).run()
    assert np.isfinite(found.noise).all()
