"""Figures of the bound at the last step: over the base learning rate, the horizon or the cooldown.

>>> import cvxbound as cb
>>> from cvxbound import views
>>> over = views.trend(cb.schedules.wsd, views.horizons(100_000), over="horizon", label="wsd")
>>> round(over.exponent, 3)  # gamma* falls as the horizon to this power
-0.496

``plot.save(views.trend_figure([over]), "horizon.png")`` then draws it. Figures of whole curves are
those of `cvxbound.plot`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from . import _figures
from ._arrays import real_array
from ._messages import did_you_mean
from .bounds import bound as _bound

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

    from ._arrays import Float, Int
    from ._names import Kind, LastStep

__all__ = [
    "Sweep",
    "Trend",
    "fractions",
    "horizons",
    "sweep",
    "sweep_figure",
    "trend",
    "trend_figure",
]

Over = Literal["horizon", "cooldown"]

_AXES = {"horizon": "horizon T", "cooldown": "cooldown, fraction of the run"}

# A sweep reaches this far to both sides of the best base learning rate, in so many steps.
_REACH, _RATES = 16.0, 65


@dataclass(frozen=True, eq=False)
class Sweep:
    """The bound at the last step of one schedule, over the base learning rate.

    Parameters
    ----------
    label : str
        What the legend calls it.
    gamma : ndarray of float64, shape (n,)
        Base learning rates, increasing.
    omega : ndarray of float64, shape (n,)
        The bound at each.
    best_gamma, best_omega : float
        The best base learning rate of all, and the bound there.
    kind : str
        Which bound.
    normalised : bool
        Whether D = G = 1: rates are then in units of D/G, and bounds of D G.

    Examples
    --------
    >>> import cvxbound as cb
    >>> rates = sweep(cb.schedules.cosine(400), [0.01, 0.1])
    >>> rates.omega.round(4).tolist(), round(rates.best_gamma, 4)
    ([0.26..., 0.13...], 0.0482)
    """

    label: str
    gamma: Float
    omega: Float
    best_gamma: float
    best_omega: float
    kind: str
    normalised: bool = False


@dataclass(frozen=True, eq=False)
class Trend:
    """The best base learning rate and the bound there, of a schedule made anew for each value.

    Parameters
    ----------
    label : str
        What the legend calls it.
    over : {"horizon", "cooldown"}
        What changes.
    x : ndarray of float64, shape (n,)
        The horizons in steps, or the cooldowns as fractions of the run; increasing.
    gamma, omega : ndarray of float64, shape (n,)
        The best base learning rate, and the bound there.
    kind : str
        Which bound.
    normalised : bool
        Whether D = G = 1: rates are then in units of D/G, and bounds of D G.

    Examples
    --------
    >>> import cvxbound as cb
    >>> made = trend(lambda c: cb.schedules.wsd(400, c), [0.2, 1.0], over="cooldown", label="wsd")
    >>> made.gamma.round(4).tolist(), made.omega.round(4).tolist()
    ([0.0254, 0.0496], [0.1093, 0.1006])
    """

    label: str
    over: Over
    x: Float
    gamma: Float
    omega: Float
    kind: str
    normalised: bool = False

    @property
    def exponent(self) -> float:
        """Slope of ln gamma over ln T by least squares; NaN over the cooldown, or for one T."""
        if self.over != "horizon" or self.x.size < 2:
            return float("nan")
        x = np.log(self.x) - np.log(self.x).mean()
        return float(x @ np.log(self.gamma) / (x @ x))


def sweep(
    eta: ArrayLike,
    gamma: ArrayLike | None = None,
    *,
    label: str | None = None,
    G: ArrayLike = 1.0,
    D: float = 1.0,
    kind: Kind = "last",
    last_step: LastStep = "given",
    nthreads: int | None = None,
) -> Sweep:
    """Compute the bound at the last step over the base learning rate.

    Parameters
    ----------
    eta : array_like (T,) or Schedule
        The schedule.
    gamma : array_like (n,), optional
        Base learning rates, increasing and positive; by default 65 of them, from 1/16 of the best
        one to 16 times it.
    label : str, optional
        What the legend calls it; by default the name of a `Schedule`.
    G, D, kind, last_step, nthreads
        As for `cvxbound.bound`.

    Returns
    -------
    Sweep

    Raises
    ------
    TypeError, ValueError
        As for `cvxbound.bound`; `eta` or `gamma` does not have one axis; `gamma` does not increase;
        or the bound is infinite at any rate.

    Notes
    -----
    O(T) for `last` and `average`, whose two terms are computed once; `tight` adapts its virtual
    last step to each rate.

    Examples
    --------
    >>> import cvxbound as cb
    >>> rates = sweep(cb.schedules.wsd(400), kind="tight")
    >>> rates.gamma.size, round(rates.best_omega, 4), bool(rates.omega.min() >= rates.best_omega)
    (65, 0.0542, True)
    """
    steps = real_array(eta, "eta")
    if steps.ndim != 1 or not steps.size:
        raise ValueError(f"a sweep takes one schedule; got shape {steps.shape}")
    name = label or str(getattr(eta, "name", "schedule"))
    problem = {"G": G, "D": D, "kind": kind, "last_step": last_step, "nthreads": nthreads}
    best_gamma, best_omega = map(float, _figures.best(steps, name, **problem))
    if gamma is None:
        rates = best_gamma * np.geomspace(1 / _REACH, _REACH, _RATES)
    else:
        rates = _increasing(gamma, "gamma")
    omega = np.asarray(
        _bound(steps, rates, G=G, D=D, kind=kind, last_step=last_step, nthreads=nthreads)
    )
    return Sweep(name, rates, omega, best_gamma, best_omega, kind, _normalised(G, D))


def trend(
    make: Callable[[Any], ArrayLike],
    at: ArrayLike,
    *,
    over: Over,
    label: str,
    G: float = 1.0,
    D: float = 1.0,
    kind: Kind = "last",
    last_step: LastStep = "given",
    nthreads: int | None = None,
) -> Trend:
    """Tune a schedule that is made anew for each horizon, or for each cooldown.

    Parameters
    ----------
    make : callable
        Takes an entry of `at`, an int or a float as it is there, and returns a schedule (T,).
    at : array_like (n,)
        Horizons or cooldowns, increasing; `horizons` and `fractions` make them.
    over : {"horizon", "cooldown"}
        What they are.
    label : str
        What the legend calls it.
    G, D : float, default 1
        Bounds on the gradient norms and on the initial distance.
    kind, last_step, nthreads
        As for `cvxbound.bound`.

    Returns
    -------
    Trend

    Raises
    ------
    TypeError, ValueError
        As for `make` and `cvxbound.tune`; `at` does not increase; or a bound is infinite at any
        rate.

    Notes
    -----
    O(T) for each entry.

    Examples
    --------
    >>> import cvxbound as cb
    >>> made = trend(cb.schedules.constant, [10, 1000], over="horizon", label="constant")
    >>> made.gamma.round(4).tolist()
    [0.1616, 0.0109]
    """
    if over not in _AXES:
        raise did_you_mean(over, _AXES, "over")
    values = _increasing(at, "at")
    problem = {"G": G, "D": D, "kind": kind, "last_step": last_step, "nthreads": nthreads}
    tuned = []
    for value in np.asarray(at).tolist():
        eta = real_array(make(value), "make(value)")
        tuned.append(_figures.best(eta, f"{label} at {over} {value:g}", **problem))
    gamma, omega = np.array(tuned).T
    return Trend(label, over, values, gamma, omega, kind, _normalised(G, D))


def horizons(steps: int, count: int = 25) -> Int:
    """Return horizons up to a number of steps, in geometric progression over three decades.

    Parameters
    ----------
    steps : int
        The last horizon, at least 1.
    count : int, default 25
        How many, at least 2; fewer where they would not be different.

    Returns
    -------
    ndarray of int64
        Increasing, the first at least 10 where `steps` is.

    Raises
    ------
    ValueError
        `steps` or `count` is too small.

    Examples
    --------
    >>> horizons(100_000, count=4).tolist()
    [100, 1000, 10000, 100000]
    >>> horizons(12).tolist()
    [10, 11, 12]
    """
    if steps < 1 or count < 2:
        raise ValueError(
            f"steps must be at least 1 and count at least 2; got steps={steps}, count={count}"
        )
    first = max(steps / 1000, min(steps, 10))
    return np.unique(np.rint(np.geomspace(first, steps, count)).astype(np.int64))


def fractions(most: float = 1.0, count: int = 26) -> Float:
    """Return cooldowns as fractions of a run, close together where they are short and matter most.

    Parameters
    ----------
    most : float, default 1.0
        The longest, in (0, 1]; what a warm-up leaves of the run.
    count : int, default 26
        How many, at least 2.

    Returns
    -------
    ndarray of float64
        From 0 to `most`; their square roots are evenly spaced.

    Raises
    ------
    ValueError
        `most` or `count` is out of its range.

    Examples
    --------
    >>> fractions(count=6).round(2).tolist()
    [0.0, 0.04, 0.16, 0.36, 0.64, 1.0]
    """
    if not 0 < most <= 1 or count < 2:
        raise ValueError(
            f"most must be in (0, 1] and count at least 2; got most={most}, count={count}"
        )
    return most * np.square(np.arange(count) / (count - 1))


def sweep_figure(sweeps: Sequence[Sweep]) -> Figure:
    """Draw bounds over the base learning rate, both logarithmic, with each minimum marked.

    Parameters
    ----------
    sweeps : sequence of Sweep
        From `sweep`.

    Returns
    -------
    matplotlib.figure.Figure
        Not attached to pyplot: `cvxbound.plot.save` it, or call its own methods.

    Raises
    ------
    ImportError
        matplotlib is missing.
    ValueError
        There is nothing to draw.

    Examples
    --------
    >>> import cvxbound as cb
    >>> drawing = sweep_figure([sweep(cb.schedules.cosine(400)), sweep(cb.schedules.wsd(400))])
    >>> [axes.get_xlabel() for axes in drawing.axes]
    ['base learning rate gamma [D/G]']
    """
    drawing, (axes,) = _panels(1, len(sweeps))
    styles = _figures.line_styles([each.label for each in sweeps], [each.kind for each in sweeps])
    for each, style, name in zip(sweeps, styles, _names(sweeps), strict=True):
        unit = " D/G" if each.normalised else ""
        label = f"{name}: best {each.best_gamma:.3g}{unit}"
        axes.plot(each.gamma, _figures.finite(each.omega), label=label, **style)
        axes.plot(each.best_gamma, each.best_omega, "o", color=style["color"], markersize=5)
    rate_unit, bound_unit = _units(sweeps)
    kinds = ", ".join(dict.fromkeys(each.kind for each in sweeps))
    axes.set(xscale="log", yscale="log", xlabel=f"base learning rate gamma{rate_unit}")
    axes.set_ylabel(f"bound at the last step{bound_unit} ({kinds})")
    _figures.legend(drawing)
    return drawing


def trend_figure(trends: Sequence[Trend]) -> Figure:
    """Draw the best base learning rates above the bounds there.

    Parameters
    ----------
    trends : sequence of Trend
        From `trend`, all over the same.

    Returns
    -------
    matplotlib.figure.Figure
        Not attached to pyplot: `cvxbound.plot.save` it, or call its own methods.

    Raises
    ------
    ImportError
        matplotlib is missing.
    ValueError
        There is nothing to draw, or there are trends over horizons and over cooldowns.

    Examples
    --------
    >>> import cvxbound as cb
    >>> line = trend(
    ...     lambda c: cb.schedules.wsd(400, c), fractions(), over="cooldown", label="linear"
    ... )
    >>> [axes.get_ylabel() for axes in trend_figure([line]).axes]
    ['gamma* [D/G]', 'Omega* [D G] (last)']
    """
    drawing, (top, bottom) = _panels(2, len(trends))
    if len({each.over for each in trends}) > 1:
        raise ValueError("a figure shows trends over the horizon or over the cooldown, not both")
    over = trends[0].over
    styles = _figures.line_styles([each.label for each in trends], [each.kind for each in trends])
    for each, style, name in zip(trends, styles, _names(trends), strict=True):
        power = f": gamma* ~ T^{each.exponent:.3f}" if over == "horizon" and each.x.size > 1 else ""
        marker = "o" if each.x.size == 1 else ""
        top.plot(each.x, each.gamma, label=f"{name}{power}", marker=marker, **style)
        bottom.plot(each.x, each.omega, marker=marker, **style)
    rate_unit, bound_unit = _units(trends)
    kinds = ", ".join(dict.fromkeys(each.kind for each in trends))
    top.set(yscale="log", ylabel=f"gamma*{rate_unit}")
    bottom.set(xlabel=_AXES[over], ylabel=f"Omega*{bound_unit} ({kinds})")
    if over == "horizon":
        bottom.set(xscale="log", yscale="log")
    _figures.legend(drawing)
    return drawing


def _panels(count: int, lines: int) -> tuple[Figure, list[Axes]]:
    """Panels above one another, with room for the legend; ValueError where nothing is drawn."""
    if not lines:
        raise ValueError("a figure needs at least one line")
    height = 2.0 + 2.0 * count + 0.2 * lines
    drawing = _figures.figure_class()(figsize=(7.2, height), layout="constrained")
    axes = list(drawing.subplots(count, 1, sharex=True, squeeze=False)[:, 0])
    for each in axes:
        _figures.tidy(each)
    return drawing, axes


def _names(lines: Sequence[Sweep] | Sequence[Trend]) -> list[str]:
    """What the legend calls each line: its kind too where there are several."""
    several = len({each.kind for each in lines}) > 1
    return [_figures.short(each.label) + f", {each.kind}" * several for each in lines]


def _units(lines: Sequence[Sweep] | Sequence[Trend]) -> tuple[str, str]:
    """The units of rates and bounds, where they are those of all lines."""
    return (" [D/G]", " [D G]") if all(each.normalised for each in lines) else ("", "")


def _normalised(G: ArrayLike, D: float) -> bool:
    return D == 1 and bool(np.all(np.asarray(G) == 1))


def _increasing(values: ArrayLike, name: str) -> Float:
    found = real_array(values, name)
    if found.ndim != 1 or not found.size or np.any(np.diff(found) <= 0):
        raise ValueError(f"{name} must be values that increase, with one axis; got {values!r}")
    return found
