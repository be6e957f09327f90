"""Other ways to all horizons of `last` in nearly linear time, written from their formulas.

Both need distances that do not span hundreds of decades, as those of ordinary schedules.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
from pathlib import Path

import numpy as np

# --- a sum of exponentials, in JAX ----------------------------------------------------------------


def exponentials(low, high, rtol):
    """Rates s and weights w with 1/x = sum_j w_j exp(-s_j x) on [low, high], to about rtol.

    The trapezoid rule for 1/x = int exp(-x e^u + u) du; its error falls like exp(-pi^2 / spacing).
    """
    digits = np.log(1 / rtol)
    first, last = -digits - np.log(high), np.log((digits + 5) / low)
    spacing = np.pi**2 / (digits + 3)
    u = np.arange(first, last + spacing, spacing)
    return np.exp(u), spacing * np.exp(u)


@functools.cache
def _jax_curve(block):
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)

    @jax.jit
    def curve(eta, rates, weights):
        steps = eta.reshape(-1, block)
        # Inside a block: distances to its ends, and each pair of target and source.
        start = jnp.cumsum(steps, axis=1) - steps
        width = start[:, -1] + steps[:, -1]
        back = jnp.cumsum(steps[:, ::-1], axis=1)[:, ::-1] - steps
        earlier = jnp.tril(jnp.ones((block, block), bool), -1)

        def inside(row):
            rows, starts = row
            distance = rows[:, None] + starts[:, None] - starts[None, :] - rows[None, :]
            pair = jnp.where(earlier, rows**2 / jnp.where(earlier, distance, 1.0), 0.0)
            return pair.sum(axis=1)

        def moments(row):
            rows, backs = row
            return (rows**2) @ jnp.exp(-backs[:, None] * rates)

        def step(state, block_):
            moment, wide = block_
            return jnp.exp(-wide * rates) * state + moment, state

        def outside(row):
            rows, starts, state = row
            return jnp.exp(-(rows + starts)[:, None] * rates) @ (weights * state)

        batch = 64
        near = jax.lax.map(inside, (steps, start), batch_size=batch)
        moment = jax.lax.map(moments, (steps, back), batch_size=batch)
        _, before = jax.lax.scan(step, jnp.zeros_like(rates), (moment, width))
        far = jax.lax.map(outside, (steps, start, before), batch_size=batch)
        length = jnp.cumsum(width) - width
        total = length[:, None] + start + steps
        return (0.5 / total + 0.5 * (steps + near + far)).reshape(-1)

    return curve


def exponential_curve(eta, rtol=1e-12, block=64):
    """All horizons by a sum of exponentials: a state for each block of steps, pairs inside it."""
    padded = np.r_[eta, np.full(-eta.size % block, eta[-1])]
    rates, weights = exponentials(eta.min(), padded.sum(), rtol)
    return np.asarray(_jax_curve(block)(padded, rates, weights))[: eta.size]


# --- a fast multipole method in the plane ---------------------------------------------------------


@functools.cache
def _cauchy_sums():
    """The routine behind fmm2dpy, whose Python module is not for NumPy 2."""
    package = importlib.util.find_spec("fmm2dpy")
    if package is None or not package.submodule_search_locations:
        raise ImportError("fmm2dpy is not installed")
    (library,) = Path(package.submodule_search_locations[0]).glob("lfmm2d_fortran*.so")
    return ctypes.PyDLL(str(library)).cfmm2d_t_d_p_


def fmm2d_sums(sources, strengths, targets, rtol):
    """sum_k q_k / (y_t - x_k) on a line, by the complex fast multipole method of fmm2d."""

    def reference(x):
        return x.ctypes.data_as(ctypes.c_void_p)

    def plane(x):
        return np.column_stack([x, np.zeros_like(x)])

    source, target = plane(sources), plane(targets)
    dipole = strengths.astype(complex)
    found = np.zeros(len(targets), complex)
    counts = np.array([len(sources), len(targets), 0], np.int64)
    eps = np.array([rtol])
    _cauchy_sums()(
        reference(eps), reference(counts[:1]), reference(source), reference(dipole),
        reference(counts[1:2]), reference(target), reference(found), reference(counts[2:]),
    )  # fmt: skip
    if counts[2]:
        raise RuntimeError(f"fmm2d failed with code {counts[2]}")
    return found.real


def multipole_curve(eta, rtol=1e-12, leaf=2048):
    """All horizons by divide and conquer: one half of the steps acts on the other by an FMM."""
    import peers

    noise = eta.copy()

    def conquer(first, last):
        if last - first <= leaf:
            noise[first:last] += peers.inside_block(eta[first:last])
            return
        middle = (first + last) // 2
        conquer(first, middle)
        conquer(middle, last)
        left, right = eta[first:middle], eta[middle:last]
        sources = -(np.cumsum(left[::-1])[::-1] - left)
        targets = np.cumsum(right)
        noise[middle:last] += fmm2d_sums(sources, left**2, targets, rtol)

    conquer(0, eta.size)
    return 0.5 / np.cumsum(eta) + 0.5 * noise
