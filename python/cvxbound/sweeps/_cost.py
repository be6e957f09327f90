"""What a sweep costs, and the blocks that follow from it: a pure function of the plan.

The numbers are of one core of a server of 2020; only their sizes matter, for a block should be work
worth sending somewhere and little enough to lose.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import _cells

if TYPE_CHECKING:
    from ._plan import Plan

__all__ = ["block_shape", "kernel_seconds", "step_counts"]

_BLOCK = 0.5  # seconds of work in a block
_MOST_BLOCKS = 10_000
_MOST_KERNELS = 2**20  # in a block

_SEGMENTS = 4e-6  # a horizon of a schedule made of segments
_WALK = 4e-9  # a step of a walk
_SEARCH = 15  # walks for a free last step, and
_SEARCH_SEGMENTS = 3e-4  # the most it takes for a schedule made of segments
_CALL = 8e-5  # a schedule of a function, and
_STEP = 3e-8  # each of its steps
_UNKNOWN_STEPS = 10_000  # of a schedule of a function that has no parameter `steps`


def step_counts(plan: Plan) -> NDArray[np.int64] | None:
    """The numbers of steps of the schedules, None where they are not known."""
    for dim in plan.axes.dims:
        for axis in dim.axes:
            if axis.name == "steps" and axis.values.dtype.kind == "i":
                return axis.values
    fixed = plan.axes.fixed.get("steps")
    return np.array([fixed]) if isinstance(fixed, int) else None


def kernel_seconds(plan: Plan) -> float:
    """How long a kernel takes on one thread, on average."""
    counts = step_counts(plan)
    steps = _UNKNOWN_STEPS if counts is None else float(np.mean(counts))
    horizons = 1 if plan.at is None else len(plan.at.values)
    native = plan.family.native and not _cells.has_functions(plan)
    seconds = 0.0 if native else _CALL + _STEP * steps
    for kind in plan.kinds:
        if _cells.has_free_step([kind], plan.last_step):
            limit = _SEARCH_SEGMENTS if native else math.inf
            seconds += horizons * min(limit, _SEARCH * _WALK * steps)
        else:
            seconds += horizons * min(_SEGMENTS if native else math.inf, _WALK * steps)
    return seconds


def block_shape(plan: Plan, kernels: int | None) -> tuple[int, ...]:
    """The shape of a block: whole inner dimensions, a piece of one, single values of the rest.

    `kernels` is how many a block may have; by default as many as take about half a second.
    """
    if kernels is not None:
        return _shape(plan.shape, kernels)
    wanted = max(_BLOCK / kernel_seconds(plan), plan.kernels / _MOST_BLOCKS, 1)
    kernels = math.ceil(min(wanted, _MOST_KERNELS))
    shape = _shape(plan.shape, kernels)
    while _count(plan.shape, shape) > _MOST_BLOCKS and kernels < _MOST_KERNELS:
        kernels *= 2
        shape = _shape(plan.shape, kernels)
    return shape


def _shape(grid: tuple[int, ...], kernels: int) -> tuple[int, ...]:
    shape: list[int] = []
    room = kernels
    for size in reversed(grid):
        pieces = -(-size // max(room, 1))
        shape.insert(0, -(-size // pieces))  # of nearly equal size
        room = room // size if pieces == 1 else 1
    return tuple(shape)


def _count(grid: tuple[int, ...], shape: tuple[Any, ...]) -> int:
    return math.prod(-(-n // m) for n, m in zip(grid, shape, strict=True))
