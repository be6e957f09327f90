"""How far predictions are from observations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .._arrays import Float


def errors(loss: Float, predicted: Float) -> dict[str, float]:
    """Return the usual measures of error.

    Parameters
    ----------
    loss, predicted : ndarray of float64, shape (n,)
        What was observed, and what was predicted.

    Returns
    -------
    dict of str to float
        ``r2``, the share of the variance that is explained (NaN for losses that do not vary);
        ``mae`` and ``rmse``, the mean absolute and root mean square error; ``worst``, the largest
        relative error.

    Examples
    --------
    >>> errors(np.array([2.0, 4.0]), np.array([2.0, 3.0]))
    {'r2': 0.5, 'mae': 0.5, 'rmse': 0.7071067811865476, 'worst': 0.25}
    """
    difference = predicted - loss
    variance = float(np.sum((loss - loss.mean()) ** 2))
    r2 = 1 - float(np.sum(difference**2)) / variance if variance > 0 else float("nan")
    return {
        "r2": r2,
        "mae": float(np.mean(np.abs(difference))),
        "rmse": float(np.sqrt(np.mean(difference**2))),
        "worst": float(np.max(np.abs(difference) / loss)),
    }
