"""Figures of schedules and their bounds, for matplotlib.

>>> import cvxbound as cb
>>> from cvxbound import plot
>>> curves = [plot.sample(cb.schedules.cosine(400)), plot.sample(cb.schedules.wsd(400))]
>>> [round(curve.gamma, 4) for curve in curves]
[0.0482, 0.0254]

``plot.save(plot.figure(curves), "bounds.png")`` then draws the schedules above their bounds, each
at its best base learning rate. The bound is computed at every step; where there are millions of
them, it is drawn through the lowest and the highest value of each stretch.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from . import _figures, _horizons
from ._arrays import real_array
from ._files import check_target, replacing
from ._forecast import forecast
from .bounds import curve as _curve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

    from ._arrays import Float, Int
    from ._names import Kind, LastStep

__all__ = ["FORMATS", "Curve", "Loss", "check_path", "figure", "forecast", "sample", "save"]

FORMATS = (".pdf", ".png", ".svg")
"""What `save` can write."""

# As many stretches are narrower than a pixel of most figures.
_STRETCHES = 500

# The bound is drawn up to this many times its last value, and losses are fitted to it up to fewer.
_TIMES_LAST, _TIMES_LAST_LOG, _TIMES_LAST_FIT = 3.0, 30.0, 2.5


@dataclass(frozen=True, eq=False)
class Loss:
    """The losses of a training run, to be drawn over its bound.

    Parameters
    ----------
    step : ndarray of int64, shape (n,)
        Steps of the schedule, 1-based and increasing.
    value : ndarray of float64, shape (n,)
        The losses there.
    name : str
        What the axis is called, such as the column of the log.

    Examples
    --------
    >>> import cvxbound as cb
    >>> from cvxbound import logs
    >>> run = {"step": [1, 2, 3], "lr": [0.1, 0.1, 0.1], "val_loss": [9.5, 7.0, 6.5]}
    >>> read = logs.losses(run)
    >>> loss = Loss(read.step, read.value, read.columns[0])
    >>> sample(cb.schedules.from_log(run), loss=loss).loss.name
    'val_loss'
    """

    step: Int
    value: Float
    name: str


@dataclass(frozen=True, eq=False)
class Curve:
    """One schedule and its bound, at the steps to draw.

    Parameters
    ----------
    label : str
        What the legend calls it.
    step : ndarray of int64
        Where to draw the schedule, from 1 to the last step.
    eta : ndarray of float64
        The schedule there.
    horizon : ndarray of int64
        Where to draw the bound, from 1 to the last step.
    omega : ndarray of float64
        The bound there, inf included.
    gamma : float
        The base learning rate.
    kind : str
        Which bound.
    normalised : bool
        Whether D = G = 1: `gamma` is then in units of D/G, and `omega` of D G.
    loss : Loss, optional
        What was measured.

    Examples
    --------
    `sample` makes them; other curves can be drawn beside its own, such as the bounds scaled:

    >>> import dataclasses
    >>> import cvxbound as cb
    >>> curve = sample(cb.schedules.cosine(400))
    >>> half = dataclasses.replace(curve, label="half of it", omega=curve.omega / 2)
    >>> round(float(half.omega[-1]), 4)
    0.0517
    """

    label: str
    step: Int
    eta: Float
    horizon: Int
    omega: Float
    gamma: float
    kind: str
    normalised: bool = False
    loss: Loss | None = None


def sample(
    eta: ArrayLike,
    gamma: float | None = None,
    *,
    label: str | None = None,
    loss: Loss | None = None,
    G: ArrayLike = 1.0,
    D: float = 1.0,
    kind: Kind = "last",
    last_step: LastStep = "given",
    log_x: bool = False,
    nthreads: int | None = None,
) -> Curve:
    """Compute what there is to draw of one schedule.

    Parameters
    ----------
    eta : array_like (T,) or Schedule
        The schedule.
    gamma : float, optional
        Base learning rate; by default the best one for the last step.
    label : str, optional
        What the legend calls it; by default the name of a `Schedule`.
    loss : Loss, optional
        Losses to draw over the bound.
    G, D, kind, last_step, nthreads
        As for `cvxbound.bound`.
    log_x : bool, default False
        Whether the figure is to be logarithmic in the step, as in `figure`.

    Returns
    -------
    Curve

    Raises
    ------
    TypeError, ValueError
        As for `cvxbound.curve`; or no `gamma` is given and the bound at the last step is infinite.

    Notes
    -----
    O(T): the whole curve is computed, and a few thousand of its values are kept.

    Examples
    --------
    >>> import cvxbound as cb
    >>> curve = sample(cb.schedules.wsd(1_000_000))
    >>> curve.horizon.size < 5000, curve.horizon[[0, -1]].tolist()
    (True, [1, 1000000])
    """
    steps = real_array(eta, "eta")
    if steps.ndim != 1 or not steps.size:
        raise ValueError(f"a figure shows one schedule at a time; got shape {steps.shape}")
    name = label or str(getattr(eta, "name", "schedule"))
    if gamma is None:
        problem = {"G": G, "D": D, "kind": kind, "last_step": last_step, "nthreads": nthreads}
        gamma = float(_figures.best(steps, name, **problem).gamma)

    omega = _curve(steps, gamma, G=G, D=D, kind=kind, last_step=last_step, nthreads=nthreads)
    step = _drawn(steps, log_x)
    horizon = np.union1d(step, _drawn(omega, log_x))  # the bound bends where the schedule does
    normalised = D == 1 and bool(np.all(np.asarray(G) == 1))
    return Curve(
        name, step, steps[step - 1], horizon, omega[horizon - 1], gamma, kind, normalised, loss
    )


def _drawn(values: Float, log_x: bool) -> Int:
    """Steps through which a sequence is drawn."""
    outline = _horizons.outline(values, _STRETCHES, logarithmic=log_x)
    return np.union1d(outline, _horizons.spread(values.size, _STRETCHES))


def check_path(path: str | os.PathLike[str]) -> Path:
    """Where `save` would write, checked before anything is computed.

    Parameters
    ----------
    path : path
        The figure.

    Returns
    -------
    Path
        The file itself where `path` is a symbolic link.

    Raises
    ------
    ImportError
        matplotlib is missing.
    OSError
        The folder does not exist or cannot be written to.
    ValueError
        The name does not end in one of `FORMATS`.

    Examples
    --------
    >>> check_path("bounds.png").name
    'bounds.png'
    >>> check_path("bounds.jpeg")
    Traceback (most recent call last):
    ...
    ValueError: bounds.jpeg: a figure is written as .pdf, .png, .svg, which the name has to end in
    """
    _figures.figure_class()
    target = Path(path)
    if target.suffix.lower() not in FORMATS:
        raise ValueError(
            f"{target}: a figure is written as {', '.join(FORMATS)}, which the name has to end in"
        )
    return check_target(target)


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure, all of it or nothing: a file that is there stays until the new one is whole.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure.
    path : path
        Ends in ``.png``, ``.pdf`` or ``.svg``.

    Raises
    ------
    OSError, ValueError
        As for `check_path`, or writing failed.

    Examples
    --------
    >>> import tempfile
    >>> import cvxbound as cb
    >>> drawing = figure([sample(cb.schedules.wsd(400))])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(drawing, f"{folder}/wsd.svg")
    ...     print([path.name for path in Path(folder).iterdir()])
    ['wsd.svg']
    """
    target = check_path(path)
    with replacing(target, path) as part:
        figure.savefig(part, format=target.suffix[1:].lower(), dpi=200)


def figure(curves: Sequence[Curve], *, log_x: bool = False) -> Figure:
    """Draw schedules above their bounds, and the losses over the bounds where there are any.

    Parameters
    ----------
    curves : sequence of Curve
        From `sample`.
    log_x : bool, default False
        Logarithmic steps, and with them logarithmic bounds.

    Returns
    -------
    matplotlib.figure.Figure
        Not attached to pyplot: `save` it, or call its own methods.

    Raises
    ------
    ImportError
        matplotlib is missing.
    ValueError
        There is no curve, or no bound is finite.

    Notes
    -----
    The axis of the bound ends at a few times the last values, or at thirty times with `log_x`, far
    below where the curves start. The losses are shifted and scaled, all of them alike, to where
    they agree best with the bounds: only the form of the curves can be compared.

    Examples
    --------
    >>> import cvxbound as cb
    >>> drawing = figure([sample(cb.schedules.cosine(400)), sample(cb.schedules.wsd(400))])
    >>> [axes.get_ylabel() for axes in drawing.axes]
    ['learning rate / peak', 'bound on f - f* / D G (last)']
    """
    if not curves:
        raise ValueError("a figure needs at least one curve")
    low, high = _range(curves, _TIMES_LAST_LOG if log_x else _TIMES_LAST)
    height = 6.0 + 0.2 * len(curves)
    drawing = _figures.figure_class()(figsize=(7.2, height), layout="constrained")
    top, bottom = drawing.subplots(2, 1, sharex=True, height_ratios=(2, 3))
    measured = [curve.loss for curve in curves if curve.loss is not None]
    fit = _fit_losses(curves) if measured else None
    several = len({curve.kind for curve in curves}) > 1
    styles = _figures.line_styles([each.label for each in curves], [each.kind for each in curves])
    drawn: set[str] = set()
    for curve, style in zip(curves, styles, strict=True):
        unit = " D/G" if curve.normalised else ""
        kind = f", {curve.kind}" if several else ""
        label = f"{_figures.short(curve.label)}{kind}: base LR {curve.gamma:.3g}{unit}"
        if curve.label not in drawn:
            drawn.add(curve.label)
            top.plot(curve.step, curve.eta, **style | {"linewidth": 1.6})
        bottom.plot(curve.horizon, _figures.finite(curve.omega), label=label, **style)
        if fit is not None and curve.loss is not None:
            values = fit.to_bound(curve.loss.value)
            thin = {"color": style["color"], "linewidth": 0.9, "alpha": 0.7}
            bottom.plot(curve.loss.step, values if not log_x else _positive(values), **thin)
    bottom.set_ylim(low, high)
    if log_x:
        bottom.set(xscale="log", yscale="log")
    if fit is not None:
        right = bottom.secondary_yaxis("right", functions=(fit.to_loss, fit.to_bound))
        names = ", ".join(dict.fromkeys(loss.name for loss in measured))
        right.set_ylabel(f"{names} (thin lines), scaled to the bound", parse_math=False)
        if log_x:
            right.yaxis.set_major_formatter("{x:.4g}")
            right.yaxis.set_minor_formatter("{x:.4g}")
    _annotate(top, bottom, curves, log_x)
    _figures.legend(drawing)
    return drawing


def _annotate(top: Axes, bottom: Axes, curves: Sequence[Curve], log_x: bool) -> None:
    from matplotlib.ticker import EngFormatter

    top.set(ylabel="learning rate / peak", ylim=(0, None))
    kinds = ", ".join(dict.fromkeys(curve.kind for curve in curves))
    last = max(int(curve.step[-1]) for curve in curves)
    unit = " / D G" if all(curve.normalised for curve in curves) else ""
    first = min(_first_shown(curve, bottom.get_ylim()[1]) for curve in curves) if log_x else 0
    bottom.set(
        xlabel="step", ylabel=f"bound on f - f*{unit} ({kinds})", xlim=(first, max(last, first + 1))
    )
    bottom.xaxis.set_major_formatter(EngFormatter(sep=""))
    for axes in (top, bottom):
        _figures.tidy(axes)


def _first_shown(curve: Curve, high: float) -> int:
    """The first step at which a bound is in the figure, if it is not the last."""
    return int(curve.horizon[:-1][curve.omega[:-1] <= high].min(initial=curve.horizon[-1] - 1)) or 1


def _positive(values: Float) -> Float:
    """What has no logarithm as gaps."""
    return np.where(values > 0, values, np.nan)


def _range(curves: Sequence[Curve], times_last: float) -> tuple[float, float]:
    """The bounds to show: not the first steps, which are far above the rest."""
    lows, highs, lasts = [], [], []
    for curve in curves:
        finite = np.isfinite(curve.omega)
        if finite.any():
            values = curve.omega[finite]
            lows.append(values.min())
            highs.append(values.max())
            lasts.append(values[-1])
    if not lows:
        raise ValueError("every bound is infinite: nothing to draw")
    low, high = float(min(lows)), float(min(max(highs), times_last * max(lasts)))
    margin = 0.06 * (high - low) or 0.06 * high
    return (low - margin if times_last < _TIMES_LAST_LOG else low / 1.1), high + margin


class _Fit(NamedTuple):
    """A straight line from bounds to losses."""

    offset: float
    slope: float

    def to_loss(self, omega: Float) -> Float:
        return self.offset + self.slope * omega

    def to_bound(self, loss: Float) -> Float:
        return (loss - self.offset) / self.slope


def _fit_losses(curves: Sequence[Curve]) -> _Fit:
    """The line by least squares, all curves together, leaving the first steps out.

    Where losses rise as the bounds fall, their range is drawn over the range of the bounds.
    """
    low, high = _range(curves, _TIMES_LAST_FIT)
    omegas, losses = [], []
    for curve in curves:
        if curve.loss is not None:
            omega = np.interp(curve.loss.step, curve.horizon, _figures.finite(curve.omega))
            shown = (omega <= high) & np.isfinite(curve.loss.value)
            omegas.append(omega[shown])
            losses.append(curve.loss.value[shown])
    x, y = np.concatenate(omegas), np.concatenate(losses)
    if not x.size:
        return _Fit(0.0, 1.0)
    spread = float(np.var(x))
    slope = float(np.mean((x - x.mean()) * (y - y.mean()))) / spread if spread else 0.0
    if slope > 0:
        return _Fit(float(y.mean() - slope * x.mean()), slope)
    slope = (float(np.ptp(y)) or 1.0) / (high - low)
    return _Fit(float(y.min()) - slope * low, slope)
