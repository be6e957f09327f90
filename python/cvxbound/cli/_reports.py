"""What the commands compute: plain data, which tables, JSON and figures show alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import bounds
from ._inputs import Subject, family, fits
from ._options import RateOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .._names import Kind, LastStep
    from ._options import BoundOptions

    Tick = Callable[[str], None]

FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""By how much the learning rate is wrong in `Tuning`."""

ALTERNATIVES = (
    "linear",
    "cosine",
    "wsd:cooldown=0.1,shape=1-sqrt",
    "wsd:cooldown=0.2,shape=1-sqrt",
    "wsd:cooldown=0.4,shape=1-sqrt",
    "wsd:cooldown=0.1",
    "wsd:cooldown=0.2",
    "wsd:cooldown=0.4",
    "constant",
)
"""What `Tuning` compares with."""


@dataclass(frozen=True)
class Problem:
    """The options of a bound, with what they default to."""

    kinds: tuple[Kind, ...]
    D: float
    G: float
    last_step: LastStep
    gamma: float | None
    nthreads: int | None

    @classmethod
    def of(cls, options: BoundOptions | RateOptions, default: tuple[Kind, ...]) -> Problem:
        """The problem that the options of a command state."""
        kinds = (options.kind,) if options.kind else default
        if isinstance(options, RateOptions):
            return cls(kinds, 1.0, 1.0, options.last_step, None, None)
        return cls(kinds, options.D, options.G, options.last_step, options.gamma, options.threads)

    @property
    def arguments(self) -> dict[str, Any]:
        """What every function of the package takes."""
        names = ("D", "G", "last_step", "nthreads")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Best:
    """A schedule at its best base learning rate, also beside another schedule at its own.

    `gamma_ratio` and `omega_ratio` are relative to that other one; `lr` is the peak learning rate
    if the one that the other one's run logged was the best. `at_gamma` is the bound at the base
    learning rate asked for.
    """

    gamma: float
    omega: float
    gamma_ratio: float
    omega_ratio: float
    lr: float | None
    at_gamma: float | None = None


@dataclass(frozen=True)
class Comparison:
    """Schedules relative to the first of them."""

    problem: Problem
    subjects: tuple[Subject, ...]
    best: Mapping[str, tuple[Best, ...]]  # by kind


@dataclass(frozen=True)
class Values:
    """The bound of one schedule at some steps."""

    problem: Problem
    subject: Subject
    kind: Kind
    gamma: float
    at: tuple[int, ...]
    eta: tuple[float, ...]
    omega: tuple[float, ...]


@dataclass(frozen=True)
class Tuning:
    """One schedule at its best base learning rate, off it, and beside other schedules."""

    problem: Problem
    subject: Subject
    warmup: int
    best: Mapping[str, Best]  # by kind, as the following
    wrong: Mapping[str, tuple[float, ...]]  # the bound at each of FACTORS, relative to the best
    others: tuple[Subject, ...]
    others_best: Mapping[str, tuple[Best, ...]]

    def scale(self, kind: str) -> float | None:
        """D/G if the peak that the run logged was the best."""
        if self.subject.peak is None:
            return None
        problem = self.problem
        return float(self.subject.peak / self.best[kind].gamma * (problem.D / problem.G))


def compare(problem: Problem, subjects: Sequence[Subject], tick: Tick) -> Comparison:
    """Tune every schedule at its own last step."""
    best: dict[str, tuple[Best, ...]] = {}
    for kind in problem.kinds:
        rows: list[Best] = []
        for subject in subjects:
            first = rows[0] if rows else None
            rows.append(_best(problem, subject, kind, subjects[0].peak, first))
            tick(f"{subject.label}: {kind}")
        best[kind] = tuple(rows)
    return Comparison(problem, tuple(subjects), best)


def values(problem: Problem, subject: Subject, at: Sequence[int] | None) -> Values:
    """Evaluate one bound at some steps, by default the last one."""
    (kind,) = problem.kinds
    gamma = problem.gamma
    if gamma is None:
        gamma = _best(problem, subject, kind).gamma
        if not 0 < gamma < np.inf:
            raise ValueError(
                f"{subject.label}: no base learning rate gives a finite bound; give one (--gamma), "
                "or another last step (--last-step)"
            )
    steps = np.array(at or [len(subject.schedule)])
    with fits(subject.label):
        omega = bounds.curve(subject.schedule, gamma, kind=kind, at=steps, **problem.arguments)
    return Values(
        problem,
        subject,
        kind,
        gamma,
        tuple(steps.tolist()),
        tuple(subject.schedule.eta[steps - 1].tolist()),
        tuple(omega.tolist()),
    )


def tune(problem: Problem, subject: Subject, tick: Tick) -> Tuning:
    """Tune one schedule, see what a wrong learning rate costs, and tune what could replace it."""
    warmup = _warmup(subject)
    others = tuple(_alternative(each, subject, warmup) for each in ALTERNATIVES)
    best: dict[str, Best] = {}
    wrong: dict[str, tuple[float, ...]] = {}
    rows: dict[str, tuple[Best, ...]] = {}
    for kind in problem.kinds:
        best[kind] = own = _best(problem, subject, kind, subject.peak)
        wrong[kind] = _cost_of_wrong(problem, subject, kind, own)
        tick(f"{subject.label}: {kind}")
        found = []
        for other in others:
            found.append(_best(problem, other, kind, subject.peak, own))
            tick(f"{other.label}: {kind}")
        rows[kind] = tuple(found)
    return Tuning(problem, subject, warmup, best, wrong, others, rows)


def _best(
    problem: Problem,
    subject: Subject,
    kind: Kind,
    peak: float | None = None,
    other: Best | None = None,
) -> Best:
    """Tune a schedule and put it beside another one, whose run logged `peak`; by default itself."""
    with fits(subject.label):
        tuned = bounds.tune(subject.schedule, kind=kind, **problem.arguments)
    gamma, omega = float(tuned.gamma), float(tuned.omega)
    gamma_ratio = _ratio(gamma, other.gamma if other else gamma)
    at_gamma = None
    if problem.gamma is not None:
        at_gamma = float(
            bounds.bound(subject.schedule, problem.gamma, kind=kind, **problem.arguments)
        )
    return Best(
        gamma=gamma,
        omega=omega,
        gamma_ratio=gamma_ratio,
        omega_ratio=_ratio(omega, other.omega if other else omega),
        lr=None if peak is None else peak * gamma_ratio,
        at_gamma=at_gamma,
    )


def _ratio(value: float, other: float) -> float:
    """Their ratio, NaN where it says nothing."""
    return value / other if 0 < other < np.inf else float("nan")


def _cost_of_wrong(problem: Problem, subject: Subject, kind: Kind, best: Best) -> tuple[float, ...]:
    if not (0 < best.gamma < np.inf and np.isfinite(best.omega)):
        return (float("nan"),) * len(FACTORS)
    rates = best.gamma * np.array(FACTORS)
    omega = bounds.bound(subject.schedule, rates, kind=kind, **problem.arguments)
    return tuple((omega / best.omega).tolist())


def _warmup(subject: Subject) -> int:
    """The warm-up of a run as given, else the steps before a schedule first reaches its peak.

    0 where it does not begin with a rise. A rise over more than half of the run is not taken for a
    warm-up. Where a log has a row every so many steps, so many are what the length is rounded to.
    """
    eta = subject.schedule.eta
    if subject.warmup and subject.warmup <= eta.size // 2:
        return subject.warmup
    top = int(np.argmax(eta >= (1 - 1e-9) * eta.max()))
    if top > eta.size // 2 or np.any(np.diff(eta[: top + 1]) < 0):
        return 0
    every: int = subject.schedule.params.get("every", 1)
    return min(every * round(top / every), eta.size // 2)


def _alternative(name: str, subject: Subject, warmup: int) -> Subject:
    argument = f"{name}{',' if ':' in name else ':'}warmup={warmup}" if warmup else name
    return replace(family(argument, len(subject.schedule)), label=name)
