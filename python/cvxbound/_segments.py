"""How schedules are laid out: a family is a few segments, each one formula of the step.

Every number here may be an array with one entry a cell, so that the segments of one schedule and
those of all cells of a sweep come from the same lines.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._arrays import Float, positive_scalar, ratio_to_peak, step_count, steps_of
from ._decay import Shape, decayed, fraction_left, known_shape
from ._messages import counted

Number = Any  # a number, or an array of one for each cell

MOST_STEPS = 2**40


class CellError(ValueError):
    """A combination of parameters that makes no schedule; `index` is that of its cell."""

    def __init__(self, index: int, message: str) -> None:
        super().__init__(message)
        self.index = index


class Form(enum.IntEnum):
    """The formula of a segment, by x = (first + i) / span at its step i and y = 1 - x."""

    CONSTANT = 0  # start
    LINEAR = 1  # start y + end x; the others but the last: start f(x) + end (1 - f(x))
    ONE_MINUS_SQRT = 2  # f = 1 - sqrt(x)
    COSINE = 3  # f = (1 + cos(pi x)) / 2
    POWER = 4  # f = 1 - x^p
    EXPONENTIAL = 5  # f = (r^x - r) / (1 - r)
    INVERSE_SQRT = 6  # start / sqrt(x)


_FORMS = {
    "linear": Form.LINEAR,
    "1-sqrt": Form.ONE_MINUS_SQRT,
    "cosine": Form.COSINE,
    "power": Form.POWER,
    "exponential": Form.EXPONENTIAL,
}
_SHAPES = {form: shape for shape, form in _FORMS.items()}

SEGMENT = np.dtype(
    [
        ("steps", np.int64),
        ("form", np.int64),
        ("start", np.float64),
        ("end", np.float64),
        ("first", np.float64),
        ("span", np.float64),
        ("parameter", np.float64),  # p of POWER, r of EXPONENTIAL
    ]
)
"""One segment as the core reads it."""


class Segment(NamedTuple):
    """Steps that follow one formula; `form` may be a decay given as a function of x."""

    steps: Number
    form: Number
    start: Number = 1.0
    end: Number = 0.0
    first: Number = 0.0
    span: Number = 1.0
    parameter: Number = 1.0

    def values(self) -> Float:
        """The learning rates of a single schedule."""
        if self.form == Form.CONSTANT:
            return np.full(self.steps, float(self.start))
        done = self.first + np.arange(self.steps)
        if self.form == Form.INVERSE_SQRT:
            root: Float = self.start * np.sqrt(self.span / done)
            return root
        x, y = done / self.span, (self.span - done) / self.span
        if self.form == Form.LINEAR:
            return np.asarray(self.start * y + self.end * x)
        shape = self.form if callable(self.form) else _SHAPES[Form(int(self.form))]
        left = fraction_left(x, y, shape, self.parameter, self.parameter)
        return decayed(self.start, self.end, left)


def values(segments: Iterable[Segment]) -> Float:
    """The learning rates of a single schedule, shape (T,)."""
    return np.concatenate([segment.values() for segment in segments])


def table(segments: Iterable[Segment], cells: int) -> NDArray[np.void]:
    """Segments of many schedules as the core reads them, (cells, segments)."""
    columns = list(segments)
    rows = np.empty((cells, len(columns)), SEGMENT)
    for i, segment in enumerate(columns):
        for name, value in segment._asdict().items():
            rows[name][:, i] = value
    return rows


def _check(check: Callable[..., Any], *numbers: Number) -> None:
    """Apply a check of ranges, of the first number or of it against the second.

    Of many cells those are checked where it is least and greatest, which stand for all.
    """
    if not any(np.ndim(number) for number in numbers):
        check(*numbers)
        return
    cells = np.broadcast_arrays(*numbers)
    extremes = [np.argmin(cells[0]), np.argmax(cells[0])]
    if len(cells) > 1:
        extremes.append(np.argmax(cells[0] - cells[1]))
    for index in map(int, extremes):
        try:
            check(*(each[index].item() for each in cells))
        except ValueError as error:
            raise CellError(index, str(error)) from None


def length(value: Number, steps: Number, what: str) -> Number:
    """Convert steps (integers) or fractions of them (floats) to steps."""
    if not np.ndim(value) and not np.ndim(steps):
        return step_count(value, steps, what)
    _check(lambda each, of: step_count(each, of, what), value, steps)
    if np.asarray(value).dtype.kind in "iu":
        return value
    return steps_of(value, steps)


def _checked(check: Callable[[Any, str], float], value: Number, what: str) -> Number:
    """Numbers in a range."""
    _check(lambda each: check(each, what), value)
    return value if np.ndim(value) else float(value)


def _check_steps(steps: Any) -> None:
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)):
        raise TypeError(f"steps must be an integer, got {steps!r}")
    if not 1 <= steps <= MOST_STEPS:
        raise ValueError(f"steps must be from 1 to 2**40, got {steps}")


def _check_room(cooldown: int, rest: int, warmup: int, steps: int) -> None:
    if cooldown > rest:
        raise ValueError(
            f"warmup ({counted(warmup, 'step')}) and cooldown ({counted(cooldown, 'step')}) "
            f"together exceed the length of the run, {steps}"
        )


@dataclass(frozen=True)
class Run:
    """What all families share."""

    steps: Number
    final: Number
    warmup: Number
    warmup_start: Number | None
    endpoint: bool

    @classmethod
    def of(
        cls, steps: Number, final: Number, warmup: Number, warmup_start: Number, endpoint: bool
    ) -> Run:
        """Check the arguments of a family."""
        _check(_check_steps, steps)
        if not isinstance(endpoint, (bool, np.bool_)):
            raise TypeError(f"endpoint must be True or False, got {endpoint!r}")
        return cls(
            steps=steps if np.ndim(steps) else int(steps),
            final=_checked(ratio_to_peak, final, "final"),
            warmup=length(warmup, steps, "warmup"),
            warmup_start=None
            if warmup_start is None
            else _checked(ratio_to_peak, warmup_start, "warmup_start"),
            endpoint=bool(endpoint),
        )

    @property
    def rest(self) -> Number:
        """Steps after the warm-up."""
        return self.steps - self.warmup

    def cooldown(self, value: Number) -> Number:
        """The length of a cooldown in steps, which must leave room for the warm-up."""
        steps = length(value, self.steps, "cooldown")
        _check(_check_room, steps, self.rest, self.warmup, self.steps)
        return steps

    def ramp(self) -> Segment:
        """The warm-up."""
        if self.warmup_start is None:
            return Segment(self.warmup, Form.LINEAR, 0.0, 1.0, 1.0, self.warmup + 1)
        return Segment(self.warmup, Form.LINEAR, self.warmup_start, 1.0, 0.0, self.warmup)

    def cycle(
        self, cooldown: Number, shape: Shape, exponent: Number, rate: Number | None
    ) -> list[Segment]:
        """Warm up, hold the peak, cool down."""
        steps = self.cooldown(cooldown)
        stable = Segment(self.rest - steps, Form.CONSTANT)
        return [self.ramp(), stable, *self.decay(steps, shape, exponent=exponent, rate=rate)]

    def decay(
        self,
        steps: Number,
        shape: Shape = "linear",
        *,
        start: Number = 1.0,
        exponent: Number = 2.0,
        rate: Number | None = None,
        cycle: Number = 1.0,
    ) -> list[Segment]:
        """A decay from `start` to `final`, which is held where a cycle ends before the steps do."""
        exponent = _checked(positive_scalar, exponent, "exponent")
        if rate is None:
            rate = np.where(np.equal(self.final, 0), 0.5, self.final)[()]
        rate = _checked(positive_scalar, rate, "rate")
        shape = known_shape(shape)
        span = np.maximum(steps - self.endpoint, 0) * _checked(positive_scalar, cycle, "cycle")
        falling = np.minimum(steps, np.ceil(span)).astype(np.int64)
        form: Number = shape if callable(shape) else _FORMS[shape]
        if shape == "exponential":  # of rate 1 it is a line
            form = np.where(np.equal(rate, 1), Form.LINEAR, form)[()]
        parameter = exponent if shape == "power" else rate
        return [
            Segment(falling, form, start, self.final, 0.0, span, parameter),
            Segment(steps - falling, Form.CONSTANT, self.final),
        ]
