"""What is known about the bounds without computing them: closed forms, optima and exact checks.

The closed forms (`harmonic`, what ends in ``_terms``, `wsd_bound`) take the number of steps T as an
integer or an array of integers, and cost O(1) for each. The optima (`optimal_steps`,
`optimal_bound`, `horizon_envelope`) and what other schedules and learning rates lose to them
(`price_of_anytime`, `wrong_rate`) cost O(T) at most. `worst_case` solves a semidefinite programme,
for short schedules. `G` bounds the gradient norms and `D` the initial distance to the minimiser.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._arrays import positive_scalar
from ._optimal import (
    AnytimePrice,
    horizon_envelope,
    optimal_bound,
    optimal_steps,
    price_of_anytime,
    wrong_rate,
)
from ._results import Terms
from ._worst_case import worst_case

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "AnytimePrice",
    "constant_average_terms",
    "constant_terms",
    "harmonic",
    "horizon_envelope",
    "linear_terms",
    "optimal_bound",
    "optimal_steps",
    "price_of_anytime",
    "worst_case",
    "wrong_rate",
    "wsd_bound",
    "wsd_terms",
]

# Below this the sum itself is used. From here on the first term left out of the expansion of the
# digamma function, 691 / (32760 n^12), is below 1e-17.
_EXPANSION_FROM = 20
_MOST = 2**62  # so that twice as many are an integer
_SUMS = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, _EXPANSION_FROM))])


def harmonic(n: ArrayLike) -> Any:
    """Sum the first n terms of the harmonic series.

    Parameters
    ----------
    n : int or array_like of int
        Number of terms, not negative.

    Returns
    -------
    float or ndarray of float64
        ``H_n = 1 + 1/2 + ... + 1/n``, of the shape of `n`; ``H_0 = 0``. The relative error is below
        1e-15.

    Raises
    ------
    TypeError
        If `n` is not integer.
    ValueError
        If `n` is negative.

    Notes
    -----
    O(1) for each entry: the sum below 20, then the asymptotic expansion of the digamma function,
    ``H_n ~ log n + Euler's gamma + 1/(2n) - 1/(12 n^2) + 1/(120 n^4) - ...``

    Examples
    --------
    >>> harmonic(4)
    2.083333333333333
    >>> harmonic([0, 1, 10**6]).round(6)
    array([ 0.      ,  1.      , 14.392727])
    """
    count = _integers(n, "n", least=0)
    x = np.maximum(count, _EXPANSION_FROM).astype(np.float64)
    z = 1.0 / (x * x)
    tail = z * (1 / 12 - z * (1 / 120 - z * (1 / 252 - z * (1 / 240 - z / 132))))
    large = np.log(x) + (np.euler_gamma + (0.5 / x - tail))
    values = np.where(count < _EXPANSION_FROM, _SUMS[np.minimum(count, _EXPANSION_FROM - 1)], large)
    return values if values.ndim else float(values)


def constant_terms(steps: ArrayLike, G: float = 1.0, D: float = 1.0) -> Terms:
    """Split the bound `last` of the constant schedule, eta_t = 1.

    Parameters
    ----------
    steps : int or array_like of int
        Number of steps T, at least 1.
    G, D : float, default 1.0
        Bounds on the gradient norms and on the initial distance.

    Returns
    -------
    Terms
        ``distance = D^2 / (2 T)``, ``noise = G^2 / 2 (1 + H_{T-1})``, each of the shape of `steps`.

    Raises
    ------
    TypeError, ValueError
        If `steps` is not a positive integer.

    Notes
    -----
    O(1). Schaipp et al. (arXiv 2501.18965), Theorem 1 at eta_t = 1.

    Examples
    --------
    >>> terms = constant_terms(400)
    >>> round(2 * (terms.distance * terms.noise) ** 0.5, 4)
    0.1375
    """
    T = _integers(steps, "steps", least=1)
    return _terms(2 * T, 1 + harmonic(T - 1), G, D)


def constant_average_terms(steps: ArrayLike, G: float = 1.0, D: float = 1.0) -> Terms:
    """Split the bound `average` of the constant schedule, eta_t = 1.

    Parameters
    ----------
    steps : int or array_like of int
        Number of steps T, at least 1.
    G, D : float, default 1.0
        Bounds on the gradient norms and on the initial distance.

    Returns
    -------
    Terms
        ``distance = D^2 / (2 T)``, ``noise = G^2 / 2``, each of the shape of `steps`.

    Raises
    ------
    TypeError, ValueError
        If `steps` is not a positive integer.

    Notes
    -----
    O(1). The textbook bound; at the best base learning rate it is ``D G / sqrt(T)``.

    Examples
    --------
    >>> constant_average_terms(100)
    Terms(distance=0.005, noise=0.5)
    """
    T = _integers(steps, "steps", least=1)
    return _terms(2 * T, 1.0, G, D)


def linear_terms(steps: ArrayLike, G: float = 1.0, D: float = 1.0) -> Terms:
    """Split the bound `last` of linear decay, eta_t = (T + 1 - t) / T.

    Parameters
    ----------
    steps : int or array_like of int
        Number of steps T, at least 1. The schedule would reach zero at step T + 1.
    G, D : float, default 1.0
        Bounds on the gradient norms and on the initial distance.

    Returns
    -------
    Terms
        ``distance = D^2 / (T + 1)``, ``noise = G^2 / (2 T) (2 T - 1 + 2 H_{T-1})``, each of the
        shape of `steps`.

    Raises
    ------
    TypeError, ValueError
        If `steps` is not a positive integer.

    Notes
    -----
    O(1). In the walk of Schaipp et al. (arXiv 2501.18965), Theorem 1, the step j = T + 1 - t from
    the end adds ``eta^2 / R = (j/T)^2 / (j (j-1) / (2T)) = 2/T (1 + 1/(j-1))``, j = 2..T, and the
    last one ``1/T``.

    Examples
    --------
    >>> terms = linear_terms(400)
    >>> round(2 * (terms.distance * terms.noise) ** 0.5, 4)
    0.1006
    """
    return wsd_terms(steps, 1, G, D)


def wsd_terms(steps: ArrayLike, cooldown_start: ArrayLike, G: float = 1.0, D: float = 1.0) -> Terms:
    """Split the bound `last` of warmup-stable-decay with a linear cooldown and no warm-up.

    The schedule is ``eta_t = 1`` for t < T0 and ``1 - (t - T0) / (T + 1 - T0)`` for T0 <= t <= T.

    Parameters
    ----------
    steps : int or array_like of int
        Number of steps T, at least 1. The schedule would reach zero at step T + 1.
    cooldown_start : int or array_like of int
        T0, the last step at the peak, 1 <= T0 <= T: T0 = 1 is linear decay, T0 = T is constant.
    G, D : float, default 1.0
        Bounds on the gradient norms and on the initial distance.

    Returns
    -------
    Terms
        `distance` and `noise`, of the broadcast shape of `steps` and `cooldown_start`.

    Raises
    ------
    TypeError, ValueError
        If `steps` or `cooldown_start` is not an integer in range.

    Notes
    -----
    O(1). With n = T + 1 - T0 cooldown steps ``distance = D^2 / (T + T0)``. As in `linear_terms` the
    cooldown adds ``(2 n - 1 + 2 H_{n-1}) / n`` to ``2 noise / G^2`` and the plateau
    ``sum_{i=0}^{T0-2} 1 / ((n+1)/2 + i)``, a difference of harmonic numbers. This is Theorem 1 of
    Schaipp et al. (arXiv 2501.18965) exactly, where `wsd_bound` is their estimate of it.

    Examples
    --------
    >>> terms = wsd_terms(400, 321)
    >>> round(2 * (terms.distance * terms.noise) ** 0.5, 4)
    0.1093
    """
    T, T0 = _wsd(steps, cooldown_start, first=1, before_end=0)
    n = T + 1 - T0
    cooldown = (2 * n - 1 + 2 * harmonic(n - 1)) / n
    # (n+1)/2 + i are integers for odd n, halves of odd numbers for even n.
    low, count = n // 2, T0 - 1
    integers = harmonic(low + count) - harmonic(low)
    halves = 2 * (harmonic(2 * (low + count)) - harmonic(2 * low)) - integers
    plateau = np.where(n % 2 == 1, integers, halves)
    return _terms(T + T0, cooldown + plateau, G, D)


def wsd_bound(steps: ArrayLike, cooldown_start: ArrayLike, G: float = 1.0, D: float = 1.0) -> Any:
    """Bound the tuned `last` of warmup-stable-decay by the estimate that Schaipp et al. publish.

    Their theorem shows that a cooldown removes the logarithm of the constant schedule. For the
    value itself use `wsd_terms`, which is exact; the estimate exceeds it by a factor of up to
    sqrt(2), reached for short cooldowns.

    Parameters
    ----------
    steps : int or array_like of int
        Number of steps T, at least 3.
    cooldown_start : int or array_like of int
        T0, the last step at the peak, 2 <= T0 < T.
    G, D : float, default 1.0
        Bounds on the gradient norms and on the initial distance.

    Returns
    -------
    float or ndarray of float64
        ``D G sqrt(A)``, an upper bound of ``2 sqrt(distance noise)`` of `wsd_terms`.

    Raises
    ------
    TypeError, ValueError
        If `steps` or `cooldown_start` is not an integer in range. At T0 = 1 (linear decay from the
        first step) the published expression is up to 1.2 % smaller than what it should bound, and
        at T0 = T it divides by zero.

    Notes
    -----
    O(1). ``A = 4/(T+T0) [ 2/3 + (T+2 T0)/(3(T+T0)) + H_{T+T0-2} - H_{T-T0+1}
    - (T-T0)(T0-1)/(3(T-T0+2)(T+T0)) + 1/(T-T0)^2 + H_{T-T0-1}/(T-T0+1) ]``, the theorem on the wsd
    schedule of Schaipp et al. (arXiv 2501.18965).

    Examples
    --------
    >>> round(wsd_bound(400, 321), 4)
    0.1344
    """
    T, T0 = _wsd(steps, cooldown_start, first=2, before_end=1)
    rest, both = (T - T0).astype(np.float64), (T + T0).astype(np.float64)
    A = (4 / both) * (
        2 / 3
        + (both + T0) / (3 * both)
        + harmonic(T + T0 - 2)
        - harmonic(T - T0 + 1)
        - rest / (rest + 2) * ((T0 - 1) / (3 * both))
        + 1 / rest**2
        + harmonic(T - T0 - 1) / (rest + 1)
    )
    values = positive_scalar(D, "D") * positive_scalar(G, "G") * np.sqrt(A)
    return values if values.ndim else float(values)


def _integers(n: ArrayLike, name: str, least: int) -> NDArray[np.int64]:
    values = np.asarray(n)
    if values.dtype.kind not in "iu":
        raise TypeError(f"{name} must be integer, got {n!r}")
    if np.any(values < least):
        raise ValueError(f"{name} must be at least {least}, got {values.min()}")
    if np.any(values > _MOST):
        raise ValueError(f"{name} must be at most 2**62, got {values.max()}")
    return values.astype(np.int64)


def _wsd(
    steps: ArrayLike, cooldown_start: ArrayLike, first: int, before_end: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    T = _integers(steps, "steps", least=first + before_end)
    T0 = _integers(cooldown_start, "cooldown_start", least=first)
    if np.any(np.greater(T0, T - before_end)):
        raise ValueError(
            f"cooldown_start must lie in {first}..{'steps - 1' if before_end else 'steps'}, "
            f"got {cooldown_start!r} with steps = {steps!r}"
        )
    return T, T0


def _terms(twice_length: Any, twice_noise: Any, G: float, D: float) -> Terms:
    """Both terms of a bound, given those for D = G = 1."""
    D, G = positive_scalar(D, "D"), positive_scalar(G, "G")
    distance = D**2 / np.asarray(twice_length)
    noise = np.broadcast_to(G**2 / 2 * np.asarray(twice_noise), distance.shape).copy()
    if np.ndim(distance) == 0:
        return Terms(float(distance), float(noise))
    return Terms(distance, noise)
