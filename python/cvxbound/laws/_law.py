"""A fitted loss law, and what it answers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from .. import schedules
from .._arrays import horizons, positive_array, positive_scalar
from .._files import check_target, replacing
from .._messages import counted
from ..logs import Run
from ..schedules import Schedule
from ._bootstrap import Linearized
from ._file import content_of
from ._form import Form, Trace
from ._identify import doubts

if TYPE_CHECKING:
    import os

    from numpy.typing import ArrayLike

    from .._arrays import Float, Int

_FARTHEST = 100.0  # times the largest learning rate of the logs: no loss law reaches there
_MOST_DRAWN = 2**22  # numbers that quantiles are taken of at a time
_SAME = 1.01  # times one another: peaks of runs at one learning rate
_RATES = 33  # that the best learning rate is looked for among, before it is refined
_WIDEST = 10.0  # times the learning rates of the logs, where it is looked for by default
_ERROR_DRAWS = 20  # for every replicate


class Prediction(NamedTuple):
    """Losses that a law predicts.

    Parameters
    ----------
    step : int or ndarray of int64
        The steps, 1-based.
    loss : float or ndarray of float64
        What is expected after them.
    low, high : float or ndarray of float64
        The ends of the interval; NaN where the law was fitted without replicates.

    Examples
    --------
    >>> Prediction(step=1000, loss=3.2, low=3.19, high=3.22).loss
    3.2
    """

    step: Int | int
    loss: Float | float
    low: Float | float
    high: Float | float


class BestRate(NamedTuple):
    """The base learning rate with the least predicted loss.

    Parameters
    ----------
    lr : float
        The learning rate.
    loss : float
        The loss after the last step.
    low, high : float
        An interval for `lr`: 0 or inf where it reaches an end of the range that was searched, NaN
        where the law was fitted without replicates.
    at_edge : bool
        Whether it is an end of the range that was searched: the loss falls beyond it.
    extrapolated : bool
        Whether it lies outside of the peak learning rates of the runs: a guess, and the interval
        too narrow.

    Examples
    --------
    >>> BestRate(1e-3, 3.2, low=8e-4, high=1.2e-3, at_edge=False, extrapolated=True).lr
    0.001
    """

    lr: float
    loss: float
    low: float
    high: float
    at_edge: bool
    extrapolated: bool


@dataclass(frozen=True, eq=False, repr=False)
class LossLaw:
    """A loss law with its numbers, made by `fit`.

    Parameters
    ----------
    form : Form
        Which law.
    values : mapping of str to float
        Its parameters, fixed ones too.
    coefficients : tuple of float
        Those that it is linear in.
    replicates : ndarray of float64, shape (B, n)
        The fitted parameters and the coefficients of fits to resampled losses.
    left_out : tuple of float
        Quantiles of the relative errors on runs that were left out of a fit.
    errors : dict
        How far it is from the losses it was fitted to: `cvxbound.laws.errors`.
    runs : tuple of dict
        The runs it was fitted to: name, steps, peak, losses.
    split : str
        Which losses these are.
    burn_in : int
        Losses up to this step did not count.

    Examples
    --------
    >>> import numpy as np
    >>> import cvxbound as cb
    >>> lr, at = cb.schedules.wsd(1000, warmup=50).eta * 1e-3, np.arange(60, 1001, 20)
    >>> a, b = cb.terms(lr, kind="tight", at=at)
    >>> law = cb.fit(cb.logs.Run("wsd", lr, at, 2 + a**0.5 + 50 * b), replicates=0)
    >>> law.predict(cb.schedules.cosine(1000, warmup=50)).step
    1000
    >>> law.lr, law.fitted
    (0.001, ('kappa', 'mu', 'C', 'p', 'q'))
    """

    form: Form
    values: Mapping[str, float]
    coefficients: tuple[float, ...]
    replicates: Float
    left_out: tuple[float, ...]
    errors: Mapping[str, float]
    runs: tuple[Mapping[str, Any], ...]
    split: str
    burn_in: int

    @property
    def parameters(self) -> dict[str, float]:
        """All numbers of the law by name, coefficients first."""
        return {**dict(zip(self.form.coefficients, self.coefficients, strict=True)), **self.values}

    @property
    def fitted(self) -> tuple[str, ...]:
        """The names of the numbers that were fitted, in the order of `replicates`."""
        return (*(each.name for each in self.form.free), *self.form.coefficients)

    @property
    def lr(self) -> float | None:
        """The peak learning rate of the runs, if they share one: to 1 %, as logs are sparse."""
        peaks = [run["peak"] for run in self.runs]
        return max(peaks) if max(peaks) <= _SAME * min(peaks) else None

    @cached_property
    def doubts(self) -> tuple[str, ...]:
        """What the runs cannot tell, in words; empty where they tell everything."""
        return doubts(self)

    def predict(
        self,
        schedule: ArrayLike | Run,
        lr: float | None = None,
        *,
        at: ArrayLike | Literal["all"] | None = None,
        norms: ArrayLike | None = None,
        interval: float = 0.9,
    ) -> Prediction:
        """Predict the loss of a schedule.

        Parameters
        ----------
        schedule : Schedule, array_like (T,) or Run
            Its steps. A run has learning rates of its own.
        lr : float, optional
            The base learning rate, which steps are multiplied with. By default 1 for arrays and
            runs; for a `Schedule` its own, if it comes from a log or from `optimize`, or else the
            peak of the runs that the law was fitted to, where they share one.
        at : int, array_like of int or "all", optional
            Steps after which to predict; by default the last.
        norms : array_like (T,), optional
            Gradient norms, for a law that was fitted with ``norms="logged"``.
        interval : float, default 0.9
            The probability of the interval: the spread of the replicates, and of the errors on runs
            that were left out of a fit.

        Returns
        -------
        Prediction
            Numbers for one step, else arrays of as many entries as `at`.

        Raises
        ------
        TypeError, ValueError
            A schedule that is none, a missing `lr` or `norms`; learning rates more than a hundred
            times those of the runs, steps out of range.

        Notes
        -----
        A pass over the schedule, whatever `at`; three more where shape parameters were fitted.
        """
        share = _probability(interval)
        trace, shape = self._trace(schedule, lr, at, norms)
        loss = self._loss(trace)
        low, high = self._interval(trace, share)
        if shape == ():
            return Prediction(int(trace.at[0]), float(loss[0]), float(low[0]), float(high[0]))
        return Prediction(trace.at, loss, low, high)

    def best_lr(
        self,
        schedule: ArrayLike | Run,
        low: float | None = None,
        high: float | None = None,
        *,
        interval: float = 0.9,
    ) -> BestRate:
        """Find the base learning rate with which a schedule ends at the least loss.

        Parameters
        ----------
        schedule : Schedule or array_like (T,)
            Its steps.
        low, high : float, optional
            Where to search; by default from a tenth of the smallest to ten times the largest peak
            learning rate of the runs.
        interval : float, default 0.9
            The probability of the interval.

        Returns
        -------
        BestRate

        Raises
        ------
        TypeError, ValueError
            As for `predict`; `low` is not below `high`.

        Notes
        -----
        About 60 passes over the schedule.
        """
        share = _probability(interval)
        if self.form.needs_norms:
            raise ValueError(
                "the gradient norms of a schedule not yet run are unknown, at any learning rate; "
                "fit the law with norms='constant' or 'power'"
            )
        own = schedule.lr if isinstance(schedule, Run) else schedule
        eta = np.asarray(schedules.from_array(own, name="schedule").eta)
        peaks = [run["peak"] / eta.max() for run in self.runs]
        first = min(peaks) / _WIDEST if low is None else positive_scalar(low, "low")
        last = max(peaks) * _WIDEST if high is None else positive_scalar(high, "high")
        if not first < last:
            raise ValueError(f"low must be below high, got {first:g} and {last:g}")
        rates = np.geomspace(first, last, _RATES)
        table = self._losses_at(eta, rates)
        best = int(table[0].argmin())
        rate, loss = self._refined(eta, rates, best)
        ends = np.full(2, np.nan)
        if len(table) > 1:
            chosen = [_lowest(np.log(rates), losses) for losses in table[1:]]
            ends = np.exp(np.quantile(chosen, _tails(share)))
            # Beyond the range there may be better ones.
            ends[ends <= first * _SAME] = 0.0
            ends[ends >= last / _SAME] = np.inf
        known = min(peaks) / _SAME <= rate <= max(peaks) * _SAME
        at_edge = best in (0, _RATES - 1)
        return BestRate(rate, loss, float(ends[0]), float(ends[1]), at_edge, not known)

    def compare(
        self,
        candidates: Mapping[str, ArrayLike | Run] | Iterable[ArrayLike | Run],
        lr: float | Literal["best"] | None = None,
        *,
        interval: float = 0.9,
    ) -> list[dict[str, Any]]:
        """Predict the final losses of several schedules, least first.

        Parameters
        ----------
        candidates : mapping of str to schedule, or iterable of schedules
            What `predict` takes.
        lr : float or "best", optional
            As for `predict`, or the best one of each.
        interval : float, default 0.9
            As for `predict`.

        Returns
        -------
        list of dict
            ``schedule``, the name; ``lr``; ``step``, ``loss``, ``low`` and ``high``, as for
            `predict`; and ``behind``, the loss less the least of them.
        """
        if not isinstance(candidates, Mapping):
            candidates = _named(candidates)
        if not candidates:
            raise ValueError("expected at least one schedule to compare, got none")
        rows: list[dict[str, Any]] = []
        for name, each in candidates.items():
            rate = self.best_lr(each).lr if lr == "best" else self._base(each, lr)
            found = self.predict(each, rate, interval=interval)
            rows.append({"schedule": name, "lr": rate, **found._asdict()})
        least = min(row["loss"] for row in rows)
        rows = [{**row, "behind": row["loss"] - least} for row in rows]
        return sorted(rows, key=lambda row: float(row["loss"]))

    def optimize(
        self,
        steps: int,
        *,
        fixed_prefix: ArrayLike | Run | None = None,
        monotone: bool | int = False,
        max_step: float | None = None,
        warmup: int | float = 0,
        final: float = 0.0,
        start: ArrayLike | None = None,
        max_iterations: int = 2000,
        nthreads: int | None = None,
    ) -> Schedule:
        """Find the schedule that ends at the least predicted loss, base learning rate included.

        Parameters
        ----------
        steps : int
            Number of steps T.
        fixed_prefix : array_like or Run, optional
            The absolute learning rates of the first steps, which stay as they are: the part of a
            run already done.
        monotone, warmup, final, start, max_iterations, nthreads
            As for `cvxbound.optimize`.
        max_step : float, optional
            The largest learning rate that a free step may have; by default ten times that of the
            runs.

        Returns
        -------
        Schedule
            Its peak is 1, or its first steps are `fixed_prefix`. ``params`` has ``lr``, the base
            learning rate; ``loss``, the prediction after the last step; ``optimum``, that of the
            best schedule without constraints; ``evaluations``; and ``converged``.

        Raises
        ------
        ImportError
            SciPy is missing.
        TypeError, ValueError
            For a law that has no best schedule (only "bound" with constant norms has, and only
            where p and q are positive), and as for `cvxbound.optimize`.

        Notes
        -----
        A law is fitted to schedules that people use, and knows little of others: constraints such
        as ``warmup=`` and ``max_step=``, or a `monotone` one, keep a design near them. T = 2000
        takes a second, 1e5 half a minute.
        """
        from ._design import design

        prefix = fixed_prefix.lr if isinstance(fixed_prefix, Run) else fixed_prefix
        if max_step is None:
            max_step = _WIDEST * max(run["peak"] for run in self.runs)
        return design(
            self.form,
            self.values,
            self.coefficients,
            steps,
            fixed_prefix=prefix,
            monotone=monotone,
            max_step=max_step,
            warmup=warmup,
            final=final,
            start=start,
            max_iterations=max_iterations,
            nthreads=nthreads,
        )

    def summary(self, interval: float = 0.9) -> str:
        """Return what was fitted, in words.

        Parameters
        ----------
        interval : float, default 0.9
            The probability of the intervals.

        Returns
        -------
        str
            The parameters with their intervals, the errors, and what the runs cannot tell.
        """
        ends = self.spread(interval)
        count = sum(run["losses"] for run in self.runs)
        lines = [
            f"{self.form.name}: {self.form.size} numbers fitted to {count} {self.split} losses of "
            f"{counted(len(self.runs), 'run')}, after step {self.burn_in}",
            "",
            f"{'':14}{'value':>12}{f'{interval:.0%} interval':>28}",
        ]
        for name, value in self.parameters.items():
            told = "fixed"
            if name in ends:
                told = f"{ends[name][0]:.4g} .. {ends[name][1]:.4g}"
            lines.append(f"{name:14}{value:12.5g}{told:>28}")
        lines += [
            "",
            f"R2 {self.errors['r2']:.5f}, MAE {self.errors['mae']:.4f}, "
            f"RMSE {self.errors['rmse']:.4f}, worst {self.errors['worst']:.2%}",
        ]
        if self.left_out:
            within = float(np.quantile(np.abs(self.left_out), interval))
            what = "runs" if len(self.runs) > 1 else "the last third of the run,"
            lines.append(f"on {what} left out of a fit, {interval:.0%} are within {within:.2%}")
        lines += ["", *(f"- {doubt}" for doubt in self.doubts)] if self.doubts else []
        return "\n".join(lines)

    def spread(self, interval: float = 0.9) -> dict[str, tuple[float, float]]:
        """Return the interval of every fitted number, from the replicates.

        Parameters
        ----------
        interval : float, default 0.9
            The probability.

        Returns
        -------
        dict of str to (float, float)
            NaN without replicates.
        """
        tails = _tails(_probability(interval))
        ends = np.full((2, len(self.fitted)), np.nan)
        if len(self.replicates):
            ends = np.quantile(self.replicates, tails, axis=0)
        return {name: (float(a), float(b)) for name, a, b in zip(self.fitted, *ends, strict=True)}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the law to a JSON file, whole or not at all.

        Parameters
        ----------
        path : path
            The file.
        """
        target = check_target(Path(path))
        text = json.dumps(content_of(self), indent=1, allow_nan=False) + "\n"
        with replacing(target, path) as part:
            part.write_text(text, encoding="utf-8")

    def __repr__(self) -> str:
        told = counted(len(self.runs), "run")
        told += f", R2 {self.errors['r2']:.5f}, MAE {self.errors['mae']:.4f}"
        if self.doubts:
            told += f", {counted(len(self.doubts), 'doubt')}: see summary()"
        return f"<LossLaw {self.form.name}: {told}>"

    def _base(self, schedule: Any, lr: float | None) -> float:
        """The factor of the steps of a schedule."""
        if lr is not None:
            return positive_scalar(lr, "lr")
        if not isinstance(schedule, Schedule):
            return 1.0
        for own in ("peak", "lr"):  # of a log, and of `optimize`
            if own in schedule.params:
                return float(schedule.params[own])
        if self.lr is None:
            peaks = sorted({run["peak"] for run in self.runs})
            raise ValueError(
                f"the runs peak at learning rates from {peaks[0]:g} to {peaks[-1]:g}: give lr=, "
                "which the steps of a Schedule are multiplied with"
            )
        return self.lr

    def _trace(
        self, schedule: Any, lr: float | None, at: Any, norms: ArrayLike | None
    ) -> tuple[Trace, tuple[int, ...]]:
        """What the form needs, checked, and the shape of the result."""
        own = schedule.lr if isinstance(schedule, Run) else schedule
        steps = schedules.from_array(own, name="schedule").eta
        rates = self._base(schedule, lr) * steps
        self._check(rates)
        if norms is None and isinstance(schedule, Run):
            norms = schedule.grad_norm
        if norms is None and self.form.needs_norms:
            raise ValueError(
                "the law was fitted with logged gradient norms: give norms=, one a step"
            )
        chosen = np.arange(1, steps.size + 1) if isinstance(at, str) and at == "all" else None
        if chosen is None:
            chosen = horizons(steps.size if at is None else at, steps.size)
        norm = (
            None if norms is None else np.broadcast_to(positive_array(norms, "norms"), rates.shape)
        )
        return Trace(rates, norm, chosen.reshape(-1)), chosen.shape

    def _check(self, rates: Float) -> None:
        most = max(run["peak"] for run in self.runs)
        if not rates.any():
            raise ValueError("the schedule is all zeros: there is no loss to predict")
        if rates.max() > _FARTHEST * most:
            raise ValueError(
                f"the largest learning rate is {rates.max():g}, {rates.max() / most:.3g} times "
                f"that of the runs, {most:g}: steps are absolute unless lr= scales them"
            )

    def _loss(self, trace: Trace) -> Float:
        columns = self.form.columns(self.form.features(trace, self.values), self.values)
        loss: Float = columns @ np.array(self.coefficients)
        return loss

    def _replicated(self, features: Linearized, part: slice = slice(None)) -> Float:
        """The losses that each replicate predicts, (B, n), at a part of the steps."""
        names = [each.name for each in self.form.free]
        losses = []
        for row in self.replicates:
            values = {**self.values, **dict(zip(names, row.tolist(), strict=False))}
            columns = self.form.columns(features(values, part), values)
            losses.append(columns @ row[len(names) :])
        return np.array(losses)

    def _interval(self, trace: Trace, share: float) -> tuple[Float, Float]:
        """Quantiles over replicates and errors of runs that were left out."""
        ends = np.full((2, trace.at.size), np.nan)
        if not len(self.replicates):
            return ends[0], ends[1]
        draws = np.quantile(self.left_out, (np.arange(_ERROR_DRAWS) + 0.5) / _ERROR_DRAWS)
        features = Linearized(self.form, [trace], self.values)
        at_once = max(1, _MOST_DRAWN // (draws.size * len(self.replicates)))
        for begin in range(0, trace.at.size, at_once):
            part = slice(begin, begin + at_once)
            losses = self._replicated(features, part)
            spread = (losses[:, None, :] * (1 + draws[:, None])).reshape(-1, losses.shape[1])
            ends[:, part] = np.quantile(spread, _tails(share), axis=0)
        return ends[0], ends[1]

    def _losses_at(self, eta: Float, rates: Float) -> Float:
        """The final losses with many learning rates: of the law, and of each replicate."""
        last = np.array([eta.size])
        traces = [Trace(rate * eta, None, last) for rate in rates]
        losses = np.array([self._loss(trace)[0] for trace in traces])
        if not len(self.replicates):
            return losses[None]
        features = Linearized(self.form, traces, self.values)
        return np.vstack([losses, self._replicated(features)])

    def _refined(self, eta: Float, rates: Float, best: int) -> tuple[float, float]:
        """The best learning rate between the neighbours of the best of a grid."""
        from ._scipy import minimize_scalar

        last = np.array([eta.size])

        def loss(log_rate: float) -> float:
            return float(self._loss(Trace(np.exp(log_rate) * eta, None, last))[0])

        ends = np.log(rates[[max(best - 1, 0), min(best + 1, rates.size - 1)]])
        found = minimize_scalar(loss, bounds=tuple(ends), method="bounded", options={"xatol": 1e-4})
        edge = (float(np.log(rates[best])), loss(np.log(rates[best])))
        at, least = min((float(found.x), float(found.fun)), edge, key=lambda each: each[1])
        return float(np.exp(at)), least


def _named(candidates: Iterable[Any]) -> dict[str, Any]:
    """Names for schedules, which may share theirs."""
    if isinstance(candidates, (Schedule, Run, str)):
        raise TypeError(f"expected several schedules to compare, got {candidates!r}")
    named: dict[str, Any] = {}
    for each in candidates:
        own = name = getattr(each, "name", "schedule")
        count = 2
        while name in named:
            name = f"{own} {count}"
            count += 1
        named[name] = each
    return named


def _probability(interval: object) -> float:
    share = positive_scalar(interval, "interval")
    if share >= 1:
        raise ValueError(f"interval must be a probability below 1, got {share:g}")
    return share


def _tails(share: float) -> tuple[float, float]:
    return (1 - share) / 2, (1 + share) / 2


def _lowest(x: Float, y: Float) -> float:
    """Where a parabola through the least point of a grid and its neighbours is least."""
    k = int(y.argmin())
    if k in (0, x.size - 1):
        return float(x[k])
    left, right = y[k - 1] - y[k], y[k + 1] - y[k]
    step = x[k + 1] - x[k]
    return float(x[k] + 0.5 * step * (left - right) / max(left + right, 1e-300))
