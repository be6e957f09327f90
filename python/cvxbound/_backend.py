"""The one door to the compiled core."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import _core, _device
from ._arrays import LARGEST_NORM, LARGEST_STEP, Float, Int, Norms, check_range, rows, thread_count

_METHODS = {
    "auto": _core.Method.automatic,
    "direct": _core.Method.direct,
    "fast": _core.Method.fast,
}


class Request(NamedTuple):
    """What the core is asked for, besides the base learning rate.

    `batch` is what the leading axes broadcast to; `at` None means all horizons. Norms count in
    units of their scale, and D is 1.
    """

    eta: Float
    norms: Norms
    batch: tuple[int, ...]
    kind: str
    last_step: str
    at: Int | None
    method: str
    rtol: float
    nthreads: int
    xp: Any = np  # CuPy where the schedules are on a GPU

    def arguments(self, weight: Float | None) -> dict[str, Any]:
        """Arrays as rows, and which row each item uses."""
        xp, norms = self.xp, self.norms.per_step
        eta = rows(self.eta, self.batch, 1, xp)
        norm = None if norms is None else rows(norms, self.batch, 1, xp)
        gamma = None if weight is None else rows(weight, self.batch, 0, xp)
        none = xp.empty(0, np.int64)
        return {
            "eta": eta.data,
            "norm": None if norm is None else norm.data,
            "gamma": None if gamma is None else gamma.data,
            "eta_row": eta.row,
            "norm_row": none if norm is None else norm.row,
            "gamma_row": none if gamma is None else gamma.row,
            "horizons": None if self.at is None else xp.asarray(self.at.reshape(-1), order="C"),
            "kind": getattr(_core.Kind, self.kind),
            "last_step": getattr(_core.LastStep, self.last_step),
            "method": _METHODS[self.method],
            "rtol": self.rtol,
            "nthreads": self.nthreads,
        }

    def check_ranges(self) -> None:
        """Check steps and norms; the core does so as it reads them, but knows no index of users."""
        check_range(self.eta, "eta", LARGEST_STEP)
        if self.norms.per_step is not None:
            check_range(self.norms.per_step, "G", LARGEST_NORM)


def split(request: Request, weight: Float | None) -> tuple[Float, Float]:
    """Distance and noise term, (*batch, horizons).

    `weight`, gamma G / D, matters where the last step is free: the split is the one that minimises
    distance / weight + weight noise, or distance noise for None.
    """
    if request.xp is not np:
        return _device.split(request, weight)
    try:
        distance, noise = _core.terms(**request.arguments(weight), rho=False)
    except ValueError:
        request.check_ranges()
        raise
    shape = (*request.batch, distance.shape[-1])
    return distance.reshape(shape), noise.reshape(shape)


def split_and_rho(request: Request, weight: Float | None) -> tuple[Float, Float, Float]:
    """Distance and noise as `split`, and the virtual last steps they belong to."""
    try:
        found = _core.terms(**request.arguments(weight), rho=True)
    except ValueError:
        request.check_ranges()
        raise
    distance, noise, rho = (x.reshape((*request.batch, x.shape[-1])) for x in found)
    return distance, noise, rho


def omega(request: Request, weight: Float) -> Float:
    """The bound distance / weight + weight noise, (*batch, horizons)."""
    if request.xp is not np:
        return _device.omega(request, weight)
    try:
        values = _core.omega(**request.arguments(weight))
    except ValueError:
        request.check_ranges()
        raise
    return values.reshape((*request.batch, values.shape[-1]))


class Derivatives(NamedTuple):
    """Bounds and the derivatives of their weighted sum, in the units of a `Request`."""

    omega: Float  # (*batch, horizons), NaN where the weight is 0
    eta: Float  # (*batch, T)
    norm: Float | None  # (*batch, T), where the request has norms a step
    rho: Float  # (*batch, horizons), of the virtual last steps


def gradient(
    request: Request, weight: Float | None, share: Float, rho: Float | None = None
) -> Derivatives:
    """Derivatives of the sum over horizons of `share` times the bound, both (*batch, horizons).

    `weight` is gamma G / D, None for the best one; `rho` the virtual last steps, by default those
    that the request asks for.
    """
    arguments = request.arguments(weight)
    rows_of = (math.prod(request.batch), share.shape[-1])
    shares = np.ascontiguousarray(share, np.float64).reshape(rows_of)
    last = None if rho is None else np.ascontiguousarray(rho, np.float64).reshape(rows_of)
    try:
        found = _core.gradient(**arguments, weight=shares, rho=last)
    except ValueError:
        request.check_ranges()
        raise

    def shaped(x: Float) -> Float:
        return x.reshape((*request.batch, x.shape[-1]))

    omega, eta, norm, rho_bar = found
    norm = None if norm is None else shaped(norm)
    return Derivatives(shaped(omega), shaped(eta), norm, shaped(rho_bar))


def segment_split(
    table: NDArray[np.void],
    horizons: Int,
    *,
    kind: str,
    last_step: str,
    weight: Float | None = None,
    method: str = "auto",
    nthreads: int | None = None,
) -> tuple[Float, Float]:
    """Distance and noise term of schedules made of segments, for D = G = 1.

    `table` is (cells, segments) of `_segments.SEGMENT`; `horizons`, (cells, horizons), are 1-based,
    0 where the result is to be NaN; `weight`, (cells,), is as for `split`.
    """
    return _core.segment_terms(
        np.ascontiguousarray(table),
        np.ascontiguousarray(horizons, np.int64),
        None if weight is None else np.ascontiguousarray(weight, np.float64),
        getattr(_core.Kind, kind),
        getattr(_core.LastStep, last_step),
        _METHODS[method],
        thread_count(nthreads),
    )
