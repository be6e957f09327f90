"""The figure of a loss law: the runs it was fitted to, what it predicts, and how far off it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from . import _figures, _horizons

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

    from ._arrays import Float, Int
    from .laws import LossLaw, Prediction
    from .logs import Run
    from .schedules import Schedule

_POINTS = 300  # through which a predicted curve is drawn, besides those where the schedule bends
_OUTLINE = 60
_EARLIEST = 0.1  # of the usual length: losses before that may be above the figure
_MOST_IN_A_COLUMN = 8  # entries of the legend
_GREY = "0.45"


@dataclass(frozen=True)
class _Line:
    """The curve of a law along one schedule, and the run that followed it, if there is one."""

    label: str
    found: Prediction
    run: Run | None = None
    is_fitted: bool = False

    @property
    def entry(self) -> str:
        """What the legend says."""
        name = _figures.short(self.label, 40)
        if self.is_fitted:
            return name
        if self.run is not None:
            return f"{name}, held out"
        loss, low, high = (float(np.asarray(each)[-1]) for each in self.found[1:])
        told = f"{name}: {loss:.4g}"
        return told if np.isnan(low) else f"{told} ({low:.4g} to {high:.4g})"


def forecast(
    law: LossLaw,
    runs: Sequence[Run] = (),
    *,
    held_out: Sequence[Run] = (),
    schedules: Mapping[str, ArrayLike] | Sequence[Schedule] = (),
    lr: float | Literal["best"] | None = None,
    interval: float = 0.9,
    log_x: bool = False,
) -> Figure:
    """Draw what a loss law says beside what was measured.

    Above, losses as points, and the law as lines, with the intervals of what it was not fitted to;
    below, how far the losses are from the law, and the interval of runs left out of a fit.

    Parameters
    ----------
    law : LossLaw
        From `cvxbound.laws.fit`.
    runs : sequence of Run
        Those that it was fitted to.
    held_out : sequence of Run
        Others, whose losses it predicts.
    schedules : mapping of str to schedule, or sequence of Schedule
        What else to predict, as for `LossLaw.compare`.
    lr : float or "best", optional
        The base learning rate of the schedules, as for `LossLaw.compare`.
    interval : float, default 0.9
        The probability of the intervals.
    log_x : bool, default False
        Logarithmic steps and losses, for predictions far beyond the runs.

    Returns
    -------
    matplotlib.figure.Figure
        Not attached to pyplot: `save` it, or call its own methods.

    Raises
    ------
    ImportError
        matplotlib is missing.
    TypeError, ValueError
        What `LossLaw.predict` raises; there is nothing to draw.

    Notes
    -----
    Losses up to the law's burn-in are drawn without a curve; the first ones are above the figure.

    Examples
    --------
    >>> import numpy as np
    >>> import cvxbound as cb
    >>> from cvxbound import laws, logs
    >>> def run(schedule):
    ...     lr, at = 1e-3 * schedule.eta, np.arange(50, schedule.eta.size + 1, 25)
    ...     a, b = cb.terms(lr, at=at)
    ...     return logs.Run(schedule.name, lr, at, 2.5 + 0.9 * a + 60 * b)
    >>> runs = [run(cb.schedules.cosine(1000)), run(cb.schedules.constant(1000))]
    >>> law = laws.fit(runs, law="omega", replicates=0)
    >>> drawing = forecast(law, runs, schedules=[cb.schedules.wsd(2000)])
    >>> [axes.get_ylabel() for axes in drawing.axes]
    ['val loss', 'loss over law - 1, %']
    """
    lines = list(_lines(law, runs, held_out, schedules, lr, interval))
    if not lines:
        raise ValueError("a figure needs at least one run or schedule")
    columns = -(-len(lines) // _MOST_IN_A_COLUMN)
    height = 6.4 + 0.2 * -(-len(lines) // columns)
    drawing = _figures.figure_class()(figsize=(7.2, height), layout="constrained")
    top, bottom = drawing.subplots(2, 1, sharex=True, height_ratios=(5, 2))
    styles = _figures.line_styles([each.label for each in lines], ["loss"] * len(lines))
    for line, style in zip(lines, styles, strict=True):
        _draw(top, line, style)
        if line.run is not None:
            _draw_residuals(bottom, line, style)
    _annotate(top, bottom, law, lines, interval, log_x)
    _figures.legend(drawing, columns)
    return drawing


def _lines(
    law: LossLaw,
    runs: Sequence[Run],
    held_out: Sequence[Run],
    schedules: Mapping[str, ArrayLike] | Sequence[Schedule],
    lr: float | Literal["best"] | None,
    interval: float,
) -> Iterator[_Line]:
    """What is predicted first, as it is what the figure is for."""
    named = (
        list(schedules.items())
        if isinstance(schedules, Mapping)
        else [(str(getattr(each, "name", "schedule")), each) for each in schedules]
    )
    for name, each in named:
        rate = law.best_lr(each).lr if lr == "best" else lr
        at = _drawn(np.asarray(getattr(each, "eta", each), np.float64), law.burn_in)
        yield _Line(name, law.predict(each, rate, at=at, interval=interval))
    for group, is_fitted in ((held_out, False), (runs, True)):
        for run in group:
            at = np.union1d(_drawn(run.lr, law.burn_in), run.step[run.step > law.burn_in])
            yield _Line(run.name, law.predict(run, at=at, interval=interval), run, is_fitted)


def _drawn(steps: Float, burn_in: int) -> Int:
    """Steps through which the curve of a schedule is drawn; the last one in any case."""
    at: Int = np.union1d(_horizons.spread(steps.size, _POINTS), _horizons.outline(steps, _OUTLINE))
    shown: Int = at[(at > burn_in) | (at == steps.size)]
    return shown


def _draw(axes: Axes, line: _Line, style: dict[str, Any]) -> None:
    """Fitted runs are pale; what the law did not see is not, and has its interval."""
    step, loss, low, high = (np.asarray(each) for each in line.found)
    color = style["color"]
    curve = style | {"linewidth": 0.9 if line.is_fitted else 1.7}
    marks = _marks(line, color)
    axes.plot([], [], label=line.entry, **marks | curve)
    axes.plot(step, loss, zorder=2 if line.is_fitted else 3, **curve)
    if not line.is_fitted:
        axes.fill_between(step, low, high, color=color, alpha=0.15, linewidth=0)
    if line.run is None:
        axes.plot(step[-1], loss[-1], **marks)
    else:
        axes.plot(line.run.step, _figures.finite(line.run.loss), **marks)


def _marks(line: _Line, color: str) -> dict[str, Any]:
    look: dict[str, Any] = {"marker": "D", "markersize": 4.5, "zorder": 4}
    if line.run is not None:
        look = {"marker": "o", "markersize": 3.5, "markerfacecolor": "white", "zorder": 2.6}
    if line.is_fitted:
        look = {"marker": ".", "markersize": 3.5, "alpha": 0.5, "zorder": 2.5}
    return {"color": color, "linestyle": "none", "markeredgewidth": 0.7} | look


def _draw_residuals(axes: Axes, line: _Line, style: dict[str, Any]) -> None:
    assert line.run is not None
    step, loss = line.run.step, line.run.loss
    shown = np.isin(step, line.found.step) & np.isfinite(loss)
    law = np.interp(step[shown], line.found.step, line.found.loss)
    axes.plot(step[shown], 100 * (loss[shown] / law - 1), **_marks(line, style["color"]))


def _annotate(
    top: Axes, bottom: Axes, law: LossLaw, lines: Sequence[_Line], interval: float, log_x: bool
) -> None:
    from matplotlib.ticker import EngFormatter

    top.set_ylabel(f"{law.split} loss", parse_math=False)
    top.set_ylim(*_range(law, lines, log_x))
    bottom.set(xlabel="step", ylabel="loss over law - 1, %")
    bottom.axhline(0, color=_GREY, linewidth=0.8)
    if law.left_out:
        within = 100 * float(np.quantile(np.abs(law.left_out), interval))
        bottom.axhspan(-within, within, color=_GREY, alpha=0.12, linewidth=0)
    last = max(int(np.asarray(line.found.step)[-1]) for line in lines)
    if log_x:
        top.set(xscale="log", yscale="log")
        top.yaxis.set_major_formatter("{x:.4g}")
        top.yaxis.set_minor_formatter("{x:.4g}")
    bottom.set_xlim(max(law.burn_in // 2, 1) if log_x else 0, last * (1.05 if log_x else 1.01))
    bottom.xaxis.set_major_formatter(EngFormatter(sep=""))
    for axes in (top, bottom):
        _figures.tidy(axes)


def _range(law: LossLaw, lines: Sequence[_Line], log_x: bool) -> tuple[float, float]:
    """The losses to show: not the first ones, which are far above the rest."""
    usual = np.median([np.asarray(line.found.step)[-1] for line in lines])
    first = law.burn_in if log_x else max(law.burn_in, int(_EARLIEST * usual))
    values = []
    for line in lines:
        step, loss, low, high = (np.asarray(each) for each in line.found)
        late = (step > first) | (step == step[-1])
        values += [loss[late]] if line.is_fitted else [loss[late], low[late], high[late]]
        if line.run is not None:
            values.append(line.run.loss[line.run.step > first])
    found = np.concatenate(values)
    found = found[np.isfinite(found)]
    least, most = float(found.min()), float(found.max())
    margin = 0.05 * (most - least) or 0.05 * most
    return (least / 1.02, most * 1.02) if log_x else (least - margin, most + margin)
