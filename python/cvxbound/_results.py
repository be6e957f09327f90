"""What the bound functions return: two named pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Terms(NamedTuple):
    """The two halves of a bound, split by how they scale with the base learning rate.

    At base learning rate ``gamma`` the bound is ``distance / gamma + gamma * noise``, so a whole
    sweep over ``gamma`` costs nothing once the pair is known. The best base learning rate is
    ``sqrt(distance / noise)`` and the bound there ``2 * sqrt(distance * noise)``.

    Parameters
    ----------
    distance : float or ndarray of float64
        What is left of the initial distance: ``D**2 / (2 S_T)`` for ``kind="last"`` (Schaipp et
        al., ICML 2025, arXiv 2501.18965, Theorem 1). Units of loss times learning rate.
    noise : float or ndarray of float64
        The price of the steps, of the same shape. Units of loss per learning rate.

    Examples
    --------
    >>> terms = Terms(distance=0.5, noise=2.0)
    >>> gamma = 0.5
    >>> terms.distance / gamma + gamma * terms.noise
    2.0
    """

    distance: float | NDArray[np.float64]
    noise: float | NDArray[np.float64]


class Tuned(NamedTuple):
    """The best base learning rate of a schedule and the bound it reaches.

    Parameters
    ----------
    gamma : float or ndarray of float64
        The base learning rate that minimises the bound. Units of learning rate.
    omega : float or ndarray of float64
        The bound at that base learning rate, of the same shape. Units of loss.

    Examples
    --------
    >>> gamma, omega = Tuned(gamma=0.05, omega=0.1)
    >>> omega
    0.1
    """

    gamma: float | NDArray[np.float64]
    omega: float | NDArray[np.float64]
