"""Variables of a dataset that lie in a store: read when they are used, block by block."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from xarray.backends.zarr import ZarrArrayWrapper
from xarray.core import indexing

from ._axes import Axis, Dim

if TYPE_CHECKING:
    from collections.abc import Hashable

    import zarr

__all__ = ["with_stored"]


def with_stored(data: xr.Dataset, arrays: Mapping[str, zarr.Array[Any]], place: str) -> xr.Dataset:
    """A dataset whose variables are read from a store when they are used.

    Parameters
    ----------
    data : xarray.Dataset
        As xarray opens it.
    arrays : mapping of str to zarr.Array
        What to read its variables from instead: errors name the block that cannot be read.
    place : str
        Where the store is, for these errors.

    Returns
    -------
    xarray.Dataset
    """
    return data.assign({name: _read_late(data[name], arrays[name], place) for name in arrays})


def _read_late(variable: xr.DataArray, array: zarr.Array[Any], place: str) -> xr.Variable:
    dims = [_dim_of(variable, dim) for dim in variable.dims]
    lazy = indexing.LazilyIndexedArray(_Blocks(array, dims, place))
    # As xarray holds them: what is assigned never reaches the store, and `load` is kept.
    held: Any = indexing.CopyOnWriteArray(lazy)  # type: ignore[arg-type]
    held = indexing.MemoryCachedArray(held)  # type: ignore[no-untyped-call]
    return xr.Variable(variable.dims, held, variable.attrs, variable.encoding)


def _dim_of(variable: xr.DataArray, dim: Hashable) -> Dim:
    """A dimension as the plan knew it."""
    coords = [each for each in variable.coords.values() if each.dims == (dim,)]
    return Dim(str(dim), tuple(Axis(str(each.name), each.values) for each in coords))


class _Blocks(ZarrArrayWrapper):
    """A variable in a store, a chunk a block."""

    def __init__(self, array: zarr.Array[Any], dims: Sequence[Dim], place: str) -> None:
        super().__init__(array)  # type: ignore[no-untyped-call]
        self._dims, self._place = dims, place

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        with self._told(key):
            return super().__getitem__(key)  # type: ignore[no-untyped-call]

    async def async_getitem(self, key: indexing.ExplicitIndexer) -> Any:
        """The same for `load_async`."""
        with self._told(key):
            return await super().async_getitem(key)  # type: ignore[no-untyped-call]

    @contextlib.contextmanager
    def _told(self, key: indexing.ExplicitIndexer) -> Iterator[None]:
        """Name the block that cannot be decoded; an OSError tells itself what it is."""
        try:
            yield
        except (OSError, MemoryError):
            raise
        except Exception:
            for index in self._touched(key):
                self._check(index)
            raise

    def _touched(self, key: indexing.ExplicitIndexer) -> Iterator[tuple[int, ...]]:
        """Indices of the chunks that a selection may need."""
        axes = zip(key.tuple, self._array.shape, self._array.chunks, strict=True)
        chunks = (np.unique(np.arange(size)[part] // chunk) for part, size, chunk in axes)
        return itertools.product(*(each.tolist() for each in chunks))

    def _check(self, index: tuple[int, ...]) -> None:
        """Read one chunk, or say what to do about it."""
        array = self._array
        try:
            array.blocks[index]
        except (OSError, MemoryError):
            raise
        except Exception as error:
            block = np.arange(array.nchunks).reshape(array.cdata_shape)[index]
            file = "/".join((array.basename, "c", *map(str, index)))
            reason = f"{type(error).__name__}: {str(error).split('. ')[0]}"
            raise ValueError(
                f"{self._place}: block {block} ({self._where_is(index)}) is damaged: {file} cannot "
                f"be read ({reason}). Delete that file and run the plan again with this store, "
                "and this block is computed anew"
            ) from error

    def _where_is(self, index: tuple[int, ...]) -> str:
        """As `Plan.where_is`."""
        told = []
        for dim, i, size in zip(self._dims, index, self._array.chunks, strict=True):
            start, stop = i * size, min((i + 1) * size, dim.size)
            if stop - start < dim.size:
                told.append(dim.in_words(start, stop))
        return ", ".join(told) or "all cells"
