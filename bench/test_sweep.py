"""Cells of a sweep: one horizon of each of many schedules, by panels, by a walk, and in NumPy."""

import numpy as np
import pytest

import peers
from cvxbound._backend import segment_split
from cvxbound.schedules import segment_table

FAMILIES = {
    "cosine": {},
    "wsd": {"cooldown": 0.2, "shape": "1-sqrt", "warmup": 0.01},
}


def cells(family, steps, count):
    """A table of segments of schedules that differ, and their horizons."""
    final = np.linspace(0, 0.1, count)
    table = segment_table(family, {"steps": steps, "final": final, **FAMILIES[family]}, count)
    return table, np.full((count, 1), steps)


def split(table, horizons, method, nthreads=1, kind="last"):
    return segment_split(
        table, horizons, kind=kind, last_step="given", method=method, nthreads=nthreads
    )


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("steps", [10**4, 10**5, 10**6, 10**7, 10**8])
def test_panels(measure, benchmark, family, steps):
    benchmark.group = f"1000 cells of {family} by panels, one thread"
    benchmark.name = f"cvxbound, T = {steps:.0e}"
    table, horizons = cells(family, steps, 1000)
    distance, noise = measure(split, table, horizons, "fast")
    expected = split(table[:1], horizons[:1], "direct")
    np.testing.assert_allclose((distance[:1], noise[:1]), expected, rtol=1e-11)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", ["fast", "direct"])
@pytest.mark.parametrize(
    "steps", [10**4, 10**5, pytest.param(10**6, marks=pytest.mark.slow), 10**8]
)
def test_exact_worst_case(measure, benchmark, family, steps, method):
    if method == "direct" and steps > 10**6:
        pytest.skip("a walk from every rho takes too long")
    benchmark.group = f"10 cells of {family}, the last step free (tight), T = {steps}"
    benchmark.name = {"fast": "cvxbound, panels", "direct": "walks"}[method]
    table, horizons = cells(family, steps, 10)
    distance, noise = measure(split, table, horizons, method, 1, "tight", rounds=3)
    if steps <= 10**5:
        a, b = split(table[:1], horizons[:1], "direct", kind="tight")
        np.testing.assert_allclose(distance[0] * noise[0], a[0] * b[0], rtol=1e-11)


def numpy_schedule(family, steps, final):
    """The same schedule in as few passes as NumPy allows."""
    if family == "cosine":
        left = np.sin(np.pi / 2 * (1 - np.arange(steps) / steps)) ** 2
        return final + (1 - final) * left
    eta = np.ones(steps)
    warmup, cooldown = round(0.01 * steps), round(0.2 * steps)
    eta[:warmup] = np.arange(1, warmup + 1) / (warmup + 1)
    eta[-cooldown:] -= (1 - final) * np.sqrt(np.arange(cooldown) / cooldown)
    return eta


def numpy_sweep(family, steps, count):
    """Lay each schedule out and take its suffix sums."""
    finals = np.linspace(0, 0.1, count)
    return [peers.numpy_bound(numpy_schedule(family, steps, final)) for final in finals]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("steps", "count"), [(10**3, 1000), (10**5, 30), (10**7, 2)])
@pytest.mark.parametrize("method", ["fast", "direct", "threads", "numpy"])
def test_against_walks(measure, benchmark, family, steps, count, method):
    benchmark.group = f"{count} cells of {family}, T = {steps}"
    benchmark.name = {
        "fast": "cvxbound, panels",
        "direct": "walk, schedules made in the kernel",
        "threads": "the same, all threads",
        "numpy": "numpy, suffix sums",
    }[method]
    table, horizons = cells(family, steps, count)
    if method == "numpy":
        omega = measure(numpy_sweep, family, steps, count, rounds=3)
    elif method == "threads":
        omega = np.sum(measure(split, table, horizons, "direct", None), axis=0)[:, 0]
    else:
        omega = np.sum(measure(split, table, horizons, method), axis=0)[:, 0]
    np.testing.assert_allclose(omega, np.sum(split(table, horizons, "direct"), 0)[:, 0], rtol=1e-7)
