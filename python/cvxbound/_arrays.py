"""From what users pass to the float64 arrays the core reads, with errors that name the place."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._messages import counted

Float = NDArray[np.float64]
Int = NDArray[np.int64]

LARGEST_STEP = 1e300
LARGEST_NORM = 1e100
SMALLEST_RTOL = 1e-12  # of the fast method


def real_array(x: ArrayLike, name: str) -> Float:
    """`x` as float64, unchanged; TypeError for anything that is not real numbers."""
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise ValueError(f"{name} must be a regular array of numbers: {error}") from None
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must hold real numbers, got an array of {array.dtype}")
    return array.astype(np.float64, copy=False)


def _refuse(x: NDArray[Any], good: NDArray[np.bool_], expected: str) -> None:
    """ValueError naming the first entry of `x` that is not good."""
    if good.all():
        return
    index = tuple(int(i) for i in np.argwhere(~good)[0])
    place = f" at index {index[0] if len(index) == 1 else index}" if index else ""
    raise ValueError(f"{expected}; found {x[index]}{place}")


def check_range(x: Float, name: str, largest: float) -> None:
    """ValueError naming the first entry outside [0, largest]."""
    if x.ndim == 0 and 0 <= x <= largest:
        return
    # Comparisons with NaN are false, without a warning.
    good = np.asarray((x >= 0) & (x <= largest))
    _refuse(x, good, f"{name} must be non-negative, finite and at most {largest:g}")


def check_finite(x: Float, name: str) -> None:
    """ValueError naming the first entry that is NaN or infinite."""
    _refuse(x, np.asarray(np.isfinite(x)), f"{name} must be finite")


def positive_scalar(x: object, name: str) -> float:
    """A positive finite float."""
    array = real_array(x, name)  # type: ignore[arg-type]
    if array.ndim:
        raise TypeError(f"{name} must be a scalar, got an array of shape {array.shape}")
    return float(positive_array(array, name))


def ratio_to_peak(value: float, what: str) -> float:
    """A number in [0, 1]."""
    ratio = real_array(value, what)
    if ratio.ndim or not 0 <= ratio <= 1:
        raise ValueError(f"{what} must be a ratio to the peak, from 0 to 1; got {value!r}")
    return float(ratio)


def steps_of(fraction: ArrayLike, steps: ArrayLike) -> Int:
    """Convert fractions of so many steps to steps.

    To the nearest, halves down: fractions that add up to 1 never ask for one step too many.
    """
    return np.maximum(np.ceil(np.multiply(fraction, steps) - 0.5), 0).astype(np.int64)


def step_count(value: float, steps: int, what: str) -> int:
    """Convert a number of steps (an int) or a fraction of them (a float) to steps."""
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        if not 0 <= value <= steps:
            raise ValueError(f"{what} must be from 0 to {counted(steps, 'step')}, got {value}")
        return int(value)
    if isinstance(value, (float, np.floating)):
        if not 0 <= value <= 1:
            raise ValueError(
                f"{what} must be from 0 to 1 where it is a float, a fraction of the steps; got "
                f"{value} (a number of steps is an int)"
            )
        return int(steps_of(value, steps))
    raise TypeError(f"{what} must be an int (steps) or a float (a fraction); got {value!r}")


def whole_number(value: object, name: str, most: int = 2**31) -> int:
    """A positive integer."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be one integer, got {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
    if value > most:
        raise ValueError(f"{name} must be at most {most}, got {value}")
    return int(value)


def positive_array(x: ArrayLike, name: str) -> Float:
    """Positive finite numbers of any shape."""
    array = real_array(x, name)
    if array.ndim == 0 and 0 < array < np.inf:
        return array
    good = np.asarray((array > 0) & (array < np.inf))
    _refuse(array, good, f"{name} must be positive and finite")
    return array


def step_array(eta: ArrayLike, axis: int) -> tuple[Float, int]:
    """Schedules with time on the last axis, and the axis it came from, counted from the end."""
    array = real_array(eta, "eta")
    if array.ndim == 0:
        raise ValueError(f"eta must have a time axis (..., T), got the scalar {array[()]}")
    if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)):
        raise TypeError(f"axis must be an integer, got {axis!r}")
    if not -array.ndim <= axis < array.ndim:
        raise ValueError(f"axis {axis} is out of range for eta of shape {array.shape}")
    axis = int(axis) - array.ndim if axis >= 0 else int(axis)
    array = array if axis == -1 else np.moveaxis(array, axis, -1)
    if array.shape[-1] == 0:
        raise ValueError(f"eta is empty: its time axis has length 0 (shape {array.shape})")
    return array, axis


class Norms(NamedTuple):
    """Gradient norms G = scale * per_step, either factor constant along the time axis or absent."""

    per_step: Float | None
    scale: Float

    @property
    def batch(self) -> tuple[int, ...]:
        """The leading axes."""
        return self.scale.shape if self.per_step is None else self.per_step.shape[:-1]

    def spread(self, steps: int) -> Norms:
        """The same with one norm a step."""
        if self.per_step is not None:
            return self
        return Norms(np.ones((*self.scale.shape, steps)), self.scale)


_ONE = np.asarray(1.0)


def norm_array(norm: ArrayLike, steps: int, axis: int) -> Norms:
    """Split G into norms per step of ordinary size and one factor a schedule.

    A scalar, or a time axis of length 1, is constant: it never enters the kernels. `axis` is that
    of eta, counted from the end; an array of one axis holds one norm a step.
    """
    array = real_array(norm, "G")
    if array.ndim > 1 and axis != -1:
        if axis < -array.ndim:
            raise ValueError(f"G of shape {array.shape} lacks the time axis {axis} of eta")
        array = np.moveaxis(array, axis, -1)
    if array.ndim == 0 or (array.shape[-1] == 1 and steps != 1):
        check_range(array, "G", LARGEST_NORM)
        if (array == 0).any():  # no factor can be taken out of a zero
            return Norms(np.broadcast_to(array, (*array.shape[:-1], steps)), _ONE)
        return Norms(None, array[..., 0] if array.ndim else array)
    if array.shape[-1] != steps:
        raise ValueError(
            f"eta (..., T) and G (..., T) differ in the time axis: eta has {steps} steps, "
            f"G has {array.shape[-1]}; pass a scalar G or one norm a step"
        )
    largest = array.max(initial=0.0)
    if not 0 <= largest <= LARGEST_NORM:
        check_range(array, "G", LARGEST_NORM)
    exponent = int(np.frexp(largest)[1])
    if abs(exponent) <= 8:
        return Norms(array, _ONE)
    check_range(array, "G", LARGEST_NORM)  # here, where a message can still quote what came
    return Norms(np.ldexp(array, -exponent), np.asarray(np.ldexp(1.0, exponent)))


def horizons(at: object, steps: int) -> Int:
    """1-based horizons as int64, of any shape up to one axis."""
    array = np.asarray(at)
    if array.size == 0:
        raise ValueError("at is empty: expected at least one horizon")
    if array.dtype.kind not in "iu":
        raise TypeError(f"at must be integer horizons (1-based steps) or 'all', got {at!r}")
    if array.ndim > 1:
        raise ValueError(f"at must be a scalar or one-dimensional, got shape {array.shape}")
    good = np.asarray((array >= 1) & (array <= steps))
    _refuse(array, good, f"at must lie in 1..{steps} (1-based steps)")
    return array.astype(np.int64)


class Rows(NamedTuple):
    """An array of (..., columns) as contiguous rows, and the row each broadcast item uses."""

    data: Float
    row: Int


def rows(x: Float, batch: tuple[int, ...], core_axes: int) -> Rows:
    """Flatten leading axes without repeating what broadcasting would repeat."""
    lead = x.shape[: x.ndim - core_axes]
    count = math.prod(lead)
    data = np.ascontiguousarray(x, np.float64)
    data = data if data.flags.aligned else data.copy()
    index = np.arange(count, dtype=np.int64)
    if lead != batch:
        index = np.broadcast_to(index.reshape(lead), batch).flatten()
    return Rows(data.reshape((count, *x.shape[x.ndim - core_axes :])), index)


def broadcast_batch(**shapes: tuple[int, ...]) -> tuple[int, ...]:
    """Broadcast the batch axes of several arguments; the error names them."""
    distinct = {shape for shape in shapes.values() if shape}
    if len(distinct) < 2:
        return distinct.pop() if distinct else ()
    try:
        return np.broadcast_shapes(*distinct)
    except ValueError:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"the batch axes do not broadcast together: {listed}") from None


def tolerance(rtol: object, method: str) -> float:
    """A relative tolerance the method can keep."""
    value = positive_scalar(rtol, "rtol")
    if method == "fast" and value < SMALLEST_RTOL:
        raise ValueError(
            f"rtol must be at least {SMALLEST_RTOL:g} for method='fast', got {value:g}; "
            "method='direct' stays below 1e-13"
        )
    return value


def thread_count(nthreads: Any) -> int:
    """Threads for the core; 0 lets it choose."""
    if nthreads is None:
        return 0
    if isinstance(nthreads, bool) or not isinstance(nthreads, (int, np.integer)):
        raise TypeError(f"nthreads must be a positive integer or None, got {nthreads!r}")
    if not 1 <= nthreads <= 4096:
        raise ValueError(f"nthreads must be from 1 to 4096, got {nthreads}")
    return int(nthreads)
