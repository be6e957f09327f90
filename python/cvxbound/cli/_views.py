"""What `cvxbound plot --view` computes: the schedules at other rates, horizons or cooldowns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from .. import schedules, views
from ._inputs import UsageError, fits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..schedules import Schedule
    from ..views import Sweep, Trend
    from ._inputs import Subject
    from ._reports import Problem, Tick

View = Literal["curves", "sweep", "horizon", "cooldown"]


def sweeps(problem: Problem, subjects: Sequence[Subject], tick: Tick) -> list[Sweep]:
    """The bound at the last step of each schedule over the base learning rate."""
    (kind,) = problem.kinds
    lines = []
    for subject in subjects:
        with fits(subject.label):
            line = views.sweep(
                subject.schedule, label=subject.label, kind=kind, **problem.arguments
            )
        tick(f"{subject.label}: {kind} sweep")
        lines.append(line)
    return lines


def trends(
    over: Literal["horizon", "cooldown"],
    problem: Problem,
    subjects: Sequence[Subject],
    tick: Tick,
) -> list[Trend]:
    """The best base learning rate of each schedule, and the bound there, over what changes."""
    (kind,) = problem.kinds
    plans = [
        _over_horizons(each) if over == "horizon" else _over_cooldowns(each) for each in subjects
    ]
    lines = []
    for subject, (make, at) in zip(subjects, plans, strict=True):
        with fits(subject.label):
            line = views.trend(
                make, at, over=over, label=subject.label, kind=kind, **problem.arguments
            )
        tick(f"{subject.label}: {kind} over the {over}")
        lines.append(line)
    return lines


def _over_horizons(subject: Subject) -> tuple[Callable[[int], Schedule], Any]:
    def make(steps: int) -> Schedule:
        try:
            return _remade(subject, steps=steps)
        except ValueError as error:
            raise ValueError(
                f"{subject.label} at a horizon of {steps}: {error}; give its lengths as fractions, "
                "which shrink with the horizon"
            ) from None

    _check_family(subject, "horizon")
    return make, views.horizons(len(subject.schedule))


def _over_cooldowns(subject: Subject) -> tuple[Callable[[float], Schedule], Any]:
    _check_family(subject, "cooldown")
    params = subject.schedule.params
    if "cooldown" not in params:
        raise UsageError(
            f"{subject.argument} has no cooldown to vary; --view cooldown takes wsd, inverse_sqrt, "
            "piecewise and cyclic_wsd"
        )
    warmup = params["warmup"]
    most = 1 - (warmup if isinstance(warmup, float) else warmup / len(subject.schedule))
    if most <= 0:
        raise ValueError(f"{subject.argument}: the warm-up leaves no step for a cooldown")
    return lambda cooldown: _remade(subject, cooldown=cooldown), views.fractions(most)


def _check_family(subject: Subject, view: str) -> None:
    if subject.read:
        raise UsageError(
            f"{subject.argument} is the log of a run, which cannot be made anew; --view {view} "
            "takes schedules by name"
        )


def _remade(subject: Subject, **changes: Any) -> Schedule:
    """The schedule of a family with other parameters."""
    schedule = subject.schedule
    return schedules.by_name(schedule.name, **(dict(schedule.params) | changes))
