"""What follows from the two terms of each kernel: ``.cvx`` of a dataset."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from .._arrays import Float, positive_array
from .._messages import did_you_mean
from ._axes import SCALES

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["SweepAccessor"]

_MOST_READ = 2**20  # kernels that `best` reads at a time, if a block is not larger
_MOST_HELD = 2**17  # cells that it evaluates at a time


@xr.register_dataset_accessor("cvx")  # type: ignore[no-untyped-call]
class SweepAccessor:
    """What follows from the result of a sweep at no cost: ``.cvx`` of a dataset.

    ``distance`` and ``noise`` of a kernel are at D = G = 1, where the bound is

        omega = D^2 distance / gamma + G^2 gamma noise.

    Datasets have it once `Plan.run` or `open_sweep` was called; where one comes from elsewhere, as
    from ``xarray.open_dataset``, ``from cvxbound.sweeps import SweepAccessor`` gives it to them.

    Parameters
    ----------
    data : xarray.Dataset
        The result of a sweep, or a selection of it.

    Raises
    ------
    ValueError
        By every method, where `data` has no ``distance`` and ``noise``.

    Examples
    --------
    >>> import cvxbound as cb
    >>> result = cb.sweep("linear", steps=[100, 400]).run()
    >>> result.cvx.tune().omega.round(4).values
    array([0.2036, 0.1006])
    """

    def __init__(self, data: xr.Dataset) -> None:
        self._data = data

    def omega(
        self,
        gamma: ArrayLike | xr.DataArray | None = None,
        D: ArrayLike | xr.DataArray | None = None,
        G: ArrayLike | xr.DataArray | None = None,
    ) -> xr.DataArray:
        """The bound of each cell.

        Parameters
        ----------
        gamma, D, G : array_like or DataArray, optional
            Base learning rate, distance and gradient norm: one value, or several for a dimension of
            that name. By default the coordinates of these names; else D = G = 1.

        Returns
        -------
        xarray.DataArray
            The dimensions of ``distance``, then those of the scales. Lazy where the dataset holds
            dask arrays; else all cells are held, so select before.

        Raises
        ------
        ValueError
            gamma is missing, or one of the three is given that the sweep was computed at.

        Examples
        --------
        >>> import cvxbound as cb
        >>> result = cb.sweep("wsd", steps=[400, 800], gamma=[0.0254, 0.1]).run()
        >>> result.cvx.omega().round(4).values
        array([[0.1093, 0.2293],
               [0.0814, 0.22  ]])
        >>> float(result.sel(steps=400).cvx.omega(gamma=0.0254).round(4))
        0.1093
        """
        terms = self._terms(gamma, D, G)
        if terms.gamma is None:
            raise ValueError(self._without_gamma())
        weight = terms.gamma * terms.G / terms.D
        with np.errstate(over="ignore"):
            omega = (terms.distance / weight + weight * terms.noise) * (terms.D * terms.G)
        omega = omega.transpose(*terms.dims).rename("omega")
        omega.attrs = self._omega_attrs(terms)
        return omega

    def tune(
        self, D: ArrayLike | xr.DataArray | None = None, G: ArrayLike | xr.DataArray | None = None
    ) -> xr.Dataset:
        """The best base learning rate of each kernel, and the bound there.

        Parameters
        ----------
        D, G : array_like or DataArray, optional
            As for `omega`.

        Returns
        -------
        xarray.Dataset
            ``gamma`` and ``omega``, as from `cvxbound.tune`.

        Raises
        ------
        ValueError
            The sweep was computed at gammas: see ``best("gamma")``.

        Examples
        --------
        >>> import cvxbound as cb
        >>> tuned = cb.sweep("cosine", steps=400).run().cvx.tune()
        >>> round(float(tuned.gamma), 4), round(float(tuned.omega), 4)
        (0.0482, 0.1034)
        """
        data = self._checked()
        if "gamma" in data.coords and "gamma" not in self._free:
            raise ValueError(
                "the schedules or their best last steps depend on gamma, so the sweep was computed "
                'at gammas; best("gamma") finds the best of them'
            )
        terms = self._terms(None, D, G, tuned=True)
        root, other = _sqrt(terms.distance), _sqrt(terms.noise)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            gamma = root / other * (terms.D / terms.G)
            omega = 2 * (root * other) * (terms.D * terms.G)
        # As in `cvxbound.tune`: what an infinite term leaves of a product is infinite.
        unknown = terms.distance.isnull() | terms.noise.isnull()
        gamma = gamma.where(gamma.notnull() | unknown, np.inf).transpose(*terms.dims)
        omega = omega.where(omega.notnull() | unknown, np.inf).transpose(*terms.dims)
        gamma.attrs = {"long_name": "best base learning rate"} | self._unit("D/G", terms)
        omega.attrs = self._omega_attrs(terms)
        return xr.Dataset({"gamma": gamma, "omega": omega}, attrs=data.attrs)

    def best(
        self,
        dim: str | Sequence[str] | None = None,
        *,
        gamma: ArrayLike | xr.DataArray | None = None,
        D: ArrayLike | xr.DataArray | None = None,
        G: ArrayLike | xr.DataArray | None = None,
    ) -> xr.Dataset:
        """The least bound over some dimensions, and where it is.

        Parameters
        ----------
        dim : str or sequence of str, optional
            The dimensions to look along; by default all but ``kind`` and ``horizon``.
        gamma, D, G : array_like or DataArray, optional
            As for `omega`. Where there is no gamma, each kernel is taken at its best one.

        Returns
        -------
        xarray.Dataset
            ``omega``; the coordinates of the best cell along each of the dimensions, by their
            names; and ``gamma``, where there is none in the sweep. Cells that are NaN are passed
            over, and an infinite bound is the best one only where all are; of equal ones the first
            counts. NaN where no cell is left.

        Raises
        ------
        TypeError
            `dim` is no name.
        ValueError
            There is no such dimension, or a dimension is empty.

        Notes
        -----
        Reads the kernels block by block, and never holds all cells: along free axes alone, it looks
        at two values of gamma a kernel and at one of D and of G, since the bound is convex in gamma
        and grows with D and G.

        Examples
        --------
        >>> import cvxbound as cb
        >>> import numpy as np
        >>> rates = np.geomspace(1e-3, 1, 1000)
        >>> plan = cb.sweep("wsd", steps=400, cooldown=[0.1, 0.2], gamma=rates)
        >>> best = plan.run().cvx.best()
        >>> float(best.cooldown), round(float(best.gamma), 3), round(float(best.omega), 4)
        (0.2, 0.025, 0.1093)
        """
        terms = self._terms(gamma, D, G)
        return _Search(terms, _reduced(dim, terms.dims)).result(self._omega_attrs(terms))

    # --- what the dataset holds -------------------------------------------------------------------

    def _checked(self) -> xr.Dataset:
        missing = {"distance", "noise"} - {*self._data.data_vars}
        if missing:
            raise ValueError(
                f"not the result of a sweep: it has no {' and no '.join(sorted(missing))}"
            )
        return self._data

    @property
    def _free(self) -> tuple[str, ...]:
        return tuple(self._data.attrs.get("free", " ".join(SCALES)).split())

    def _terms(self, gamma: Any, D: Any, G: Any, *, tuned: bool = False) -> _Terms:
        """Terms and scales, without gamma where it is to be tuned."""
        data = self._checked()
        if tuned:
            data = data.drop_vars("gamma", errors="ignore")
        for name, value in {"gamma": gamma, "D": D, "G": G}.items():
            if value is not None:
                if name not in self._free:
                    raise ValueError(self._not_free(name))
                data = _with_scale(data, name, value)
        # Looked up at the end: a coordinate carries those beside it along.
        one, scales = xr.DataArray(1.0), data.coords
        return _Terms(data, scales.get("gamma"), scales.get("D", one), scales.get("G", one))

    def _not_free(self, name: str) -> str:
        if name == "gamma" and name not in self._data.coords:
            return self._without_gamma()
        return (
            f"the sweep was computed at its own {name}, on which the schedules or their best last "
            f"steps depend; select from them: .sel({name}=..., method='nearest')"
        )

    def _without_gamma(self) -> str:
        if "gamma" in self._free:
            return "gamma is missing: give omega(gamma=...), or take the best one with tune()"
        return (
            "the last step is free and the sweep has no gamma, so its terms are those at the best "
            "gamma of each cell; see tune(), or give gamma to the sweep"
        )

    def _unit(self, unit: str, terms: _Terms) -> dict[str, str]:
        """The unit, where D and G are not numbers."""
        return {} if {"D", "G"} & {*terms.data.coords} else {"units": unit}

    def _omega_attrs(self, terms: _Terms) -> dict[str, str]:
        return {"long_name": "bound"} | self._unit("D G", terms)


class _Terms(NamedTuple):
    """A dataset, and the scales of its bounds."""

    data: xr.Dataset
    gamma: xr.DataArray | None
    D: xr.DataArray
    G: xr.DataArray

    @property
    def distance(self) -> xr.DataArray:
        """The first term."""
        return self.data["distance"]

    @property
    def noise(self) -> xr.DataArray:
        """The second term."""
        return self.data["noise"]

    @property
    def scales(self) -> dict[str, xr.DataArray]:
        """Those of gamma, D and G that there are."""
        known = {"gamma": self.gamma, "D": self.D, "G": self.G}
        return {name: value for name, value in known.items() if value is not None}

    @property
    def dims(self) -> tuple[Hashable, ...]:
        """Of the bound."""
        free = itertools.chain.from_iterable(scale.dims for scale in self.scales.values())
        return tuple(dict.fromkeys((*self.distance.dims, *free)))


def _with_scale(data: xr.Dataset, name: str, value: Any) -> xr.Dataset:
    """A dataset with other values of gamma, D or G."""
    data = data.drop_vars(name, errors="ignore")
    if not isinstance(value, xr.DataArray):
        array = positive_array(value, name)
        if array.ndim > 1:
            raise ValueError(
                f"{name} must be a number, an axis or a DataArray; got shape {array.shape}"
            )
        value = xr.DataArray(array, dims=(name,) * array.ndim)
    else:
        positive_array(value.values, name)
        value = value.reset_coords(drop=True) if name in value.coords else value
    if not value.size:
        raise ValueError(f"{name} is empty: expected at least one value")
    return data.assign_coords({name: value})


def _sqrt(values: xr.DataArray) -> xr.DataArray:
    return np.sqrt(values)  # type: ignore[return-value]  # which NumPy does not tell


def _reduced(dim: str | Sequence[str] | None, dims: tuple[Hashable, ...]) -> tuple[Hashable, ...]:
    if dim is None:
        return tuple(each for each in dims if each not in ("kind", "horizon"))
    if not isinstance(dim, Iterable):
        raise TypeError(f"dim must be the name of a dimension, or several; got {dim!r}")
    wanted = [dim] if isinstance(dim, str) else list(dim)
    for each in wanted:
        if each not in dims:
            raise did_you_mean(each, map(str, dims), "dimension")
    return tuple(each for each in dims if each in wanted)


# --- the best of many cells -----------------------------------------------------------------------


class _Search:
    """The least bound along some dimensions, found block by block."""

    def __init__(self, terms: _Terms, reduced: tuple[Hashable, ...]) -> None:
        self.terms, self.reduced = terms, reduced
        self.grid = terms.distance.dims
        self.scales = terms.scales
        self.sizes = {dim: self._size(dim) for dim in terms.dims}
        for dim, size in self.sizes.items():
            if not size:
                raise ValueError(f"dimension {dim!r} is empty, so there is no best cell")
        self.positions: dict[Hashable, int] = {}  # of what is best on its own
        self.rates: Float | None = None  # of gamma, in order, where two of them are enough
        self._settle()
        free = [dim for dim in terms.dims if dim not in self.grid]
        self.free = [dim for dim in free if dim not in self.positions and dim != self._rate_dim]
        self.dims = [*self.grid, *self.free]
        self.searched = [dim for dim in self.dims if dim in reduced]
        self.kept = [dim for dim in self.dims if dim not in reduced]
        shape = [self.sizes[dim] for dim in self.kept]
        self.omega = np.full(shape, np.nan)
        self.gamma = np.full(shape, np.nan)  # where there is none in the sweep
        self.found = {dim: np.full(shape, -1) for dim in (*self.searched, self._rate_dim) if dim}

    @property
    def _rate_dim(self) -> Hashable | None:
        return None if self.rates is None else self.terms.scales["gamma"].dims[0]

    def _size(self, dim: Hashable) -> int:
        owners = [self.terms.distance, *self.terms.scales.values()]
        return next(each.sizes[dim] for each in owners if dim in each.dims)

    def _settle(self) -> None:
        """Take scales out of the search that are alone on a dimension of their own."""
        for name, scale in self.terms.scales.items():
            others = [each.dims for key, each in self.terms.scales.items() if key != name]
            taken = {*self.grid, *itertools.chain.from_iterable(others)}
            if scale.ndim != 1 or scale.dims[0] in taken or scale.dims[0] not in self.reduced:
                continue
            if name == "gamma":
                self.order = np.argsort(scale.values, kind="stable")
                self.rates = scale.values[self.order].astype(float)
            else:
                place = int(scale.values.argmin())
                self.positions[scale.dims[0]] = place
                self.scales[name] = scale[place]

    def result(self, attrs: Mapping[str, str]) -> xr.Dataset:
        """Search, and lay out what was found."""
        for region, distance, noise in self._blocks():
            self._search(region, distance, noise)
        data, dims = self.terms.data, tuple(self.kept)
        variables: dict[Hashable, Any] = {"omega": (dims, self.omega, attrs)}
        gone = {*self.reduced}
        for dim in self.reduced:
            found = self.found.get(dim)
            if found is None:
                found = np.where(np.isnan(self.omega), -1, self.positions[dim])
            coords = {name: each for name, each in data.coords.items() if each.dims == (dim,)}
            for name, coord in coords.items():
                variables[name] = (dims, _taken(coord.values, found), coord.attrs)
            if not coords:
                variables[dim] = (dims, found)
        if self.terms.gamma is None:
            variables["gamma"] = (dims, self.gamma, {"long_name": "best base learning rate"})
        coords = {name: each for name, each in data.coords.items() if not gone & {*each.dims}}
        return xr.Dataset(variables, coords=coords, attrs=data.attrs)

    def _blocks(self) -> Iterator[tuple[tuple[slice, ...], Float, Float]]:
        """The terms, read by whole blocks and handed out in pieces."""
        distance, noise = self.terms.distance, self.terms.noise
        chunks = distance.encoding.get("preferred_chunks") or {}
        if distance.chunks:
            chunks = {dim: max(sizes) for dim, sizes in distance.chunksizes.items()}
        whole = tuple(chunks.get(dim, 1) for dim in self.grid)
        room = max(_MOST_HELD // math.prod(self.sizes[dim] for dim in self.free), 1)
        for outer in _tiles(distance.shape, whole, _MOST_READ):
            part = dict(zip(self.grid, outer, strict=True))
            read = distance.isel(part).values, noise.isel(part).values
            for inner in _tiles(read[0].shape, (1,) * len(outer), room):
                region = tuple(
                    slice(out.start + into.start, out.start + into.stop)
                    for out, into in zip(outer, inner, strict=True)
                )
                yield region, read[0][inner], read[1][inner]

    def _search(self, region: tuple[slice, ...], distance: Float, noise: Float) -> None:
        """Take the best of a piece."""
        where = dict(zip(self.grid, region, strict=True))
        extra = (None,) * len(self.free)
        a, b = distance[(..., *extra)], noise[(..., *extra)]
        scales = {name: self._aligned(each, where) for name, each in self.scales.items()}
        with np.errstate(all="ignore"):
            omega, gamma, rate = self._evaluate(a, b, scales)
        shape = [size for dim, size in zip(self.dims, omega.shape, strict=True) if dim in self.kept]
        axes = [self.dims.index(dim) for dim in (*self.kept, *self.searched)]

        def rows(x: NDArray[Any]) -> NDArray[Any]:
            return np.broadcast_to(x, omega.shape).transpose(axes).reshape(math.prod(shape), -1)

        values = rows(omega)
        place = _least(values)
        best = np.take_along_axis(values, place, 1)[:, 0].reshape(shape)
        kept: Any = (*(where.get(dim, slice(None)) for dim in self.kept), ...)
        better = (best < self.omega[kept]) | (np.isnan(self.omega[kept]) & ~np.isnan(best))
        np.copyto(self.omega[kept], best, where=better)
        inside = [omega.shape[self.dims.index(dim)] for dim in self.searched]
        indices = np.unravel_index(place[:, 0], inside) if inside else ()
        for dim, index in zip(self.searched, indices, strict=True):
            start = where[dim].start if dim in where else 0
            np.copyto(self.found[dim][kept], index.reshape(shape) + start, where=better)
        for target, source in ((self.gamma, gamma), (self.found.get(self._rate_dim), rate)):
            if source is not None and target is not None:
                picked = np.take_along_axis(rows(source), place, 1).reshape(shape)
                np.copyto(target[kept], picked, where=better)

    def _evaluate(
        self, a: Float, b: Float, scales: Mapping[str, Float]
    ) -> tuple[Float, Float | None, NDArray[np.int64] | None]:
        """The bound; the best gamma where there is none; which of the rates is best."""
        D, G = scales["D"], scales["G"]
        if self.rates is not None:
            best = np.sqrt(a / b) * (D / G)
            above = np.searchsorted(self.rates, best)
            last = self.rates.size - 1
            low, high = np.clip(above - 1, 0, last), np.clip(above, 0, last)
            at_low, at_high = (_omega(a, b, self.rates[i], D, G) for i in (low, high))
            return (
                np.where(at_high < at_low, at_high, at_low),
                None,
                self.order[np.where(at_high < at_low, high, low)],
            )
        if "gamma" in scales:
            return _omega(a, b, scales["gamma"], D, G), None, None
        root, other = np.sqrt(a), np.sqrt(b)
        omega, gamma = 2 * (root * other) * (D * G), root / other * (D / G)
        known = ~np.isnan(a)
        return (
            np.where(known & np.isnan(omega), np.inf, omega),
            np.where(known & np.isnan(gamma), np.inf, gamma),
            None,
        )

    def _aligned(self, scale: xr.DataArray, where: Mapping[Hashable, slice]) -> Float:
        """A scale in the dimensions of a piece."""
        part = scale.isel({dim: each for dim, each in where.items() if dim in scale.dims})
        order = [dim for dim in self.dims if dim in scale.dims]
        index = tuple(slice(None) if dim in order else None for dim in self.dims)
        aligned: Float = part.transpose(*order).values.astype(float)[index]
        return aligned


def _omega(a: Float, b: Float, gamma: Float, D: Float, G: Float) -> Float:
    weight = gamma * G / D
    return np.asarray((a / weight + weight * b) * (D * G))


def _least(values: Float) -> NDArray[np.int64]:
    """Where each row is least, (rows, 1): NaN never, infinity only where nothing else is left."""
    unknown = np.isnan(values)
    place: NDArray[np.int64] = np.where(unknown, np.inf, values).argmin(axis=1, keepdims=True)
    lost = np.flatnonzero(np.take_along_axis(unknown, place, 1))
    place[lost] = (~unknown[lost]).argmax(axis=1, keepdims=True)
    return place


def _taken(values: NDArray[Any], index: NDArray[np.int64]) -> NDArray[Any]:
    """Values by their indices, -1 for none."""
    missing = index < 0
    taken = np.asarray(values[index], values.dtype)
    if not missing.any():
        return taken
    taken = taken.astype(float if taken.dtype.kind in "iuf" else object)
    taken[missing] = np.nan
    return taken


def _tiles(shape: Sequence[int], whole: Sequence[int], room: int) -> Iterator[tuple[slice, ...]]:
    """Cut an array in C order into pieces of whole blocks, of about `room` entries."""
    tile = [min(block, size) for block, size in zip(whole, shape, strict=True)]
    for axis in reversed(range(len(shape))):
        if math.prod(tile) > room // 2:
            break
        tile[axis] = min(tile[axis] * (room // math.prod(tile)), shape[axis])
        if tile[axis] < shape[axis]:
            break
    starts = (range(0, size, step) for size, step in zip(shape, tile, strict=True))
    for corner in itertools.product(*starts):
        ends = zip(corner, tile, shape, strict=True)
        yield tuple(slice(start, min(start + step, size)) for start, step, size in ends)
