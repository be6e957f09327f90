"""The one door to the GPU: CuPy arrays and the kernels that compute with them.

CuPy is imported where a GPU is asked for and at no other time. Memory comes from its pool, work
goes to the current stream of the device that the arrays lie on, and nothing waits for it but the
checks of what came and copies to the host.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import sys
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from . import _core

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from ._arrays import Float, Int
    from ._backend import Request

# The range in which the block maps of `method="fast"` work.
_SMALLEST_STEP = 1e-300
_LARGEST_SUM = 1e304
_SMALLEST_RTOL = 1e-12

_ON_HOST = contextlib.nullcontext(np)
_tables: dict[int, Any] = {}  # of each device


# --- which arrays --------------------------------------------------------------------------------


def is_device_array(x: object) -> bool:
    """Whether `x` is a CuPy array; costs nothing where CuPy has not been imported."""
    module = sys.modules.get("cupy")
    # One that another thread is importing has no arrays yet.
    return module is not None and isinstance(x, getattr(module, "ndarray", ()))


def array_module(*arrays: object) -> Any:
    """CuPy where one of the arrays is CuPy's, else NumPy."""
    module = sys.modules.get("cupy")
    return np if module is None or not any(map(is_device_array, arrays)) else module


def to_host(x: Any) -> Any:
    """`x` itself, or a copy of a CuPy array, which waits for it."""
    return x.get() if is_device_array(x) else x


def extremes(*arrays: Any) -> list[tuple[float, float]]:
    """The least and the largest entry of each CuPy array, NaN where there is one, read at once.

    An empty array has inf and -inf.
    """
    full = [x for x in arrays if x.size]
    ends = [end for x in full for end in (x.min(), x.max())]
    found = iter(array_module(*ends).stack(ends).get().tolist() if ends else ())
    return [(next(found), next(found)) if x.size else (np.inf, -np.inf) for x in arrays]


def using(eta: object, **others: object) -> AbstractContextManager[Any]:
    """A context that computes where `eta` lies, and gives the module of its arrays.

    Raises
    ------
    RuntimeError
        Where `eta` is a CuPy array and the package was built without CUDA.
    ValueError
        Where the arrays lie on different devices; the message names them.
    """
    return _on_device(eta, others) if is_device_array(eta) else _ON_HOST


@contextlib.contextmanager
def _on_device(eta: Any, others: dict[str, Any]) -> Iterator[Any]:
    kernels()
    places = {"eta": eta.device.id}
    places |= {name: x.device.id for name, x in others.items() if is_device_array(x)}
    if len(set(places.values())) > 1:
        listed = ", ".join(f"{name} on {place}" for name, place in places.items())
        raise ValueError(f"the arrays lie on different devices: {listed}")
    with eta.device:
        yield array_module(eta)


# --- what a GPU needs ----------------------------------------------------------------------------


def kernels() -> Any:
    """Load the compiled kernels, which must be a GPU's for arrays on a GPU."""
    module = _load()
    xp = sys.modules.get("cupy")
    if module.is_emulated() and xp is not None and not getattr(xp, "is_emulated", False):
        raise RuntimeError(
            "this cvxbound is the test build, CVXBOUND_CUDA=EMULATED: the processor runs its "
            "kernels, which cannot read arrays of a GPU; install it with "
            "pip install . -C cmake.define.CVXBOUND_CUDA=ON"
        )
    return module


def _load() -> Any:
    try:
        return importlib.import_module("cvxbound._cuda")
    except ImportError as error:
        if not isinstance(error, ModuleNotFoundError):
            raise RuntimeError(f"the kernels for GPUs cannot be loaded: {error}") from error
        raise RuntimeError(
            "this cvxbound was built without kernels for GPUs: install it from source where nvcc "
            "is, with pip install . -C cmake.define.CVXBOUND_CUDA=ON"
        ) from None


def cupy() -> Any:
    """Import CuPy, and see that it has a GPU."""
    try:
        module = importlib.import_module("cupy")
    except ImportError as error:
        if not isinstance(error, ModuleNotFoundError):
            raise RuntimeError(f"CuPy cannot be loaded: {error}") from error
        raise ImportError('a GPU needs CuPy: pip install "cvxbound[cuda]"') from None
    _count(module)
    return module


def _count(module: Any) -> int:
    """How many GPUs there are, at least one."""
    try:
        count = int(module.cuda.runtime.getDeviceCount())
    except module.cuda.runtime.CUDARuntimeError as error:
        raise RuntimeError(f"no GPU can be used: {error}") from None
    if count == 0:
        raise RuntimeError("no GPU can be used: CUDA finds none")
    return count


class Gpu(TypedDict):
    """A GPU: its name, bytes of memory and compute capability."""

    name: str
    memory: int
    compute_capability: str


def built_with() -> str | None:
    """The CUDA version the package was built with, None for a build without."""
    try:
        module = _load()
    except RuntimeError:
        return None
    return "emulated" if module.is_emulated() else str(module.cuda_version)


def gpus() -> list[Gpu]:
    """The GPUs that CuPy finds; none without CuPy."""
    # What is not there or does not work, of CuPy, the driver or a GPU, is `missing`.
    with contextlib.suppress(Exception):
        module = cupy()
        return [_gpu(module, device) for device in range(_count(module))]
    return []


def _gpu(module: Any, device: int) -> Gpu:
    found = module.cuda.runtime.getDeviceProperties(device)
    return {
        "name": found["name"].decode(),
        "memory": int(found["totalGlobalMem"]),
        "compute_capability": f"{found['major']}.{found['minor']}",
    }


def missing() -> str | None:
    """What is missing to compute on a GPU, None where nothing is."""
    try:
        _load()
        cupy()
        kernels()
    except (ImportError, RuntimeError) as error:
        return str(error)
    return None


# --- the bounds of schedules ---------------------------------------------------------------------


def split(request: Request, weight: Float | None) -> tuple[Float, Float]:
    """Distance and noise term as in `_backend.split`, (*batch, horizons)."""
    if request.kind == "average":
        return _average(request, weight)
    distance, noise = _terms(request, weight, "distance", "noise")
    return distance, noise


def omega(request: Request, weight: Float) -> Float:
    """The bound as in `_backend.omega`, (*batch, horizons)."""
    if request.kind == "average":
        distance, noise = _average(request, weight)
        rate: Float = request.xp.asarray(weight)[..., None]
        return distance / rate + rate * noise
    (values,) = _terms(request, weight, "omega")
    return values


def _terms(request: Request, weight: Float | None, *wanted: str) -> tuple[Float, ...]:
    """The outputs of the kernels that are wanted."""
    xp, arguments = request.xp, request.arguments(weight)
    horizons = arguments["horizons"]
    count = request.eta.shape[-1] if horizons is None else horizons.size
    outputs = {name: xp.empty((*request.batch, count), np.float64) for name in wanted}
    items = math.prod(request.batch)
    if items:
        request.check_ranges()
        batch = kernels().Batch(
            items=items,
            steps=request.eta.shape[-1],
            horizon_count=0 if horizons is None else count,
            kind=arguments["kind"],
            last_step=arguments["last_step"],
            method=_method(request, arguments),
            **{name: _address(arguments[name]) for name in _ARRAYS},
        )
        _run(kernels().terms, batch, **outputs)
    return tuple(outputs.values())


def _method(request: Request, arguments: dict[str, Any]) -> _core.Method:
    """The method that may be used: block maps are for steps and sums in a range.

    They never pay for one horizon, unless its last step is free and takes many walks.
    """
    is_free = request.kind == "tight" or request.last_step == "free"
    is_one_walk = not is_free and request.at is not None and request.at.size == 1
    walks = request.rtol < _SMALLEST_RTOL or is_one_walk
    if request.method == "direct" or (request.method == "auto" and walks):
        return _core.Method.direct
    xp, eta = request.xp, arguments["eta"]
    least, largest = extremes(eta)[0]
    if least < _SMALLEST_STEP:
        least = float(xp.where(eta > 0, eta, np.inf).min())
    total = largest * eta.shape[-1]
    if total > _LARGEST_SUM:
        total = float(eta.sum(axis=-1).max())
    covered = least >= _SMALLEST_STEP and total <= _LARGEST_SUM
    method: _core.Method = arguments["method"]
    return method if covered else _core.Method.direct


def _average(request: Request, weight: Float | None) -> tuple[Float, Float]:
    """The terms of `average`, from running sums of the steps and of their squares.

    The weight rho of the last iterate is a step of the schedule, or where it is free the one that
    minimises (1 / weight + weight (Q + rho^2 G^2)) / (S + rho), without a weight
    (Q + rho^2 G^2) / (S + rho)^2, where S and Q are the sums before it.
    """
    request.check_ranges()
    xp, steps = request.xp, request.eta.shape[-1]
    eta = request.eta
    norm = xp.ones(steps) if request.norms.per_step is None else xp.asarray(request.norms.per_step)
    index = np.arange(steps) if request.at is None else request.at.reshape(-1) - 1

    def chosen(x: Any, at: Int) -> Any:
        return xp.take(x, xp.asarray(at), axis=-1)

    def before(x: Any) -> Any:
        total = xp.zeros_like(x)
        total[..., 1:] = xp.cumsum(x, axis=-1)[..., :-1]
        return chosen(total, index)

    S, Q, G = before(eta), before((eta * norm) ** 2), chosen(norm, index)
    if request.last_step == "free":
        rate = None if weight is None else xp.asarray(weight)[..., None]
        rho = _free_weight(xp, S, Q, G, rate)
    else:
        is_repeat = request.last_step == "repeat"
        rho = chosen(eta, np.maximum(index - 1, 0) if is_repeat else index)
    total, root = S + rho, rho * G
    noise = xp.where((total > 0) & (rho < np.inf), 0.5 * (Q + root * root) / total, 0.0)
    shape = (*request.batch, index.size)
    distance, noise = (xp.array(xp.broadcast_to(x, shape)) for x in (0.5 / total, noise))
    return distance, noise


def _free_weight(xp: Any, S: Any, Q: Any, G: Any, rate: Any) -> Any:
    if rate is None:
        rho = xp.where(S > 0, Q / (S * G * G), 1.0)
    else:
        ratio = (1 / rate + rate * Q) / (rate * G * G)
        rho = ratio / (S + xp.sqrt(S * S + ratio))
    return xp.where(G == 0, np.inf, rho)


# --- the bounds of segments ----------------------------------------------------------------------


def segment_split(
    table: NDArray[np.void],
    horizons: Int,
    *,
    kind: str,
    last_step: str,
    weight: Float | None = None,
    method: str = "auto",
) -> tuple[Float, Float]:
    """Distance and noise term as in `_backend.segment_split`, on the current device."""
    xp, shape = cupy(), np.shape(horizons)
    _check_horizons(table, horizons)
    segments = xp.asarray(np.ascontiguousarray(table).view(np.uint8))
    at = xp.asarray(horizons, np.int64, order="C")
    rates = None if weight is None else xp.asarray(weight, np.float64, order="C")
    outputs = {name: xp.empty(shape, np.float64) for name in ("distance", "noise")}
    if at.size:
        batch = kernels().SegmentBatch(
            items=shape[0],
            width=table.shape[1],
            segments=_address(segments),
            gamma=_address(rates),
            horizons=_address(at),
            horizon_count=shape[1],
            kind=getattr(_core.Kind, kind),
            last_step=getattr(_core.LastStep, last_step),
            method=getattr(_core.Method, "automatic" if method == "auto" else method),
        )
        _run(kernels().segment_terms, batch, **outputs)
    return outputs["distance"].get(), outputs["noise"].get()


def _check_horizons(table: NDArray[np.void], horizons: Int) -> None:
    """Refuse what the core refuses; kernels would read beyond the segments."""
    steps = table["steps"].sum(axis=-1)
    bad = np.argwhere((horizons < 0) | (horizons > steps[:, None]))
    if bad.size:
        item, i = bad[0]
        raise ValueError(
            f"a horizon beyond the steps in item {item}: {horizons[item, i]} of {steps[item]}"
        )


# --- calls ---------------------------------------------------------------------------------------

_ARRAYS = ("eta", "norm", "gamma", "eta_row", "norm_row", "gamma_row", "horizons")


def _address(array: Any) -> int:
    return 0 if array is None else int(array.data.ptr)


def _run(call: Any, batch: Any, **outputs: Any) -> None:
    """Queue the kernels; the pool gives the workspace to others on the same stream only."""
    xp = array_module(*outputs.values())
    workspace = xp.empty(kernels().workspace_size(batch), np.uint8)
    call(
        batch,
        tables=_address(_tables_of(xp)),
        workspace=_address(workspace),
        stream=xp.cuda.get_current_stream().ptr,
        **{name: _address(array) for name, array in outputs.items()},
    )


def _tables_of(xp: Any) -> Any:
    """The constants of the kernels on the current device, copied there once."""
    device = xp.cuda.Device().id
    if device not in _tables:
        copied = xp.asarray(np.frombuffer(kernels().tables(), np.uint8))
        xp.cuda.get_current_stream().synchronize()  # other streams will read them
        # Another thread may have been quicker: kernels may read its copy, which must stay.
        _tables.setdefault(device, copied)
    return _tables[device]
