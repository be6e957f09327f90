"""The recipe behind a run: a warm-up, a plateau, a cooldown; and how to lay it out anew."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ._arrays import Float, step_count
from ._decay import Shape, decayed, fraction_left

_AT_PEAK = 1 - 1e-6  # logs and schedules in float32 are off by some 1e-7
_FITS = 0.05  # of the peak: how far a cooldown may be from the shape it is taken for


class Decline(NamedTuple):
    """How a cooldown falls, and what to: `end` is a learning rate, not a ratio."""

    shape: Shape = "linear"
    exponent: float = 2.0
    rate: float = 0.5
    end: float = 0.0


def cooled(body: Float, length: float, decline: Decline) -> Float:
    """Return a schedule with a cooldown, which would reach its end at the step after the last.

    The length need not be whole: the schedule is continuous in it. For a whole one it is what the
    families of `schedules` lay out.
    """
    start = body.size + 1 - length
    first = min(math.ceil(start), body.size + 1)
    eta = body.copy()
    if first > body.size:
        return eta
    done = np.arange(first, body.size + 1, dtype=np.float64) - start
    left = fraction_left(done / length, (length - done) / length, *decline[:3])
    tail = eta[first - 1 :]
    if decline.end:
        tail[:] = decayed(tail, np.minimum(tail, decline.end), left)
    else:
        tail *= left
    return eta


@dataclass(frozen=True)
class Recipe:
    """What a schedule looks like. Steps are 1-based.

    `first` and `last` are the ends of the plateau, `peak` its learning rate. `decline` is the shape
    that is nearest to the cooldown, and `fits` whether that is near.
    """

    eta: Float
    first: int
    last: int
    peak: float
    decline: Decline
    fits: bool

    @classmethod
    def of(cls, eta: Float) -> Recipe:
        """Read off a schedule what it is made of."""
        peak = float(eta.max())
        at_peak = np.flatnonzero(eta >= _AT_PEAK * peak)
        first, last = int(at_peak[0]) + 1, int(at_peak[-1]) + 1
        decline, error = _nearest(eta[last - 1 : -1] / peak, eta.size + 1 - last)
        return cls(eta, first, last, peak, decline._replace(end=decline.end * peak), error <= _FITS)

    @property
    def fraction(self) -> float:
        """Length of the cooldown over that of the run; 0 where there is none."""
        length = self.eta.size + 1 - self.last
        return length / self.eta.size if length > 1 else 0.0

    @property
    def has_plateau(self) -> bool:
        """Whether the peak is held: a cosine is flat there, too, but not for long."""
        return self.last + 1 - self.first >= max(2, self.eta.size // 100)

    def stretched(self, steps: int) -> Float:
        """The same recipe for another number of steps: the warm-up as it is, the rest in scale."""
        body = np.full(steps, self.peak)
        warmup = min(self.first - 1, steps)
        body[:warmup] = self.eta[:warmup]
        if self.fits:
            return cooled(body, step_count(self.fraction, steps, "cooldown"), self.decline)
        rest = self.eta[warmup:]
        place = np.arange(steps - warmup) * (rest.size / max(steps - warmup, 1))
        body[warmup:] = np.interp(place, np.arange(rest.size), rest)
        return body


def _nearest(tail: Float, length: int) -> tuple[Decline, float]:
    """The decline nearest to a cooldown that starts at 1, and the largest difference from it.

    `tail` lacks the last step, which may be a repeat of the one before.
    """
    if tail.size < 2:
        return Decline(), 0.0
    done = np.arange(tail.size)
    found = []
    for shape in ("linear", "1-sqrt", "cosine", "power", "exponential"):
        left = fraction_left(done / length, (length - done) / length, shape, 2.0, 0.5)
        gone = 1 - left
        end = round(float(np.clip((tail - left) @ gone / (gone @ gone), 0, 1)), 6) + 0.0
        error = float(np.abs(decayed(1.0, end, left) - tail).max())
        found.append((error, Decline(shape, end=end)))
    error, decline = min(found, key=lambda pair: pair[0])
    return decline, error
