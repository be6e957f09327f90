"""The one door to the compiled core."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import _core
from ._arrays import (
    LARGEST_NORM,
    LARGEST_STEP,
    Float,
    Int,
    Norms,
    broadcast_batch,
    check_range,
    rows,
)


class Split(NamedTuple):
    """Distance and noise term of every item and horizon, and the virtual last step they belong to.

    For D = 1 and norms in units of their scale; axes are (*batch, horizons).
    """

    distance: Float
    noise: Float
    rho: Float


def split(
    eta: Float,
    norms: Norms,
    *,
    weight: Float | None,
    kind: str,
    last_step: str,
    at: Int | None,
    nthreads: int,
) -> Split:
    """Split the bound at the horizons `at` (None: all) for every broadcast batch entry.

    `weight`, gamma G / D, matters where the last step is free: the split is the one that minimises
    distance / weight + weight noise, or distance noise for None.
    """
    lead = {"eta": eta.shape[:-1], "G": norms.batch}
    if weight is not None:
        lead["gamma"] = weight.shape
    batch = broadcast_batch(**lead)
    eta_rows = rows(eta, batch, 1)
    norm_rows = None if norms.per_step is None else rows(norms.per_step, batch, 1)
    weight_rows = None if weight is None else rows(weight, batch, 0)
    none = np.empty(0, np.int64)
    horizons = None if at is None else np.ascontiguousarray(at.reshape(-1))
    try:
        distance, noise, rho = _core.terms(
            eta=eta_rows.data,
            norm=None if norm_rows is None else norm_rows.data,
            gamma=None if weight_rows is None else weight_rows.data,
            eta_row=eta_rows.row,
            norm_row=none if norm_rows is None else norm_rows.row,
            gamma_row=none if weight_rows is None else weight_rows.row,
            horizons=horizons,
            kind=getattr(_core.Kind, kind),
            last_step=getattr(_core.LastStep, last_step),
            nthreads=nthreads,
        )
    except ValueError:
        # The core checks values as it reads them; the index users know is found here.
        check_range(eta, "eta", LARGEST_STEP)
        if norms.per_step is not None:
            check_range(norms.per_step, "G", LARGEST_NORM)
        raise
    shape = (*batch, distance.shape[-1])
    return Split(distance.reshape(shape), noise.reshape(shape), rho.reshape(shape))
