"""The strategies of `extend`: how to lay out the rest of a run so that its rate is the best."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ._arrays import Float, step_count
from ._messages import counted
from ._recipe import Decline, Recipe, cooled
from ._roots import minimum, root
from .bounds import bound, tune

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._names import Kind, LastStep

_SMALL = 1e-10  # relative, of what a root is solved for
_FLAT = 1e-4  # relative width to which a minimum is searched: its value is then off by the square
_LOWEST = 1e-3  # factor of the learning rate
_LOWER = 0.8  # ratio of the factors that are tried to find a bracket


class Stage(NamedTuple):
    """One stage of a run that is extended several times.

    Parameters
    ----------
    steps : int
        Its horizon.
    factor : float
        Its plateau, as a ratio to that of the run.
    omega : float
        The bound at that horizon if the run is cooled down there.
    omega_naive : float
        The same for the old recipe.
    solved : bool
        Whether the rate is the best one at the horizon that the plateau was lowered for.

    Examples
    --------
    >>> Stage(steps=6000, factor=0.6, omega=0.028, omega_naive=0.03, solved=True).steps
    6000
    """

    steps: int
    factor: float
    omega: float
    omega_naive: float
    solved: bool


@dataclass(frozen=True)
class Found:
    """What a strategy makes of a run; `horizons` and `stages` are the strategy's own."""

    eta: Float
    resume: int
    cooldown: float
    solved: bool
    factors: tuple[float, ...] = ()
    stages: tuple[Stage, ...] = ()


@dataclass(frozen=True)
class Task:
    """The checked arguments. Steps are 1-based."""

    run: Float
    kept: int  # after which step the run is free
    first: int  # the earliest step that a cooldown may start from
    recipe: Recipe  # the old one
    decline: Decline
    length: float  # of the cooldowns of "factor" and "stages": steps, or a fraction
    stages: int | tuple[int, ...]
    lookahead: int
    kind: Kind
    last_step: LastStep
    gamma: float

    @property
    def level(self) -> float:
        """The learning rate that is held."""
        return float(self.run[self.kept - 1])

    @property
    def shortest(self) -> int:
        """The shortest horizon at which the plateau can be lowered."""
        if isinstance(self.length, int):
            return max(self.run.size, self.kept + self.length - 1) + 1
        return max(self.run.size, math.floor((self.kept - 0.5) / (1 - self.length))) + 1

    def body(self, steps: int) -> Float:
        """The run with its learning rate held."""
        body = np.full(steps, self.level)
        body[: self.kept] = self.run[: self.kept]
        return body

    def excess(self, eta: Float) -> float:
        """Logarithm of the best base learning rate over the one that is held."""
        best = float(tune(eta, kind=self.kind, last_step=self.last_step).gamma)
        if not 0 < best < math.inf:
            raise ValueError(
                f"the bound {self.kind!r} of the extension is infinite, since its cooldown is at "
                "zero before the last step; pass last_step='free', kind='tight' or another shape"
            )
        return math.log(best / self.gamma)

    def omega(self, eta: Float) -> float:
        """The bound at the base learning rate that is held."""
        return float(bound(eta, self.gamma, kind=self.kind, last_step=self.last_step))

    def cooldown_start(self, horizon: int) -> int:
        """The last step on the plateau of a run with a cooldown of `length`."""
        return horizon + 1 - step_count(self.length, horizon, "cooldown")

    def horizons(self, steps: int) -> list[int]:
        """The horizons of the strategy "stages", the last at `steps`."""
        end = self.cooldown_start(steps)
        if not isinstance(self.stages, int):
            return [*(each for each in self.stages if self.cooldown_start(each) < end), steps]
        first = self.shortest - 1
        horizons, start = [], self.kept
        count = min(self.stages, steps - first)  # more are not apart by a step
        for i in range(1, count):
            horizon = round(first * (steps / first) ** (i / count))
            if start < self.cooldown_start(horizon) < end:  # there is room for a plateau
                horizons.append(horizon)
                start = self.cooldown_start(horizon)
        return [*horizons, steps]


def _by_cooldown(task: Task, steps: int) -> Found:
    """Hold the plateau, and find the cooldown that keeps the learning rate the best."""
    body = task.body(steps)
    longest = float(steps + 1 - task.first)

    def excess(length: float) -> float:
        return task.excess(cooled(body, length, task.decline))

    at_ends = excess(1.0), excess(longest)
    solved = min(at_ends) <= 0 <= max(at_ends)
    if solved:
        length = root(excess, 1.0, longest, *at_ends, _SMALL)
    else:
        length = minimum(
            lambda length: task.omega(cooled(body, length, task.decline)), 1.0, longest, _FLAT
        )
    resume = min(task.kept, math.floor(steps + 1 - length))
    return Found(cooled(body, length, task.decline), resume, length, solved)


def _by_factor(task: Task, steps: int) -> Found:
    """Lower the plateau once."""
    length = _cooldown(task, steps, task.kept)
    body = task.body(steps)
    factor, solved = _lowered(task, body, task.kept, length, 1.0)
    body[task.kept :] = factor * task.level
    return Found(cooled(body, length, task.decline), task.kept, length, solved, (factor,))


def _by_stages(task: Task, steps: int) -> Found:
    """Lower the plateau for one horizon after another."""
    horizons = task.horizons(steps)
    body = task.body(steps)
    start, factor = task.kept, 1.0
    stages = []
    for i, horizon in enumerate(horizons):
        ahead = horizons[min(i + task.lookahead, len(horizons)) - 1]
        length = _cooldown(task, ahead, start)
        factor, solved = _lowered(task, body[:ahead], start, length, factor)
        body[start:] = factor * task.level
        length = _cooldown(task, horizon, start)
        eta = cooled(body[:horizon], length, task.decline)
        naive = task.omega(task.recipe.stretched(horizon))
        stages.append(Stage(horizon, factor, task.omega(eta), naive, solved))
        start = min(horizon + 1 - length, horizon)
    factors = tuple(stage.factor for stage in stages)
    return Found(eta, task.kept, length, solved, factors, tuple(stages))


def _cooldown(task: Task, horizon: int, start: int) -> int:
    """Length of a cooldown of the old kind; ValueError if it would begin before `start`."""
    length = horizon + 1 - task.cooldown_start(horizon)
    if horizon + 1 - length <= start:
        raise ValueError(
            f"a run of {counted(horizon, 'step')} with a cooldown of {length} starts to cool down "
            f"at step {horizon + 1 - length}, and nothing is left of the plateau, which is lowered "
            f"after step {start}: extend by more steps, with fewer stages or a shorter cooldown=, "
            "or take strategy='cooldown'"
        )
    return length


def _lowered(task: Task, body: Float, start: int, length: int, top: float) -> tuple[float, bool]:
    """Find the factor of the plateau after `start` that keeps the learning rate the best.

    Lowering the plateau first raises the best rate; far down it falls again, since a low end is a
    long cooldown too many. The solution is the first one on the way down from `top`.
    """

    def lowered(factor: float) -> Float:
        eta = body.copy()
        eta[start:] = factor * task.level
        return cooled(eta, length, task.decline)

    def excess(factor: float) -> float:
        return task.excess(lowered(factor))

    high, at_high = top, excess(top)
    if at_high >= -_SMALL:
        return top, at_high <= _SMALL
    while high > _LOWEST:
        low = high * _LOWER
        at_low = excess(low)
        if at_low >= 0:
            return root(excess, high, low, at_high, at_low, _SMALL), True
        if at_low < at_high:
            break
        high, at_high = low, at_low
    return minimum(lambda factor: task.omega(lowered(factor)), _LOWEST, top, _FLAT), False


STRATEGIES: dict[str, Callable[[Task, int], Found]] = {
    "cooldown": _by_cooldown,
    "factor": _by_factor,
    "stages": _by_stages,
}


def saving(task: Task, strategy: str, steps: int, omega: float, target: float) -> float:
    """Fraction of the steps that the strategy saves where it gets to the bound `target`."""
    shortest = task.run.size + 1 if strategy == "cooldown" else task.shortest
    if omega >= target or shortest >= steps:
        return 0.0

    def late(log_horizon: float) -> float:  # by about how many steps the target is missed
        horizon = round(math.exp(log_horizon))
        found = STRATEGIES[strategy](task, horizon)
        return horizon * math.log(task.omega(found.eta) / target)

    low, high = math.log(shortest), math.log(steps)
    at_low = late(low)
    if at_low <= 0:
        return 1 - shortest / steps
    reached = root(late, low, high, at_low, steps * math.log(omega / target), small=0.3)
    return 1 - round(math.exp(reached)) / steps
