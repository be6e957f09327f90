"""The checked arguments that the functions of a bound share, and what they compute with them."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from . import _arrays, _backend, _device
from ._arrays import Float
from ._backend import Request
from ._messages import did_you_mean
from ._names import check_names


class Problem(NamedTuple):
    """The checked arguments that all functions share; time is the last axis of every array."""

    request: Request  # without a batch: gamma may add axes to it
    radius: float
    axis: int  # of time in the result, negative

    @property
    def is_free(self) -> bool:
        """Whether the split depends on gamma, through the virtual last step."""
        return self.request.kind == "tight" or self.request.last_step == "free"

    @property
    def xp(self) -> Any:
        """The module of the arrays: CuPy where the schedules are on a GPU, else NumPy."""
        return self.request.xp

    @property
    def scale(self) -> Float:
        """The constant factor of G, with an axis for the horizons."""
        scale: Float = self.xp.asarray(self.request.norms.scale)[..., None]
        return scale

    def batch(self, gamma: Float | None = None) -> tuple[int, ...]:
        """The leading axes of the result."""
        shapes = {"eta": self.request.eta.shape[:-1], "G": self.request.norms.batch}
        if gamma is not None:
            shapes["gamma"] = gamma.shape
        return _arrays.broadcast_batch(**shapes)

    def split(self, weight: Float | None) -> tuple[Float, Float]:
        """Distance and noise for D = 1 and G in units of its scale, (*batch, horizons)."""
        weight = weight if self.is_free else None
        return _backend.split(self.request._replace(batch=self.batch(weight)), weight)

    def omega(self, weight: Float) -> Float:
        """The bound in units of D G, (*batch, horizons)."""
        batch = self.batch(weight)
        if self.is_free or math.prod(batch) == math.prod(self.batch()):
            return _backend.omega(self.request._replace(batch=batch), weight)
        # Several gammas share a schedule: its terms are computed once.
        distance, noise = self.split(weight)
        weight = self.xp.asarray(weight)[..., None]
        values: Float = distance / weight
        values += weight * noise
        return values

    def weight(self, gamma: Float) -> Float:
        """Gamma in units of D / G, where the bound is D G (distance / weight + weight noise)."""
        scale = self.request.norms.scale
        xp = _device.array_module(gamma, scale)
        if xp is not np:
            gamma, scale = xp.asarray(gamma), xp.asarray(scale)
        with np.errstate(over="ignore", under="ignore"):
            weight = xp.asarray(gamma * scale / self.radius)
        return _arrays.positive_array(weight, "gamma G / D", xp)

    def place_time(self, values: Float) -> Float:
        """Drop the time axis of (*batch, horizons) for one horizon, or move it to its place."""
        if self.request.at is not None and self.request.at.ndim == 0:
            return values[..., 0]
        moved: Float = values if self.axis == -1 else self.xp.moveaxis(values, -1, self.axis)
        return moved

    def check_out(self, out: Any, batch: tuple[int, ...]) -> None:
        """Refuse an `out` that cannot take the result, before the work is done."""
        shape = list(batch)
        if self.request.at is None or self.request.at.ndim:
            count = self.request.eta.shape[-1] if self.request.at is None else self.request.at.size
            shape.insert(len(shape) + 1 + self.axis, count)
        is_array = isinstance(out, self.xp.ndarray)
        if not is_array or out.dtype != np.float64 or out.shape != tuple(shape):
            kind = "float64 array" if self.xp is np else "float64 CuPy array"
            came = f"{out.dtype} {out.shape}" if is_array else repr(type(out))
            raise ValueError(f"out must be a {kind} of shape {tuple(shape)}, got {came}")
        if self.xp is np and not out.flags.writeable:
            raise ValueError("out is read-only")


def make_problem(
    eta: ArrayLike,
    G: ArrayLike,
    D: float,
    kind: str,
    last_step: str,
    at: object,
    method: str,
    rtol: float,
    axis: int,
    nthreads: int | None,
    xp: Any = np,
) -> Problem:
    """Check what the functions share; `at` None is the last step and "all" every step.

    Where `xp` is CuPy, `eta` is one of its arrays, and `G` may be.
    """
    check_names(kind=kind, last_step=last_step, method=method)
    steps, axis = _arrays.step_array(eta, axis, xp)
    count = steps.shape[-1]
    every = isinstance(at, str) and at == "all"
    if isinstance(at, str) and not every:
        raise did_you_mean(at, ("all",), "at")
    return Problem(
        request=Request(
            eta=steps,
            norms=_arrays.norm_array(G, count, axis, xp),
            batch=(),
            kind=kind,
            last_step=last_step,
            at=np.array(count) if at is None else None if every else _arrays.horizons(at, count),
            method=method,
            rtol=_arrays.tolerance(rtol, method),
            nthreads=_arrays.thread_count(nthreads),
            xp=xp,
        ),
        radius=_arrays.positive_scalar(D, "D"),
        axis=axis,
    )
