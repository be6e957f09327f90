"""The C++ core: arrays are C-contiguous float64 or int64, rows are schedules."""

import enum

import numpy as np
from numpy.typing import NDArray

_Float = NDArray[np.float64]
_Int = NDArray[np.int64]

__version__: str

class Kind(enum.Enum):
    last = 0
    tight = 1
    average = 2

class LastStep(enum.Enum):
    given = 0
    repeat = 1
    free = 2

class Method(enum.Enum):
    automatic = 0
    direct = 1
    fast = 2

def terms(
    eta: _Float,
    norm: _Float | None,
    gamma: _Float | None,
    eta_row: _Int,
    norm_row: _Int,
    gamma_row: _Int,
    horizons: _Int | None,
    kind: Kind,
    last_step: LastStep,
    method: Method,
    rtol: float,
    nthreads: int,
    rho: bool,
) -> tuple[_Float, ...]: ...
def omega(
    eta: _Float,
    norm: _Float | None,
    gamma: _Float,
    eta_row: _Int,
    norm_row: _Int,
    gamma_row: _Int,
    horizons: _Int | None,
    kind: Kind,
    last_step: LastStep,
    method: Method,
    rtol: float,
    nthreads: int,
) -> _Float: ...
def gradient(
    eta: _Float,
    norm: _Float | None,
    gamma: _Float | None,
    eta_row: _Int,
    norm_row: _Int,
    gamma_row: _Int,
    horizons: _Int | None,
    kind: Kind,
    last_step: LastStep,
    method: Method,
    rtol: float,
    nthreads: int,
    weight: _Float,
    rho: _Float | None,
) -> tuple[_Float, _Float, _Float | None, _Float]: ...
def walk(kind: Kind, eta: _Float, norm: _Float | None, rho: _Float) -> tuple[_Float, _Float]: ...
def segment_terms(
    segments: NDArray[np.void],
    horizons: _Int,
    gamma: _Float | None,
    kind: Kind,
    last_step: LastStep,
    method: Method,
    nthreads: int,
) -> tuple[_Float, _Float]: ...
def lay_out(segments: NDArray[np.void]) -> _Float: ...
def active_isa() -> str: ...
def available_isas() -> list[str]: ...
def default_threads() -> int: ...
