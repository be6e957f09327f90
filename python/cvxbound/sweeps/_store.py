"""Zarr v3 stores of sweeps: made in one go, filled block by block, read without loading.

A store is a group of ``distance`` and ``noise``, cut into chunks that are the blocks of the plan,
the coordinates, and two arrays with one chunk a block: ``done``, and ``error``, why a block failed.
A block is written before it is marked as done, and files are written whole or not at all, so that
a run may be killed at any moment. Who may write what needs no lock: no two blocks share a file.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict

import numpy as np

from .._core import __version__
from ._errors import PlanMismatchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import ModuleType

    import xarray
    import zarr
    import zarr.abc.store
    from numpy.typing import NDArray

    from ._plan import Plan

    Target = str | os.PathLike[str] | zarr.abc.store.Store

__all__ = ["FORMAT", "Status", "Store", "StoreError"]

FORMAT = 1
"""Number of the layout; a store of another number is not opened."""

VARIABLES = ("distance", "noise")
_MARKS = ("done", "error")
_FACTS = "cvxbound_sweep"  # the attribute of the group that makes it a store of a sweep
_LONGEST_ERROR = 2000


class StoreError(OSError):
    """A store cannot be read or written: a full disk, no permission, a lost connection."""


class Status(NamedTuple):
    """How far a sweep is; see `Store.status`."""

    total: int
    done: int
    failed: dict[int, str]
    hash: str
    version: str


class Store:
    """A store of a sweep that exists; `create` and `open` give these.

    Examples
    --------
    >>> import zarr
    >>> import cvxbound as cb
    >>> plan = cb.sweep("wsd", steps=[100, 200], cooldown=[0.1, 0.2, 0.5], block=2)
    >>> store = Store.create(zarr.storage.MemoryStore(), plan)
    >>> for block in store.pending(plan)[:2]:
    ...     store.write(block, plan.compute(block))
    >>> store.status().done, store.status().total
    (2, 4)
    """

    def __init__(self, place: _Place, group: zarr.Group, *, writable: bool) -> None:
        self._place = place
        self._writable = writable
        self._facts = _facts(place, group)
        self._arrays = _arrays(place, group, self._facts["blocks"])

    @classmethod
    def create(cls, target: Target, plan: Plan) -> Store:
        """Make the store of a plan, or open it where it exists.

        A local folder is built beside its place and renamed into it: nobody sees it half made, and
        of several processes that create it at once all get the same one. Other Zarr stores are
        written in place, last of all what makes them stores of a sweep.

        Parameters
        ----------
        target : str, path or Zarr store
            Where: a path, an fsspec URL (``s3://...``) or any Zarr store object.
        plan : Plan
            What the store is for.

        Returns
        -------
        Store

        Raises
        ------
        FileExistsError
            Something else is there; it is left as it is.
        FileNotFoundError
            The folder to make it in does not exist.
        PlanMismatchError
            The store there is of another plan or version.
        OSError
            It cannot be made.
        """
        place = _Place.of(target)
        if not place.is_taken():
            _make(place, plan)
        try:
            store = cls.open(target, mode="r+")
        except PlanMismatchError:
            raise
        except ValueError as error:
            reason = str(error).removeprefix(f"{place.name}: ")
            reason += "; nothing was changed, give another place"
            raise FileExistsError(errno.EEXIST, reason, place.name) from error
        store.check(plan)
        return store

    @classmethod
    def open(cls, target: Target, *, mode: Literal["r", "r+"] = "r") -> Store:
        """Open a store that exists.

        Parameters
        ----------
        target : str, path or Zarr store
            As for `create`.
        mode : {"r", "r+"}, default "r"
            Whether it is only read.

        Returns
        -------
        Store

        Raises
        ------
        FileNotFoundError
            Nothing is there.
        PlanMismatchError
            It has the format of another version.
        ValueError
            What is there is no store of a sweep, or it is damaged.
        """
        place = _Place.of(target, read_only=mode == "r")
        if not place.is_taken():
            raise FileNotFoundError(errno.ENOENT, "no store of a sweep is here", place.name)
        if place.folder is not None and not place.folder.is_dir():
            raise ValueError(f"{place.name}: not a store of a sweep, but a file")
        way: Literal["r", "r+"] = "r" if place.zarr.read_only else "r+"
        with _reading(place):
            group = _zarr().open_group(place.zarr, mode=way, zarr_format=3, use_consolidated=False)
        return cls(place, group, writable=way == mode == "r+")

    @property
    def name(self) -> str:
        """Where it is, for messages."""
        return self._place.name

    @property
    def location(self) -> Target | None:
        """What other processes can open it by; None where only this one can write it."""
        return self._place.location if self._writable else None

    def check(self, plan: Plan) -> None:
        """Make sure that the store is of this plan and this version of cvxbound.

        Raises
        ------
        PlanMismatchError
            It is not; the message says what differs and what to do.
        """
        if self._facts["version"] != __version__:
            raise PlanMismatchError(
                f"{self.name}: this store was begun with cvxbound {self._facts['version']}, and "
                f"this is {__version__}, whose last digits may differ; go on with that version, "
                "or give another place"
            )
        if self._facts["hash"] != plan.hash:
            what = "; ".join(_differences(self._facts["identity"], plan.identity))
            raise PlanMismatchError(
                f"{self.name}: this store holds another plan: {what or 'its hash differs'}. "
                "Give another place, or delete the store"
            )

    def pending(self, plan: Plan) -> NDArray[np.int64]:
        """Blocks of the plan's shard that are not done, in order."""
        return np.setdiff1d(np.asarray(plan.blocks, np.int64), self._marked("done"))

    def is_done(self, block: int) -> bool:
        """Whether a block is done."""
        with _access(self._place):
            return bool(self._arrays["done"][block])

    def write(self, block: int, arrays: Mapping[str, NDArray[np.float64]]) -> None:
        """Write a block, then mark it as done.

        Parameters
        ----------
        block : int
            Its number, which is that of its chunk in C order.
        arrays : mapping of str to ndarray
            ``distance`` and ``noise``, as `Plan.compute` returns them.

        Raises
        ------
        OSError
            It cannot be written. The block is then not done, and no other has changed.
        """
        with self._writing():
            for name in VARIABLES:
                array = self._arrays[name]
                array.blocks[np.unravel_index(block, array.cdata_shape)] = arrays[name]
            self._arrays["done"][block] = True

    def fail(self, block: int, message: str) -> None:
        """Record why a block failed; it counts until the block is done."""
        with self._writing():
            self._arrays["error"][block] = message[:_LONGEST_ERROR]

    def status(self) -> Status:
        """How many blocks there are, how many are done, and which failed.

        Returns
        -------
        Status
            ``total`` and ``done`` count blocks, ``failed`` maps the numbers of blocks to errors,
            ``hash`` and ``version`` are those of the plan and of the cvxbound that began it.

        Notes
        -----
        Lists the store and reads the errors, whatever the size of the sweep.
        """
        done = self._marked("done")
        failed = np.setdiff1d(self._marked("error"), done)
        errors = {int(block): self._error(int(block)) for block in failed}
        facts = self._facts
        return Status(facts["blocks"], len(done), errors, facts["hash"], facts["version"])

    def dataset(self) -> xarray.Dataset:
        """All of the sweep, read when it is used; NaN where blocks are not done.

        Returns
        -------
        xarray.Dataset
            ``distance`` and ``noise`` with their coordinates. Works without dask; ``.chunk({})``
            makes dask arrays of it, a chunk a block.

        Raises
        ------
        ValueError
            The coordinates are damaged.
        """
        import xarray

        from . import _accessor  # noqa: F401  # gives datasets their .cvx

        with _reading(self._place):
            data: xarray.Dataset = xarray.open_zarr(
                self._place.zarr,
                consolidated=False,
                zarr_format=3,
                chunks=None,
                decode_times=False,
                drop_variables=_MARKS,
            )
        del data.attrs[_FACTS]
        # As in memory: pandas and Matplotlib know strings as objects.
        words = {name: words for name, words in data.coords.items() if words.dtype.kind == "T"}
        return data.assign_coords({name: each.astype(object) for name, each in words.items()})

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        if not self._writable:
            raise StoreError(errno.EROFS, "the store is open for reading only", self.name)
        with _access(self._place):
            yield

    def _marked(self, name: str) -> NDArray[np.int64]:
        """Blocks that are marked: a chunk of nothing but its fill value is not stored."""
        with _access(self._place):
            keys = _listed(self._place.zarr, f"{name}/c")
        return np.array(sorted(int(key) for key in keys if key.isdigit()), np.int64)

    def _error(self, block: int) -> str:
        try:
            return str(self._arrays["error"][block])
        except Exception as error:  # what happened is lost, that it did is not
            return f"its message cannot be read: {type(error).__name__}"


class _Facts(TypedDict):
    """What identifies a store, beside its coordinates."""

    format: int
    version: str
    hash: str
    blocks: int
    identity: dict[str, Any]


class _Place(NamedTuple):
    """Where a store is or will be."""

    zarr: zarr.abc.store.Store
    name: str
    folder: Path | None
    location: Target | None

    @classmethod
    def of(cls, target: Target, *, read_only: bool = False) -> _Place:
        """What the user named."""
        storage = _zarr().storage
        if isinstance(target, str):
            target = target.removeprefix("file://")
        if isinstance(target, str) and "://" in target:
            return cls(
                storage.FsspecStore.from_url(target, read_only=read_only), target, None, target
            )
        if isinstance(target, storage.LocalStore):
            read_only = read_only or target.read_only
            target = target.root
        if isinstance(target, str | os.PathLike):
            # Workers may run in other folders, and a rename would replace a link.
            folder = Path(target).resolve()
            local = storage.LocalStore(folder, read_only=read_only)
            return cls(local, os.fspath(target), folder, str(folder))
        if isinstance(target, _zarr().abc.store.Store):
            shared = isinstance(target, (storage.FsspecStore, storage.ObjectStore))
            return cls(target, str(target), None, target if shared else None)
        raise TypeError(f"a store is a path, a URL or a Zarr store object; got {target!r}")

    def is_taken(self) -> bool:
        """Whether anything is there."""
        if self.folder is not None:
            return self.folder.exists()
        with _access(self):
            return bool(_listed(self.zarr, ""))


def _make(place: _Place, plan: Plan) -> None:
    """Write the store of a plan where nothing is."""
    if place.folder is not None and not place.folder.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no folder to make the store in", place.name)
    try:
        with _access(place):
            if place.folder is None:
                _make_in_place(place.zarr, plan)
            else:
                _make_aside(place.folder, plan)
    except StoreError as error:
        reason = f"the store cannot be made: {error.strerror}"
        raise OSError(error.errno, reason, place.name) from error


def _make_aside(folder: Path, plan: Plan) -> None:
    part = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.part")
    try:
        _fill(_zarr().storage.LocalStore(part), plan)
        part.rename(folder)
    except OSError:
        if not folder.exists():  # else another process was faster
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _make_in_place(store: zarr.abc.store.Store, plan: Plan) -> None:
    """Copy what was made in memory, the group last; several writers of it write the same."""
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    made = _zarr().storage.MemoryStore()
    _fill(made, plan)

    async def copy() -> None:
        keys = [key async for key in made.list()]
        for key in sorted(keys, key=lambda key: key == "zarr.json"):
            value = await made.get(key, default_buffer_prototype())
            await store.set_if_not_exists(key, value)

    sync(copy())


def _fill(store: zarr.abc.store.Store, plan: Plan) -> None:
    """Write everything but the blocks."""
    template = plan.template()
    # Strings of fixed length have no place in the specification of Zarr v3.
    words = {name: words for name, words in template.coords.items() if words.dtype.kind == "U"}
    template = template.assign_coords({name: each.astype(object) for name, each in words.items()})
    template.to_zarr(store, mode="w-", zarr_format=3, consolidated=False)
    group = _zarr().open_group(store, mode="r+", zarr_format=3, use_consolidated=False)
    for name in VARIABLES:
        group.create_array(
            name,
            shape=plan.variable_shape,
            chunks=plan.chunks,
            dtype="float64",
            fill_value=math.nan,
            dimension_names=plan.variable_dims,
            attributes=dict(plan.variable_attrs[name]),
        )
    for name, kind in zip(_MARKS, (bool, str), strict=True):
        group.create_array(
            name,
            shape=(plan.block_count,),
            chunks=(1,),
            dtype=kind,
            compressors=None,
            dimension_names=["block"],
        )
    facts: _Facts = {
        "format": FORMAT,
        "version": __version__,
        "hash": plan.hash,
        "blocks": plan.block_count,
        "identity": plan.identity,
    }
    group.attrs[_FACTS] = facts


def _facts(place: _Place, group: zarr.Group) -> _Facts:
    """What the group says of itself."""
    facts: Any = group.attrs.get(_FACTS)
    if not isinstance(facts, dict):
        raise ValueError(f"{place.name}: not a store of a sweep")
    if facts.get("format") != FORMAT:
        raise PlanMismatchError(
            f"{place.name}: this store has format {facts.get('format')}, of cvxbound "
            f"{facts.get('version')}, and cvxbound {__version__} reads format {FORMAT}; use that "
            "version, or give another place"
        )
    kinds = {"version": str, "hash": str, "blocks": int, "identity": dict}
    wrong = [name for name, kind in kinds.items() if not isinstance(facts.get(name), kind)]
    if wrong:
        raise ValueError(f"{place.name}: the store is damaged: it does not tell its {wrong[0]}")
    return facts  # type: ignore[return-value]


def _arrays(place: _Place, group: zarr.Group, blocks: int) -> dict[str, Any]:
    """The arrays that are written, each with a chunk a block."""
    arrays: dict[str, Any] = {}
    for name in (*VARIABLES, *_MARKS):
        with _reading(place):
            arrays[name] = group[name]
        chunks = math.prod(arrays[name].cdata_shape)
        if chunks != blocks:
            raise ValueError(
                f"{place.name}: the store is damaged: {name!r} has {chunks} chunks for the "
                f"{blocks} blocks"
            )
    return arrays


def _listed(store: zarr.abc.store.Store, prefix: str) -> list[str]:
    """Names below a prefix, as they are now."""
    from zarr.core.sync import sync

    remote = getattr(store, "fs", None)
    if remote is not None:
        remote.invalidate_cache()  # other processes write too

    async def listed() -> list[str]:
        return [key async for key in store.list_dir(prefix)]

    return sync(listed())


@contextlib.contextmanager
def _access(place: _Place) -> Iterator[None]:
    """Whatever a store raises, as StoreError: libraries of remote ones have their own classes."""
    try:
        yield
    except (StoreError, MemoryError):
        raise
    except OSError as error:
        number = error.errno or errno.EIO
        raise StoreError(number, error.strerror or str(error), place.name) from error
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise StoreError(errno.EIO, reason, place.name) from error


@contextlib.contextmanager
def _reading(place: _Place) -> Iterator[None]:
    """ValueError for what cannot be read though the place can."""
    try:
        yield
    except FileNotFoundError:
        raise ValueError(f"{place.name}: not a store of a sweep") from None
    except (OSError, MemoryError):
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"{place.name}: not a store of a sweep, or damaged: {reason}") from error


def _differences(theirs: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    """Where two identities differ, in words."""
    there, here = theirs.get("axes", {}), ours.get("axes", {})
    told = [f"axis {name!r} is in the store only" for name in there if name not in here]
    told += [f"axis {name!r} is in the plan only" for name in here if name not in there]
    for name in there:
        if name in here and there[name] != here[name]:
            told.append(f"axis {name!r} has other values{_both(there[name], here[name])}")
    follow = ("axes", "dims", "block") if told else ("axes",)  # that is seen in the axes
    for name in dict.fromkeys((*theirs, *ours)):
        if name not in follow and theirs.get(name) != ours.get(name):
            told.append(f"{name} differs{_both(theirs.get(name), ours.get(name))}")
    return told


def _both(theirs: object, ours: object) -> str:
    there, here = _short(theirs), _short(ours)
    return f" ({there} there, {here} here)" if there != here else ""


def _short(value: object) -> str:
    """A part of an identity, as far as a line has room for it."""
    if isinstance(value, dict):
        value = value.get("values", value)
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:50]}...{text[-25:]}"


def _zarr() -> ModuleType:
    try:
        import zarr.abc.store
        import zarr.storage
    except ModuleNotFoundError:
        raise ImportError('a store needs Zarr and xarray: pip install "cvxbound[sweep]"') from None
    return zarr
