"""What a user with a GPU would run instead: all horizons of `last`, D = G = gamma = 1.

Of a target t noise is eta_t + sum_{k<t} eta_k^2 / (eta_{k+1} + ... + eta_t).
"""

from __future__ import annotations

import numpy as np


def cupy_curve(cupy, eta, tile=1024):
    """By CuPy, a tile of targets at a time; distances are sums, so that no digits are lost."""
    fractions = cupy.ReductionKernel(
        "T q, T back, T front", "T out", "q / (back + front)", "a + b", "out = a", "0", "fractions"
    )
    omega = cupy.empty(eta.size, np.float64)
    for first in range(0, eta.size, tile):
        near = eta[first : first + tile]
        index = cupy.arange(near.size)
        source, target = index[None, :], index[:, None]
        laid = cupy.where(source <= target, near[None, :], 0.0)
        within = cupy.cumsum(laid[:, ::-1], axis=1)[:, ::-1]  # from each step to the target
        pairs = near[None, :-1] ** 2 / within[:, 1:]
        noise = near + cupy.where(source[:, :-1] < target, pairs, 0.0).sum(axis=1)
        distance = within[:, 0]
        if first:
            far = eta[first - 1 :: -1]
            reach = cupy.cumsum(far)
            noise += far[0] ** 2 / distance
            noise += fractions(far[None, 1:] ** 2, reach[None, :-1], distance[:, None], axis=1)
            distance = distance + reach[-1]
        omega[first : first + tile] = 0.5 / distance + 0.5 * noise
    return omega


def keops_curve(eta):
    """By KeOps, from NumPy's arrays; it has no sums along an axis, so distances are differences."""
    from pykeops.numpy import LazyTensor

    def pair(x):
        return LazyTensor(x[:, None, None]), LazyTensor(x[None, :, None])

    length = np.cumsum(eta)
    (target, source), (end, start) = pair(np.arange(eta.size, dtype=np.float64)), pair(length)
    earlier = (target - source - 0.5).step()
    distance = earlier * (end - start) + (1 - earlier)
    noise = eta + (earlier * pair(eta**2)[1] / distance).sum(axis=1).ravel()
    return 0.5 / length + 0.5 * noise
