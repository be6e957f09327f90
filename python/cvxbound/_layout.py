"""How a schedule is made of variables under constraints, and which constraints there are."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from . import _arrays, schedules
from ._arrays import Float, Int, whole_number


class Layout(NamedTuple):
    """How steps are made of variables, in logarithms and for D = 1.

    ``z[0]`` is the base learning rate of the prefix, ``z[1]`` the largest free step where `final`
    bounds the others by it, and ``z[2 + owner]`` what is left of each step.
    """

    steps: int
    prefix: Float  # the first steps, over the base learning rate
    free: int  # index of the first free step
    chain: int  # index of the step from which none rises, `steps` for none
    linked: bool  # whether free steps count from the last one of the prefix
    offset: Float  # (T,)
    owner: Int  # (T - prefix,): the free step that each step after the prefix is a part of
    low: Float
    high: Float  # bounds of z, (2 + T - free,)

    def log_steps(self, z: Float) -> Float:
        values = self.offset.copy()
        values[: None if self.linked else self.prefix.size] += z[0]
        values[self.prefix.size :] += z[1] + z[2:][self.owner]
        return values

    def variables(self, steps: Float) -> Float:
        """Variables of which positive steps are made, as far as they can be."""
        values = np.log(steps) - self.offset
        z = np.zeros(self.low.size)
        if self.prefix.size:
            z[0] = values[: self.prefix.size][np.isfinite(values[: self.prefix.size])].mean()
        z = np.clip(z, self.low, self.high)
        own = values[self.free :] - (z[0] if self.linked else 0.0)
        if self.low[1] < self.high[1]:
            z[1] = min(own.max(), self.high[1])
        z[2:] = own - z[1]
        return np.clip(z, self.low, self.high)

    def pull_back(self, slope: Float) -> Float:
        """From derivatives by the logarithms of the steps to those by the variables."""
        rest = slope[self.prefix.size :]
        head = slope.sum() if self.linked else slope[: self.prefix.size].sum()
        own = np.bincount(self.owner, rest, minlength=self.steps - self.free)
        return np.concatenate([[head, rest.sum()], own])


def lay_out(
    steps: int,
    D: float,
    gamma: float | None,
    fixed_prefix: ArrayLike | None,
    monotone: bool | int,
    max_step: float | None,
    warmup: float,
    final: float,
) -> Layout:
    T = whole_number(steps, "steps")
    prefix = _checked_prefix(fixed_prefix, T, gamma, max_step)
    ramp = _arrays.step_count(warmup, T, "warmup")
    if ramp and prefix.size:
        raise ValueError("warmup= and fixed_prefix= exclude each other: the prefix has its own")
    free = prefix.size or ramp
    if free >= T:
        raise ValueError(f"no step is free: {free} of {T} are fixed or warm up")
    floor = _arrays.ratio_to_peak(final, "final")
    if floor == 1:
        raise ValueError("final must be below 1: all free steps would be the same")
    chain, linked = _chain(monotone, T, free, prefix)
    offset = np.zeros(T)
    with np.errstate(divide="ignore"):
        offset[: prefix.size] = np.log(prefix)
    offset[:ramp] = np.log(np.arange(1, ramp + 1) / (ramp + 1))
    if linked:
        offset[free:] = np.log(prefix[-1])
    head = 0.0 if gamma is None else math.log(_arrays.positive_scalar(gamma, "gamma") / D)
    cap = (
        math.inf
        if max_step is None
        else math.log(_arrays.positive_scalar(max_step, "max_step") / D)
    )
    if linked:
        cap = min(cap - head - offset[-1], 0.0)
    low, high = np.full(2 + T - free, -math.inf), np.full(2 + T - free, cap)
    high[0] = math.inf
    if gamma is not None or not prefix.size:
        low[0] = high[0] = head
    if floor:
        low[2:], high[2:] = math.log(floor), 0.0
    else:
        low[1] = high[1] = 0.0
    owner = np.maximum(np.arange(prefix.size, T) - free, 0)
    return Layout(T, prefix, free, chain, linked, offset, owner, low, high)


def _checked_prefix(
    fixed_prefix: ArrayLike | None, steps: int, gamma: float | None, max_step: float | None
) -> Float:
    if fixed_prefix is None:
        if gamma is not None:
            raise ValueError("gamma= is the base learning rate of fixed_prefix=, which is missing")
        return np.empty(0)
    prefix = schedules.from_array(fixed_prefix, name="fixed_prefix").eta
    if prefix.size >= steps:
        raise ValueError(f"fixed_prefix has {prefix.size} steps: no step of {steps} is free")
    if not prefix.any():
        raise ValueError("fixed_prefix is all zeros: nothing to go on from")
    if max_step is not None and gamma is None:
        raise ValueError(
            "max_step= with fixed_prefix= needs gamma=, the base learning rate of both"
        )
    return prefix


def _chain(monotone: bool | int, steps: int, free: int, prefix: Float) -> tuple[int, bool]:
    """Where the steps begin not to rise, and whether the last one of the prefix is part of it."""
    if isinstance(monotone, (bool, np.bool_)):
        first = free if monotone else steps
    else:
        first = whole_number(monotone, "monotone") - 1
        if first >= steps:
            raise ValueError(f"monotone must be a step from 1 to {steps}, got {monotone}")
    linked = bool(prefix.size) and (monotone is True or first < free)
    if linked and prefix[-1] == 0:
        raise ValueError("fixed_prefix ends at zero, from where steps can only rise")
    return max(first, free), linked
