"""What a schedule is: its steps, and where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ._arrays import LARGEST_STEP, Float, check_range, real_array
from ._messages import counted


@dataclass(frozen=True, eq=False, repr=False)
class Schedule:
    """A learning-rate schedule: read-only steps, with where they come from.

    Two schedules are equal when their steps are, whatever their names. NumPy functions take a
    schedule as the array of its steps.

    Parameters
    ----------
    eta : array_like of real numbers, shape (T,)
        The learning rate of each step, as a ratio to the peak; copied to float64.
    name : str, default "array"
        The family, or a name of your own.
    params : mapping, optional
        What the steps were made from; kept read-only.
    note : str, optional
        What the ``repr`` adds to the name and the number of steps.

    Raises
    ------
    TypeError
        `eta` does not hold real numbers.
    ValueError
        `eta` is not one-dimensional, is empty, or holds a negative or non-finite step (its index).

    Examples
    --------
    >>> Schedule([1.0, 1.0, 0.5], name="mine")
    <Schedule mine: 3 steps>
    >>> from cvxbound.schedules import wsd
    >>> wsd(1000, cooldown=0.3, shape="1-sqrt")
    <Schedule wsd: 1000 steps, cooldown=0.3, shape='1-sqrt'>
    """

    eta: Float
    name: str = "array"
    params: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    def __post_init__(self) -> None:
        eta = _checked(self.eta, self.name) + 0.0  # a copy, and no -0.0: equal steps hash alike
        eta.flags.writeable = False
        object.__setattr__(self, "eta", eta)
        object.__setattr__(self, "params", MappingProxyType(dict(self.params)))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.eta, dtype=dtype, copy=copy)

    def __len__(self) -> int:
        return self.eta.size

    def __repr__(self) -> str:
        steps = counted(self.eta.size, "step")
        return f"<Schedule {self.name}: {', '.join(filter(None, (steps, self.note)))}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Schedule):
            return NotImplemented
        return np.array_equal(self.eta, other.eta)

    def __hash__(self) -> int:
        return hash(self.eta.tobytes())

    def __reduce__(self) -> tuple[Any, ...]:
        # A mapping proxy cannot be pickled, and worker processes are sent schedules.
        return Schedule, (self.eta, self.name, dict(self.params), self.note)


def _checked(x: ArrayLike, what: str) -> Float:
    """Return `x` as float64 steps, shape (T,), T >= 1; errors call it `what` and name the index."""
    steps = real_array(x, what)
    if steps.ndim != 1:
        raise ValueError(f"{what} must have one axis, the steps; got shape {steps.shape}")
    if not steps.size:
        raise ValueError(f"{what} must have at least one step, got none")
    check_range(steps, what, LARGEST_STEP)
    return steps
