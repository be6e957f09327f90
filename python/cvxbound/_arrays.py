"""From what users pass to the float64 arrays the core reads, with errors that name the place."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._device import array_module, extremes, is_device_array, to_host
from ._messages import counted

Float = NDArray[np.float64]
Int = NDArray[np.int64]

LARGEST_STEP = 1e300
LARGEST_NORM = 1e100
SMALLEST_RTOL = 1e-12  # of the fast method


def real_array(x: ArrayLike, name: str, xp: Any = np) -> Float:
    """`x` as float64, unchanged; TypeError for anything that is not real numbers.

    It stays where it is, on the host or a GPU; only where `xp` is CuPy may it be on a GPU.
    """
    try:
        array: Any = x if xp is not np and is_device_array(x) else np.asarray(x)
    except ValueError as error:
        raise ValueError(f"{name} must be a regular array of numbers: {error}") from None
    except TypeError:
        if not is_device_array(x):
            raise
        raise TypeError(
            f"{name} is a CuPy array: bound, curve, terms and tune take one as eta, and as gamma "
            f"and G beside it, and nothing else does; pass cupy.asnumpy({name})"
        ) from None
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must hold real numbers, got an array of {array.dtype}")
    values: Float = array.astype(np.float64, copy=False)
    return values


def _refuse(x: NDArray[Any], good: NDArray[np.bool_], expected: str) -> None:
    """ValueError naming the first entry of `x` that is not good."""
    if good.all():
        return
    index = tuple(int(i) for i in np.argwhere(~good)[0])
    place = f" at index {index[0] if len(index) == 1 else index}" if index else ""
    raise ValueError(f"{expected}; found {x[index]}{place}")


def check_range(x: Float, name: str, largest: float) -> None:
    """ValueError naming the first entry outside [0, largest]."""
    if is_device_array(x):
        least, most = extremes(x)[0]
        if least >= 0 and most <= largest:
            return
        x = to_host(x)
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


def whole_number(value: object, name: str, most: int = 2**31, least: int = 1) -> int:
    """A positive integer, or one that may be less."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be one integer, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    if value > most:
        raise ValueError(f"{name} must be at most {most}, got {value}")
    return int(value)


def positive_array(x: ArrayLike, name: str, xp: Any = np) -> Float:
    """Positive finite numbers of any shape; `xp` is as for `real_array`."""
    array = real_array(x, name, xp)
    host = array
    if is_device_array(array):
        least, most = extremes(array)[0]
        if least > 0 and most < np.inf:
            return array
        host = to_host(array)
    if host.ndim == 0 and 0 < host < np.inf:
        return array
    good = np.asarray((host > 0) & (host < np.inf))
    _refuse(host, good, f"{name} must be positive and finite")
    return array


def step_array(eta: ArrayLike, axis: int, xp: Any = np) -> tuple[Float, int]:
    """Schedules with time on the last axis, and the axis it came from, counted from the end.

    They are arrays of `xp`.
    """
    array = real_array(eta, "eta", xp)
    if array.ndim == 0:
        raise ValueError(f"eta must have a time axis (..., T), got the scalar {array[()]}")
    if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)):
        raise TypeError(f"axis must be an integer, got {axis!r}")
    if not -array.ndim <= axis < array.ndim:
        raise ValueError(f"axis {axis} is out of range for eta of shape {array.shape}")
    axis = int(axis) - array.ndim if axis >= 0 else int(axis)
    array = array if axis == -1 else xp.moveaxis(array, axis, -1)
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


def norm_array(norm: ArrayLike, steps: int, axis: int, xp: Any = np) -> Norms:
    """Split G into norms per step of ordinary size and one factor a schedule.

    A scalar, or a time axis of length 1, is constant: it never enters the kernels. `axis` is that
    of eta, counted from the end; an array of one axis holds one norm a step. Both factors stay
    where G is, on the host or, where `xp` is CuPy, on a GPU.
    """
    array = real_array(norm, "G", xp)
    xp = np if xp is np else array_module(array)
    if array.ndim > 1 and axis != -1:
        if axis < -array.ndim:
            raise ValueError(f"G of shape {array.shape} lacks the time axis {axis} of eta")
        array = xp.moveaxis(array, axis, -1)
    if array.ndim == 0 or (array.shape[-1] == 1 and steps != 1):
        check_range(array, "G", LARGEST_NORM)
        if (array == 0).any():  # no factor can be taken out of a zero
            return Norms(xp.broadcast_to(array, (*array.shape[:-1], steps)), _ONE)
        return Norms(None, array[..., 0] if array.ndim else array)
    if array.shape[-1] != steps:
        raise ValueError(
            f"eta (..., T) and G (..., T) differ in the time axis: eta has {steps} steps, "
            f"G has {array.shape[-1]}; pass a scalar G or one norm a step"
        )
    largest = array.max(initial=0.0) if xp is np else max(extremes(array)[0][1], 0.0)
    if not 0 <= largest <= LARGEST_NORM:
        check_range(array, "G", LARGEST_NORM)
    exponent = int(np.frexp(largest)[1])
    if abs(exponent) <= 8:
        return Norms(array, _ONE)
    check_range(array, "G", LARGEST_NORM)  # here, where a message can still quote what came
    return Norms(xp.ldexp(array, -exponent), np.asarray(np.ldexp(1.0, exponent)))


def horizons(at: object, steps: int) -> Int:
    """1-based horizons as int64, of any shape up to one axis."""
    array = np.asarray(to_host(at))
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


def rows(x: Float, batch: tuple[int, ...], core_axes: int, xp: Any = np) -> Rows:
    """Flatten leading axes without repeating what broadcasting would repeat, as arrays of `xp`."""
    lead = x.shape[: x.ndim - core_axes]
    count = math.prod(lead)
    data = xp.asarray(x, np.float64, order="C")
    if xp is np and not data.flags.aligned:
        data = data.copy()
    index = xp.arange(count, dtype=np.int64)
    if lead != batch:
        index = xp.broadcast_to(index.reshape(lead), batch).flatten()
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
