"""Learning rates as weights feel them: over the norm that the weights have by then."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .._arrays import Float

MOST_DECAY = 0.5  # of the weights by one step, where learning rates are searched for
_LONGEST_DECAY = 300.0  # of the logarithm of the squared norm, at a time: far from overflow


def effective_rates(lr: Float, weight_decay: float, weight_rms: float) -> Float:
    """Learning rates over the growth of the weights, for updates of a fixed size such as Adam's.

    With decoupled weight decay, and updates that are as large as the learning rate and orthogonal
    to the weights on average, the squared norm of the weights over that at the start follows
    ``n[k+1] = (1 - weight_decay lr[k])**2 n[k] + (lr[k] / weight_rms)**2``, from ``n[0] = 1``.
    Normalised layers do not see the length of their weights, only angles, and a step turns the
    weights by ``lr[k] / sqrt(n[k])``.

    Parameters
    ----------
    lr : ndarray of float64, shape (T,)
        Absolute learning rates.
    weight_decay : float
        Its coefficient, 0 for none; ``weight_decay * lr`` must be below 1.
    weight_rms : float
        The root mean square of the initial weights; ``inf`` for weights that do not grow.

    Returns
    -------
    ndarray of float64, shape (T,)

    Raises
    ------
    ValueError
        ``weight_decay * lr`` reaches 1.

    Notes
    -----
    Linear time: the recursion is a cumulative sum after division by the decay so far.

    References
    ----------
    Kosson, Messmer, Jaggi, Rotational Equilibrium, ICML 2024 (arXiv 2305.17212), for the
    equilibrium that the recursion tends to.

    Examples
    --------
    >>> effective_rates(np.array([0.1, 0.1]), weight_decay=0.0, weight_rms=0.1).round(4).tolist()
    [0.1, 0.0707]
    """
    return lr / np.sqrt(_squared_norms(lr, weight_decay, weight_rms))


def pull_back(lr: Float, weight_decay: float, weight_rms: float, slope: Float) -> Float:
    """From derivatives by effective rates to those by the learning rates.

    Parameters
    ----------
    lr, weight_decay, weight_rms
        As for `effective_rates`.
    slope : ndarray of float64, shape (T,)
        Derivatives of something by each of the effective rates.

    Returns
    -------
    ndarray of float64, shape (T,)

    Notes
    -----
    Linear time: the derivatives by the squared norms follow the recursion of the norms, backwards.

    Examples
    --------
    >>> lr = np.array([0.1, 0.1])
    >>> pull_back(lr, 0.0, 0.1, np.array([0.0, 1.0])).round(4).tolist()
    [-0.3536, 0.7071]
    """
    squared = _squared_norms(lr, weight_decay, weight_rms)
    by_rate = slope / np.sqrt(squared)
    by_squared = -0.5 * by_rate * lr / squared
    by_next = _decayed_sums(_log_decay(lr, weight_decay)[::-1], by_squared[::-1], 0.0)[::-1]
    kept = 1 - weight_decay * lr
    return by_rate + by_next * (2 * lr / weight_rms**2 - 2 * weight_decay * kept * squared)


def learning_rates(rates: Float, weight_decay: float, weight_rms: float) -> Float:
    """The learning rates that have these effective rates, as far as there are any.

    Parameters
    ----------
    rates : ndarray of float64, shape (T,)
        Effective rates.
    weight_decay, weight_rms
        As for `effective_rates`.

    Returns
    -------
    ndarray of float64, shape (T,)
        Where a step would have to take more than half of the weights, it takes half.
    """
    most = MOST_DECAY / weight_decay if weight_decay else math.inf
    lr = np.empty(rates.size)
    squared = 1.0
    for k, rate in enumerate(rates.tolist()):
        lr[k] = step = min(rate * math.sqrt(squared), most)
        squared = (1 - weight_decay * step) ** 2 * squared + (step / weight_rms) ** 2
    return lr


def _squared_norms(lr: Float, weight_decay: float, weight_rms: float) -> Float:
    """Squared norms of the weights before each step, over that of the first."""
    return _decayed_sums(_log_decay(lr, weight_decay), (lr / weight_rms) ** 2, 1.0)


def _log_decay(lr: Float, weight_decay: float) -> Float:
    """How much each step takes from the logarithm of the squared norm."""
    most = weight_decay * float(lr.max())
    if most >= 1:
        raise ValueError(
            f"weight_decay={weight_decay:g} times the largest learning rate, {lr.max():g}, must be "
            "below 1: a step would leave nothing of the weights; for other optimisers than AdamW "
            "fit with weight_decay=0, weight_rms=inf"
        )
    decay: Float = -2 * np.log1p(-weight_decay * lr)
    return decay


def _decayed_sums(decay: Float, added: Float, first: float) -> Float:
    """Return y, where ``y[k+1] = exp(-decay[k]) y[k] + added[k]`` from ``y[0] = first``.

    Cumulative sums after division by the decay so far, in chunks, within which it cannot overflow.
    """
    decayed = np.cumsum(decay)
    sums = np.empty(decay.size)
    now, begin = first, 0
    while begin < decay.size:
        before = decayed[begin] - decay[begin]
        end = int(np.searchsorted(decayed, before + _LONGEST_DECAY, side="right"))
        end = max(end, begin + 1)
        factor = np.exp(decayed[begin:end] - before)
        after = (now + np.cumsum(added[begin:end] * factor)) / factor
        sums[begin] = now
        sums[begin + 1 : end] = after[:-1]
        now, begin = float(after[-1]), end
    return sums
