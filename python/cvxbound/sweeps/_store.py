"""Zarr v3 stores of sweeps: made in one go, filled block by block, read without loading.

A store is a group of ``distance`` and ``noise``, cut into chunks that are the blocks of the plan,
the coordinates, and two arrays with one chunk a block: ``done``, and ``error``, why a block failed.
A block is written before it is marked as done, and files are written whole or not at all, so that
a run may be killed at any moment. Who may write what needs no lock: no two blocks share a file.
Before anything is written, the store is looked at again: it may have been deleted or remade since.

What is not stored Zarr takes for zeros or NaN. So chunks are stored whatever is in them, and looked
for: a block without one is not done, and a store without all of its coordinates is damaged.
"""

from __future__ import annotations

import asyncio
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
from .._messages import counted
from ._errors import PlanMismatchError
from ._plan import VARIABLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import ModuleType

    import xarray
    import zarr
    import zarr.abc.store
    from numpy.typing import NDArray

    from ._plan import Plan

    Target = str | os.PathLike[str] | zarr.abc.store.Store

__all__ = ["FORMAT", "Status", "Store", "StoreError", "StoreGoneError"]

FORMAT = 1
"""Number of the layout; a store of another number is not opened."""

_MARKS = ("done", "error")
_FACTS = "cvxbound_sweep"  # the attribute of the group that makes it a store of a sweep
_LONGEST_ERROR = 2000


class StoreError(OSError):
    """A store cannot be read or written: a full disk, no permission, a lost connection."""


class StoreGoneError(StoreError):
    """A store that was opened is no longer there."""


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
        self._group = group
        self._writable = writable
        self._facts = _facts(place, group)
        self._arrays = _arrays(place, group, self._facts["blocks"])

    @classmethod
    def create(cls, target: Target, plan: Plan) -> Store:
        """Make the store of a plan, or open it where it exists.

        A local folder is built beside its place and renamed into it: nobody sees it half made, and
        of several processes that create it at once all get the same one. One that is killed then
        may leave ``.NAME.*.part`` beside it, which nobody reads: delete it once no process is at
        it. Other Zarr stores are written in place, last of all what makes them stores of a sweep.

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
            Something else is there, or the store is damaged; it is left as it is.
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
            store._check_coordinates()
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
        return np.setdiff1d(np.asarray(plan.blocks, np.int64), self._done())

    def is_done(self, block: int) -> bool:
        """Whether a block is marked as done and its chunks are there.

        Raises
        ------
        OSError
            The store cannot be read, or is gone.
        PlanMismatchError
            Another store is in its place by now.
        """
        self._check_place()
        with _access(self._place):
            keys = [self._key(name, block) for name in ("done", *VARIABLES)]
            return _exist(self._place.zarr, keys)

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
        PlanMismatchError
            Another store is in its place by now.
        """
        with self._writing():
            for name in VARIABLES:
                self._arrays[name].blocks[self._index(name, block)] = arrays[name]
        with self._writing():
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
        done = self._done()
        failed = np.setdiff1d(self._stored("error"), done)
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
            The coordinates are damaged; later, when it is used, one of the blocks is.
        """
        import xarray

        from . import _accessor  # noqa: F401  # gives datasets their .cvx
        from ._stored import with_stored

        self._check_coordinates()
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
        # As in memory: pandas and Matplotlib know strings as objects, and axes are in order.
        words = {name: words for name, words in data.coords.items() if words.dtype.kind == "T"}
        data = data.assign_coords({name: each.astype(object) for name, each in words.items()})
        data = data[[*self._facts["coords"], *VARIABLES]]
        return with_stored(data, {name: self._arrays[name] for name in VARIABLES}, self.name)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        if not self._writable:
            raise StoreError(errno.EROFS, "the store is open for reading only", self.name)
        self._check_place()
        try:
            with _access(self._place):
                yield
        except StoreError as error:
            if error.errno == errno.ENOENT:
                self._check_place()  # it may be gone since
            raise

    def _check_place(self) -> None:
        """Make sure that the store that was opened is still there, at the price of a small file."""
        with _access(self._place):
            text = _text(self._place, "zarr.json")
        if text is None:
            reason = "the store is gone, deleted or moved since it was opened"
            raise StoreGoneError(errno.ENOENT, reason, self.name)
        if self._facts["hash"].encode() not in text:
            raise PlanMismatchError(
                f"{self.name}: another store is here now, made since this one was opened; nothing "
                "is written to it. Give another place"
            )

    def _check_coordinates(self) -> None:
        for name in self._facts["coords"]:
            array = _array(self._place, self._group, name)
            with _reading(self._place, f"the store is damaged: {name!r} cannot be read"):
                array[...]
                there, total = array.nchunks_initialized, array.nchunks
            if there < total:
                raise ValueError(
                    f"{self.name}: the store is damaged: {name!r} has {there} of its "
                    f"{counted(total, 'chunk')}"
                )

    def _done(self) -> NDArray[np.int64]:
        """Blocks that are done: marks first, since chunks are there before them."""
        done = self._stored("done")
        for name in VARIABLES:
            done = np.intersect1d(done, self._stored(name))
        return done

    def _stored(self, name: str) -> NDArray[np.int64]:
        """Blocks that have their chunk of an array."""
        shape = self._arrays[name].cdata_shape
        steps = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
        with _access(self._place):
            keys = _keys(self._place, name)
        found = [key.split("/")[2:] for key in keys if key.startswith(f"{name}/c")]
        numbers = [
            sum(int(i) * step for i, step in zip(index, steps, strict=True))
            for index in found
            if len(index) == len(steps) and all(map(str.isdigit, index))
        ]
        return np.array(sorted(numbers), np.int64)

    def _index(self, name: str, block: int) -> tuple[Any, ...]:
        """The chunk of a block in an array."""
        return np.unravel_index(block, self._arrays[name].cdata_shape)

    def _key(self, name: str, block: int) -> str:
        """Where that chunk is stored."""
        return "/".join((name, "c", *map(str, self._index(name, block))))

    def _error(self, block: int) -> str:
        try:
            return str(self._arrays["error"][block])
        except Exception as error:  # what happened is lost, that it did is not
            return f"its message cannot be read: {type(error).__name__}"


class _Facts(TypedDict):
    """What a store says of itself: what it is for, and what belongs to it."""

    format: int
    version: str
    hash: str
    blocks: int
    coords: list[str]
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
            if not target:
                raise ValueError("a store is a path, a URL or a Zarr store object; got no name")
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
        if isinstance(target, storage.ZipStore):
            _open_archive(target)
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


def _open_archive(store: zarr.storage.ZipStore) -> None:
    """Open a zip file, which Zarr leaves to its first user; it can only be read."""
    from zarr.core.sync import sync

    if not store.read_only:
        raise ValueError(
            f"{store}: a sweep cannot be written to a zip file, in which nothing is replaced; run "
            "it into a folder and pack that, which can be read as ZipStore(path, mode='r')"
        )
    sync(store._ensure_open())


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
    compressors = [_zarr().codecs.ZstdCodec(level=0), _zarr().codecs.Crc32cCodec()]
    template.to_zarr(
        store,
        mode="w-",
        zarr_format=3,
        consolidated=False,
        write_empty_chunks=True,
        encoding={name: {"compressors": compressors} for name in template.coords},
    )
    group = _zarr().open_group(store, mode="r+", zarr_format=3, use_consolidated=False)
    for name in VARIABLES:
        group.create_array(
            name,
            shape=plan.variable_shape,
            chunks=plan.chunks,
            dtype="float64",
            fill_value=math.nan,
            compressors=compressors,
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
        "coords": [str(name) for name in template.coords],
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
    kinds = {"version": str, "hash": str, "blocks": int, "coords": list, "identity": dict}
    wrong = [name for name, kind in kinds.items() if not isinstance(facts.get(name), kind)]
    if wrong:
        raise ValueError(f"{place.name}: the store is damaged: it does not tell its {wrong[0]}")
    return facts  # type: ignore[return-value]


def _arrays(place: _Place, group: zarr.Group, blocks: int) -> dict[str, Any]:
    """The arrays that are written, each with a chunk a block."""
    arrays: dict[str, Any] = {}
    for name in (*VARIABLES, *_MARKS):
        found = _array(place, group, name)
        chunks = math.prod(found.cdata_shape)
        if chunks != blocks:
            raise ValueError(
                f"{place.name}: the store is damaged: {name!r} has {chunks} chunks for the "
                f"{blocks} blocks"
            )
        arrays[name] = _zarr().Array(
            _zarr().AsyncArray(found.metadata, found.store_path, {"write_empty_chunks": True})
        )
    return arrays


def _array(place: _Place, group: zarr.Group, name: str) -> Any:
    """An array that belongs to the store."""
    with _reading(place, f"the store is damaged: {name!r} cannot be read"):
        found = group.get(name)
    if found is None:
        raise ValueError(f"{place.name}: the store is damaged: {name}/zarr.json is missing")
    return found


def _text(place: _Place, key: str) -> bytes | None:
    """A small file, as it is now; None where it is not."""
    if place.folder is None:
        return _got(place.zarr, key)
    try:
        return (place.folder / key).read_bytes()  # faster than through Zarr
    except FileNotFoundError:
        return None


def _got(store: zarr.abc.store.Store, key: str) -> bytes | None:
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    found = sync(store.get(key, default_buffer_prototype()))
    return None if found is None else found.to_bytes()


def _keys(place: _Place, name: str) -> list[str]:
    """Keys of what an array has stored, as they are now."""
    if place.folder is None:
        return _listed(place.zarr, f"{name}/", deep=True)
    keys = []
    for folder, _, files in os.walk(place.folder / name):  # unlike Zarr, without a stat of each
        inside = Path(folder).relative_to(place.folder).as_posix()
        keys += [f"{inside}/{file}" for file in files]
    return keys


def _listed(store: zarr.abc.store.Store, prefix: str, *, deep: bool = False) -> list[str]:
    """Names right below a prefix, or the keys of all that is below it, as they are now."""
    from zarr.core.sync import sync

    async def listed() -> list[str]:
        listing = store.list_prefix if deep else store.list_dir
        return [key async for key in listing(prefix)]

    _forget(store)
    return sync(listed())


def _exist(store: zarr.abc.store.Store, keys: Sequence[str]) -> bool:
    """Whether all of these are stored now."""
    from zarr.core.sync import sync

    async def exist() -> bool:
        return all(await asyncio.gather(*map(store.exists, keys)))

    _forget(store)
    return sync(exist())


def _forget(store: zarr.abc.store.Store) -> None:
    """Drop what fsspec knows of a remote store: other processes write too."""
    remote = getattr(store, "fs", None)
    if remote is not None:
        remote.invalidate_cache()


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
def _reading(place: _Place, what: str = "not a store of a sweep, or damaged") -> Iterator[None]:
    """ValueError for what cannot be read though the place can."""
    try:
        yield
    except FileNotFoundError:
        raise ValueError(f"{place.name}: not a store of a sweep") from None
    except (OSError, MemoryError):
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"{place.name}: {what}: {reason}") from error


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
    if changed := _changed(theirs, ours):
        return f" (the code of {', '.join(changed)} has changed, or what it holds)"
    there, here = _short(theirs), _short(ours)
    return f" ({there} there, {here} here)" if there != here else ""


def _changed(theirs: object, ours: object) -> list[str]:
    """Functions that are called the same and do something else."""
    there, here = dict(_functions(theirs)), dict(_functions(ours))
    return [name for name in there if name in here and there[name] != here[name]]


def _functions(part: object) -> Iterator[tuple[str, str]]:
    """The functions in a part of an identity, each with its digest."""
    if isinstance(part, dict):
        if "function" in part:
            yield part["function"], part["digest"]
        part = [*part.values()]
    for each in part if isinstance(part, list) else ():
        yield from _functions(each)


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
