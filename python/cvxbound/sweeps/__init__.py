"""Sweeps of schedule families over grids of any size.

`sweep` makes a plan, `Plan.run` computes it, and ``.cvx`` of the result answers what costs nothing
once the two terms of each bound are known: the bound at any base learning rate, the best one, the
best cell.

>>> import cvxbound as cb
>>> plan = cb.sweep("wsd", steps=[400, 4000], cooldown=[0.1, 0.2, 0.4], shape=["linear", "1-sqrt"])
>>> best = plan.run().cvx.best(["cooldown", "shape"])
>>> best.cooldown.values, best["shape"].values
(array([0.4, 0.4]), array(['1-sqrt', '1-sqrt'], dtype=object))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._axes import Zip, coupled
from ._errors import PlanMismatchError, SweepError
from ._plan import Plan, make_plan
from ._planfile import read_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import xarray
    from numpy.typing import ArrayLike

    from .._names import Device, Kind, LastStep
    from ..schedules import Schedule
    from ._accessor import SweepAccessor

__all__ = [
    "Plan",
    "PlanMismatchError",
    "SweepAccessor",
    "SweepError",
    "open_sweep",
    "read_plan",
    "sweep",
    "zip",
]


def sweep(
    family: str | Callable[..., Schedule | ArrayLike],
    /,
    *zips: Zip,
    where: str | Callable[..., Any] | None = None,
    kind: Kind | Sequence[Kind] = "last",
    last_step: LastStep = "given",
    at: ArrayLike | None = None,
    block: int | None = None,
    device: Device = "cpu",
    **axes: Any,
) -> Plan:
    """Plan the bounds of a family of schedules over a grid of its parameters.

    Parameters
    ----------
    family : str or callable
        A built-in family, by its name or itself, or a function that takes parameters by name and
        returns a schedule: a `Schedule`, or an array of steps.
    *zips : Zip
        Axes that are coupled: see `zip`.
    where : str or callable, optional
        Which cells to compute; the others are NaN. An expression of parameters such as
        ``"cooldown + warmup <= 1"``, or a function that takes parameters by name, as arrays of one
        entry a cell, and returns booleans.
    kind : {"last", "tight", "average"} or a sequence of them, default "last"
        As for `bound`; a sequence adds a dimension ``kind``.
    last_step : {"given", "repeat", "free"}, default "given"
        As for `bound`.
    at : int, float or a sequence of them, optional
        Horizons: steps (int, from 1 on) or fractions of the run (float, in (0, 1]); NaN beyond the
        end of a schedule. A sequence adds a dimension ``horizon``. Default: the last step.
    block : int, optional
        Kernels in a block, at most; by default as many as take about half a second.
    device : {"cpu", "cuda"}, default "cpu"
        What computes the blocks, wherever they run: the processor, or the current GPU (built-in
        families only). It is no part of the plan's identity: see `Plan.on`.
    **axes
        The parameters of the family. A list, tuple, range or array of one axis is an axis of the
        grid and a dimension of the result; anything else is the same for all cells. `milestones`
        and `factors` are sequences themselves: there an axis is a list of sequences, and for
        `cycles` the last steps of all cycles are one value, ``cycles=[[0.5, 1.0]]``. Also

        - ``gamma``, ``D``, ``G``: as for `bound`. They cost nothing, and their axes take no
          memory, unless the schedule or the best last step depends on them;
        - ``final_lr``, ``warmup_start_lr``, of built-in families: absolute learning rates instead
          of ``final`` and ``warmup_start``, which are then ``final_lr / gamma`` and so on.

    Returns
    -------
    Plan
        To look at, and to run.

    Raises
    ------
    TypeError
        A parameter is unknown, missing or of the wrong type.
    ValueError
        An axis is empty, not finite, out of range, or has a value twice; a cell has no schedule
        (its coordinates), where the family is built-in and there are at most 200,000 kernels.

    Notes
    -----
    A kernel is one point of the grid without the free axes; a cell is a kernel with a kind, a
    horizon and values of the free axes. The cost is that of the kernels. For built-in families and
    the kinds `last` and `average` it grows as the logarithm of the number of steps, with a relative
    error below 1e-11, which is verified on a sample of every block.

    Where the last step is free (`tight`, or ``last_step="free"``) the two terms depend on gamma: if
    `gamma` is given, it and `D` and `G` are computed dimensions; if not, the terms are those at the
    best gamma of each cell.

    Examples
    --------
    >>> import cvxbound as cb
    >>> import numpy as np
    >>> plan = cb.sweep(
    ...     "wsd",
    ...     cb.zip(steps=[1_000, 10_000, 100_000], warmup=[100, 300, 1_000]),
    ...     cooldown=np.linspace(0.1, 0.9, 9),
    ...     gamma=np.geomspace(1e-4, 1, 1_000),
    ...     where="warmup + cooldown * steps <= steps",
    ... )
    >>> plan.dims[0].name, plan.shape, plan.cells
    ('steps_warmup', (3, 9), 27000)
    """
    return make_plan(family, zips, where, kind, last_step, at, block, device, axes)


def zip(dim: str | None = None, **axes: Any) -> Zip:  # noqa: A001  # as in Python, of axes
    """Couple axes: the first values together, the second ones, and so on.

    Parameters
    ----------
    dim : str, optional
        Name of the dimension they share; by default their names, joined by underscores.
    **axes
        Lists of equal length.

    Returns
    -------
    Zip
        For `sweep`.

    Raises
    ------
    TypeError, ValueError
        One of them is no list, or their lengths differ.

    Examples
    --------
    >>> import cvxbound as cb
    >>> runs = cb.zip("run", steps=[1_000, 10_000], warmup=[100, 300])
    >>> result = cb.sweep("wsd", runs, cooldown=[0.1, 0.2]).run()
    >>> dict(result.sizes), result.warmup.dims
    ({'run': 2, 'cooldown': 2}, ('run',))
    """
    return coupled(dim, axes)


def open_sweep(store: Any) -> xarray.Dataset:
    """Open what `Plan.run` has written to a store so far.

    Parameters
    ----------
    store : str, path or Zarr store
        Where it is.

    Returns
    -------
    xarray.Dataset
        As from `Plan.run`: NaN where blocks are not done, read when it is used.

    Raises
    ------
    FileNotFoundError
        Nothing is there.
    ValueError
        What is there is no store of a sweep, or damaged; `PlanMismatchError` where it has the
        format of another version.
    ImportError
        Without Zarr and xarray, the extra ``sweep``.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import cvxbound as cb
    >>> path = pathlib.Path(tempfile.mkdtemp(), "a.zarr")
    >>> _ = cb.sweep("linear", steps=[100, 200]).run(path)
    >>> cb.open_sweep(path).steps.values
    array([100, 200])
    """
    from ._store import Store

    return Store.open(store).dataset()


def __getattr__(name: str) -> Any:
    if name != "SweepAccessor":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._accessor import SweepAccessor  # imports xarray

    return SweepAccessor
