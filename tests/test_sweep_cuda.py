"""Sweeps whose cells a GPU computes: the results of the processor's, and what differs otherwise.

As in test_cuda.py, on a GPU where there is one, and by the processor with the emulated kernels.
"""

import importlib.util
import logging
import pickle

import numpy as np
import pytest

import cuda_emulation
import cvxbound as cb
import sweep_families
from cvxbound import _device
from cvxbound.sweeps import SweepError

pytestmark = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ["xarray", "zarr"])),
    reason="stores of sweeps need xarray and zarr",
)

WSD = {
    "steps": [1, 100, 3_000, 100_000],
    "cooldown": [0.1, 0.3],
    "shape": ["linear", "1-sqrt", "power", "exponential", "cosine"],
    "final": [0.0, 0.1],
}


@pytest.fixture(params=["emulated", "gpu"])
def gpu(request, monkeypatch):
    if request.param == "emulated":
        cuda_emulation.emulated(monkeypatch)
    elif missing := _device.missing():
        pytest.skip(missing)


@pytest.fixture
def machine(monkeypatch):
    machine, _ = cuda_emulation.emulated(monkeypatch)
    return machine


def bound(dataset):
    """What both terms make together; where a last step is searched, each alone is less exact."""
    return dataset.cvx.omega() if "gamma" in dataset.coords else dataset.cvx.tune().omega


def same(found, expected, rtol=1e-12):
    assert not expected.distance.isnull().all()
    np.testing.assert_allclose(bound(found), bound(expected), rtol=rtol, atol=0)


# --- the same results -----------------------------------------------------------------------------


@pytest.mark.parametrize("last_step", ["given", "repeat"])
def test_all_forms_and_horizons(gpu, last_step):
    plan = cb.sweep(
        "wsd",
        **WSD,
        warmup=[0.0, 0.05],
        kind=["last", "average"],
        last_step=last_step,
        at=[0.3, 1.0],
    )
    found, expected = plan.on("cuda").run(), plan.run()
    for name in ("distance", "noise"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-12, atol=0)


@pytest.mark.parametrize("scales", [{}, {"gamma": [1e-3, 1.0]}])
@pytest.mark.parametrize(
    "options",
    [{"kind": ["tight", "last"]}, {"kind": ["last", "average"], "last_step": "free"}],
)
def test_free_last_steps(gpu, options, scales):
    plan = cb.sweep(
        "cosine", steps=[1, 50, 400], warmup=[0, 10], where="warmup < steps", **options, **scales
    )
    same(plan.on("cuda").run(), plan.run())


LONG = {
    "wsd": {"cooldown": [0.1, 0.4], "shape": ["linear", "1-sqrt"]},
    "cosine": {"cycle": [0.3, 1.0], "final": [0.0, 0.1]},
}


@pytest.mark.parametrize("family", LONG)
@pytest.mark.parametrize("scales", [{}, {"gamma": 1e-3}])
@pytest.mark.parametrize(
    "options", [{"kind": ["tight", "last"]}, {"kind": ["last"], "last_step": "free"}]
)
def test_free_last_steps_of_long_schedules(gpu, family, options, scales):
    plan = cb.sweep(
        family,
        steps=[10**4, 10**6, 10**8],
        warmup=[0.0, 0.01],
        at=[0.2, 1.0],
        **LONG[family],
        **options,
        **scales,
    )
    same(plan.on("cuda").run(), plan.run())


@pytest.mark.parametrize("at", [None, [0.01, 1.0]])
def test_rough_schedules_are_left_to_the_processor(gpu, at):
    """So many cycles that no short way leads past them: walks would keep a GPU for hours."""
    plan = cb.sweep("cyclic_wsd", steps=10**6, cooldown=[0.1, 0.2], cycles=60, kind="tight", at=at)
    same(plan.on("cuda").run(), plan.run())


def test_absolute_rates_and_masks(gpu):
    plan = cb.sweep(
        "wsd",
        cb.zip(steps=[100, 5_000], warmup=[5, 60]),
        cooldown=[0.2, 0.98],
        final_lr=1e-4,
        gamma=[1e-3, 1e-2],
        where="warmup + cooldown * steps <= steps",
    )
    same(plan.on("cuda").run(), plan.run())


# --- one plan, either device ----------------------------------------------------------------------


def test_a_store_is_filled_by_both(machine, tmp_path):
    plan, path = cb.sweep("wsd", **WSD, block=10), tmp_path / "a.zarr"
    assert plan.on("cuda").hash == plan.hash
    plan.shard(0, 2).run(path)
    assert not machine.calls
    result = plan.on("cuda").run(path)
    assert machine.calls
    same(result, plan.run())


def test_a_plan_keeps_its_device(machine):
    plan = cb.sweep("linear", steps=[10, 20], device="cuda")
    assert pickle.loads(pickle.dumps(plan.shard(0, 1))).device == "cuda"
    assert plan.run().attrs["kernel"] == "cuda"
    assert "on a GPU" in repr(plan)
    assert [name for name, *_ in machine.calls] == ["segment_terms"]
    assert plan.on("cpu").run().attrs["kernel"] == cb.info()["isa"]
    assert len(machine.calls) == 1


def test_what_the_gpu_finds_is_verified(machine, monkeypatch, caplog):
    plan = cb.sweep("cosine", steps=np.arange(2_000, 2_050))
    split = _device.segment_split

    def wrong(*arguments, **options):
        distance, noise = split(*arguments, **options)
        return distance, noise * (1 + 1e-9)

    monkeypatch.setattr(_device, "segment_split", wrong)
    with caplog.at_level(logging.WARNING, "cvxbound"):
        found = plan.on("cuda").run()
    assert "walked instead" in caplog.text
    same(found, plan.run(), rtol=1e-11)


def test_what_it_finds_of_long_schedules_is_compared(machine, monkeypatch, caplog):
    """Their searches are too long for walks; the processor knows a short way."""
    plan = cb.sweep("cosine", steps=[10**6, 10**7], kind=["last", "tight"])
    split = _device.segment_split

    def wrong(*arguments, kind, **options):
        distance, noise = split(*arguments, kind=kind, **options)
        return distance, noise * (1 + 1e-9 * (kind == "tight"))

    monkeypatch.setattr(_device, "segment_split", wrong)
    with caplog.at_level(logging.WARNING, "cvxbound"):
        found = plan.on("cuda").run()
    assert "computed by the processor instead" in caplog.text
    same(found, plan.run(), rtol=1e-11)


# --- what is refused ------------------------------------------------------------------------------


def test_functions_are_refused():
    by_function = {"family": sweep_families.ramp, "slope": [0.5]}
    by_shape = {"family": "wsd", "cooldown": 0.5, "shape": lambda x: 1 - x}
    for given in (by_function, by_shape):
        family = given.pop("family")
        with pytest.raises(ValueError, match="device='cuda' computes built-in families"):
            cb.sweep(family, steps=[10], **given, device="cuda")


def test_unknown_devices_are_refused():
    with pytest.raises(ValueError, match="cuda"):
        cb.sweep("linear", steps=10, device="cuda:0")


def test_without_a_gpu_the_run_ends_at_once(machine):
    machine.count = 0
    plan = cb.sweep("linear", steps=[10, 20, 30], block=1, device="cuda")
    seen = []
    with pytest.raises(SweepError, match="device='cuda': no GPU can be used"):
        plan.run(progress=seen.append)
    assert not seen


@pytest.mark.parametrize("key", ["device = 'cuda'\n[axes]", "[axes]\ndevice = 'cuda'"])
def test_plan_files_have_no_device(tmp_path, key):
    path = tmp_path / "plan.toml"
    path.write_text(f'family = "linear"\n{key}\nsteps = [10, 20]\n', encoding="utf-8")
    with pytest.raises(ValueError, match="--device"):
        cb.sweeps.read_plan(path)


# --- the command line -----------------------------------------------------------------------------


@pytest.mark.skipif(not importlib.util.find_spec("cyclopts"), reason="needs cyclopts and rich")
def test_sweep_run_takes_a_device(machine, tmp_path, run):
    path = tmp_path / "plan.toml"
    path.write_text('family = "linear"\n[axes]\nsteps = [10, 2000]\n', encoding="utf-8")
    code, _, err = run("sweep", "run", path, "--store", tmp_path / "a.zarr", "--device", "cuda")
    assert code == 0
    assert "on a GPU" in err
    assert machine.calls
    machine.count = 0
    code, _, err = run("sweep", "run", path, "--store", tmp_path / "b.zarr", "--device", "cuda")
    assert (code, "no GPU can be used" in err) == (1, True)
