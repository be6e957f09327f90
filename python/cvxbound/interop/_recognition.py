"""The member of a family that a table of learning rates is, for tools that take no tables."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np

from .._arrays import Float
from .._schedule import Schedule

_DIGITS = 1e-9  # of the peak


def member(schedule: Schedule, shapes: Iterable[str]) -> Schedule | None:
    """A warm-up, the peak and a decay of one of some shapes, with the same learning rates; or None.

    A last step that an importer repeated may be any.
    """
    from ..schedules import constant, wsd  # which import this package

    steps, known = schedule.eta.size, schedule.eta
    if schedule.params.get("last_step") == "repeat" and steps > 1:
        known = known[:-1]
    if abs(known.max() - 1) > _DIGITS:
        return None
    top = np.flatnonzero(known >= 1 - _DIGITS)
    warmup, hold = int(top[0]), int(top[-1])
    ramp: dict[str, Any] = {"warmup": warmup}
    if warmup:
        ramp["warmup_start"] = float(known[0])
    if hold == known.size - 1:
        found = constant(steps, **ramp)
        return found if _is_near(found.eta, known) else None
    for shape, endpoint in itertools.product(shapes, (False, True)):
        options = {"cooldown": steps - hold, "shape": shape, "endpoint": endpoint, **ramp}
        final = _final(wsd(steps, **options).eta[hold:], known[hold:])
        found = wsd(steps, final=final, **options)
        if _is_near(found.eta, known):
            return found
    return None


def _final(to_zero: Float, known: Float) -> float:
    """Where a decay ends that is as given, from the same to zero."""
    rest = 1 - to_zero[: known.size]
    final = float(rest @ (known - 1 + rest) / (rest @ rest))
    return min(final, 1.0) if final > _DIGITS else 0.0


def _is_near(found: Float, known: Float) -> bool:
    return bool(np.allclose(found[: known.size], known, rtol=0, atol=_DIGITS))
