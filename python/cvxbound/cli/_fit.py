"""What `fit` computes: a law of runs or of a file, held-out runs, and predictions."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import laws, plot
from .._files import check_target
from .._messages import did_you_mean
from ._inputs import LOG_SUFFIXES, Subject, UsageError, fits, load

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

    from ..laws import BestRate, LossLaw
    from ..logs import Run
    from ._options import FitOptions, ForecastOptions, RunOptions
    from ._reports import Tick


@dataclass(frozen=True)
class Forecast:
    """The loss predicted for a schedule, and its best learning rate if that was asked for."""

    subject: Subject
    lr: float  # the base learning rate
    loss: float
    low: float
    high: float
    behind: float
    best: BestRate | None


@dataclass(frozen=True)
class Fitting:
    """A law, the runs read beside it, and what it predicts."""

    law: LossLaw
    source: Path | None  # the file of a law that was not fitted now
    fitted: tuple[Run, ...]
    held_out: tuple[Run, ...]
    scores: tuple[Mapping[str, Any], ...]
    forecasts: tuple[Forecast, ...]

    @property
    def untested(self) -> list[str]:
        """The held-out runs without a loss of their own."""
        tested = {score["run"] for score in self.scores}
        return [run.name for run in self.held_out if run.name not in tested]


def check_save(path: Path) -> Path:
    """Where a law would be written, checked before anything is computed."""
    if path.suffix.lower() != ".json":
        raise ValueError(f"{path}: a law is written as .json, which the name has to end in")
    return check_target(path)


def divided(runs: Sequence[Run], hold_out: Sequence[str]) -> tuple[list[Run], list[Run]]:
    """The runs to fit, and those to hold out."""
    held: set[str] = set()
    for pattern in hold_out:
        matching = [run.name for run in runs if _matches(run.name, pattern)]
        if not matching:
            raise did_you_mean(pattern, [run.name for run in runs], "run to hold out")
        held.update(matching)
    fitted = [run for run in runs if run.name not in held]
    if not fitted:
        raise UsageError("--hold-out leaves no run to fit a law to")
    return fitted, [run for run in runs if run.name in held]


def _matches(name: str, pattern: str) -> bool:
    """Whether a run is meant, by its name or by the file that it is called after."""
    path = Path(pattern)
    wanted = [pattern, path.stem] if path.suffix.lower() in LOG_SUFFIXES else [pattern]
    return name in wanted or any(fnmatch.fnmatchcase(name, each) for each in wanted)


def fitted(runs: Sequence[Run], options: FitOptions) -> LossLaw:
    """Fit a law; it has its own defaults for what is not given."""
    try:
        return laws.fit(runs, **_given(options))
    except TypeError as error:  # an option that the law does not have
        raise UsageError(str(error)) from None


def read(path: Path, options: FitOptions, others: Mapping[str, object]) -> LossLaw:
    """Read a law that was saved, with which nothing is fitted."""
    for name in {**_given(options), **{name: each for name, each in others.items() if each}}:
        option = name.replace("_", "-")
        raise UsageError(f"--{option} is for fitting, and the law of --from is fitted already")
    return laws.load(path)


def _given(options: FitOptions) -> dict[str, Any]:
    values = {each.name: getattr(options, each.name) for each in fields(options)}
    return {name: value for name, value in values.items() if value is not None}


def subjects(wanted: ForecastOptions, longest: int, options: RunOptions) -> list[Subject]:
    """The schedules to predict; those by name are as long as the longest run by default."""
    arguments = list(dict.fromkeys(wanted.predict or ()))
    return load(arguments, wanted.steps or longest, options.of_schedules, "given")


def predicted(
    law: LossLaw, subjects: Sequence[Subject], wanted: ForecastOptions, tick: Tick
) -> tuple[Forecast, ...]:
    """Predict schedules, the least loss first."""
    best: dict[str, BestRate] = {}
    for subject in subjects if wanted.best_lr else ():
        with fits(subject.label):
            best[subject.label] = law.best_lr(subject.schedule)
        tick(f"{subject.label}: best LR")
    of = {subject.label: subject for subject in subjects}
    rates = {label: _rate(law, each, wanted, best.get(label)) for label, each in of.items()}
    rows = law.compare({label: rates[label] * each.schedule.eta for label, each in of.items()})
    tick("predictions")
    return tuple(
        Forecast(
            of[row["schedule"]],
            rates[row["schedule"]],
            row["loss"],
            row["low"],
            row["high"],
            row["behind"],
            best.get(row["schedule"]),
        )
        for row in rows
    )


def _rate(law: LossLaw, subject: Subject, wanted: ForecastOptions, best: BestRate | None) -> float:
    """The base learning rate: as given, logged, or shared by the runs; else the best one."""
    for rate in (wanted.lr, subject.peak, law.lr):
        if rate is not None:
            return rate
    if best is None:
        peaks = [run["peak"] for run in law.runs]
        raise UsageError(
            f"the runs peak at learning rates from {min(peaks):g} to {max(peaks):g}; give --lr, "
            "that of the schedules to predict, or --best-lr"
        )
    return best.lr


def figure(report: Fitting, log_x: bool) -> Figure:
    """Draw it."""
    schedules = {
        each.subject.label: each.lr * each.subject.schedule.eta for each in report.forecasts
    }
    return plot.forecast(
        report.law,
        report.fitted,
        held_out=report.held_out,
        schedules=schedules,
        log_x=log_x,
    )
