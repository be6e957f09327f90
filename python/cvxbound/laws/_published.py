"""Loss laws that others published, fitted in the same way, to compare with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from .._arrays import ratio_to_peak
from ._bound import terms_of
from ._form import Form, Parameter, Trace, Values

if TYPE_CHECKING:
    from .._arrays import Float, Int

_MOST_CHANGES = 1000  # of the learning rate, summed one by one
_MOST_AT_ONCE = 2**22  # entries of a table of steps and changes


@dataclass(frozen=True)
class Omega(Form):
    """``L = C + p a + q b``, with the parts of the bound `last` of the paper.

    Schaipp, Hägele, Taylor, Simsekli, Bach, ICML 2025 (arXiv 2501.18965), Theorem 1: the loss is
    affine in the bound, whose constants D and G are in p and q.

    Examples
    --------
    >>> Omega().size, Omega().coefficients
    (3, ('C', 'p', 'q'))
    """

    name: ClassVar[str] = "omega"
    coefficients: ClassVar[tuple[str, ...]] = ("C", "p", "q")

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return ()

    def features(self, trace: Trace, values: Values) -> Float:
        return terms_of(trace.lr, None, trace.at, "last")

    def columns(self, features: Float, values: Values) -> Float:
        return np.stack([np.ones_like(features[0]), *features], axis=-1)


@dataclass(frozen=True)
class Annealing(Form):
    """``L = L0 + A S1**-alpha - B S2``, S2 the sum of all momenta of the annealing.

    S1 is the sum of the learning rates; the momentum is ``m[k] = decay m[k-1] + lr[k-1] - lr[k]``,
    from the peak on. Tissue, Wang, Wang, Scaling Law with Learning Rate Annealing (arXiv
    2408.11029), with their decay of 0.999.

    Parameters
    ----------
    decay : float, default 0.999
        That of the momenta, in [0, 1).

    Examples
    --------
    >>> [each.name for each in Annealing().free]
    ['alpha']
    """

    name: ClassVar[str] = "annealing"
    coefficients: ClassVar[tuple[str, ...]] = ("L0", "A", "B")

    decay: float = 0.999

    def __post_init__(self) -> None:
        if ratio_to_peak(self.decay, "decay") == 1:
            raise ValueError("decay must be below 1: momenta would never fade")

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (Parameter("alpha", 0.02, 4.0, (0.3, 0.6)),)

    def features(self, trace: Trace, values: Values) -> Float:
        drop = _drops(trace.lr)
        total = _sums(trace.lr)
        # The sum over k <= t of m[k] is that of drop[i] (1 - decay**(t - i + 1)) / (1 - decay).
        fading = _fading_sum(drop, self.decay)
        annealed = (np.cumsum(drop) - self.decay * fading) / (1 - self.decay)
        return np.stack([total, annealed])[:, trace.at - 1]

    def columns(self, features: Float, values: Values) -> Float:
        return _power_less(features, values)


@dataclass(frozen=True)
class MultiPower(Form):
    """``L = L0 + A S1**-alpha - B sum over k of drop[k] (1 - (1 + c lr[k]**-gamma S[k])**-beta)``.

    S1 is the sum of the learning rates, S[k] that from step k on, drop[k] = lr[k-1] - lr[k] after
    the peak. Luo et al., A Multi-Power Law for Loss Curve Prediction Across Learning Rate
    Schedules, ICLR 2025 (arXiv 2503.12811). More than 1000 changes of the learning rate are summed
    in groups.

    Examples
    --------
    >>> MultiPower().size, [each.name for each in MultiPower().free]
    (7, ['alpha', 'beta', 'gamma', 'c'])
    """

    name: ClassVar[str] = "multi-power"
    coefficients: ClassVar[tuple[str, ...]] = ("L0", "A", "B")

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (
            Parameter("alpha", 0.02, 4.0, (0.3, 0.6)),
            Parameter("beta", 0.02, 4.0, (0.3, 0.6), is_shape=True),
            Parameter("gamma", 0.0, 2.0, (0.6,), is_shape=True),
            Parameter("c", 1e-6, 1e3, (1.0,), is_shape=True),
        )

    def features(self, trace: Trace, values: Values) -> Float:
        total = _sums(trace.lr)
        drop = _drops(trace.lr)
        changes = np.flatnonzero(drop)
        seen = total[trace.at - 1]
        if not changes.size:
            return np.stack([seen, np.zeros(seen.size)])
        groups = np.array_split(changes, min(changes.size, _MOST_CHANGES))
        where = np.array([group[group.size // 2] for group in groups])
        by = np.add.reduceat(drop[changes], np.searchsorted(changes, [g[0] for g in groups]))
        kept = trace.lr[where] > 0  # a learning rate of zero has no response of its own
        where, by = where[kept], by[kept]
        before = total[where] - trace.lr[where]
        speed = values["c"] * trace.lr[where] ** -values["gamma"]
        lost = np.empty(seen.size)
        rows = max(1, _MOST_AT_ONCE // max(where.size, 1))
        for begin in range(0, seen.size, rows):
            since = np.maximum(seen[begin : begin + rows, None] - before, 0.0)
            response = 1 - (1 + speed * since) ** -values["beta"]
            lost[begin : begin + rows] = response @ by
        return np.stack([seen, lost])

    def columns(self, features: Float, values: Values) -> Float:
        return _power_less(features, values)


def _power_less(features: Float, values: Values) -> Float:
    """Columns of a constant, a power of the sum of learning rates, and what annealing gains."""
    total, gained = features
    return np.stack([np.ones_like(total), total ** -values["alpha"], -gained], axis=-1)


def _sums(lr: Float) -> Float:
    """Sums of the learning rates, not below the first positive one: powers of 0 are infinite."""
    first: float = lr[np.flatnonzero(lr)[0]]
    return np.maximum(np.cumsum(lr), first)


def _drops(lr: Float) -> Float:
    """How much the learning rate falls before each step; nothing until it is at its peak."""
    drop = np.zeros(lr.size)
    first: Int = np.flatnonzero(lr == lr.max())
    drop[first[0] + 1 :] = -np.diff(lr[first[0] :])
    return drop


def _fading_sum(x: Float, decay: float) -> Float:
    """Return the sums ``y[k] = decay y[k-1] + x[k]``, by doubling: log T passes over the array."""
    y = x.copy()
    shift, factor = 1, decay
    while shift < y.size and factor > 1e-300:
        y[shift:] += factor * y[:-shift].copy()
        shift, factor = 2 * shift, factor * factor
    return y
