"""The cells of a block: their parameters, their schedules, and the two terms of their bounds."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _backend, _device, schedules
from .._arrays import Float
from ..bounds import terms
from ..schedules import Schedule
from ._axes import ABSOLUTE, SEQUENCES

if TYPE_CHECKING:
    from ._plan import Plan

__all__ = ["check", "compute", "has_free_step", "has_functions"]

log = logging.getLogger("cvxbound")

_PIECE = 2**16  # kernels that are worked on at a time
_MOST_CHECKED = 200_000  # kernels that are checked when a plan is made
_SAMPLE = 4  # kernels of a piece that are walked to verify the others
_SHARE = 0.05  # of the steps of a piece that the walks of the sample may take, beyond the first
_LONGEST = 10**8  # steps of a schedule that is walked to verify others: a tenth of a second,
_LONGEST_SEARCH = 2**18  # and where its last step is free
_AGREEMENT = 1e-11
_MOST_STEPS = 2**22  # of schedules of functions that are evaluated together

_ONE_FOR_ALL = ("shape", "endpoint", "cycles", *SEQUENCES)  # in a table of segments


class Cells(NamedTuple):
    """Kernels and their parameters: a value for all, or an array of one for each."""

    kernels: NDArray[np.int64]
    values: Mapping[str, Any]
    codes: Mapping[str, NDArray[np.int64]]  # of what is the same for all in a table of segments

    def pick(self, index: NDArray[Any]) -> Cells:
        """Some of them."""
        return Cells(
            self.kernels[index],
            {name: _pick(value, index) for name, value in self.values.items()},
            {name: codes[index] for name, codes in self.codes.items()},
        )

    def each(self, name: str) -> NDArray[Any]:
        """A parameter, one for each cell."""
        return np.broadcast_to(self.values[name], self.kernels.shape)


class Pair(NamedTuple):
    """Distance and noise, (kinds, cells, horizons)."""

    distance: Float
    noise: Float

    @classmethod
    def empty(cls, plan: Plan, cells: int) -> Pair:
        """NaN throughout."""
        horizons = 1 if plan.at is None else len(plan.at.values)
        shape = (len(plan.kinds), cells, horizons)
        return cls(np.full(shape, np.nan), np.full(shape, np.nan))

    def pick(self, index: Any) -> Pair:
        """Some cells."""
        return Pair(self.distance[:, index], self.noise[:, index])

    def put(self, index: Any, found: Pair) -> None:
        """Fill in some cells."""
        self.distance[:, index] = found.distance
        self.noise[:, index] = found.noise


def has_free_step(kinds: Sequence[str], last_step: str) -> bool:
    """Whether the terms depend on gamma through the best last step."""
    return "tight" in kinds or last_step == "free"


def has_functions(plan: Plan) -> bool:
    """Whether a shape of a cooldown is a function, so that Python makes the schedules."""
    shapes = [plan.axes.fixed.get("shape")]
    for dim in plan.axes.dims:
        shapes += [value for axis in dim.axes if axis.name == "shape" for value in axis.values]
    return any(map(callable, shapes))


def compute(plan: Plan, kernels: range, nthreads: int | None) -> Pair:
    """Distance and noise of consecutive kernels; NaN where the mask leaves them out."""
    result = Pair.empty(plan, len(kernels))
    in_python = not plan.family.native or callable(plan.axes.fixed.get("shape"))
    for piece in _pieces(kernels):
        cells, index = _cells_of(plan, piece)
        if index.size:
            found = (_called if in_python else _verified)(plan, cells, nthreads)
            result.put(piece.start - kernels.start + index, found)
    return result


def check(plan: Plan) -> None:
    """Refuse cells of built-in families that have no schedule, where the plan is not too large."""
    if plan.kernels > _MOST_CHECKED or (plan.where is None and not plan.family.native):
        return
    is_empty = True
    for piece in _pieces(range(plan.kernels)):
        cells, index = _cells_of(plan, piece)
        is_empty = is_empty and not index.size
        if plan.family.native and index.size:
            for group, params in _groups(plan, cells):
                shape = {"shape": "linear"} if callable(params.get("shape")) else {}
                _table(plan, cells.pick(group), {**params, **shape})
    if is_empty:
        raise ValueError(f"{plan.where} leaves no cell to compute")


def _no_schedule(plan: Plan, kernel: int, why: object, hint: str = "") -> ValueError:
    return ValueError(f"no schedule at {plan.in_words(int(kernel))}: {why}{hint}")


# --- cells and their parameters -------------------------------------------------------------------


def _pieces(kernels: range) -> Iterator[range]:
    for start in range(kernels.start, kernels.stop, _PIECE):
        yield range(start, min(start + _PIECE, kernels.stop))


def _cells_of(plan: Plan, kernels: range) -> tuple[Cells, NDArray[np.int64]]:
    """The kernels that the mask leaves, and which ones of all they are."""
    numbers = np.arange(kernels.start, kernels.stop)
    values, codes = dict(plan.axes.fixed), {}
    index = np.unravel_index(numbers, plan.shape) if plan.dims else ()
    for dim, i in zip(plan.dims, index, strict=True):
        for axis in dim.axes:
            values[axis.name] = axis.values[i]
            if axis.values.dtype == object or axis.name in _ONE_FOR_ALL:
                codes[axis.name] = axis.codes[i]
    cells, every = Cells(numbers, values, codes), np.arange(numbers.size)
    if plan.where is None:
        return cells, every
    kept = np.flatnonzero(plan.where.mask(values, numbers.size))
    return (cells, every) if kept.size == numbers.size else (cells.pick(kept), kept)


def _params(plan: Plan, cells: Cells) -> dict[str, Any]:
    """What the family takes."""
    scales = {"gamma", "D", "G"} - {*plan.family.scales}
    params = {name: value for name, value in cells.values.items() if name not in scales}
    for name, ratio in ABSOLUTE.items() if plan.family.native else ():
        if name not in params:
            continue
        rate, gamma = params.pop(name), cells.values["gamma"]
        params[ratio] = rate / gamma
        bad = np.flatnonzero(params[ratio] > 1)
        if bad.size:
            why = f"{name} is above gamma, the peak"
            raise _no_schedule(plan, cells.kernels[bad[0]], why, _hint(f"{name} <= gamma"))
    return params


def _hint(condition: str) -> str:
    return f"; where={condition!r} leaves such cells out"


def _leave_out(plan: Plan, kernel: int) -> str:
    """A condition for cells that no comparison of parameters tells apart: all but this one."""
    index = np.unravel_index(kernel, plan.shape) if plan.dims else ()
    pairs = [
        (axis.name, _python(axis.values[i]))
        for dim, i in zip(plan.dims, index, strict=True)
        for axis in dim.axes
    ]
    if plan.kernels == 1 or not all(isinstance(value, (int, float, str)) for _, value in pairs):
        return ""  # no other cell is left, or an expression would need sequences
    cell = " and ".join(f"{name} == {value!r}" for name, value in pairs)
    condition = f"not ({cell})"
    return f"; where={condition!r} leaves this cell out"


def _pick(value: Any, index: Any) -> Any:
    return value[index] if isinstance(value, np.ndarray) else value


def _weight(plan: Plan, cells: Cells) -> Float | None:
    """Gamma in units of D / G where the split depends on it."""
    if not has_free_step(plan.kinds, plan.last_step) or "gamma" not in cells.values:
        return None
    scale = cells.each("gamma") * cells.values.get("G", 1.0)
    return np.asarray(scale / cells.values.get("D", 1.0))


def _horizons(plan: Plan, steps: NDArray[np.int64]) -> NDArray[np.int64]:
    """The horizons of schedules of so many steps, (cells, horizons); 0 where there is none."""
    return np.ascontiguousarray(steps[:, None]) if plan.at is None else plan.at.steps(steps)


# --- built-in families ----------------------------------------------------------------------------


def _verified(plan: Plan, cells: Cells, nthreads: int | None) -> Pair:
    """The terms of schedules made of segments, compared to walks of a few of them.

    Where none is short enough to be walked, a GPU is at least compared to the processor.
    """
    found = _native(plan, cells, "auto", nthreads)
    for i, kind in enumerate(plan.kinds):
        exact, method, how = plan, "direct", "walked"
        longest = _LONGEST_SEARCH if has_free_step([kind], plan.last_step) else _LONGEST
        sample = _sample(cells, longest)
        if not sample.size and plan.device != "cpu":
            exact, method, how = plan.on("cpu"), "auto", "computed by the processor"
            longest = int(cells.each("steps").max())
            sample = _sample(cells, longest)
        if not sample.size:
            continue
        some = cells.pick(sample)
        if _agree(plan, some, i, found.pick(sample), _native(exact, some, method, nthreads, [i])):
            continue
        log.warning(
            "%s: the fast evaluation of %s is off in one of these cells: %s; all around them that "
            "are not longer than %d steps are %s instead",
            plan.family.name,
            kind,
            ", ".join(plan.in_words(int(kernel)) for kernel in some.kernels),
            longest,
            how,
        )
        short = np.flatnonzero(cells.each("steps") <= longest)
        corrected = _native(exact, cells.pick(short), method, nthreads, [i])
        for ours, theirs in zip(found, corrected, strict=True):
            ours[i, short] = theirs[i]
    return found


def _agree(plan: Plan, cells: Cells, kind: int, ours: Pair, exact: Pair) -> bool:
    """Whether the terms of a kind are the same; where a last step is searched, the bounds.

    These are flat there, so that terms tell less than they seem to.
    """
    terms_of = [(pair.distance[kind], pair.noise[kind]) for pair in (ours, exact)]
    if has_free_step([plan.kinds[kind]], plan.last_step):
        weight = _weight(plan, cells)
        compared = [_bound(distance, noise, weight) for distance, noise in terms_of]
    else:
        compared = [np.array(both) for both in terms_of]
    a, b = compared
    return np.allclose(a, b, rtol=_AGREEMENT, atol=0, equal_nan=True)


def _bound(distance: Float, noise: Float, weight: Float | None) -> Float:
    """The bound, (cells, horizons), for D = G = 1; the best one without a weight."""
    if weight is None:
        return np.asarray(2 * np.sqrt(distance) * np.sqrt(noise))
    return np.asarray(distance / weight[:, None] + weight[:, None] * noise)


def _sample(cells: Cells, longest: int) -> NDArray[np.int64]:
    """A few cells, always the same ones, that take little time to walk compared to all."""
    count = cells.kernels.size
    random = np.random.default_rng(int(cells.kernels[0]))
    chosen = random.choice(count, min(count, _SAMPLE), replace=False)
    steps = cells.each("steps").astype(np.float64)
    within = np.searchsorted(np.cumsum(steps[chosen]), _SHARE * steps.sum(), "right")
    chosen = chosen[: max(int(within), 1)]
    return chosen[steps[chosen] <= longest]


def _native(
    plan: Plan,
    cells: Cells,
    method: str,
    nthreads: int | None,
    kinds: Sequence[int] | None = None,
) -> Pair:
    """The terms of cells whose schedules the compiled core makes; of some kinds only."""
    result = Pair.empty(plan, cells.kernels.size)
    on_gpu = plan.device != "cpu" and method != "direct"  # the processor walks, to verify a GPU
    split = _split_on_gpu if on_gpu else _backend.segment_split
    for group, params in _groups(plan, cells):
        some = cells.pick(group)
        if callable(params.get("shape")):
            result.put(group, _called(plan, some, nthreads))
            continue
        table = _table(plan, some, params)
        weight, horizons = _weight(plan, some), _horizons(plan, some.each("steps"))
        for i in range(len(plan.kinds)) if kinds is None else kinds:
            kind = plan.kinds[i]
            is_free = has_free_step([kind], plan.last_step)
            result.distance[i, group], result.noise[i, group] = split(
                table,
                horizons,
                kind=kind,
                last_step=plan.last_step,
                weight=weight if is_free else None,
                method=method,
                nthreads=nthreads,
            )
    return result


def _split_on_gpu(
    table: NDArray[np.void],
    horizons: NDArray[np.int64],
    *,
    weight: Float | None,
    nthreads: int | None,
    **options: str,
) -> tuple[Float, Float]:
    """As `_backend.segment_split`, which computes what a GPU leaves out: where no way is short."""
    found = _device.segment_split(table, horizons, weight=weight, **options)
    left = np.flatnonzero((np.isnan(found[0]) & (horizons > 0)).any(axis=-1))
    if left.size:
        weight = None if weight is None else weight[left]
        rest = _backend.segment_split(
            table[left], horizons[left], weight=weight, nthreads=nthreads, **options
        )
        for ours, theirs in zip(found, rest, strict=True):
            ours[left] = theirs
    return found


def _groups(plan: Plan, cells: Cells) -> Iterator[tuple[NDArray[np.int64], dict[str, Any]]]:
    """Cells that share a table of segments, and their parameters."""
    params = _params(plan, cells)
    code = np.zeros(cells.kernels.size, np.int64)
    for codes in cells.codes.values():
        code = code * (int(codes.max()) + 1) + codes
    order = np.argsort(code, kind="stable")
    for group in np.split(order, np.flatnonzero(np.diff(code[order])) + 1):
        picked = {name: _pick(value, group) for name, value in params.items()}
        shared = {name: picked[name][0] for name in cells.codes if name in picked}
        yield group, picked | {name: _python(value) for name, value in shared.items()}


def _python(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _table(plan: Plan, cells: Cells, params: Mapping[str, Any]) -> NDArray[np.void]:
    """The segments of cells; an error names the first that has none."""

    def table(start: int, stop: int) -> NDArray[np.void]:
        part = {name: _pick(value, slice(start, stop)) for name, value in params.items()}
        return schedules.segment_table(plan.family.name, part, stop - start)

    start, stop = 0, cells.kernels.size
    try:
        return table(start, stop)
    except ValueError:
        while stop - start > 1:
            middle = (start + stop) // 2
            try:
                table(start, middle)
            except ValueError:
                stop = middle
            else:
                start = middle
    one = {name: _python(_pick(value, start)) for name, value in params.items()}
    try:
        schedules.segment_table(plan.family.name, one, 1)
    except ValueError as error:
        kernel = int(cells.kernels[start])
        raise _no_schedule(plan, kernel, error, _leave_out(plan, kernel)) from None
    raise AssertionError("a cell has no schedule among others, and one by itself")


# --- functions that return schedules --------------------------------------------------------------


def _called(plan: Plan, cells: Cells, nthreads: int | None) -> Pair:
    """The terms of cells whose schedules a Python function makes."""
    result, weight = Pair.empty(plan, cells.kernels.size), _weight(plan, cells)
    for start, eta in _batches(_schedules(plan, cells)):
        steps = np.array([eta.shape[1]])
        horizons = _horizons(plan, steps)[0]
        wanted, rows = np.flatnonzero(horizons), slice(start, start + len(eta))
        for i, kind in enumerate(plan.kinds) if wanted.size else ():
            is_free = has_free_step([kind], plan.last_step)
            distance, noise = terms(
                eta,
                gamma=weight[rows] if is_free and weight is not None else None,
                kind=kind,  # type: ignore[arg-type]
                last_step=plan.last_step,  # type: ignore[arg-type]
                at=horizons[wanted],
                nthreads=nthreads,
            )
            result.distance[i][rows, wanted] = distance
            result.noise[i][rows, wanted] = noise
    return result


def _schedules(plan: Plan, cells: Cells) -> Iterator[Float]:
    columns = {
        name: value.tolist() if isinstance(value, np.ndarray) else repeat(value)
        for name, value in _params(plan, cells).items()
    }
    parts = {name: iter(column) for name, column in columns.items()}
    for kernel in cells.kernels:
        arguments = {name: next(column) for name, column in parts.items()}
        try:
            found = plan.family.function(**arguments)
            found = found if isinstance(found, Schedule) else Schedule(found, plan.family.name)
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            raise _no_schedule(plan, kernel, why) from error
        yield found.eta


def _batches(schedules: Iterator[Float]) -> Iterator[tuple[int, Float]]:
    """Neighbours of one length together, (schedules, steps), each with the number of the first."""
    start, batch = 0, list[Float]()
    for eta in schedules:
        if batch and (eta.size != batch[0].size or len(batch) * eta.size >= _MOST_STEPS):
            yield start, np.stack(batch)
            start, batch = start + len(batch), []
        batch.append(eta)
    if batch:
        yield start, np.stack(batch)
