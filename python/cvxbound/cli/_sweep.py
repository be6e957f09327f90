"""What `cvxbound sweep` does: run a plan, and look into its store while and after that."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._messages import counted
from ..sweeps import SweepError
from ._inputs import UsageError
from ._options import SCALE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import xarray

    from .._names import Device
    from ..sweeps import Plan
    from ..sweeps._engine import Progress
    from ..sweeps._store import Status
    from ._options import ScaleOptions

_SELECT = re.compile(r"select from them: \.sel\((\w+)=.*\)")

ROWS = 20
"""How many of the best cells are shown where nothing else is asked for."""


@dataclass(frozen=True)
class Contents:
    """What a store holds at one moment."""

    store: str
    status: Status
    sizes: Mapping[str, int]
    fixed: Mapping[str, Any]  # parameters that are no axes
    attrs: Mapping[str, Any]

    @property
    def is_complete(self) -> bool:
        """Whether all blocks are done."""
        return self.status.done == self.status.total


@dataclass(frozen=True)
class BestCells:
    """The best cells of a sweep, in the order of its axes: the first of `count`."""

    sweep: Contents
    over: tuple[str, ...]  # the axes along which they are the best
    scale: ScaleOptions
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    count: int


@dataclass(frozen=True)
class SweepRun:
    """What a run of a plan did, and what its store has now."""

    seconds: float  # of the blocks, without making the store
    kernels: int
    failures: Mapping[int, str]  # of this run, by block
    best: BestCells

    @property
    def sweep(self) -> Contents:
        """The sweep after the run."""
        return self.best.sweep


def planned(path: Path, shard: str | None, device: Device) -> Plan:
    """The plan in a file, or a share of it."""
    from ..sweeps import read_plan

    part = None if shard is None else _part(shard)
    plan = read_plan(path).on(device)
    return plan if part is None else plan.shard(*part)


def _part(shard: str) -> tuple[int, int]:
    """The index and the count in i/n."""
    try:
        index, count = map(int, shard.split("/"))
    except ValueError:
        raise UsageError(f"--shard: expected i/n such as 0/4, got {shard!r}") from None
    if not 0 <= index < count:
        raise UsageError(
            f"--shard: shards count from 0: 0/n, 1/n, ... up to (n - 1)/n; got {shard!r}"
        )
    return index, count


@contextlib.contextmanager
def executor(scheduler: str | None) -> Iterator[Any]:
    """A client of a dask scheduler, given by its address or by its file; None without one."""
    if scheduler is None:
        yield None
        return
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise ImportError('--scheduler needs dask: pip install "cvxbound[sweep]"') from None
    with Client(_address(scheduler), set_as_default=False) as client:  # type: ignore[no-untyped-call]
        yield client


def _address(scheduler: str) -> str:
    """The address of a dask scheduler, checked: a client of one that is none never ends."""
    from distributed.comm.addressing import get_address_host

    address = scheduler if "://" in scheduler else _address_in(scheduler)
    try:
        get_address_host(address)
    except ValueError as error:
        raise UsageError(f"--scheduler: {scheduler} has no address of one: {error}") from None
    return address


def _address_in(file: str) -> str:
    """The address in the file of a scheduler."""
    if not Path(file).is_file():
        raise UsageError(
            "--scheduler: expected an address such as tcp://host:8786, or the file of a scheduler, "
            f"got {file!r}"
        )
    try:
        address = json.loads(Path(file).read_bytes())["address"]
    except (ValueError, TypeError, KeyError):
        address = None
    if not isinstance(address, str):
        raise ValueError(
            f'{file}: expected JSON with the "address" of a scheduler, as from '
            "`dask scheduler --scheduler-file`"
        )
    return address


def run(
    plan: Plan, store: str, engine: Any, threads: int | None, show: Callable[[Progress], None]
) -> SweepRun:
    """Compute what the store does not have; blocks that fail are reported, not raised."""
    _check_named(store)
    kernels, seconds = 0, 0.0

    def progress(event: Progress) -> None:
        nonlocal kernels, seconds
        kernels, seconds = event.kernels, event.seconds
        show(event)

    failures: Mapping[int, str] = {}
    try:
        plan.run(store, engine, progress=progress, nthreads=threads)
    except SweepError as error:
        if not error.failures:  # the engine broke down
            raise
        failures = error.failures
    return SweepRun(seconds, kernels, failures, best(store, None, ROWS, SCALE))


def status(store: str) -> Contents:
    """What a store holds at this moment."""
    return _look(store)[0]


def interrupted(store: str) -> str:
    """What to say after Ctrl-C."""
    try:
        found = status(store).status
    except (OSError, ValueError):
        return f"interrupted before anything was written to {store}"
    return (
        f"interrupted: {found.done} of {counted(found.total, 'block')} are done and kept in "
        f"{store}; run the same command again to go on"
    )


def best(store: str, over: str | None, rows: int, scale: ScaleOptions) -> BestCells:
    """The best cells along some axes, by default along all of them."""
    if rows < 1:
        raise UsageError(f"--rows: expected at least 1, got {rows}")
    sweep, data = _look(store)
    dims = None if over is None else [dim.strip() for dim in over.split(",")]
    with _shell_terms():
        found = data.cvx.best(dims, gamma=scale.gamma, D=scale.D, G=scale.G)
    columns = _columns(data, found)
    there = np.argwhere(found["omega"].notnull().values)
    cells = tuple(_row(found, columns, index) for index in there[:rows])
    chosen = tuple(dim for dim in sweep.sizes if dim not in found.sizes)
    return BestCells(sweep, chosen, scale, columns, cells, len(there))


@contextlib.contextmanager
def _shell_terms() -> Iterator[None]:
    """Let errors give the advice that helps in a shell."""
    try:
        yield
    except ValueError as error:
        told = str(error).replace("see tune()", "leave --gamma out")
        raise ValueError(_SELECT.sub(r"leave --\1 out", told)) from error


def _look(store: str) -> tuple[Contents, xarray.Dataset]:
    """Open a store; its status is never ahead of what is read of it afterwards."""
    from ..sweeps._store import Store

    _check_named(store)
    opened = Store.open(store)
    status, data = opened.status(), opened.dataset()
    sizes = {str(dim): size for dim, size in data.sizes.items()}
    fixed = {str(name): each.item() for name, each in data.coords.items() if not each.dims}
    return Contents(store, status, sizes, fixed, dict(data.attrs)), data


def _check_named(store: str) -> None:
    if not store:
        raise UsageError("the store: expected a folder or a URL, got an empty name")


def _columns(data: xarray.Dataset, found: xarray.Dataset) -> tuple[str, ...]:
    """The coordinates of all axes, in the order of the axes, and what was found."""
    columns = [
        *(str(name) for dim in data.sizes for name in data.coords if data[name].dims == (dim,)),
        *("gamma", "omega"),
    ]
    scalars = [name for name in found.coords if not found[name].dims]
    return tuple(name for name in dict.fromkeys(columns) if name not in scalars)


def _row(found: xarray.Dataset, columns: Sequence[str], index: Sequence[int]) -> tuple[Any, ...]:
    place = dict(zip(found["omega"].dims, index, strict=True))
    cell = found.isel(place)
    return tuple(cell[name].item() for name in columns)
