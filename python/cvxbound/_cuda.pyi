"""The CUDA kernels: addresses of float64 and int64 arrays on the current device, 0 for none."""

from typing import final, overload

from ._core import Kind, LastStep, Method

cuda_version: str

class _Pybind11Type(type): ...

@final
class Batch(metaclass=_Pybind11Type):
    def __init__(
        self,
        *,
        items: int,
        steps: int,
        eta: int,
        norm: int,
        gamma: int,
        eta_row: int,
        norm_row: int,
        gamma_row: int,
        horizons: int,
        horizon_count: int,
        kind: Kind,
        last_step: LastStep,
        method: Method,
    ) -> None: ...

@final
class SegmentBatch(metaclass=_Pybind11Type):
    def __init__(
        self,
        *,
        items: int,
        width: int,
        segments: int,
        gamma: int,
        horizons: int,
        horizon_count: int,
        kind: Kind,
        last_step: LastStep,
        method: Method,
    ) -> None: ...

@overload
def workspace_size(batch: Batch) -> int: ...
@overload
def workspace_size(batch: SegmentBatch) -> int: ...
def terms(
    batch: Batch,
    *,
    distance: int = 0,
    noise: int = 0,
    rho: int = 0,
    omega: int = 0,
    tables: int,
    workspace: int,
    stream: int,
) -> None: ...
def segment_terms(
    batch: SegmentBatch,
    *,
    distance: int = 0,
    noise: int = 0,
    rho: int = 0,
    omega: int = 0,
    tables: int,
    workspace: int,
    stream: int,
) -> None: ...
def tables() -> bytes: ...
def is_emulated() -> bool: ...
