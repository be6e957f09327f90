"""What the kernels are tested against: the bounds to more digits than they have, and schedules.

Nothing of the package is used here. A lane is one schedule seen from one horizon with one virtual
last step rho; `walk` takes many lanes back in step, in long double. A running sum of a million
equal steps would drift, even in long double, so the sums are kept in two levels: the steps of a
block are added to a small part, and the part to the whole with an exact residual. The relative
error stays below 1e-16 (256 roundings of 5e-20 twice). 200 lanes of a million steps take 15 s.
`walk_mp` does one lane in mpmath.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import mpmath
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LD = np.longdouble
# Where long double is double (Windows, macOS on ARM) `walk` is no better than what it is to test.
HAS_LONG_DOUBLE = np.finfo(LD).eps < 1e-18

_BLOCK = 256


class Lane(NamedTuple):
    """Steps and gradient norms (T,), a 1-based horizon and the virtual last step there."""

    eta: NDArray[np.float64]
    norm: NDArray[np.float64]
    horizon: int
    rho: float


class Case(NamedTuple):
    """A named schedule with its gradient norms, both (T,)."""

    name: str
    eta: NDArray[np.float64]
    norm: NDArray[np.float64]


def walk(
    lanes: Sequence[Lane], recursion: str
) -> tuple[NDArray[np.longdouble], NDArray[np.longdouble]]:
    """Distance term for D = 1 and noise term of every lane, in long double.

    `recursion` is "last" or "tight"; the latter needs rho > 0. rho = 0 makes the noise infinite if
    a positive step precedes the horizon, the distance otherwise.
    """
    assert recursion == "last" or (recursion == "tight" and all(lane.rho > 0 for lane in lanes))
    # Longest first, so that the lanes still walking are the first ones.
    order = sorted(range(len(lanes)), key=lambda i: -lanes[i].horizon)
    sorted_lanes = [lanes[i] for i in order]
    rho = np.array([lane.rho for lane in sorted_lanes], dtype=LD)
    norm = np.array([lane.norm[lane.horizon - 1] for lane in sorted_lanes], dtype=LD)
    whole, part = rho.copy(), np.zeros_like(rho)
    noise, noise_part = rho * norm**2, np.zeros_like(rho)
    lengths = np.array([lane.horizon - 1 for lane in sorted_lanes])
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        for start in range(0, int(lengths[0]), _BLOCK):
            n = int(np.count_nonzero(lengths > start))
            step, weight = _block(sorted_lanes[:n], lengths, start)
            _walk_block(step, weight, whole[:n], part[:n], noise_part[:n], recursion == "tight")
            _flush(whole[:n], part[:n])
            _flush(noise[:n], noise_part[:n])
        distance = 1 / (2 * whole)
    moved = np.array([np.any(lane.eta[: lane.horizon - 1] > 0) for lane in sorted_lanes])
    noise = np.where(rho > 0, noise / 2, np.where(moved, np.inf, 0))
    back = np.argsort(order)
    return distance[back], noise[back]


def _block(
    lanes: Sequence[Lane], lengths: NDArray[np.int64], start: int
) -> tuple[NDArray[np.longdouble], NDArray[np.longdouble]]:
    """eta and eta G^2 of one block, walking backwards along axis 0; zeros beyond the start."""
    rows = min(_BLOCK, int(lengths[0]) - start)
    step = np.zeros((rows, len(lanes)), dtype=LD)
    norm = np.zeros((rows, len(lanes)), dtype=LD)
    for i, lane in enumerate(lanes):
        stop = int(lengths[i]) - start
        piece = slice(max(0, stop - rows), stop)
        step[: stop - piece.start, i] = lane.eta[piece][::-1]
        norm[: stop - piece.start, i] = lane.norm[piece][::-1]
    return step, step * norm**2


def _walk_block(
    step: NDArray[np.longdouble],
    weight: NDArray[np.longdouble],
    whole: NDArray[np.longdouble],
    part: NDArray[np.longdouble],
    noise: NDArray[np.longdouble],
    tight: bool,
) -> None:
    R, ratio, term = np.empty_like(whole), np.empty_like(whole), np.empty_like(whole)
    linear = 2 * step if tight else step
    for e, w, add in zip(step, weight, linear, strict=True):
        np.add(whole, part, out=R)
        np.divide(e, R, out=ratio)
        np.multiply(ratio, w, out=term)
        np.add(noise, term, out=noise)
        if tight:
            np.multiply(ratio, e, out=term)
            np.add(part, term, out=part)
        np.add(part, add, out=part)


def _flush(whole: NDArray[np.longdouble], part: NDArray[np.longdouble]) -> None:
    """whole + part = new whole + new part exactly, the new part being a rounding error (Knuth)."""
    total = whole + part
    share = total - whole
    part[:] = (whole - (total - share)) + (part - share)
    whole[:] = total


def walk_mp(lane: Lane, recursion: str, digits: int = 60) -> tuple[mpmath.mpf, mpmath.mpf]:
    """Distance term for D = 1 and noise term of one lane with rho > 0."""
    with mpmath.workdps(digits):
        R = mpmath.mpf(float(lane.rho))
        noise = R * mpmath.mpf(float(lane.norm[lane.horizon - 1])) ** 2
        for k in range(lane.horizon - 2, -1, -1):
            e, g = mpmath.mpf(float(lane.eta[k])), mpmath.mpf(float(lane.norm[k]))
            noise += (e * g) ** 2 / R
            R = R + e if recursion == "last" else (R + e) ** 2 / R
        return 1 / (2 * R), noise / 2


def relative_error(x: np.longdouble, exact: mpmath.mpf) -> float:
    """How far the long double x, taken as it is, lies from `exact`."""
    with mpmath.workdps(40):
        high = float(x)
        return float((mpmath.mpf(high) + mpmath.mpf(float(x - LD(high)))) / exact - 1)


def horizons(steps: int) -> list[int]:
    """A few early horizons, some in the middle and the last ten."""
    early_and_middle = [1, 2, 3, 10, steps // 3, steps // 2]
    chosen = {t for t in early_and_middle if 1 <= t <= steps}
    return sorted(chosen | set(range(max(1, steps - 9), steps + 1)))


def schedules(steps: int, rng: np.random.Generator) -> list[Case]:
    """Easy and hostile schedules of `steps` steps, each with its gradient norms.

    The decays are written so that their tails are accurate: they reach zero at step T + 1.
    """
    t = np.arange(1, steps + 1)
    left = (steps + 1 - t) / steps
    cooldown = max(1, steps // 5)
    x = np.clip(1 - (steps + 1 - t) / cooldown, 0, 1)
    zeros = rng.uniform(size=steps)
    zeros[rng.uniform(size=steps) < 0.5] = 0.0
    zeros[-(steps // 4) - 1 : -1] = 0.0
    single = np.zeros(steps)
    single[steps // 2] = 0.3
    warmup = np.minimum((t - 1) / max(1, steps // 10), 1.0) * left
    eta = {
        "constant": np.full(steps, 0.1),
        "linear": left,
        "cosine": np.sin(np.pi / 2 * left) ** 2,
        "wsd-linear": 1 - x,
        "wsd-1-sqrt": np.minimum((steps + 1 - t) / cooldown, 1) / (1 + np.sqrt(x)),
        "inverse-sqrt": 1 / np.sqrt(t),
        "random": 10 ** rng.uniform(-8, 0, steps),
        "zeros": zeros,
        "single": single,
        "warmup": warmup,
    }
    cases = [Case(name, steps_, np.ones(steps)) for name, steps_ in eta.items()]
    norm = 10 ** rng.uniform(-4, 0, steps)
    growing = np.maximum(left, 1e-3) ** -0.45
    return [
        *cases,
        Case("wsd-linear, growing norms", eta["wsd-linear"], growing),
        Case("cosine, random norms", eta["cosine"], norm),
        Case("random, random norms", eta["random"], norm[::-1].copy()),
    ]


def hostile(steps: int, rng: np.random.Generator) -> list[Case]:
    """Schedules that break assumptions, of range, of smoothness, of where the steps are."""
    t = np.arange(1, steps + 1)
    ones = np.ones(steps)
    sparse = rng.uniform(size=steps)
    sparse[rng.uniform(size=steps) < 0.9] = 0.0
    sparse[steps // 4 : steps // 2] = 0.0
    sparse[-1] = 1e-3
    huge = np.full(steps, 1e-3)
    huge[steps // 3] = 1e6
    enormous = np.full(steps, 1e-8)
    enormous[steps // 3] = 1e290
    wild_then_smooth = np.where(t <= steps // 2, 10.0 ** rng.uniform(-4, 1, steps), 1e-2)
    eta = {
        "600 decades": 10.0 ** rng.uniform(-300, 299, steps),
        "falling 600 decades": 10.0 ** np.linspace(299, -299, steps),
        "rising 600 decades": 10.0 ** np.linspace(-299, 299, steps),
        "long runs of zeros": sparse,
        "one huge step": huge,
        "one step of 1e290": enormous,
        "tiny and large": np.where(t % 2 == 0, 1e-12, 1.0),
        "tinier and large": np.where(t % 2 == 0, 1e-200, 1.0),
        "warm restarts": np.sin(np.pi / 2 * (1 - ((t - 1) % 97) / 97)) ** 2 + 1e-9,
        "rising": t / steps,
        "growing exponentially": np.exp(t / steps * 600),
        "falling exponentially": np.exp(-t / steps * 600),
        "bursts": np.where((t // 37) % 5 == 0, 10.0 ** rng.uniform(-6, 3, steps), 1e-3),
        "wild, then smooth": wild_then_smooth,
    }
    cases = [Case(name, steps_, ones) for name, steps_ in eta.items()]
    norm = 10.0 ** rng.uniform(-3, 0, steps)
    zero = np.where(rng.uniform(size=steps) < 0.3, 0.0, norm)
    return [
        *cases,
        Case("600 decades, random norms", eta["600 decades"], norm),
        Case("long runs of zeros, random norms", eta["long runs of zeros"], norm[::-1].copy()),
        Case("bursts, random norms", eta["bursts"], norm),
        Case("rising, norms with zeros", eta["rising"], zero),
        Case("rising, no norms for a while", eta["rising"], np.where(t % 500 < 300, 0.0, norm)),
    ]
