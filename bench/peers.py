"""What a user would run instead: the same bound by NumPy and Numba, written from the formulas."""

from __future__ import annotations

import numba
import numpy as np


def published_curve(eta):
    """The paper's three-term formula, one horizon after the other, D = G = gamma = 1.

    Omega_t = D^2 / (2 S_t) + 1/2 [Q_t / S_t
              + sum_{k<t} eta_k / (S_t - S_k) (Q_t - Q_{k-1}) / (S_t - S_{k-1})].
    """
    omega = np.empty(len(eta))
    for t in range(1, len(eta) + 1):
        steps = eta[:t]
        # Sums from each step to the target, so that no difference of prefix sums is formed.
        length = np.cumsum(steps[::-1])[::-1]
        squares = np.cumsum((steps * steps)[::-1])[::-1]
        extra = np.sum(steps[:-1] / length[1:] * squares[:-1] / length[:-1])
        omega[t - 1] = 0.5 / length[0] + 0.5 * (squares[0] / length[0] + extra)
    return omega


def suffix_sum_curve(eta):
    """The positive form, one horizon after the other, a suffix sum each."""
    omega = np.empty(len(eta))
    for t in range(1, len(eta) + 1):
        distance = np.cumsum(eta[t - 1 :: -1])
        noise = eta[t - 1] + np.sum(eta[t - 2 :: -1] ** 2 / distance[:-1]) if t > 1 else eta[0]
        omega[t - 1] = 0.5 / distance[-1] + 0.5 * noise
    return omega


def numpy_bound(eta):
    """One horizon by a NumPy suffix sum."""
    distance = np.cumsum(eta[::-1])
    return 0.5 / distance[-1] + 0.5 * (eta[-1] + np.sum(eta[-2::-1] ** 2 / distance[:-1]))


TILE, SHORT_TILE = 256, 32


@numba.njit(fastmath=True, error_model="numpy")
def inside_tile(eta, first, count, tile):
    """Distance to the start of the tile and noise from inside it, for each of its targets."""
    distance = np.ones(tile)
    noise = np.zeros(tile)
    for j in range(count):
        distance[j] = eta[first + j]
        noise[j] = eta[first + j]
        for k in range(first + j - 1, first - 1, -1):
            noise[j] += eta[k] * eta[k] / distance[j]
            distance[j] += eta[k]
    return distance, noise


@numba.njit(parallel=True, fastmath=True, error_model="numpy")
def tiled_curve(eta):
    """A tile of targets in cache, one division a pair."""
    steps = eta.shape[0]
    omega = np.empty(steps)
    for tile in numba.prange((steps + TILE - 1) // TILE):
        first = tile * TILE
        count = min(TILE, steps - first)
        distance, noise = inside_tile(eta, first, count, TILE)
        for k in range(first - 1, -1, -1):
            step = eta[k]
            square = step * step
            for j in range(TILE):
                noise[j] += square / distance[j]
                distance[j] += step
        for j in range(count):
            omega[first + j] = 0.5 / distance[j] + 0.5 * noise[j]
    return omega


@numba.njit(fastmath=True, error_model="numpy")
def four_fraction_tile(eta, first, omega, tile):
    """The targets of one tile, one division for four sources."""
    count = min(tile, eta.shape[0] - first)
    distance, noise = inside_tile(eta, first, count, tile)
    for k in range(first - 1, 2, -4):  # tiles hold a multiple of four steps
        e0, e1, e2, e3 = eta[k], eta[k - 1], eta[k - 2], eta[k - 3]
        q0, q1, q2, q3 = e0 * e0, e1 * e1, e2 * e2, e3 * e3
        for j in range(tile):
            a = distance[j]
            b = a + e0
            c = b + e1
            d = c + e2
            ab = a * b
            cd = c * d
            top = (q0 * b + q1 * a) * cd + (q2 * d + q3 * c) * ab
            noise[j] += top / (ab * cd)
            distance[j] = d + e3
    for j in range(count):
        omega[first + j] = 0.5 / distance[j] + 0.5 * noise[j]


@numba.njit(parallel=True, fastmath=True, error_model="numpy")
def four_fraction_curve(eta):
    """A tile of targets in cache, one division for four sources."""
    omega = np.empty(eta.shape[0])
    for tile in numba.prange((eta.shape[0] + TILE - 1) // TILE):
        four_fraction_tile(eta, tile * TILE, omega, TILE)
    return omega


@numba.njit(parallel=True, fastmath=True, error_model="numpy")
def four_fraction_curves(batch):
    """The same for many short schedules."""
    omega = np.empty(batch.shape)
    for row in numba.prange(batch.shape[0]):
        for first in range(0, batch.shape[1], SHORT_TILE):
            four_fraction_tile(batch[row], first, omega[row], SHORT_TILE)
    return omega


@numba.njit(parallel=True, fastmath=True, error_model="numpy")
def inside_block(eta):
    """Noise from inside a block of steps, for each of its targets."""
    noise = np.zeros(eta.shape[0])
    for t in numba.prange(eta.shape[0]):
        distance = eta[t]
        for k in range(t - 1, -1, -1):
            noise[t] += eta[k] * eta[k] / distance
            distance += eta[k]
    return noise


@numba.njit(error_model="numpy")
def serial_bound(eta):
    """One horizon by a plain backward walk."""
    distance = eta[-1]
    noise = eta[-1]
    for k in range(eta.shape[0] - 2, -1, -1):
        noise += eta[k] * eta[k] / distance
        distance += eta[k]
    return 0.5 / distance + 0.5 * noise


@numba.njit(error_model="numpy")
def tight_walk(eta, rho):
    """Zamani & Glineur's recursion from many rho, lanes over rho."""
    distance = rho.copy()
    noise = rho.copy()
    for k in range(eta.shape[0] - 2, -1, -1):
        step = eta[k]
        square = step * step
        for j in range(rho.shape[0]):
            inverse = 1.0 / distance[j]
            noise[j] += square * inverse
            distance[j] += 2 * step + square * inverse
    return 0.5 / distance, 0.5 * noise
