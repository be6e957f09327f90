"""bench/gpu.py: what it measures runs on the emulated kernels, and its table says what is wrong."""

import sys

import numpy as np
import pytest

import cuda_emulation
import gpu
import gpu_peers
from cvxbound import _device

RATES = {"operations": 1e12, "memory": 1e9, "host": 1e9}


def case(**changed):
    given = {"what": "a call", "steps": 1000, "prepare": None, "amount": 3e6, "unit": "pairs"}
    return gpu.Case(**(given | changed))


@pytest.mark.parametrize(
    ("given", "error", "expected"),
    [
        ({}, 1e-13, "- | 1.5e+09 pairs/s | - | - | - | 1.0e-13 |"),
        (
            {"cost": {"operations": 1e9, "memory": 1e5}},
            0.0,
            "- | 1.5e+09 pairs/s | 1 ms | 2.00 | - | 0.0e+00 |",
        ),
        ({}, 1e-11, "- | 1.5e+09 pairs/s | - | - | - | 1.0e-11 **wrong** |"),
        ({}, np.nan, "- | 1.5e+09 pairs/s | - | - | - | nan **wrong** |"),
        ({"is_rival": True}, 1e-3, "- | 1.5e+09 pairs/s | - | - | 4.00 | 1.0e-03 |"),
        (
            {"what": "sweep, last, wsd", "steps": 10**4, "unit": "cells"},
            0.0,
            "1000 ms | 1.5e+09 cells/s | - | - | - | 0.0e+00 |",
        ),
    ],
    ids=["plain", "floor", "wrong", "nan", "rival", "goal"],
)
def test_row(given, error, expected):
    one = case(**given)
    found = gpu.row(one, 2e-3, error, RATES, own=5e-4)
    assert found == f"| {one.what} | {one.steps:,} | 2 ms | {expected}"


def test_goals_are_of_cases():
    assert set(gpu.GOALS) <= {(case.what, case.steps) for case in gpu.plan(1)}


def test_without_kernels_it_says_what_to_do(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(_device, "missing", lambda: "install it")
    with pytest.raises(SystemExit) as ended:
        gpu.main(["--out", str(tmp_path / "table.md")])
    assert ended.value.code == 2
    assert "install it" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


# --- on the emulated kernels ----------------------------------------------------------------------


def sums(q, back, front, axis):
    return (q / (back + front)).sum(axis=axis)


@pytest.fixture
def emulated(monkeypatch):
    """The stand-in for CuPy, and for what the script asks of a device besides."""
    _, cupy = cuda_emulation.emulated(monkeypatch)
    cupy.ReductionKernel = lambda *_: sums
    monkeypatch.setitem(sys.modules, "pykeops", None)
    monkeypatch.setattr(gpu, "elapsed", lambda _xp, call: (1e-3, call()))
    monkeypatch.setattr(gpu, "device_rates", lambda _xp: RATES)
    monkeypatch.setattr(gpu, "device_facts", lambda _xp: "Stand-in")
    return cupy


def test_all_cases(emulated, tmp_path, capsys):
    path = tmp_path / "table.md"
    assert gpu.main(["--quick", "10000", "--out", str(path)]) == 0
    text = path.read_text()
    assert capsys.readouterr().out == text
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert {len(row) for row in rows} == {len(gpu.COLUMNS)}
    assert [row[0][2:] for row in rows[2:]] == [case.what for case in gpu.plan(10_000)]
    skipped = [row[0][2:] for row in rows if row[2].startswith("skipped: ")]
    assert skipped == ["KeOps", "KeOps"]


def test_a_wrong_answer_is_an_error(emulated, monkeypatch, capsys):
    split = _device.segment_split

    def wrong(table, horizons, *, kind, last_step):
        distance, noise = split(table, horizons, kind=kind, last_step=last_step)
        return distance, noise * (1 + (1e-9 if kind == "tight" else 0))

    monkeypatch.setattr(_device, "segment_split", wrong)
    assert gpu.main(["--quick", "10000"]) == 1
    marked = [line for line in capsys.readouterr().out.splitlines() if "**wrong**" in line]
    assert [line.split(" | ")[0] for line in marked] == [
        "| sweep, tight, cosine",
        "| sweep, tight, wsd",
    ]


@pytest.mark.parametrize("error", [MemoryError("too little"), RuntimeError("broken")])
def test_what_fails(emulated, monkeypatch, error):
    """For want of memory a row is left out, with a reason; other errors are not hidden."""

    def fails(_xp):
        raise error

    monkeypatch.setattr(gpu, "plan", lambda _: [case(prepare=fails)])
    if isinstance(error, MemoryError):
        ((line, is_right),) = gpu.measure(emulated, RATES, 1)
        assert "skipped: MemoryError: too little" in line and is_right
    else:
        with pytest.raises(RuntimeError, match="broken"):
            list(gpu.measure(emulated, RATES, 1))


@pytest.mark.parametrize("steps", [2, 8, 9, 10, 16, 21])
def test_the_rival_in_tiles(emulated, steps):
    in_tiles = gpu.rival("", steps, lambda xp, there, _: gpu_peers.cupy_curve(xp, there, tile=8))
    call, error = in_tiles.prepare(emulated)
    assert error(call()) < 1e-14
