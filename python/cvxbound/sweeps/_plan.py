"""The plan of a sweep: its grid, its blocks, what it is called and what it costs."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .._arrays import Float, steps_of, thread_count, whole_number
from .._messages import counted, did_you_mean
from .._names import check_names
from . import _cells, _cost, _identity, _where
from ._axes import ABSOLUTE, LENGTHS, SCALES, Axes, Axis, Dim, Family, is_sequence, parse, plain
from ._errors import SweepError
from ._where import Where

if TYPE_CHECKING:
    import xarray

    from .._names import Device
    from ._engine import Progress

__all__ = ["VARIABLES", "At", "Plan", "make_plan"]

T = TypeVar("T")

FORMAT = 1  # of what is identified

VARIABLES = {
    "distance": "distance of omega = D^2 distance / gamma + G^2 gamma noise",
    "noise": "noise of omega = D^2 distance / gamma + G^2 gamma noise",
}
"""What a sweep computes and stores, with the name of each for plots."""


class At(NamedTuple):
    """Horizons: steps (int), or fractions of the run (float)."""

    values: tuple[float, ...]
    is_dim: bool

    @classmethod
    def of(cls, at: Any) -> At:
        """What the user gave."""
        given = plain(np.asarray(at) if hasattr(at, "__array__") else at)
        is_dim = isinstance(given, tuple)
        values = given if is_dim else (given,)
        if not all(type(each) in (int, float) for each in values):
            raise TypeError(f"at must be steps (int) or fractions of the run (float), got {at!r}")
        if not values:
            raise ValueError("at is empty: expected at least one horizon")
        if len({type(each) for each in values}) > 1:
            raise ValueError(f"at must be all int (steps) or all float (fractions), got {at!r}")
        for each in values:
            good = each >= 1 if isinstance(each, int) else 0 < each <= 1
            if not good:
                raise ValueError(
                    f"at must be steps from 1 on (int) or fractions in (0, 1] (float), got {each}"
                )
        if len(set(values)) < len(values):
            raise ValueError(f"at has a horizon twice: {at!r}")
        return cls(values, is_dim)

    def __str__(self) -> str:
        told = ", ".join(map(str, self.values[:4])) + ", ..." * (len(self.values) > 4)
        if isinstance(self.values[0], float):
            return f"at {told} of the run"
        return f"at step{'s' * (len(self.values) > 1)} {told}"

    def steps(self, total: NDArray[np.int64]) -> NDArray[np.int64]:
        """Horizons of schedules of so many steps, (cells, horizons); 0 where there is none."""
        values, total = np.array(self.values), total[:, None]
        if values.dtype.kind == "i":
            return np.where(values <= total, values, 0)
        return np.maximum(steps_of(values, total), 1)


@dataclass(frozen=True, eq=False, repr=False)
class Plan:
    """What a sweep computes, block by block; made by `sweep`.

    Its ``repr`` tells the number of cells and kernels, the blocks, the size of the result and about
    how long it takes. Plans of the same `hash` compute the same. A plan is small, whatever the
    number of cells, and can be pickled.

    Attributes
    ----------
    dims : tuple of Dim
        The computed dimensions of the grid, in order, and
    shape : tuple of int
        their sizes. A kernel is one point of this grid, with all its kinds and horizons.
    free_dims : tuple of Dim
        Dimensions of gamma, D and G alone that cost nothing: only their coordinates are kept.
    block_shape : tuple of int
        Of a block: (1, ..., 1, piece, full, full), kernels that follow each other in C order.
    hash : str
        SHA-256 of `identity`, which is everything that the result depends on, as JSON.
    part : tuple of int
        The shard (index, count) whose blocks `run` computes.
    device : {"cpu", "cuda"}
        What computes them.

    Examples
    --------
    >>> import cvxbound as cb
    >>> plan = cb.sweep("wsd", steps=[100, 200, 400], cooldown=[0.1, 0.2], gamma=[0.01, 0.1])
    >>> plan.shape, plan.kernels, plan.cells, plan.block_count
    ((3, 2), 6, 12, 1)
    """

    family: Family
    axes: Axes
    dims: tuple[Dim, ...]
    free_dims: tuple[Dim, ...]
    free: tuple[str, ...]
    kinds: tuple[str, ...]
    kind_is_dim: bool
    last_step: str
    at: At | None
    where: Where | None
    block_shape: tuple[int, ...]
    identity: dict[str, Any]
    part: tuple[int, int] = (0, 1)
    device: str = "cpu"

    # --- the grid ---------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the grid of kernels."""
        return tuple(dim.size for dim in self.dims)

    @property
    def kernels(self) -> int:
        """Points of the grid."""
        return math.prod(self.shape)

    @property
    def cells(self) -> int:
        """Bounds that the result stands for: kernels, kinds and horizons at all free values."""
        return math.prod(self.variable_shape) * math.prod(dim.size for dim in self.free_dims)

    @functools.cached_property
    def hash(self) -> str:
        """What tells this plan from others, 64 hexadecimal digits."""
        return _identity.digest(self.identity)

    @property
    def variable_dims(self) -> tuple[str, ...]:
        """Dimensions of what is stored: kind where there are several, the grid, horizon."""
        return self._with_kinds_and_horizons("kind", [dim.name for dim in self.dims], "horizon")

    @property
    def variable_shape(self) -> tuple[int, ...]:
        """Shape of what is stored."""
        return self._with_kinds_and_horizons(len(self.kinds), self.shape, self._horizons)

    @property
    def chunks(self) -> tuple[int, ...]:
        """Shape of a block of what is stored."""
        return self._with_kinds_and_horizons(len(self.kinds), self.block_shape, self._horizons)

    @property
    def variable_attrs(self) -> dict[str, dict[str, str]]:
        """Attributes of ``distance`` and ``noise``."""
        return {name: {"long_name": text, "units": "1"} for name, text in VARIABLES.items()}

    @property
    def _horizons(self) -> int:
        return 1 if self.at is None else len(self.at.values)

    def _with_kinds_and_horizons(self, kind: T, grid: Sequence[T], horizon: T) -> tuple[T, ...]:
        first = (kind,) if self.kind_is_dim else ()
        last = (horizon,) if self.at is not None and self.at.is_dim else ()
        return (*first, *grid, *last)

    # --- blocks -----------------------------------------------------------------------------------

    @property
    def _block_grid(self) -> tuple[int, ...]:
        return tuple(-(-n // m) for n, m in zip(self.shape, self.block_shape, strict=True))

    @property
    def block_count(self) -> int:
        """Blocks of the plan, of all shards together."""
        return math.prod(self._block_grid)

    @property
    def blocks(self) -> range:
        """Numbers of the blocks of this shard."""
        index, count = self.part
        return range(index, self.block_count, count)

    def slices(self, block: int) -> tuple[slice, ...]:
        """Where a block is in the grid of kernels."""
        if not 0 <= block < self.block_count:
            raise ValueError(f"block must be from 0 to {self.block_count - 1}, got {block}")
        index = np.unravel_index(block, self._block_grid) if self.dims else ()
        starts = [int(i) * size for i, size in zip(index, self.block_shape, strict=True)]
        sizes = zip(starts, self.block_shape, self.shape, strict=True)
        return tuple(slice(start, min(start + size, end)) for start, size, end in sizes)

    def region(self, block: int) -> tuple[slice, ...]:
        """Where a block is in what is stored."""
        every = slice(0, len(self.kinds)), slice(0, self._horizons)
        return self._with_kinds_and_horizons(every[0], self.slices(block), every[1])

    def span(self, block: int) -> range:
        """The kernels of a block, numbered in C order."""
        slices = self.slices(block)
        start = 0
        for part, size in zip(slices, self.shape, strict=True):
            start = start * size + part.start
        return range(start, start + math.prod(part.stop - part.start for part in slices))

    def where_is(self, block: int) -> str:
        """The coordinates of a block in words, without the dimensions it spans."""
        told = [
            dim.in_words(part.start, part.stop)
            for dim, part in zip(self.dims, self.slices(block), strict=True)
            if part.stop - part.start < dim.size
        ]
        return ", ".join(told) or "all cells"

    def in_words(self, kernel: int) -> str:
        """The coordinates of a kernel in words."""
        index = np.unravel_index(kernel, self.shape) if self.dims else ()
        told = [dim.in_words(int(i), int(i) + 1) for dim, i in zip(self.dims, index, strict=True)]
        return ", ".join(told) or "the only cell"

    def shard(self, index: int, count: int) -> Plan:
        """The share of one of several processes that fill a store together.

        Parameters
        ----------
        index : int
            Which share, from 0 on.
        count : int
            How many there are.

        Returns
        -------
        Plan
            The same plan, of which `run` takes the blocks b with b % count == index.

        Raises
        ------
        TypeError, ValueError
            `index` is not one of 0, ..., count - 1.

        Examples
        --------
        >>> import cvxbound as cb
        >>> plan = cb.sweep("linear", steps=[10, 20, 30], block=1)
        >>> list(plan.shard(1, 2).blocks)
        [1]
        """
        count = whole_number(count, "count")
        if isinstance(index, bool) or not isinstance(index, (int, np.integer)):
            raise TypeError(f"index must be an integer, got {index!r}")
        if not 0 <= index < count:
            raise ValueError(f"index must be from 0 to {count - 1}, got {index}")
        return dataclasses.replace(self, part=(int(index), count))

    def on(self, device: Device) -> Plan:
        """The same plan, computed by a processor or by a GPU.

        Parameters
        ----------
        device : {"cpu", "cuda"}
            ``"cuda"`` is the current GPU of each process that computes blocks.

        Returns
        -------
        Plan
            Of the same `hash`: a store that was begun on one device is gone on with on the other.

        Raises
        ------
        ValueError
            `device` is something else, or a GPU is asked for a family that is a Python function.

        Notes
        -----
        Results of the two agree to a relative error of 1e-11, not bit for bit.

        Examples
        --------
        >>> import cvxbound as cb
        >>> plan = cb.sweep("linear", steps=[10, 20, 30])
        >>> plan.on("cuda") == plan
        True
        """
        check_names(device=device)
        if device != "cpu" and not (self.family.native and not _cells.has_functions(self)):
            raise ValueError(
                f"device={device!r} computes built-in families, whose schedules it makes itself; "
                f"{self.family.name} here depends on a Python function: leave out device"
            )
        return dataclasses.replace(self, device=device)

    # --- results ----------------------------------------------------------------------------------

    def compute(self, block: int, nthreads: int | None = None) -> dict[str, Float]:
        """Compute a block.

        Parameters
        ----------
        block : int
            Its number.
        nthreads : int, optional
            Threads to use; by default all. The result does not depend on it.

        Returns
        -------
        dict of str to ndarray
            ``distance`` and ``noise`` at D = G = 1, of the shape of the block's `region`; NaN where
            `where` leaves a cell out or a schedule is over before a horizon.

        Raises
        ------
        ValueError
            A cell has no schedule; the message has its coordinates.
        """
        distance, noise = _cells.compute(self, self.span(block), thread_count(nthreads) or None)
        shape = [part.stop - part.start for part in self.region(block)]
        return {"distance": distance.reshape(shape), "noise": noise.reshape(shape)}

    def template(self) -> xarray.Dataset:
        """The result without its variables: coordinates and attributes.

        Returns
        -------
        xarray.Dataset
            A coordinate for each axis and for what is fixed, ``kind`` and ``horizon`` where there
            are several.

        Raises
        ------
        ImportError
            Without xarray, the extra ``sweep``.
        """
        dataset = _xarray().Dataset
        coords: dict[str, Any] = {}
        if self.kind_is_dim:
            coords["kind"] = ("kind", np.array(self.kinds, object), {"long_name": "bound"})
        for dim in (*self.dims, *self.free_dims):
            for axis in dim.axes:
                coords[axis.name] = (dim.name, axis.labels, self._attrs_of(axis))
        for name, value in self.axes.fixed.items():
            if value is not None:
                axis = Axis.single(name, value)
                coords[name] = ((), axis.labels.reshape(()), self._attrs_of(axis))
        if self.at is not None:
            values, is_dim = np.array(self.at.values), self.at.is_dim
            attrs = _length_attrs("horizon", values)
            coords["horizon"] = ("horizon", values, attrs) if is_dim else ((), values[0], attrs)
        made: xarray.Dataset = dataset(coords=coords, attrs=self._attrs)
        return made

    @property
    def _attrs(self) -> dict[str, Any]:
        return {
            "title": self._title,
            "family": self.family.name,
            **({} if self.kind_is_dim else {"kind": self.kinds[0]}),
            "last_step": self.last_step,
            "free": " ".join(self.free),
            "cvxbound": _core.__version__,
            "kernel": _core.active_isa() if self.device == "cpu" else self.device,
            "plan": self.hash,
        }

    def _attrs_of(self, axis: Axis) -> dict[str, str]:
        name = axis.name
        if name in (*LENGTHS, "steps"):
            return _length_attrs(name, axis.values)
        in_units = not {"D", "G"} & {*self.axes.names}
        if name == "gamma":
            return {"long_name": "base learning rate", **({"units": "D/G"} if in_units else {})}
        texts = {"D": "initial distance", "G": "gradient norm"}
        return {"long_name": texts.get(name, name.replace("_", " "))}

    def run(
        self,
        store: Any = None,
        executor: Any = None,
        *,
        progress: Callable[[Progress], None] | bool | None = None,
        nthreads: int | None = None,
        retries: int = 2,
    ) -> xarray.Dataset:
        """Compute what is not done yet, and return the result.

        Parameters
        ----------
        store : str, path or Zarr store, optional
            Where to keep the result, block by block: made where nothing is; a store of this plan is
            gone on with. Without one the result is in memory.
        executor : concurrent.futures.Executor or distributed.Client, optional
            Where to compute: by default in this process, with all processors.
        progress : callable or bool, optional
            Takes a `Progress` after each block; True shows a bar where the standard error is a
            terminal.
        nthreads : int, optional
            Threads for each block: by default all processors, or 1 with an executor.
        retries : int, default 2
            How often a block that fails is tried again.

        Returns
        -------
        xarray.Dataset
            ``distance`` and ``noise``, with ``.cvx`` for everything that follows from them: see
            `SweepAccessor`. From a store, they are read when they are used. NaN where `where`
            leaves cells out, and in blocks of other shards that are not done.

        Raises
        ------
        SweepError
            Blocks failed, after all others were done: `failures` and `dataset` say more.
        PlanMismatchError
            The store holds another plan, or was written by another version.
        OSError
            The store cannot be written. What is done is kept: run again to go on.
        ImportError
            Without xarray, or Zarr for a store, the extra ``sweep``.

        Notes
        -----
        The result does not depend on threads, executor, shards or interruptions, bit for bit.

        Examples
        --------
        >>> import cvxbound as cb
        >>> plan = cb.sweep("wsd", steps=[100, 400], cooldown=[0.1, 0.2, 0.4])
        >>> result = plan.run()
        >>> dict(result.distance.sizes)
        {'steps': 2, 'cooldown': 3}
        >>> result.cvx.best("cooldown").cooldown.values
        array([0.4, 0.4])
        """
        _xarray()
        from ._engine import run_blocks

        if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
            raise ValueError(f"retries must be an integer from 0 on, got {retries!r}")
        thread_count(nthreads)
        failures: dict[int, str] = {}
        options: dict[str, Any] = {
            "executor": executor,
            "nthreads": nthreads,
            "retries": retries,
            "progress": progress,
            "on_failure": failures.__setitem__,
        }
        if store is None:
            arrays = {name: np.full(self.variable_shape, np.nan) for name in VARIABLES}

            def keep(block: int, found: dict[str, Float]) -> None:
                for name, values in found.items():
                    arrays[name][self.region(block)] = values

            run_blocks(self, self.blocks, on_result=keep, **options)
            result = self._dataset(arrays)
        else:
            from ._store import Store

            opened = Store.create(store, self)
            run_blocks(self, opened.pending(self), target=store, **options)
            result = opened.dataset()
        if failures:
            raise _failed(failures, len(self.blocks), result)
        return result

    def _dataset(self, arrays: Mapping[str, Float]) -> xarray.Dataset:
        template, attrs = self.template(), self.variable_attrs
        dims = self.variable_dims
        return template.assign({name: (dims, arrays[name], attrs[name]) for name in VARIABLES})

    # --- words ------------------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Plan):
            return NotImplemented
        return (self.hash, self.part) == (other.hash, other.part)

    def __hash__(self) -> int:
        return hash((self.hash, self.part))

    @property
    def _title(self) -> str:
        """The plan in a line."""
        several = [f"{dim.name} {dim.size:,}" for dim in self.dims if dim.size > 1]
        single = [dim.in_words(0, 1) for dim in self.dims if dim.size == 1]
        grid = ", ".join(filter(None, [" x ".join(several), *single])) or "one cell"
        horizons = "final step" if self.at is None else str(self.at)
        return f"{self.family.name}: {grid}; {', '.join(self.kinds)}; {horizons}"

    def __repr__(self) -> str:
        several = {"kinds": len(self.kinds), "horizons": self._horizons}
        cells = [
            _many(self.kernels, "kernel"),
            *(f"{dim.size:,} free ({dim.name})" for dim in self.free_dims if dim.size > 1),
            *(f"{count} {what}" for what, count in several.items() if count > 1),
        ]
        blocks = _many(self.block_count, "block")
        if self.block_count > 1:
            blocks += f" of up to {_many(math.prod(self.block_shape), 'kernel')}"
        threads = _core.default_threads()
        seconds = _cost.kernel_seconds(self) * self.kernels / threads
        work = f"about {_duration(seconds)} on {_many(threads, 'thread')}"
        size = _bytes(16 * math.prod(self.variable_shape))
        lines = [
            f"<Sweep of {self.family.name}: {_many(self.cells, 'cell')} = {' x '.join(cells)}",
            self._title.partition(": ")[2],
            f"{blocks}; result {size}; {work if self.device == 'cpu' else 'on a GPU'}",
        ]
        if self.part != (0, 1):
            index, count = self.part
            lines.append(f"shard {index} of {count}: {_many(len(self.blocks), 'block')}")
        return "\n  ".join(lines) + ">"


def make_plan(
    family: object,
    zips: Sequence[object],
    where: object,
    kind: Any,
    last_step: str,
    at: Any,
    block: int | None,
    device: Device,
    given: Mapping[str, Any],
) -> Plan:
    """Check what the user gave, and lay out the blocks."""
    source = Family.of(family)
    axes = parse(source, zips, given)
    kind_is_dim = is_sequence(kind)
    kinds = plain(tuple(kind)) if kind_is_dim else (kind,)
    check_names(last_step=last_step)
    for each in kinds:
        check_names(kind=each)
    if not kinds or len(set(kinds)) < len(kinds):
        raise ValueError(f"kind must be one bound or several different ones, got {kind!r}")
    _check_absolute(axes)
    free = _free(source, axes, kinds, last_step)
    is_free = [all(axis.name in free for axis in dim.axes) for dim in axes.dims]
    condition = None if where is None else _where.parse(where)
    plan = Plan(
        family=source,
        axes=axes,
        dims=tuple(dim for dim, out in zip(axes.dims, is_free, strict=True) if not out),
        free_dims=tuple(dim for dim, out in zip(axes.dims, is_free, strict=True) if out),
        free=free,
        kinds=kinds,
        kind_is_dim=kind_is_dim,
        last_step=last_step,
        at=None if at is None else At.of(at),
        where=condition,
        block_shape=(),
        identity={},
    )
    _check_where(plan)
    _check_horizons(plan)
    target = None if block is None else whole_number(block, "block")
    plan = dataclasses.replace(plan, block_shape=_cost.block_shape(plan, target))
    plan = dataclasses.replace(plan, identity=_identity_of(plan))
    plan = plan.on(device)
    _cells.check(plan)
    return plan


def _check_absolute(axes: Axes) -> None:
    for name, ratio in ABSOLUTE.items():
        if name not in axes.names:
            continue
        if ratio in axes.names:
            raise ValueError(f"give {name} or {ratio}, not both: {ratio} is {name} / gamma")
        if "gamma" not in axes.names:
            raise ValueError(
                f"{name} is an absolute learning rate and needs gamma, the peak; or give {ratio}, "
                "a ratio to the peak"
            )


def _free(family: Family, axes: Axes, kinds: Sequence[str], last_step: str) -> tuple[str, ...]:
    """Which scales distance and noise do not depend on."""
    bound = set(family.scales)
    if any(name in axes.names for name in ABSOLUTE):
        bound.add("gamma")
    if _cells.has_free_step(kinds, last_step):
        bound.update(SCALES if "gamma" in axes.names else ("gamma",))
    return tuple(name for name in SCALES if name not in bound)


def _check_where(plan: Plan) -> None:
    if plan.where is None:
        return
    known = {axis.name for dim in plan.dims for axis in dim.axes} | {*plan.axes.fixed}
    for name in plan.where.names:
        if name in known:
            continue
        if name in plan.axes.names:
            raise ValueError(
                f"where cannot use {name}: it costs nothing here, so no cell is left out by it; "
                f"select from the result, as in ds.cvx.omega().where(...)"
            )
        raise did_you_mean(name, sorted(known), "axis in where")


def _check_horizons(plan: Plan) -> None:
    steps = _cost.step_counts(plan)
    if plan.at is None or steps is None:
        return
    longest = int(np.max(steps))
    for each in plan.at.values:
        if isinstance(each, int) and each > longest:
            raise ValueError(f"at has step {each}, and no schedule has more than {longest} steps")


def _identity_of(plan: Plan) -> dict[str, Any]:
    of, family = _identity.identity_of, plan.family
    return {
        "format": FORMAT,
        "family": family.name if family.native else of(family.function),
        "axes": {axis.name: of(axis.values) for dim in plan.axes.dims for axis in dim.axes},
        "dims": [[dim.name, *(axis.name for axis in dim.axes)] for dim in plan.axes.dims],
        "fixed": of(plan.axes.fixed),
        "kind": list(plan.kinds) if plan.kind_is_dim else plan.kinds[0],
        "last_step": plan.last_step,
        "at": None if plan.at is None else of(plan.at.values if plan.at.is_dim else plan.at[0][0]),
        "where": None if plan.where is None else of(plan.where.source),
        "block": list(plan.block_shape),
    }


def _failed(failures: Mapping[int, str], total: int, dataset: xarray.Dataset) -> SweepError:
    first = [f"  block {block}: {message}" for block, message in sorted(failures.items())[:5]]
    more = f"\n  and {len(failures) - 5} more" * (len(failures) > 5)
    told = "\n".join(first)
    return SweepError(
        f"{len(failures)} of {counted(total, 'block')} failed, all others are done:\n{told}{more}",
        failures,
        dataset,
    )


def _length_attrs(name: str, values: NDArray[Any]) -> dict[str, str]:
    in_steps = values.dtype.kind == "i"
    return {"long_name": name, "units": "steps" if in_steps else "fraction of steps"}


def _many(count: int, what: str) -> str:
    """As `counted`, of numbers that may be large."""
    return f"{count:,} {what}{'s' * (count != 1)}"


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:  # which three digits do not round up to the next unit
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} TB" if count < 999.5 else f"{count:,.0f} TB"


def _duration(seconds: float) -> str:
    if seconds < 1:
        return f"{max(seconds, 0.01):.1g} s"
    for size, unit in ((60, "s"), (60, "min"), (24, "h")):
        if seconds < 2 * size:
            return f"{seconds:.0f} {unit}"
        seconds /= size
    return f"{seconds:,.0f} days"


def _xarray() -> Any:
    try:
        import xarray
    except ModuleNotFoundError:
        raise ImportError('a sweep needs xarray: pip install "cvxbound[sweep]"') from None
    from . import _accessor  # noqa: F401  # gives datasets their .cvx

    return xarray
