"""The one door to the compiled core."""

from __future__ import annotations

import numpy as np

from . import _core
from ._arrays import LARGEST_NORM, LARGEST_STEP, Float, Int, Norms, check_range, rows


def split(
    eta: Float,
    norms: Norms,
    batch: tuple[int, ...],
    *,
    weight: Float | None,
    kind: str,
    last_step: str,
    at: Int | None,
    nthreads: int,
) -> tuple[Float, Float]:
    """Distance and noise term for D = 1 and norms in units of their scale, (*batch, horizons).

    `batch` is what the leading axes of the other arguments broadcast to; `at` None means all
    horizons. `weight`, gamma G / D, matters where the last step is free: the split is the one that
    minimises distance / weight + weight noise, or distance noise for None.
    """
    eta_rows = rows(eta, batch, 1)
    norm_rows = None if norms.per_step is None else rows(norms.per_step, batch, 1)
    weight_rows = None if weight is None else rows(weight, batch, 0)
    none = np.empty(0, np.int64)
    horizons = None if at is None else np.ascontiguousarray(at.reshape(-1))
    try:
        distance, noise, _ = _core.terms(
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
    return distance.reshape(shape), noise.reshape(shape)
