"""Learning rates as weights feel them: over the norm that the weights have by then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .._arrays import Float

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
    most = weight_decay * float(lr.max())
    if most >= 1:
        raise ValueError(
            f"weight_decay={weight_decay:g} times the largest learning rate, {lr.max():g}, must be "
            "below 1: a step would leave nothing of the weights"
        )
    decay = -2 * np.log1p(-weight_decay * lr)  # of the logarithm of n, by each step
    decayed = np.cumsum(decay)
    growth = (lr / weight_rms) ** 2
    squared = np.empty(lr.size)
    now, begin = 1.0, 0
    while begin < lr.size:
        before = decayed[begin] - decay[begin]
        end = int(np.searchsorted(decayed, before + _LONGEST_DECAY, side="right"))
        end = max(end, begin + 1)
        factor = np.exp(decayed[begin:end] - before)
        after = (now + np.cumsum(growth[begin:end] * factor)) / factor
        squared[begin] = now
        squared[begin + 1 : end] = after[:-1]
        now, begin = float(after[-1]), end
    return lr / np.sqrt(squared)
