"""Run the blocks of a plan: here, in any pool of threads or processes, or on a dask cluster."""

from __future__ import annotations

import contextlib
import errno
import functools
import itertools
import logging
import math
import os
import pickle
import queue
import sys
import time
import uuid
from collections import Counter, deque
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import _device
from .._messages import counted
from ._errors import PlanMismatchError, SweepError
from ._store import Store, StoreError, StoreGoneError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from .._arrays import Float
    from ._plan import Plan
    from ._store import Target

__all__ = ["Progress", "run_blocks", "run_task"]

log = logging.getLogger("cvxbound")
log.addHandler(logging.NullHandler())

_QUEUED = 2  # blocks submitted for each worker
_UNKNOWN_WORKERS = 128  # of executors that do not tell how many they have


class Progress(NamedTuple):
    """How far a run is, after each block.

    Examples
    --------
    >>> event = Progress(done=30, total=100, failed=0, kernels=2000, seconds=4.0, before=10)
    >>> event.rate, event.eta
    (500.0, 14.0)
    """

    done: int
    """Blocks that are done, with those before this run."""
    total: int
    """Blocks of the plan, or of its shard."""
    failed: int
    """Blocks given up in this run."""
    kernels: int
    """Kernels computed in this run."""
    seconds: float
    """Since this run began."""
    before: int = 0
    """Blocks that were done before this run."""

    @property
    def rate(self) -> float:
        """Kernels a second in this run."""
        return self.kernels / self.seconds if self.seconds else math.nan

    @property
    def eta(self) -> float:
        """Seconds left, if blocks go on as they did in this run; NaN before the first one."""
        tried = self.done - self.before + self.failed
        left = self.total - self.done - self.failed
        return self.seconds * left / tried if tried else math.nan


class BlockError(Exception):
    """A block failed; with the type of the error in words, since not every error can travel."""


def run_task(
    plan: Plan, block: int, target: Target | None, nthreads: int | None
) -> dict[str, Float] | None:
    """Compute one block, and write it where there is a store.

    Parameters
    ----------
    plan : Plan
        What to compute.
    block : int
        Number of the block.
    target : str, path, Zarr store or None
        The store. A block that is done there already is not computed.
    nthreads : int or None
        Threads to compute with.

    Returns
    -------
    dict of str to ndarray, or None
        The arrays of `Plan.compute` where there is no store.

    Raises
    ------
    BlockError
        The block cannot be computed.
    StoreError
        The store cannot be opened, read or written.
    PlanMismatchError
        The store, seen from here, is of another plan or version of cvxbound.
    SweepError
        There is no GPU here, and the plan is for one.
    """
    store = None if target is None else _store_of(plan, target)
    if store is not None and store.is_done(block):
        log.debug("block %d was done already", block)
        return None
    _check_device(plan)
    begin = time.perf_counter()
    try:
        arrays = plan.compute(block, nthreads)
    except Exception as error:
        log.debug("block %d failed", block, exc_info=True)
        raise BlockError(f"{type(error).__name__}: {error}".removesuffix(": ")) from error
    computed = time.perf_counter()
    if store is None:
        return arrays
    store.write(block, arrays)
    times = computed - begin, time.perf_counter() - computed
    log.debug("block %d: computed in %.3g s, written in %.3g s", block, *times)
    return None


def _check_device(plan: Plan) -> None:
    """Where the device of a plan is missing, all blocks would fail, so the run ends."""
    missing = None if plan.device == "cpu" else _device.missing()
    if missing is not None:
        raise SweepError(f"device={plan.device!r}: {missing}")


def run_blocks(
    plan: Plan,
    blocks: Iterable[int],
    *,
    target: Target | None = None,
    executor: Any = None,
    nthreads: int | None = None,
    retries: int = 2,
    on_result: Callable[[int, dict[str, Float]], None] | None = None,
    on_failure: Callable[[int, str], None] | None = None,
    progress: Callable[[Progress], None] | bool | None = None,
) -> None:
    """Run blocks of a plan wherever they are to run.

    Parameters
    ----------
    plan : Plan
        What to compute.
    blocks : iterable of int
        The blocks to run, each once, in this order; of the plan's shard those that are not done.
    target : str, path or Zarr store, optional
        The store of the plan, which exists.
    executor : Executor or distributed.Client, optional
        Where to run; by default here, one block after the other.
    nthreads : int, optional
        Threads for each block; by default all processors, or 1 with an executor.
    retries : int, default 2
        How often a block that fails is tried again, after the others.
    on_result : callable, optional
        Takes a block and its arrays; needed where there is no store.
    on_failure : callable, optional
        Takes a block that is given up, and why, beginning with its coordinates.
    progress : callable or bool, optional
        Takes a `Progress` after each block; True shows a bar while a person looks.

    Raises
    ------
    OSError
        The store cannot be written: the message says how far the run is.
    SweepError
        The executor broke down, or there is no GPU for a plan that asks for one.
    TypeError
        `executor` or `progress` is something else, or the plan cannot be sent to other processes.

    Notes
    -----
    Ctrl-C, or any error raised here, cancels what has not begun; what is done stays done.
    """
    todo = [int(block) for block in blocks]
    if not todo:
        return
    store = None if target is None else Store.open(target, mode="r+")
    lane = _lane(executor, plan, None if store is None else store.location, nthreads)
    total = len(plan.blocks)
    event = Progress(total - len(todo), total, 0, 0, 0.0, total - len(todo))
    begin = time.perf_counter()
    try:
        with (
            _reporter(progress) as report,
            contextlib.closing(_outcomes(lane, todo, retries)) as outcomes,
        ):
            for block, outcome in outcomes:
                if isinstance(outcome, BlockError):
                    _give_up(plan, block, outcome, store, on_failure)
                    event = event._replace(failed=event.failed + 1)
                else:
                    _keep(block, outcome, store, on_result)
                    kernels = event.kernels + _kernels(plan, block)
                    event = event._replace(done=event.done + 1, kernels=kernels)
                    log.info("block %d is done, %d of %d", block, event.done, total)
                event = event._replace(seconds=time.perf_counter() - begin)
                report(event)
    except StoreError as error:
        raise _stopped(error, event) from error
    except BrokenExecutor as error:
        raise SweepError(
            f"a worker process died, killed or out of memory; {_so_far(event)}. Run again to go on "
            "where there is a store; fewer workers or smaller blocks take less memory"
        ) from error


def _keep(
    block: int,
    arrays: dict[str, Float] | None,
    store: Store | None,
    on_result: Callable[[int, dict[str, Float]], None] | None,
) -> None:
    """Put a block that came back where it belongs; others were written where they were computed."""
    if arrays is None:
        return
    if store is not None:
        store.write(block, arrays)
    elif on_result is not None:
        on_result(block, arrays)


def _give_up(
    plan: Plan,
    block: int,
    error: BlockError,
    store: Store | None,
    on_failure: Callable[[int, str], None] | None,
) -> None:
    message = f"{plan.where_is(block)}: {error}"
    log.warning("block %d failed: %s", block, message)
    if store is not None:
        store.fail(block, message)
    if on_failure is not None:
        on_failure(block, message)


def _kernels(plan: Plan, block: int) -> int:
    return math.prod(part.stop - part.start for part in plan.slices(block))


def _so_far(event: Progress) -> str:
    return f"{event.done} of {counted(event.total, 'block')} are done"


def _stopped(error: StoreError, event: Progress) -> OSError:
    """What a run that can no longer write says, with the class that belongs to the number."""
    if isinstance(error, StoreGoneError):
        reason = f"{error.strerror}; run again to make it anew"
    else:
        reason = (
            f"{error.strerror}; {_so_far(event)} and the store is intact: once this is mended, run "
            "again to go on"
        )
    return OSError(error.errno, reason, error.filename)


@contextlib.contextmanager
def _reporter(
    progress: Callable[[Progress], None] | bool | None,
) -> Iterator[Callable[[Progress], None]]:
    if progress is None or progress is False:
        yield lambda event: None
    elif progress is True:
        from .._progress import bar

        with bar() as show:
            yield show
    elif callable(progress):
        yield progress
    else:
        raise TypeError(f"progress must be a callable, True or None, got {progress!r}")


# --- where blocks run -----------------------------------------------------------------------------


class _Lane(NamedTuple):
    """A way to run blocks: submit one and get a future; how many at a time; cancel the rest."""

    submit: Callable[[int], Any]
    window: int
    end: Callable[[list[Any]], None]


def _outcomes(
    lane: _Lane, blocks: list[int], retries: int
) -> Generator[tuple[int, dict[str, Float] | BlockError | None]]:
    """Blocks as they come; those that fail only once they have been tried again."""
    waiting = deque(blocks)
    running: dict[int, Any] = {}
    finished: queue.SimpleQueue[int] = queue.SimpleQueue()
    tries: Counter[int] = Counter()
    try:
        while waiting or running:
            while waiting and len(running) < lane.window:
                block = waiting.popleft()
                running[block] = lane.submit(block)
                running[block].add_done_callback(lambda _, block=block: finished.put(block))
            block = finished.get()
            outcome = _outcome(running.pop(block))
            tries[block] += 1
            if isinstance(outcome, BlockError) and tries[block] <= retries:
                log.info("block %d failed and is tried again: %s", block, outcome)
                waiting.append(block)
            else:
                yield block, outcome
    finally:
        with contextlib.suppress(Exception):  # a lost cluster would hide why the run ends
            lane.end(list(running.values()))


def _outcome(future: Any) -> dict[str, Float] | BlockError | None:
    """The arrays of a block, None where they are written, or why it failed; else the run ends."""
    try:
        return future.result()  # type: ignore[no-any-return]
    except BlockError as error:
        return error
    except (StoreError, PlanMismatchError, SweepError, BrokenExecutor):
        raise
    except CancelledError as error:
        raise SweepError(
            "the executor cancelled a block: it was shut down, or the cluster is gone; what is "
            "done stays done, run again to go on"
        ) from error
    except Exception as error:  # of the executor: what a task itself raises is above
        return BlockError(f"{type(error).__name__}: {error}")


def _lane(executor: Any, plan: Plan, target: Target | None, nthreads: int | None) -> _Lane:
    """How blocks run with what the user gave."""
    if executor is None:
        return _Lane(lambda block: _here(plan, block, target, nthreads), 1, _cancel)
    threads = 1 if nthreads is None else nthreads
    if _is_client(executor):
        return _on_cluster(executor, plan, target, threads)
    if not isinstance(executor, Executor):
        raise TypeError(
            "executor must be a concurrent.futures.Executor, a dask.distributed.Client or None, "
            f"got {executor!r}"
        )
    in_process = isinstance(executor, ThreadPoolExecutor)
    task: Callable[..., Any] = run_task if in_process else _run_parcel
    sent = plan if in_process else _parcel(plan)
    workers = getattr(executor, "_max_workers", None) or _UNKNOWN_WORKERS
    return _Lane(
        lambda block: executor.submit(task, sent, block, target, threads),
        _QUEUED * workers,
        _cancel,
    )


def _here(plan: Plan, block: int, target: Target | None, nthreads: int | None) -> Future[Any]:
    """A block that is computed before anything else happens."""
    future: Future[Any] = Future()
    try:
        future.set_result(run_task(plan, block, target, nthreads))
    except Exception as error:
        future.set_exception(error)
    return future


def _cancel(futures: list[Any]) -> None:
    for future in futures:
        future.cancel()


def _is_client(executor: object) -> bool:
    """Whether it is a client of dask, which is imported where one exists."""
    distributed = sys.modules.get("distributed")
    return distributed is not None and isinstance(executor, distributed.Client)


def _on_cluster(client: Any, plan: Plan, target: Target | None, nthreads: int) -> _Lane:
    """Blocks as tasks of a dask cluster.

    The plan goes to the scheduler once, as a task of its own: workers fetch it from each other, and
    it is made anew where the last worker that held it died.
    """
    if client.asynchronous:
        raise TypeError("executor must be a synchronous dask client: Client(asynchronous=False)")
    name, run = f"cvxbound-{plan.hash[:8]}", uuid.uuid4().hex[:6]
    parcel = client.submit(_same, _parcel(plan), key=f"{name}-plan-{run}")
    tries = itertools.count()

    def submit(block: int) -> Any:
        # Each try has a key of its own: a key that failed is not run again while it is known.
        key = f"{name}-{block}-{run}.{next(tries)}"
        return client.submit(_run_parcel, parcel, block, target, nthreads, key=key, pure=False)

    return _Lane(submit, sys.maxsize, lambda rest: client.cancel([*rest, parcel]))


def _same(value: bytes) -> bytes:
    return value


# --- what travels ---------------------------------------------------------------------------------


def _parcel(plan: Plan) -> bytes:
    """The plan as it is sent to other processes, with functions that no module has."""
    try:
        from cloudpickle import dumps
    except ModuleNotFoundError:
        dumps = pickle.dumps
    try:
        parcel: bytes = dumps(plan)
    except Exception as error:
        raise TypeError(
            f"the plan cannot be sent to other processes: {type(error).__name__}: {error}; define "
            'its functions in a module, or install cloudpickle: pip install "cvxbound[sweep]"'
        ) from error
    return parcel


@functools.lru_cache(maxsize=4)
def _unpacked(parcel: bytes) -> Plan:
    return pickle.loads(parcel)  # type: ignore[no-any-return]


def _run_parcel(
    parcel: bytes, block: int, target: Target | None, nthreads: int
) -> dict[str, Float] | None:
    """`run_task` in another process."""
    try:
        plan = _unpacked(parcel)
    except Exception as error:
        raise SweepError(
            f"a worker cannot load the plan: {type(error).__name__}: {error}; what the plan uses "
            "must be importable there"
        ) from error
    return run_task(plan, block, target, nthreads)


def _store_of(plan: Plan, target: Target) -> Store:
    """The store as this process sees it."""
    try:
        if isinstance(target, str):
            store = _opened(target, plan.hash, os.getpid())
        else:
            store = Store.open(target, mode="r+")
    except (StoreError, PlanMismatchError):
        raise
    except (OSError, ValueError) as error:
        reason = f"a worker cannot open the store: {error}"
        raise StoreError(getattr(error, "errno", None) or errno.EIO, reason, str(target)) from error
    store.check(plan)
    return store


@functools.lru_cache(maxsize=8)
def _opened(target: str, digest: str, process: int) -> Store:
    """One store for the blocks of a plan in a process; a fork opens its own."""
    return Store.open(target, mode="r+")
