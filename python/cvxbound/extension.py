"""Going on with a run for longer than it was planned, at the same base learning rate."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from ._arrays import Float, positive_scalar, ratio_to_peak, step_count
from ._decay import Shape, known_shape
from ._messages import counted, did_you_mean
from ._names import Kind, LastStep, check_names
from ._recipe import Decline, Recipe
from ._strategies import STRATEGIES, Found, Stage, Task, saving
from .bounds import tune
from .schedules import Schedule, from_log
from .transfer import best_rate

__all__ = ["Extension", "Stage", "extend"]

Strategy = Literal["cooldown", "factor", "stages"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Extension:
    """A run that goes on: its schedule, and what that is worth.

    Learning rates are in units of D/G and bounds in units of D G. The old recipe is the shape that
    the rate was tuned for, stretched to the new horizon: the same plateau held for longer, and a
    cooldown over the same fraction of the steps.

    Parameters
    ----------
    schedule : Schedule
        All steps, from the first one of the run; in the units of the run's own steps.
    strategy : {"cooldown", "factor", "stages"}
        How it was made.
    kind : {"last", "tight", "average"}
        The bound it is made for.
    resume : int
        Steps of the run that are kept: it goes on from the checkpoint after this one.
    cooldown : float
        Length of the cooldown in steps; a real number for the strategy "cooldown".
    factors : tuple of float
        Plateaus after `resume`, as ratios to the one of the run; empty for "cooldown".
    gamma : float
        The base learning rate, which is held.
    omega : float
        The bound of `schedule` at it.
    omega_naive : float
        The bound of the old recipe at it.
    omega_tuned : float
        The bound of the old recipe at its own best base learning rate.
    saving : float
        Fraction of the steps that is saved: the same strategy reaches `omega_naive` in so much
        fewer. 0 where it is not better than the old recipe.
    solved : bool
        Whether `gamma` is the best base learning rate of `schedule`.
    message : str
        What to do, or, where there is no solution, why not and what else to do.
    stages : tuple of Stage
        For the strategy "stages".

    Examples
    --------
    >>> import cvxbound as cb
    >>> longer = cb.extend(cb.schedules.wsd(4000, cooldown=0.2), 8000)
    >>> longer
    <Extension cooldown: 8000 steps, bound 12.1% below the old recipe, 20.9% fewer steps>
    >>> longer.solved, round(longer.cooldown / 8000, 3), longer.resume
    (True, 0.633, 2935)
    """

    schedule: Schedule
    strategy: Strategy
    kind: Kind
    resume: int
    cooldown: float
    factors: tuple[float, ...] = ()
    gamma: float
    omega: float
    omega_naive: float
    omega_tuned: float
    saving: float
    solved: bool
    message: str
    stages: tuple[Stage, ...] = ()

    @property
    def improvement(self) -> float:
        """By what fraction the bound is below that of the old recipe."""
        return 1 - self.omega / self.omega_naive

    def __repr__(self) -> str:
        how = "" if self.solved else ", no solution"
        saved = f", {self.saving:.1%} fewer steps" if self.saving else ""
        return (
            f"<Extension {self.strategy}: {counted(len(self.schedule), 'step')}{how}, bound "
            f"{_beside(self.omega, self.omega_naive)} the old recipe{saved}>"
        )

    def summary(self) -> str:
        """Say in a few lines what to run and what it brings.

        Returns
        -------
        str

        Examples
        --------
        >>> import cvxbound as cb
        >>> run = cb.schedules.wsd(4000, cooldown=0.2)
        >>> print(cb.extend(run, 8000, strategy="factor").summary())
        Go on from step 3201 to step 8000 at the same base learning rate.
        Hold 0.533 times the plateau, then cool down over the last 1600 steps.
        Bound (last) at this rate: 0.0231, that is
        9.9% below the old recipe, and 4.4% below the old recipe at its own best rate.
        For the bound of the old recipe, 18.6% fewer steps are enough.
        """
        lines = [
            f"Go on from step {self.resume} to step {len(self.schedule)} at the same base learning "
            "rate.",
            self.message,
            f"Bound ({self.kind}) at this rate: {self.omega:.4g}, that is",
            f"{_beside(self.omega, self.omega_naive)} the old recipe, and "
            f"{_beside(self.omega, self.omega_tuned)} the old recipe at its own best rate.",
        ]
        if self.saving:
            lines.append(
                f"For the bound of the old recipe, {self.saving:.1%} fewer steps are enough."
            )
        return "\n".join(lines)


def _beside(omega: float, other: float) -> str:
    """How far a bound is from another one."""
    return f"{abs(omega / other - 1):.1%} {'below' if omega <= other else 'above'}"


def extend(
    eta: ArrayLike | str | os.PathLike[str],
    steps: int,
    *,
    strategy: Strategy = "cooldown",
    reference: ArrayLike | str | os.PathLike[str] | None = None,
    resume: int | None = None,
    cooldown: float | None = None,
    shape: Shape | None = None,
    exponent: float = 2.0,
    rate: float | None = None,
    final: float | None = None,
    stages: int | Sequence[int] = 4,
    lookahead: int = 1,
    kind: Kind = "last",
    last_step: LastStep = "repeat",
) -> Extension:
    """Go on with a run to a horizon it was not planned for, at the same base learning rate.

    The longer a run, the smaller its best base learning rate: with the old recipe, the rate that
    was tuned for the run is too large at the new horizon. The schedule that is returned keeps what
    was run and makes that rate the best one again.

    Parameters
    ----------
    eta : array_like (T0,), Schedule, or path
        The run as it was planned, or as far as it has got; a path is the log of the run, read by
        `schedules.from_log`.
    steps : int
        The new horizon, more than T0.
    strategy : {"cooldown", "factor", "stages"}, default "cooldown"
        "cooldown": hold the plateau, and cool down for longer. "factor": lower the plateau where
        the old cooldown would have started, then cool down over the same fraction as before.
        "stages": do that for a sequence of growing horizons, for a run whose end is not settled: at
        each of them it can be cooled down with the rate at its best.
    reference : array_like, Schedule or path, optional
        The schedule that the base learning rate was tuned for, whose peak is that of `eta`; by
        default `eta` itself. For a run that has only its plateau so far.
    resume : int, optional
        Steps of the run to keep in any case. By default up to the end of its plateau, or for
        "cooldown" to where the cooldown starts, which may be before.
    cooldown : int or float, optional
        For "factor" and "stages": length of the cooldown, an int in steps, a float as a fraction of
        each horizon; by default the fraction of `reference`.
    shape, exponent, rate, final : optional
        How the cooldown falls, as for `schedules.wsd`; by default `shape` and `final` are those
        that are nearest to the cooldown of `reference`, and linear to zero where it has none.
    stages : int or sequence of int, default 4
        For "stages": the horizons before `steps`, or how many there are in geometric progression,
        `steps` included (fewer where there is no room).
    lookahead : int, default 1
        For "stages": of how many stages the horizon is looked ahead. With 2, each plateau is as low
        as the horizon of the next stage needs it, so that the next is lowered less.
    kind : {"last", "tight", "average"}, default "last"
        The bound, as for `bound`.
    last_step : {"given", "repeat", "free"}, default "repeat"
        What stands for the last step, as for `bound`.

    Returns
    -------
    Extension
        The schedule and what it is worth. Where no schedule of that kind makes the rate the best
        one, it is the one with the least bound at it, ``solved`` is False, and ``message`` says
        what else can be done.

    Raises
    ------
    TypeError, ValueError
        An argument of the wrong type or out of its range; a run without a plateau (a decay from the
        start, such as a cosine) and without `resume`; a schedule with an infinite bound.
    OSError
        A log cannot be read.

    Notes
    -----
    A root takes about ten evaluations of `tune`, and the saving about ten roots: O(steps) in all.
    The length of the cooldown is a real number, and the schedule is continuous in it; for whole
    numbers it is that of `schedules.wsd`. Solved to a relative 1e-10 of the base learning rate.

    References
    ----------
    Schaipp, Hägele, Taylor, Simsekli, Bach, ICML 2025 (arXiv 2501.18965), on extending the
    schedule for continued training.

    Examples
    --------
    >>> import cvxbound as cb
    >>> run = cb.schedules.wsd(4000, cooldown=0.2)
    >>> longer = cb.extend(run, 8000)
    >>> round(longer.cooldown / 8000, 3), round(longer.improvement, 3)
    (0.633, 0.121)
    >>> cb.extend(run, 8000, strategy="factor").factors
    (0.53...,)
    >>> so_far = cb.schedules.constant(3000)  # its rate was tuned for `run`
    >>> cb.extend(so_far, 8000, reference=run).schedule == longer.schedule
    True
    """
    if strategy not in STRATEGIES:
        raise did_you_mean(strategy, STRATEGIES, "strategy")
    check_names(kind=kind, last_step=last_step)
    run = _steps_of(eta, "eta")
    steps = _whole(
        steps, "steps", run.size + 1, f"more than the {counted(run.size, 'step')} of eta"
    )
    recipe = _reference(run, reference)
    name = "eta" if reference is None else "reference"
    task = Task(
        run=run,
        **_kept(run, resume),
        recipe=recipe,
        decline=_decline(recipe, shape, exponent, rate, final),
        length=_length(recipe, cooldown, strategy, steps),
        stages=_stages(stages, run.size, steps),
        lookahead=_whole(lookahead, "lookahead", 1, "at least 1"),
        kind=kind,
        last_step=last_step,
        gamma=float(best_rate(recipe.eta, name, kind, last_step)),
    )
    return _report(task, strategy, steps)


def _steps_of(source: Any, name: str) -> Float:
    """A schedule given as an array, a `Schedule` or the log of a run."""
    if isinstance(source, (str, os.PathLike)):
        return from_log(source).eta
    eta = Schedule(source, name).eta
    if not eta.any():
        raise ValueError(f"{name} has no positive step: there is no learning rate to go on with")
    return eta


def _whole(value: Any, name: str, least: int, expected: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be {expected}, got {value}")
    return int(value)


def _reference(run: Float, reference: Any) -> Recipe:
    """The old recipe, at the peak of the run."""
    if reference is None:
        return Recipe.of(run)
    eta = _steps_of(reference, "reference")
    return Recipe.of(eta * (run.max() / eta.max()))


def _kept(run: Float, resume: Any) -> dict[str, int]:
    """After which step the run is free, and the earliest step that a cooldown may start from."""
    own = Recipe.of(run)
    if resume is not None:
        kept = _whole(
            resume, "resume", own.first, f"at least {own.first}, where the peak is reached"
        )
        if kept > run.size:
            raise ValueError(f"resume must be one of the {run.size} steps of eta, got {kept}")
        if not run[kept - 1]:
            raise ValueError(
                f"resume: the learning rate of step {kept} is zero, and cannot be held"
            )
        return {"kept": kept, "first": kept}
    if not own.has_plateau:
        raise ValueError(
            f"eta has no plateau to hold: it is at its peak from step {own.first} to {own.last} of "
            f"{run.size}; pass resume=, the step whose learning rate is to be held from there on"
        )
    return {"kept": own.last, "first": own.first}


def _decline(
    recipe: Recipe, shape: Shape | None, exponent: float, rate: float | None, final: float | None
) -> Decline:
    """How the new cooldown falls: like the old one where it is known."""
    old = recipe.decline if recipe.fits else Decline()
    end = old.end / recipe.peak if final is None else ratio_to_peak(final, "final")
    return Decline(
        shape=old.shape if shape is None else known_shape(shape),
        exponent=positive_scalar(exponent, "exponent"),
        rate=positive_scalar(rate if rate is not None else end or 0.5, "rate"),
        end=end * recipe.peak,
    )


def _length(recipe: Recipe, cooldown: float | None, strategy: str, steps: int) -> float:
    """The cooldown of "factor" and "stages": steps, or a fraction of each horizon."""
    if strategy == "cooldown":
        if cooldown is not None:
            raise ValueError(
                "cooldown= is what strategy='cooldown' finds; leave it out, or take "
                "strategy='factor' or 'stages'"
            )
        return recipe.fraction
    length = recipe.fraction if cooldown is None else cooldown
    if step_count(length, steps, "cooldown") >= steps:
        came = "that of the reference is" if cooldown is None else "got"
        raise ValueError(f"cooldown= must be less than all of the {steps} steps, {came} {length}")
    return float(length) if isinstance(length, (float, np.floating)) else int(length)


def _stages(stages: int | Sequence[int], planned: int, steps: int) -> int | tuple[int, ...]:
    """How many stages there are, or their horizons."""
    if isinstance(stages, (int, np.integer)) or not isinstance(stages, (Sequence, np.ndarray)):
        return _whole(stages, "stages", 1, "at least 1, or a sequence of horizons")
    horizons = [_whole(each, f"stages[{i}]", 1, "positive") for i, each in enumerate(stages)]
    for i, (before, after) in enumerate(itertools.pairwise([planned, *horizons])):
        if not before < after <= steps:
            raise ValueError(
                f"stages must increase from the {planned} steps of eta to steps = {steps}; "
                f"stages[{i}] is {after}, after {before}"
            )
    return tuple(horizons)


def _report(task: Task, strategy: Strategy, steps: int) -> Extension:
    """Solve, and compare with the old recipe."""
    found = STRATEGIES[strategy](task, steps)
    naive = task.recipe.stretched(steps)
    omega, omega_naive = task.omega(found.eta), task.omega(naive)
    params = {
        "strategy": strategy,
        "steps": steps,
        "resume": found.resume,
        "cooldown": found.cooldown,
        "factors": found.factors,
        "shape": task.decline.shape,
        "kind": task.kind,
    }
    message = _what_to_do(strategy, found)
    if omega > omega_naive * (1 + 1e-9):
        message += " At this rate the old recipe has a lower bound."
    early = [str(stage.steps) for stage in found.stages[:-1] if not stage.solved]
    if early:
        message += f" No factor makes the rate the best one for the horizon {' or '.join(early)}."
    if not found.solved:
        message += f" {_why(task, strategy, found)}"
    note = f"{strategy}, resumed after step {found.resume}"
    return Extension(
        schedule=Schedule(found.eta, "extended", params, note),
        strategy=strategy,
        kind=task.kind,
        resume=found.resume,
        cooldown=found.cooldown,
        factors=found.factors,
        gamma=task.gamma,
        omega=omega,
        omega_naive=omega_naive,
        omega_tuned=float(tune(naive, kind=task.kind, last_step=task.last_step).omega),
        saving=saving(task, strategy, steps, omega, omega_naive),
        solved=found.solved,
        message=message,
        stages=found.stages,
    )


def _what_to_do(strategy: Strategy, found: Found) -> str:
    """The schedule in words."""
    steps = found.eta.size
    cool = f"cool down over the last {found.cooldown:.0f} steps"
    if strategy == "cooldown":
        return f"{cool.capitalize()}, from step {math.floor(steps + 1 - found.cooldown)} on."
    levels = " / ".join(f"{factor:.3f}" for factor in found.factors)
    ends = " / ".join(str(stage.steps) for stage in found.stages)
    text = f"Hold {levels} times the plateau" + (f" for the horizons {ends}" if ends else "")
    return f"{text}, then {cool}." if found.cooldown else f"{text}."


def _why(task: Task, strategy: Strategy, found: Found) -> str:
    """What there is instead of a solution, and what else could be done."""
    best = math.exp(task.excess(found.eta))
    what = "cooldown" if strategy == "cooldown" else "factor"
    other: Strategy = "factor" if strategy == "cooldown" else "cooldown"
    text = (
        f"No {what} keeps the rate the best one. This has the least bound at it, and {best:.3f} "
        "times the rate would be the best for it: use that if the run is started again."
    )
    try:
        instead = STRATEGIES[other](task, found.eta.size)
    except ValueError:  # there is no room for it
        return text
    keeps = "keeps it the best one" if instead.solved else "does not, either"
    change = _beside(task.omega(instead.eta), task.omega(found.eta))
    return f"{text} strategy={other!r} {keeps}; its bound is {change} this one."
