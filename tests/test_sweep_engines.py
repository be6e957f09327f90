"""Engines of sweeps: one result wherever blocks run, whatever fails on the way."""

import logging
import multiprocessing
import sys
import threading
import time
import types
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
import xarray as xr
from zarr.storage import MemoryStore

import cvxbound as cb
import sweep_families
from cvxbound.sweeps import SweepError
from cvxbound.sweeps._engine import Progress
from cvxbound.sweeps._store import Store

STEPS = [10, 20, 30, 40]
SLOPES = [0.25, 0.5, 1.0]


def plan(family=sweep_families.ramp, **options):
    """Four blocks, a number of steps each."""
    return cb.sweep(family, **({"steps": STEPS, "slope": SLOPES, "block": 3} | options))


@pytest.fixture(scope="module")
def processes():
    """Spawned: as on all systems, with nothing of this process in it."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.fixture
def threads():
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture(params=["here", "threads", "processes"])
def executor(request):
    return None if request.param == "here" else request.getfixturevalue(request.param)


@pytest.fixture(params=["memory", "path", "object"])
def target(request, tmp_path):
    """No store, one that workers can open, and one that they cannot."""
    return {"memory": None, "path": tmp_path / "a.zarr", "object": MemoryStore()}[request.param]


# --- the result -----------------------------------------------------------------------------------


def test_the_same_bits_wherever_blocks_run(executor, target):
    xr.testing.assert_identical(plan().run(target, executor).load(), plan().run())


def test_a_sweep_of_one_cell(executor):
    one = cb.sweep(sweep_families.ramp, steps=20, slope=0.5)
    xr.testing.assert_identical(one.run(MemoryStore(), executor).load(), one.run())


def test_functions_that_no_module_has(processes):
    """A notebook's: they travel by value."""
    exponent = 2

    def family(steps, slope):
        return sweep_families.ramp(steps, slope) ** exponent

    xr.testing.assert_identical(plan(family).run(executor=processes), plan(family).run())


def test_what_is_done_is_not_computed_again(executor, tmp_path):
    path, log = tmp_path / "a.zarr", tmp_path / "log"
    sweep = plan(sweep_families.logged, log=str(log), victim=2.0, flag="")
    sweep.shard(1, 2).run(path, executor)
    assert len(log.read_text().splitlines()) == 6
    sweep.run(path, executor)
    sweep.run(path, executor)
    lines = log.read_text().splitlines()
    assert len(lines) == len(set(lines)) == 12


def test_a_block_that_another_process_did_is_not_computed(tmp_path):
    """Two runs without shards: each looks before it computes."""
    path, log = tmp_path / "a.zarr", tmp_path / "log"
    sweep = plan(sweep_families.logged, log=str(log), victim=2.0, flag="")

    def other(event):
        if event.done == 1:
            Store.open(path, mode="r+").write(3, sweep.compute(3))

    assert sweep.run(path, progress=other).distance.notnull().all()
    assert len(log.read_text().splitlines()) == 12


@pytest.mark.parametrize("asked, here, there", [(None, None, 1), (3, 3, 3)])
def test_threads_of_a_task(monkeypatch, threads, asked, here, there):
    """All processors where one block runs at a time; else one each, unless asked for more."""
    sweep, found = plan(), []
    compute = type(sweep).compute

    def noted(self, block, nthreads=None):
        found.append(nthreads)
        return compute(self, block, nthreads)

    monkeypatch.setattr(type(sweep), "compute", noted)
    sweep.run(nthreads=asked)
    sweep.run(executor=threads, nthreads=asked)
    assert found == [here] * 4 + [there] * 4


# --- failures -------------------------------------------------------------------------------------


def test_a_block_that_fails_is_reported_and_the_rest_goes_on(executor, target, tmp_path):
    trouble = tmp_path / "trouble"
    trouble.touch()
    sweep = plan(
        sweep_families.broken, slope=[0.25, 0.5], block=1, bad=0.5, while_exists=str(trouble)
    )
    with pytest.raises(SweepError) as caught:
        sweep.run(target, executor)
    assert set(caught.value.failures) == {1, 3, 5, 7}
    assert "steps=20" in caught.value.failures[3]
    assert "no such luck" in caught.value.failures[3]
    found = caught.value.dataset.load()
    assert found.distance.isnull().values.tolist() == [[False, True]] * 4
    if target is not None:
        assert Store.open(target).status().failed == caught.value.failures
        trouble.unlink()
        assert sweep.run(target, executor).distance.notnull().all()
        assert Store.open(target).status().failed == {}


@pytest.mark.parametrize("retries, succeeds", [(0, False), (1, False), (2, True)])
def test_retries(executor, tmp_path, retries, succeeds):
    sweep = plan(sweep_families.flaky, steps=[10], bad=0.5, folder=str(tmp_path), times=2)
    if succeeds:
        assert sweep.run(executor=executor, retries=retries).distance.notnull().all()
    else:
        with pytest.raises(SweepError, match="not yet"):
            sweep.run(executor=executor, retries=retries)


def test_a_worker_that_dies(tmp_path):
    """The pool is lost, what is done is not."""
    path = tmp_path / "a.zarr"
    sweep = plan(
        sweep_families.logged, slope=[0.25, 0.5], block=1, log=str(tmp_path / "log"), victim=0.5,
        flag=str(tmp_path / "flag"),
    )  # fmt: skip
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(1, mp_context=context) as pool,
        pytest.raises(SweepError, match=r"a worker process died.*Run again to go on"),
    ):
        sweep.run(path, pool)
    assert 1 <= Store.open(path).status().done < 8
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        assert sweep.run(path, pool).distance.notnull().all()
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == len(set(lines)) == 8


LOCK = threading.Lock()


def test_a_plan_that_cannot_travel(processes):
    def family(steps, slope):
        with LOCK:
            return sweep_families.ramp(steps, slope)

    with pytest.raises(TypeError, match=r"the plan cannot be sent to other processes: .*lock"):
        plan(family).run(executor=processes)


def test_a_plan_that_does_not_arrive(processes, monkeypatch):
    ghost = types.ModuleType("ghost")
    exec("def family(steps, slope):\n    return [1.0] * steps", ghost.__dict__)
    monkeypatch.setitem(sys.modules, "ghost", ghost)
    with pytest.raises(SweepError, match=r"a worker cannot load the plan: .*'ghost'"):
        plan(ghost.family).run(executor=processes)


def test_a_store_that_workers_do_not_see(processes):
    """The memory of this process, by a URL."""
    with pytest.raises(OSError, match=r"a worker cannot open the store.*0 of 4 blocks are done"):
        plan().run("memory://only/here.zarr", processes)


def test_the_disk_of_a_worker_is_full(processes, tmp_path):
    path = tmp_path / "a.zarr"
    Store.create(path, plan())
    (path / "noise" / "c").write_text("no folder can be here")
    with pytest.raises(OSError, match=r"Not a directory; 0 of 4 blocks|File exists; 0 of 4 blocks"):
        plan().run(path, processes)


@pytest.mark.parametrize("wrong", ["threads", 3, ThreadPoolExecutor])
def test_an_executor_is_something_else(wrong):
    with pytest.raises(TypeError, match=r"executor must be a concurrent\.futures\.Executor"):
        plan().run(executor=wrong)


# --- Ctrl-C and windows ---------------------------------------------------------------------------


def test_ctrl_c(executor, tmp_path):
    path = tmp_path / "a.zarr"
    sweep = plan(sweep_families.interrupted, block=1, bad=0.5, flag=str(tmp_path / "flag"))
    with pytest.raises(KeyboardInterrupt):
        sweep.run(path, executor)
    assert Store.open(path).status().failed == {}
    np.testing.assert_array_equal(sweep.run(path, executor).noise, plan().run().noise)


def test_few_blocks_are_submitted_at_a_time():
    """So that results do not pile up, and little is to be cancelled."""

    class Pool(ThreadPoolExecutor):
        most = submitted = finished = 0

        def submit(self, function, *args):
            self.submitted += 1
            self.most = max(self.most, self.submitted - self.finished)
            return super().submit(function, *args)

    with Pool(2) as pool:

        def count(event):
            pool.finished = event.done

        plan(steps=range(10, 60)).run(executor=pool, progress=count)
    assert pool.submitted == 50
    assert pool.most <= 5


def test_an_error_cancels_what_has_not_begun(threads):
    def stop(event):
        raise RuntimeError("enough")

    sweep = plan(sweep_families.slow, steps=range(10, 60), delay=0.01)
    begin = time.perf_counter()
    with pytest.raises(RuntimeError, match="enough"):
        sweep.run(executor=threads, progress=stop)
    assert time.perf_counter() - begin < 1


# --- progress and logs ----------------------------------------------------------------------------


def test_progress(executor, tmp_path):
    path, events = tmp_path / "a.zarr", []
    plan().shard(3, 4).run(path)
    assert plan().run(path, executor, progress=events.append).distance.notnull().all()
    assert [event.done for event in events] == [2, 3, 4]
    assert [event.kernels for event in events] == [3, 6, 9]
    assert {(event.total, event.failed, event.before) for event in events} == {(4, 0, 1)}
    assert events[-1].eta == 0
    assert events[-1].rate == 9 / events[-1].seconds > 0


def test_progress_of_a_shard_and_of_failures(tmp_path):
    trouble, events = tmp_path / "trouble", []
    trouble.touch()
    sweep = plan(sweep_families.broken, block=1, bad=0.5, while_exists=str(trouble))
    with pytest.raises(SweepError):
        sweep.shard(0, 2).run(progress=events.append, retries=0)
    assert (events[-1].done, events[-1].failed, events[-1].total) == (4, 2, 6)


def test_time_left():
    """As long for each block as it took so far in this run, failures included."""
    event = Progress(done=52, total=100, failed=8, kernels=10, seconds=20.0, before=50)
    assert event.eta == 80.0
    assert np.isnan(Progress(50, 100, 0, 0, 0.0, 50).eta)


def test_no_bar_without_a_terminal(capsys):
    plan().run(progress=True)
    plan().run(progress=False)
    assert capsys.readouterr() == ("", "")


def test_progress_is_something_else():
    with pytest.raises(TypeError, match="progress must be a callable, True or None, got 'yes'"):
        plan().run(progress="yes")


def test_logs(caplog, tmp_path):
    trouble = tmp_path / "trouble"
    trouble.touch()
    sweep = plan(sweep_families.broken, steps=[20], block=1, bad=0.5, while_exists=str(trouble))
    with caplog.at_level(logging.INFO, "cvxbound"), pytest.raises(SweepError):
        sweep.run(retries=1)
    said = [(record.levelname, record.message.split(":")[0]) for record in caplog.records]
    assert said[0] == ("INFO", "block 0 is done, 1 of 3")
    assert ("INFO", "block 1 failed and is tried again") in said
    assert ("WARNING", "block 1 failed") in said


# --- dask -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client():
    """Two worker processes of one thread each."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def test_dask_gives_the_same_bits(client, target):
    xr.testing.assert_identical(plan().run(target, client).load(), plan().run())


def test_dask_loses_a_worker(client, tmp_path):
    """One of two is killed half-way: nothing is lost, and nothing that was done is done twice."""
    log, flag = tmp_path / "log", tmp_path / "flag"
    slopes = [i / 80 for i in range(1, 81)]
    sweep = plan(
        sweep_families.fatal, steps=[10], slope=slopes, block=4, log=str(log), flag=str(flag)
    )
    found = sweep.run(tmp_path / "a.zarr", client).load()
    expected = plan(steps=[10], slope=slopes).run()
    np.testing.assert_array_equal(found.distance, expected.distance)
    np.testing.assert_array_equal(found.noise, expected.noise)
    assert flag.exists()
    made = Counter(float(line.split()[1]) for line in log.read_text().splitlines())
    again = made - Counter(slopes)
    assert made == Counter(slopes) + again
    # At most the cells that the killed worker had made of the block it was at.
    assert len({slopes.index(slope) // 4 for slope in again}) <= 1


def test_dask_reports_blocks_that_fail(client, target, tmp_path):
    trouble = tmp_path / "trouble"
    trouble.touch()
    sweep = plan(sweep_families.broken, block=1, bad=0.5, while_exists=str(trouble))
    with pytest.raises(SweepError) as caught:
        sweep.run(target, client, retries=1)
    assert set(caught.value.failures) == {1, 4, 7, 10}
    assert caught.value.dataset.distance.notnull().sum() == 8


def test_dask_tries_again(client, tmp_path):
    sweep = plan(sweep_families.flaky, bad=0.5, folder=str(tmp_path), times=2, steps=[10, 20])
    assert sweep.run(executor=client).distance.notnull().all()


def test_the_executor_of_a_dask_client(client, target):
    """`Client.get_executor` is an executor like others."""
    with client.get_executor(pure=False) as executor:
        xr.testing.assert_identical(plan().run(target, executor).load(), plan().run())


def test_dask_forgets_what_is_done(client):
    """Nothing of a sweep stays on the cluster."""
    plan().run(executor=client)
    deadline = time.monotonic() + 5
    while client.has_what() and any(client.has_what().values()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(client.has_what().values())


def test_an_asynchronous_client_is_refused():
    distributed = pytest.importorskip("distributed")

    class Asynchronous(distributed.Client):
        asynchronous = True

        def __init__(self):
            pass

        def __del__(self):
            pass

        __repr__ = object.__repr__

    with pytest.raises(TypeError, match="synchronous dask client"):
        plan().run(executor=Asynchronous())
