"""Stores of sweeps: made at once, filled by blocks, resumed after anything, never harmed."""

import asyncio
import errno
import json
import os
import pickle
import random
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.core.sync import sync
from zarr.storage import LocalStore, MemoryStore, WrapperStore, ZipStore

import cvxbound as cb
import sweep_families
from cvxbound.sweeps import PlanMismatchError
from cvxbound.sweeps._store import Store

STEPS = [20, 30, 40]
COOLDOWNS = [0.1, 0.2, 0.3, 0.5, 0.8]


def plan(**options):
    """Nine blocks, the last of each row narrower than the others."""
    options = {"steps": STEPS, "cooldown": COOLDOWNS, "block": 2} | options
    return cb.sweep("wsd", **options)


def files(folder):
    return {path: path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def script(text, *argv, **options):
    """Run Python in another process, with the families at hand."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(text), *map(str, argv)]
    return subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def finished(process, code=0):
    """What a process printed."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    return out


# --- what lies in a store -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["last", ["last", "average"]])
def test_from_a_store_comes_what_comes_from_memory(tmp_path, kind):
    sweep = plan(kind=kind, shape=["linear", "1-sqrt"])
    xr.testing.assert_identical(sweep.run(tmp_path / "a.zarr").load(), sweep.run())


def test_a_block_is_a_chunk():
    """Numbers of blocks are those of chunks, so that a store needs no plan to be written."""
    for sweep in (plan(), plan(block=7), plan(kind=["last", "tight"], at=[0.5, 1.0])):
        store = MemoryStore()
        stored = Store.create(store, sweep)
        for block in stored.pending(sweep):
            region = sweep.region(block)
            shape = [part.stop - part.start for part in region]
            stored.write(block, dict.fromkeys(["distance", "noise"], np.full(shape, float(block))))
            assert (stored.dataset().distance.values[region] == block).all()
        assert not stored.dataset().distance.isnull().any()


def test_blocks_that_are_not_done_are_nan():
    store, sweep = MemoryStore(), plan()
    stored = Store.create(store, sweep)
    stored.write(4, sweep.compute(4))
    data = stored.dataset()
    assert data.distance.notnull().sum() == data.noise.notnull().sum() == 2
    np.testing.assert_array_equal(stored.pending(sweep), [0, 1, 2, 3, 5, 6, 7, 8])


def test_blocks_of_nothing_but_nan_are_done_too(tmp_path):
    """Zarr does not store such chunks by default."""
    sweep = plan(where="cooldown > 0.6")
    result = sweep.run(tmp_path / "a.zarr")
    assert result.distance.notnull().sum() == 3
    assert Store.open(tmp_path / "a.zarr").status().done == 9


def test_a_sweep_of_one_cell():
    store, sweep = MemoryStore(), cb.sweep("wsd", steps=20)
    xr.testing.assert_identical(sweep.run(store).load(), sweep.run())
    stored = Store.open(store)
    assert stored.status().done == 1
    assert stored.is_done(0)


def test_status():
    sweep = plan()
    stored = Store.create(MemoryStore(), sweep)
    stored.fail(2, "steps=20: ValueError: é")
    stored.fail(7, "x" * 10_000)
    stored.write(3, sweep.compute(3))
    status = stored.status()
    assert (status.total, status.done, status.failed[2]) == (9, 1, "steps=20: ValueError: é")
    assert len(status.failed[7]) < 5000
    assert (status.hash, status.version) == (sweep.hash, cb.__version__)


def test_an_error_counts_until_its_block_is_done():
    sweep = plan()
    stored = Store.create(MemoryStore(), sweep)
    stored.fail(2, "no")
    assert 2 in stored.pending(sweep)
    stored.write(2, sweep.compute(2))
    assert stored.status().failed == {}


def test_strings_of_all_kinds_come_back_as_they_were():
    shapes = ["linear", "1-sqrt", "cosine"]
    found = plan(shape=shapes).run(MemoryStore())
    assert found["shape"].values.tolist() == shapes
    assert found["shape"].dtype == object
    assert found.sel(shape="1-sqrt").distance.shape == (3, 5)


@pytest.mark.parametrize("where", ["path", "object"])
def test_coordinates_are_in_the_order_of_the_axes(tmp_path, where):
    """Not in that of a listing, which differs between file systems."""
    sweep = cb.sweep(
        "wsd",
        cb.zip("run", warmup=[1, 2, 3], steps=[30, 20, 40]),
        shape=["linear", "cosine"],
        kind=["last", "tight"],
        gamma=[0.2, 0.1],
        at=[0.5, 1.0],
        final=0.1,
        cooldown=0.2,
    )
    found, expected = (
        sweep.run(tmp_path / "a.zarr" if where == "path" else MemoryStore()),
        sweep.run(),
    )
    for part in ("variables", "coords", "sizes"):
        assert [*getattr(found, part)] == [*getattr(expected, part)]
    assert [*found.distance.coords] == [*expected.distance.coords]


def test_nothing_is_read_before_it_is_used():
    class Noted(WrapperStore):
        async def get(self, key, prototype, byte_range=None):
            keys.append(key)
            return await self._store.get(key, prototype, byte_range)

    keys, store = [], MemoryStore()
    plan().run(store)
    data = Store.open(Noted(store.with_read_only(True))).dataset()
    assert "distance/zarr.json" in keys
    assert not any("/c/" in key and key.startswith(("distance", "noise")) for key in keys)
    data.distance.isel(steps=1, cooldown=0).load()
    assert [key for key in keys if key.startswith("distance/c")] == ["distance/c/1/0"]


def test_what_is_read_late_travels(tmp_path):
    """As to workers of dask, opened or in pieces; what is set in it stays out of the store."""
    path, expected = tmp_path / "a.zarr", plan().run()
    data = plan().run(path)
    for each in (data, data.chunk({})):
        xr.testing.assert_identical(pickle.loads(pickle.dumps(each)).load(), expected)
    data.distance[:] = 0
    xr.testing.assert_identical(cb.open_sweep(path).load(), expected)


def test_dask_is_not_needed(tmp_path):
    plan().run(tmp_path / "a.zarr")
    text = """
        import sys
        sys.modules["dask"] = sys.modules["dask.base"] = sys.modules["distributed"] = None
        from cvxbound.sweeps._store import Store
        print(Store.open(sys.argv[1]).dataset().distance.shape)
    """
    assert finished(script(text, tmp_path / "a.zarr")) == "(3, 5)\n"


def test_without_zarr_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "zarr", None)
    monkeypatch.setitem(sys.modules, "zarr.abc.store", None)
    with pytest.raises(ImportError, match=r"pip install \"cvxbound\[sweep\]\""):
        Store.open(tmp_path)


# --- where a store lies ---------------------------------------------------------------------------


def test_targets(tmp_path, monkeypatch):
    """Paths, links, URLs and objects of Zarr."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    expected = plan().run()
    targets = ["a.zarr", Path("b.zarr"), "link/c.zarr", f"file://{tmp_path}/d.zarr"]
    targets += ["memory://cvxbound/e.zarr", LocalStore("f.zarr"), MemoryStore()]
    for target in targets:
        xr.testing.assert_identical(plan().run(target).load(), expected)
        assert Store.open(target).status().done == 9
    assert names("real") == ["c.zarr"]


def test_something_else_is_refused():
    with pytest.raises(TypeError, match="a store is a path, a URL or a Zarr store object; got 3"):
        Store.create(3, plan())


def test_zip_files_are_read_and_not_written(tmp_path):
    expected = plan().run(tmp_path / "a.zarr").load()
    path = shutil.make_archive(str(tmp_path / "a"), "zip", tmp_path / "a.zarr")
    with ZipStore(path, mode="r") as store:
        xr.testing.assert_identical(cb.open_sweep(store).load(), expected)
    with pytest.raises(ValueError, match=r"cannot be written to a zip file.*into a folder"):
        plan().run(ZipStore(tmp_path / "b.zip", mode="w"))
    assert names(tmp_path) == ["a.zarr", "a.zip"]


def test_of_many_that_create_it_at_once_all_get_the_same_store(tmp_path):
    barrier = threading.Barrier(8)

    def create(_):
        barrier.wait()
        return Store.create(tmp_path / "a.zarr", plan()).status().total

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(create, range(8))) == [9] * 8
    assert names(tmp_path) == ["a.zarr"]


def test_a_store_that_exists_is_gone_on_with():
    store, sweep = MemoryStore(), plan()
    Store.create(store, sweep).write(5, sweep.compute(5))
    assert Store.create(store, sweep).status().done == 1


def _a_file(path):
    path.write_text("mine")


def _a_folder(path):
    path.mkdir()
    (path / "results.csv").write_text("mine")


def _another_group(path):
    zarr.open_group(path, mode="w").create_array("x", shape=(3,), dtype="float64")


def _an_array(path):
    zarr.create_array(path, shape=(3,), dtype="float64")


@pytest.mark.parametrize("make", [_a_file, _a_folder, _another_group, _an_array, Path.mkdir])
def test_what_is_no_store_is_left_alone(tmp_path, make):
    path = tmp_path / "a.zarr"
    make(path)
    before = files(tmp_path), sorted(tmp_path.rglob("*"))
    with pytest.raises(
        FileExistsError, match=r"not a store of a sweep.*nothing was changed"
    ) as caught:
        plan().run(path)
    assert caught.value.filename == str(path)
    with pytest.raises(ValueError, match="not a store of a sweep"):
        Store.open(path)
    assert (files(tmp_path), sorted(tmp_path.rglob("*"))) == before


def test_a_zarr_store_with_something_else_is_left_alone():
    store = MemoryStore()
    zarr.open_group(store, mode="w").create_array("x", shape=(3,), dtype="float64")
    before = set(store._store_dict)
    with pytest.raises(FileExistsError, match="not a store of a sweep"):
        plan().run(store)
    assert set(store._store_dict) == before


def test_nothing_there(tmp_path):
    for target in (tmp_path / "a.zarr", MemoryStore(), "memory://nowhere/a.zarr"):
        with pytest.raises(FileNotFoundError, match="no store of a sweep is here"):
            Store.open(target)
    assert names(tmp_path) == []


def test_no_folder_to_make_it_in(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder to make the store in"):
        Store.create(tmp_path / "b" / "a.zarr", plan())


# --- other plans, other versions, damage ----------------------------------------------------------


@pytest.fixture
def written(tmp_path):
    """The path of a store with one block."""
    path, sweep = tmp_path / "a.zarr", plan()
    Store.create(path, sweep).write(5, sweep.compute(5))
    return path


@pytest.mark.parametrize(
    "options, differs",
    [
        ({"steps": [20, 30, 50]}, r"axis 'steps' has other values \(.* there, \[20, 30, 50\] here"),
        ({"cooldown": np.linspace(0, 1, 99)}, r"axis 'cooldown' has other values \("),
        ({"shape": ["linear", "cosine"]}, "axis 'shape' is in the plan only"),
        ({"steps": 20, "block": None}, "axis 'steps' is in the store only; fixed differs"),
        ({"shape": "cosine"}, r"fixed differs \({} there, {'shape': 'cosine'} here"),
        ({"kind": "average"}, r"kind differs \('last' there, 'average' here"),
        ({"block": 3}, r"block differs \(.*2\] there, .*3\] here"),
    ],
)
def test_a_store_of_another_plan_is_refused(written, options, differs):
    before = files(written)
    with pytest.raises(PlanMismatchError, match=f"holds another plan: {differs}.*another place"):
        plan(**options).run(written)
    assert files(written) == before


def test_a_store_of_a_function_that_was_corrected_is_refused(tmp_path):
    def plan_of(family, scale):
        def line(steps, slope):
            return scale.eta[:steps] * slope

        return cb.sweep({"before": line, "after": lambda steps: 1}[family], steps=5, slope=[1, 2])

    path = tmp_path / "a.zarr"
    plan_of("before", cb.schedules.linear(10)).run(path)
    with pytest.raises(
        PlanMismatchError,
        match=r"another plan: family differs \(the code of test_sweep_stores:.*line has changed",
    ):
        plan_of("before", cb.schedules.cosine(10)).run(path)


def edit(path, change):
    """Change what the group says of itself."""
    document = json.loads((path / "zarr.json").read_text())
    change(document["attributes"]["cvxbound_sweep"])
    (path / "zarr.json").write_text(json.dumps(document))


def test_a_store_of_another_version_is_read_but_not_gone_on_with(written):
    edit(written, lambda facts: facts.update(version="0.0.7"))
    before = files(written)
    with pytest.raises(PlanMismatchError, match=r"begun with cvxbound 0\.0\.7.*go on with that"):
        plan().run(written)
    assert files(written) == before
    assert Store.open(written).dataset().distance.notnull().sum() == 1


def test_a_store_of_another_format_is_not_opened(written):
    edit(written, lambda facts: facts.update(format=99, version="9.0"))
    before = files(written)
    for act in (Store.open, plan().run):
        with pytest.raises(PlanMismatchError, match=r"format 99, of cvxbound 9\.0.*that version"):
            act(written)
    assert files(written) == before


def _cut(name):
    return lambda path: (path / name).write_bytes((path / name).read_bytes()[:10])


def _empty(name):
    return lambda path: (path / name).write_bytes(b"")


def _remove(name):
    return lambda path: (path / name).unlink()


@pytest.mark.parametrize(
    "harm",
    [
        _cut("zarr.json"),
        _cut("done/zarr.json"),
        lambda path: (path / "zarr.json").write_text("[]"),
        lambda path: shutil.rmtree(path / "noise"),
        lambda path: edit(path, lambda facts: facts.pop("identity")),
        lambda path: edit(path, lambda facts: facts.update(blocks=12)),
    ],
)
def test_a_damaged_store_says_so(written, harm):
    harm(written)
    with pytest.raises(ValueError, match=r"a\.zarr: .*(damaged|not a store)"):
        Store.open(written)
    with pytest.raises(FileExistsError, match="damaged"):
        plan().run(written)


@pytest.mark.parametrize(
    "harm, said",
    [
        (_cut("cooldown/c/0"), "'cooldown' cannot be read"),
        (_cut("warmup/c"), "'warmup' cannot be read"),
        (_cut("gamma/zarr.json"), "'gamma' cannot be read"),
        (_remove("steps/zarr.json"), "steps/zarr.json is missing"),
        (_remove("gamma/zarr.json"), "gamma/zarr.json is missing"),
        (_remove("steps/c/0"), "'steps' has 0 of its 1 chunk"),
        (_remove("warmup/c"), "'warmup' has 0 of its 1 chunk"),
    ],
)
def test_damaged_coordinates_say_so(tmp_path, harm, said):
    """Without its files, Zarr would take a coordinate for zeros, and xarray for none."""
    path, sweep = tmp_path / "a.zarr", plan(warmup=0, gamma=[0.1, 0.2])
    Store.create(path, sweep)
    harm(path)
    before = files(path)
    with pytest.raises(ValueError, match=rf"a\.zarr: the store is damaged: {said}"):
        cb.open_sweep(path)
    with pytest.raises(FileExistsError, match=rf"{said}.*nothing was changed"):
        sweep.run(path)
    assert files(path) == before


def _flip(name):
    """Half a chunk, of which zstd alone would notice nothing."""

    def flip(path):
        data = bytearray((path / name).read_bytes())
        data[len(data) // 2] ^= 1
        (path / name).write_bytes(data)

    return flip


def test_bits_of_coordinates_are_checked(tmp_path):
    path = tmp_path / "a.zarr"
    Store.create(path, plan(warmup=0, shape=["linear", "cosine"], gamma=[0.1, 0.2], kind=["last"]))
    for name in ("kind", "steps", "cooldown", "warmup", "shape", "gamma"):
        (file,) = (each for each in files(path / name) if each.name != "zarr.json")
        data = file.read_bytes()
        for bit in range(0, 8 * len(data), 13):
            harmed = bytearray(data)
            harmed[bit // 8] ^= 1 << bit % 8
            file.write_bytes(harmed)
            with pytest.raises(ValueError, match=rf"the store is damaged: '{name}' cannot be read"):
                cb.open_sweep(path)
        file.write_bytes(data)


USES = {
    "load": lambda data: data.load(),
    "cell": lambda data: data.isel(steps=0, cooldown=3).load(),
    "points": lambda data: data.isel(
        steps=xr.DataArray([2, 0]), cooldown=xr.DataArray([0, 2])
    ).load(),
    "dask": lambda data: data.chunk({}).load(),
    "tune": lambda data: data.cvx.tune(),
    "best": lambda data: data.cvx.best(),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("name", ["distance/c/0/1", "noise/c/0/1"])
@pytest.mark.parametrize("harm", [_cut, _flip, _empty])
def test_a_damaged_chunk_is_named_and_computed_anew_once_deleted(tmp_path, use, name, harm):
    path, sweep = tmp_path / "a.zarr", plan()
    sweep.run(path)
    harm(name)(path)
    data = cb.open_sweep(path)
    data.isel(steps=[1, 2]).load()
    with pytest.raises(
        ValueError,
        match=rf"a\.zarr: block 1 \(steps=20, cooldown=0\.3\.\.0\.5\) is damaged: {name} cannot be "
        r"read \(\w+Error: .*Delete that file and run the plan again",
    ):
        use(data)
    _remove(name)(path)
    xr.testing.assert_identical(sweep.run(path).load(), sweep.run())


@pytest.mark.parametrize("name", ["distance/c/1/2", "noise/c/1/2", "done/c/5"])
@pytest.mark.parametrize("where", ["path", "url", "object"])
def test_a_block_that_lacks_a_file_is_not_done(tmp_path, name, where):
    targets = {"path": tmp_path / "a.zarr", "url": f"memory://{tmp_path}/a.zarr"}
    target, sweep = targets.get(where, MemoryStore()), plan()
    sweep.run(target)
    stored, events = Store.open(target, mode="r+"), []
    sync(stored._place.zarr.delete(name))
    assert stored.pending(sweep).tolist() == [5]
    assert [stored.is_done(block) for block in (4, 5)] == [True, False]
    assert stored.status().done == 8
    xr.testing.assert_identical(sweep.run(target, progress=events.append).load(), sweep.run())
    assert [event.done for event in events] == [9]


@pytest.mark.parametrize("harm", [_remove, _empty, _cut])
def test_whatever_file_is_damaged_no_wrong_number_comes_out(tmp_path, harm):
    """Either the store is refused, or a block is named, or the result is what it was."""
    whole, path, sweep = tmp_path / "whole.zarr", tmp_path / "a.zarr", plan(block=5, warmup=0)
    expected, said = sweep.run(whole).load(), {}
    for file in files(whole):
        name = file.relative_to(whole).as_posix()
        shutil.copytree(whole, path)
        harm(name)(path)
        try:
            xr.testing.assert_identical(sweep.run(path).load(), expected)
        except (OSError, ValueError) as error:
            said[name] = str(error)
        shutil.rmtree(path)
    assert {"zarr.json", "steps/zarr.json", "error/zarr.json", "warmup/c"} < {*said}
    assert all("damaged" in each or "not a store" in each for each in said.values())
    of_blocks = {name for name in said if re.match("(distance|noise|done)/c", name)}
    assert len(of_blocks) == (0 if harm is _remove else 6)


def test_a_damaged_message_does_not_hide_the_others(written):
    stored = Store.open(written, mode="r+")
    stored.fail(1, "one")
    stored.fail(2, "two")
    (written / "error" / "c" / "1").write_bytes(b"?")
    failed = stored.status().failed
    assert failed[2] == "two"
    assert "cannot be read" in failed[1]


def test_a_damaged_block_is_written_anew(written):
    """As a power cut may leave one: what is not marked as done is not read."""
    sweep = plan()
    for name in ("distance", "noise"):
        (written / name / "c" / "1").mkdir(exist_ok=True)
        (written / name / "c" / "1" / "0").write_bytes(b"half a chu")
    xr.testing.assert_identical(sweep.run(written).load(), sweep.run())


# --- what goes wrong while it is written ----------------------------------------------------------


class Small(WrapperStore):
    """A disk that is full after some writes."""

    left = 0

    async def set(self, key, value):
        if not self.left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        type(self).left -= 1
        await self._store.set(key, value)


def test_a_disk_that_is_full_at_any_moment(monkeypatch):
    """Each write of a run fails once; whatever was written then, going on gives the same bits."""
    sweep = plan(block=4)
    expected = sweep.run()
    for writes in range(3 * sweep.block_count):
        store = MemoryStore()
        Store.create(store, sweep)
        monkeypatch.setattr(Small, "left", writes)
        with pytest.raises(OSError, match="No space left on device") as caught:
            sweep.run(Small(store))
        assert caught.value.errno == errno.ENOSPC
        done = writes // 3
        assert f"{done} of 6 blocks are done and the store is intact" in str(caught.value)
        assert Store.open(store).status().done == done
        assert Store.open(store).status().failed == {}
        xr.testing.assert_identical(sweep.run(store).load(), expected)


def test_errors_of_other_libraries_stop_a_run_too():
    """Clients of object stores raise their own classes."""

    class Lost(WrapperStore):
        async def set(self, key, value):
            raise ConnectionResetError("the bucket is gone") if "noise" in key else LookupError("?")

    store = MemoryStore()
    Store.create(store, plan())
    with pytest.raises(OSError, match=r"LookupError: \?; 0 of 9 blocks are done"):
        plan().run(Lost(store))


def test_a_store_that_cannot_be_made_leaves_nothing_behind(tmp_path, monkeypatch):
    async def full(self, key, value):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(LocalStore, "set", full)
    with pytest.raises(OSError, match="the store cannot be made: No space left on device"):
        Store.create(tmp_path / "a.zarr", plan())
    assert names(tmp_path) == []


def test_a_store_that_is_read_only():
    sweep, store = plan(), MemoryStore()
    Store.create(store, sweep).write(5, sweep.compute(5))
    locked = MemoryStore(store._store_dict, read_only=True)
    with pytest.raises(OSError, match="for reading only; 1 of 9 blocks are done") as caught:
        sweep.run(locked)
    assert caught.value.errno == errno.EROFS
    sweep.run(store)
    assert sweep.run(locked).distance.notnull().all()


def test_a_folder_without_permission(written, tmp_path):
    folders = [written, *(path for path in written.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        if os.access(written, os.W_OK):
            pytest.skip("this user may write everywhere")
        before = files(written)
        with pytest.raises(PermissionError, match="1 of 9 blocks are done and the store is intact"):
            plan().run(written)
        assert files(written) == before
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert plan().run(written).distance.notnull().all()


RUN = """
    import resource, sys
    import cvxbound as cb
    from cvxbound.sweeps._store import Store

    path, largest = sys.argv[1], int(sys.argv[2])  # in bytes, of a file
    cooldowns = [i / 100 for i in range(1, 101)]
    plan = cb.sweep("wsd", steps=range(20, 120), cooldown=cooldowns, block=2000)
    if largest:
        Store.create(path, plan)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    try:
        plan.run(path)
    except OSError as error:
        print(type(error).__name__, error.errno, Store.open(path).status().done, error)
    else:
        print("complete", float(plan.run(path).distance.sum()))
"""


@pytest.fixture(scope="module")
def large():
    """The plan of that script."""
    cooldowns = [i / 100 for i in range(1, 101)]
    return cb.sweep("wsd", steps=range(20, 120), cooldown=cooldowns, block=2000)


@pytest.fixture(scope="module")
def complete(large):
    """What that script says of a run that nothing stops."""
    return f"complete {float(large.run().distance.sum())}\n"


def test_a_limit_on_the_size_of_files(tmp_path, complete):
    """The store is made, its chunks are too large."""
    path = tmp_path / "a.zarr"
    said = finished(script(RUN, path, 4_000))
    assert said.startswith(f"OSError {errno.EFBIG} 0 ")
    assert "File too large; 0 of 5 blocks are done and the store is intact" in said
    assert not list(path.rglob("*.partial"))
    assert finished(script(RUN, path, 0)) == complete


@pytest.mark.parametrize(
    "begin, harm, mend, number",
    [
        ("size=100k", "true", "size=2m", errno.ENOSPC),
        ("size=2m", "cp -r '{made}' a.zarr && mount -o remount,ro .", "rw", errno.EROFS),
    ],
    ids=["full", "read-only"],
)
def test_a_file_system_in_trouble(
    tmp_path, tmp_path_factory, large, complete, begin, harm, mend, number
):
    """Real ones: too small, and then enlarged; read-only once the store is there, and then not."""
    inside = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    if subprocess.run([*inside, "mount -t tmpfs none /mnt"], capture_output=True).returncode:
        pytest.skip("no namespace to mount a file system in")
    made = tmp_path_factory.mktemp("made") / "a.zarr"
    Store.create(made, large)
    harm = harm.format(made=made)
    commands = f"""
        cd '{tmp_path}' && mount -t tmpfs -o {begin} none . && cd '{tmp_path}' && {harm} &&
        "$0" -c "$1" a.zarr 0 && mount -o remount,{mend} . && "$0" -c "$1" a.zarr 0
    """
    run = subprocess.run(
        [*inside, commands, sys.executable, textwrap.dedent(RUN)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    trouble, mended = run.stdout.splitlines()
    _, found, done, said = trouble.split(maxsplit=3)
    assert int(found) == number
    assert 0 <= int(done) < 5
    reason = f"{os.strerror(number)}; {done} of 5 blocks are done and the store is intact"
    assert reason in said
    assert mended + "\n" == complete


def _moved(path):
    path.rename(path.with_name("b.zarr"))


def _remade(path):
    _moved(path)
    Store.create(path, plan(shape="cosine"))


def _remade_and_damaged(path):
    _remade(path)
    _cut("zarr.json")(path)


@pytest.mark.parametrize(
    "harm, raised, said",
    [
        (_moved, OSError, "is gone, deleted or moved since it was opened; run again"),
        (_remade, PlanMismatchError, "another store is here now, made since this one was opened"),
        (_remade_and_damaged, PlanMismatchError, "another store is here now"),
    ],
)
def test_a_store_that_is_deleted_or_remade_ends_the_run(tmp_path, harm, raised, said):
    path, left = tmp_path / "a.zarr", {}

    def progress(event):
        harm(path)
        left.update(files(tmp_path))

    with pytest.raises(raised, match=said):
        plan().run(path, progress=progress)
    assert files(tmp_path) == left


def test_a_store_that_is_gone_ends_a_run_in_threads(tmp_path):
    def progress(event):
        done.append(event.done)
        if len(done) == 1:
            _moved(tmp_path / "a.zarr")

    done = []
    with ThreadPoolExecutor(2) as pool, pytest.raises(OSError, match="the store is gone"):
        plan(block=1).run(tmp_path / "a.zarr", pool, progress=progress)
    assert len(done) < 15


@pytest.mark.parametrize("act", ["is_done", "write", "fail"])
@pytest.mark.parametrize("where", ["path", "url", "object"])
def test_nothing_is_done_to_a_store_that_came_later(tmp_path, act, where):
    fsspec = pytest.importorskip("fsspec")
    targets = {"path": tmp_path / "a.zarr", "url": f"memory://{tmp_path}/{act}.zarr"}
    target, sweep = targets.get(where, MemoryStore()), plan()
    stored, arrays = Store.create(target, sweep), sweep.compute(4)
    zarr.open_group(stored._place.zarr, mode="r+").attrs["note"] = "still the same store"
    stored.write(4, arrays)
    if where == "path":
        shutil.rmtree(target)
    elif where == "url":
        fsspec.filesystem("memory").rm(target, recursive=True)
    else:
        sync(target.clear())
    Store.create(target, plan(shape="cosine"))
    arguments = {"is_done": [4], "write": [4, arrays], "fail": [4, "no"]}
    with pytest.raises(PlanMismatchError, match="another store is here now"):
        getattr(stored, act)(*arguments[act])
    opened = Store.open(target)
    assert opened.status()[:3] == (9, 0, {})
    assert opened.dataset().distance.isnull().all()


def test_a_store_that_is_remade_while_a_block_is_written_gets_no_mark():
    class Remade(WrapperStore):
        async def set(self, key, value):
            await self._store.set(key, value)
            if key.startswith("noise/c"):
                other = MemoryStore()
                await asyncio.to_thread(Store.create, other, plan(shape="cosine"))
                store._store_dict.clear()
                store._store_dict.update(other._store_dict)

    store = MemoryStore()
    Store.create(store, plan())
    with pytest.raises(PlanMismatchError, match="another store is here now"):
        plan().run(Remade(store))
    assert Store.open(store).status().done == 0


# --- killed, and several at once ------------------------------------------------------------------

SLOW = """
    import sys
    import cvxbound as cb
    import sweep_families

    plan = cb.sweep(
        sweep_families.slow, steps=range(10, 80), slope=[0.25, 0.5, 1.0], delay=0.001, block=3
    )
    print("begin", flush=True)
    plan.run(sys.argv[1], progress=lambda event: print("block", flush=True))
"""


@pytest.mark.parametrize("kills, seed", [(4, 4), pytest.param(10, 0, marks=pytest.mark.slow)])
def test_killed_at_random_moments(tmp_path, kills, seed):
    """Kill -9, in the middle of anything: in the end, the bits of a run left alone."""
    path, chance, unfinished = tmp_path / "a.zarr", random.Random(seed), 0
    for _ in range(kills):
        with script(SLOW, path) as process:
            lines = chance.randrange(5)
            for _ in range(lines):
                assert process.stdout.readline()
            # Blocks take hundredths of a second; before the first one, the store is made.
            time.sleep(chance.uniform(0, 0.02 if lines else 1))
            process.kill()
        assert process.returncode == -signal.SIGKILL
        if path.exists():
            status = Store.open(path).status()
            assert status.failed == {}
            unfinished += 0 < status.done < status.total
    assert unfinished > kills / 2
    sweep = cb.sweep(
        sweep_families.slow, steps=range(10, 80), slope=[0.25, 0.5, 1.0], delay=0.001, block=3
    )
    with script(SLOW, path) as process:
        assert 0 < finished(process).count("block") < sweep.block_count
    xr.testing.assert_identical(Store.open(path).dataset().load(), sweep.run())


def test_a_signal_ends_a_run_in_threads(tmp_path):
    """Ctrl-C while the run waits for them: it ends after the blocks that have begun."""
    text = """
        import sys
        import cvxbound as cb
        import sweep_families
        from concurrent.futures import ThreadPoolExecutor

        plan = cb.sweep(
            sweep_families.slow, steps=range(10, 100), slope=[0.5, 1.0], delay=0.02, block=1
        )
        with ThreadPoolExecutor(2) as pool:
            plan.run(sys.argv[1], pool, progress=lambda event: print("block", flush=True))
    """
    with script(text, tmp_path / "a.zarr") as process:
        assert process.stdout.readline() == "block\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert err.rstrip().endswith("KeyboardInterrupt")
    status = Store.open(tmp_path / "a.zarr").status()
    assert 0 < status.done < status.total == 180
    assert status.failed == {}


def test_two_processes_fill_one_store(tmp_path):
    path, log = tmp_path / "a.zarr", tmp_path / "log"
    text = """
        import sys
        import cvxbound as cb
        import sweep_families

        plan = cb.sweep(
            sweep_families.logged, steps=range(10, 30), slope=[0.25, 0.5], block=2,
            log=sys.argv[2], victim=2.0, flag="",
        )
        plan.shard(int(sys.argv[3]), 2).run(sys.argv[1])
    """
    for process in [script(text, path, log, index) for index in range(2)]:
        finished(process)
    lines = log.read_text().splitlines()
    assert len(lines) == len(set(lines)) == 40
    status = Store.open(path).status()
    assert (status.done, status.total) == (20, 20)
    found = Store.open(path).dataset()
    ramps = cb.sweep(sweep_families.ramp, steps=range(10, 30), slope=[0.25, 0.5], block=2).run()
    np.testing.assert_array_equal(found.distance, ramps.distance)
    assert names(tmp_path) == ["a.zarr", "log"]
