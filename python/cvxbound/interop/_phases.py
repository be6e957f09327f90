"""What a schedule consists of, as those who write settings of another tool need it."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

import numpy as np

from .._schedule import Schedule
from .._segments import Form, Run, Segment
from ._recognition import member

_SHAPES = {
    Form.LINEAR: "linear",
    Form.ONE_MINUS_SQRT: "1-sqrt",
    Form.COSINE: "cosine",
    Form.INVERSE_SQRT: "inverse_sqrt",
}
_PLAIN = ("constant", "linear", "cosine", "wsd", "power", "exponential")


@dataclass(frozen=True)
class Phases:
    """A warm-up, the peak, a decay.

    Parameters
    ----------
    steps : int
        Of the run.
    warmup : int
        Steps before the first at the peak.
    start : float
        The first step as a ratio to the peak, if there is a warm-up.
    hold : int
        Steps before the decay: the next one is the last at the peak.
    end : int
        Steps before the one that would be at `final`; those of the run or more where it is cut off.
    shape : str or None
        How it decays; None if it does not.
    final : float
        As a ratio to the peak.
    segments : list of Segment
        The same, for tools that take any number of phases.
    plain : bool
        Whether there is nothing but these phases; else only `segments` says what there is.
    """

    steps: int
    warmup: int
    start: float
    hold: int
    end: int
    shape: str | None
    final: float
    segments: list[Segment]
    plain: bool

    @property
    def span(self) -> int:
        """Steps from the last at the peak to `final`."""
        return self.end - self.hold

    @property
    def whole(self) -> bool:
        """Whether it decays from the end of the warm-up on."""
        return self.shape is not None and self.hold == self.warmup


def _is_of_family(schedule: Schedule) -> bool:
    """Whether a schedule is what its name and parameters make."""
    from ..schedules import FAMILIES  # which import this package

    family = FAMILIES.get(schedule.name)
    params = dict(schedule.params)
    if family is None or inspect.signature(family).parameters.keys() != params.keys():
        return False
    return family(**params) == schedule


def phases(schedule: Schedule, tool: str) -> Phases:
    """The phases of a family's member, or of a table that is one; ValueError for another."""
    from ..schedules import _LAYOUTS

    if not _is_of_family(schedule):
        found = member(schedule, ("linear", "cosine", "1-sqrt", "exponential"))
        if found is None:
            raise ValueError(
                f"{schedule.name}: a table of learning rates that are not a warm-up, a peak and a "
                f"decay of a known shape, and {tool} takes no tables; to_torch and to_optax do"
            )
        schedule = found
    params = schedule.params
    segments = [each for each in _LAYOUTS[schedule.name](**params) if each.steps]
    run = Run.of(*(params[key] for key in ("steps", "final", "warmup", "warmup_start", "endpoint")))
    start = 1 / (run.warmup + 1) if run.warmup_start is None else run.warmup_start
    body = segments[1 if run.warmup else 0 :]
    flat = [each for each in body if each.form == Form.CONSTANT and each.start == 1]
    falling = [each for each in body if each not in flat]
    inverse = bool(falling) and falling[-1].form == Form.INVERSE_SQRT
    whole_span = not falling or inverse or float(falling[0].span).is_integer()
    plain = (schedule.name in _PLAIN or inverse) and whole_span
    hold = int(run.warmup + sum(each.steps for each in flat))
    end = hold + int(falling[0].span) if plain and falling and not inverse else run.steps
    shape = _shape(falling[0]) if plain and falling and end > hold else None
    return Phases(run.steps, int(run.warmup), start, hold, end, shape, run.final, segments, plain)


def _shape(segment: Segment) -> str:
    """How a segment falls, by the name of the shape or what tells it from the others."""
    if callable(segment.form):
        return "a function"
    form, parameter = Form(int(segment.form)), float(segment.parameter)
    if form == Form.POWER:
        return {1.0: "linear", 0.5: "1-sqrt"}.get(parameter, f"power (exponent={parameter:g})")
    if form == Form.EXPONENTIAL:
        return "exponential" if parameter == 0.5 else f"exponential (rate={parameter:g})"
    return _SHAPES[form]


def fraction(count: int, of: int) -> float:
    """A fraction of which a tool that rounds down makes `count` steps again."""
    value = count / of
    return value if int(of * value) == count else float(np.nextafter(value, 2))


def absolute(ratio: float, lr: float | None, tool: str) -> float:
    """A ratio to the peak as a learning rate, for a tool that takes no ratios."""
    if lr is None:
        raise ValueError(
            f"the decay ends at {ratio:g} of the peak, for which {tool} has a learning rate and no "
            "ratio: give lr, that of the peak"
        )
    return ratio * lr
