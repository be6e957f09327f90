"""Time the kernels for GPUs against what the device allows, and check them against the processor.

    python bench/gpu.py [--out table.md] [--quick]

Needs a GPU, CuPy and a cvxbound that was built with kernels. A row is a call: its best time by CUDA
events, what it costs at least (`floor`) at the rates measured first, and the worst relative
difference from the processor's answer at some horizons, schedules or cells. Other libraries follow
what they are compared with. The exit code is 1 where cvxbound is wrong, 2 where it cannot run.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import cvxbound as cb
import gpu_peers
import machine
from cvxbound import _backend, _device, _files
from cvxbound.schedules import segment_table

# --- the device ----------------------------------------------------------------------------------

ROUNDS = 3
CHAINS, THREADS, BLOCKS, LINKS = 8, 256, 8192, 4096
MULTIPLY_ADD = f"""
extern "C" __global__ void multiply_add(double* out, double a, double b) {{
  double x[{CHAINS}], sum = 0;
  for (int j = 0; j < {CHAINS}; ++j) x[j] = threadIdx.x + j;
  for (int i = 0; i < {LINKS}; ++i)
    for (int j = 0; j < {CHAINS}; ++j) x[j] = fma(x[j], a, b);
  for (int j = 0; j < {CHAINS}; ++j) sum += x[j];
  out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}}
"""


def elapsed(xp, call):
    """The least seconds of a few calls, after one that is not counted, and the last answer."""
    answer = call()
    times = []
    for _ in range(ROUNDS):
        start, stop = xp.cuda.Event(), xp.cuda.Event()
        start.record()
        answer = call()
        stop.record()
        stop.synchronize()
        times.append(xp.cuda.get_elapsed_time(start, stop) / 1e3)
    return min(times), answer


def device_rates(xp):
    """Multiply-adds of doubles, bytes read or written, and bytes from the host, a second."""
    kernel = xp.RawKernel(MULTIPLY_ADD, "multiply_add")
    x, y = (xp.zeros(1 << 26, np.float64) for _ in range(2))
    launch = ((BLOCKS,), (THREADS,), (x, np.float64(0.999), np.float64(0.001)))
    host = np.ones(1 << 25)
    calls = {
        "operations": (CHAINS * LINKS * BLOCKS * THREADS, lambda: kernel(*launch)),
        "memory": (2 * x.nbytes, lambda: xp.copyto(y, x)),
        "host": (host.nbytes, lambda: xp.asarray(host)),
    }
    return {name: amount / elapsed(xp, call)[0] for name, (amount, call) in calls.items()}


def device_facts(xp):
    """Name, driver, highest clock and power limit, as nvidia-smi has them."""
    query = "--query-gpu=name,driver_version,clocks.max.sm,power.limit"
    command = ["nvidia-smi", "-i", xp.cuda.Device().pci_bus_id, query, "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return f"{_device.gpus()[xp.cuda.Device().id]['name']}, driver and clocks unknown"


def facts(xp, rates):
    info = cb.info()
    return [
        f"- GPU: {device_facts(xp)}",
        f"- measured: {rates['operations']:.3g} fp64 multiply-adds/s, memory "
        f"{rates['memory']:.3g} B/s, from the host {rates['host']:.3g} B/s",
        f"- processor: {machine.processor()}, {info['threads']} threads, {info['isa']}",
        f"- cvxbound {info['version']}, built with CUDA {info['cuda']}; "
        f"CuPy {getattr(xp, '__version__', 'unknown')}, NumPy {np.__version__}",
    ]


# --- cases ---------------------------------------------------------------------------------------

# Operations for a pair of a step and a horizon: the tiles of cuda/direct.cu, and a plain walk of
# either kind, of which 3 are the reciprocal.
TILED = 2.5
WALK = {"last": 6.0, "tight": 7.0}


@dataclass(frozen=True)
class Case:
    """`prepare` takes CuPy, and makes a call and a function that says how wrong its answer is."""

    what: str
    steps: int
    prepare: Callable
    amount: float  # what it does, in `unit`
    unit: str
    cost: dict = field(default_factory=dict)  # at least, in what device_rates counts
    rtol: float = 1e-12
    is_rival: bool = False


def worst(found, expected):
    return float(np.max(np.abs(found / expected - 1)))


def all_horizons(steps, kind, curve):
    """How to prepare curve(cupy, eta there, eta here); some horizons are walked one by one."""
    at = np.unique(np.r_[np.geomspace(1, steps, 9), steps // 2, steps - 1, steps].astype(int))

    def prepare(xp):
        eta = np.array(cb.schedules.cosine(steps))
        there = xp.asarray(eta)

        def error(omega):
            expected = cb.curve(eta, kind=kind, at=at, method="direct")
            return worst(_device.to_host(omega)[at - 1], expected)

        return lambda: curve(xp, there, eta), error

    return prepare


def curve(kind, method, steps):
    what = f"curve, {kind}, {method}"
    prepare = all_horizons(steps, kind, lambda _, x, __: cb.curve(x, kind=kind, method=method))
    if method == "fast":
        rtol = 1e-12 if kind == "last" else 1e-9  # by which a minimum may be missed
        return Case(what, steps, prepare, steps, "steps", {"memory": 16.0 * steps}, rtol)
    pairs = steps * (steps + 1) / 2
    # Of `tight` the walk from the best rho is counted, and not the search for it.
    cost = {"operations": pairs * (TILED if kind == "last" else WALK[kind])}
    return Case(what, steps, prepare, pairs, "pairs", cost)


def rival(what, steps, call):
    prepare, pairs = all_horizons(steps, "last", call), steps * (steps + 1) / 2
    return Case(what, steps, prepare, pairs, "pairs", is_rival=True)


def one_horizon(kind, items, steps):
    def prepare(xp):
        eta = np.geomspace(0.1, 10, items)[:, None] * cb.schedules.cosine(steps)
        there, some = xp.asarray(eta), np.linspace(0, items - 1, 8).astype(int)
        expected = cb.bound(eta[some], kind=kind)

        def error(omega):
            return worst(_device.to_host(omega)[some], expected)

        return lambda: cb.bound(there, kind=kind), error

    pairs = float(items * steps)
    cost = {"operations": pairs * WALK[kind], "memory": 8 * pairs}
    return Case(f"bound, {kind}, {items} schedules", steps, prepare, pairs, "pairs", cost)


FAMILIES = {"cosine": {}, "wsd": {"cooldown": 0.2, "shape": "1-sqrt", "warmup": 0.01}}


def sweep(family, kind, cells, steps):
    """The kernel of a sweep, with its table on the way there and its results on the way back."""
    options = {"kind": kind, "last_step": "given"}

    def table_of(count):
        final = np.linspace(0, 0.1, count)
        return segment_table(family, {"steps": steps, "final": final, **FAMILIES[family]}, count)

    def tuned(split):
        return np.sqrt(split[0] * split[1])

    def prepare(_xp):
        table, horizons = table_of(cells), np.full((cells, 1), steps)
        some = slice(None, None, max(1, cells // 1000))
        expected = tuned(_backend.segment_split(table[some], horizons[some], **options))
        return (
            lambda: _device.segment_split(table, horizons, **options),
            lambda split: worst(tuned(split)[some], expected),
        )

    cost = {"host": float(cells * (table_of(1).nbytes + 24))}  # a horizon and two results
    return Case(f"sweep, {kind}, {family}", steps, prepare, cells, "cells", cost)


# --- the table -----------------------------------------------------------------------------------


GOALS = {  # seconds, of what in how many steps
    ("curve, last, direct", 10**6): 5e11 / 1.5e12,  # pairs, and pairs a second
    ("curve, last, fast", 10**8): 1.0,
    **{(f"sweep, last, {family}", 10**4): 1.0 for family in FAMILIES},
}


def plan(shrink):
    """All cases, sizes divided by `shrink`."""

    def sizes(*full):
        return [max(8, int(n) // shrink) for n in full]

    for steps in sizes(1e5, 1e6):
        yield curve("last", "direct", steps)
        yield rival("CuPy, tiles", steps, lambda xp, x, _: gpu_peers.cupy_curve(xp, x))
        yield rival("KeOps", steps, lambda _, __, eta: gpu_peers.keops_curve(eta))
    yield curve("tight", "direct", *sizes(1e4))
    yield from (one_horizon(kind, *sizes(1e4, 1e4)) for kind in WALK)
    yield from (curve("last", "fast", steps) for steps in sizes(1e6, 1e7, 1e8))
    yield from (curve("tight", "fast", steps) for steps in sizes(1e6, 1e7))
    yield from (sweep(family, kind, *sizes(1e6, 1e4)) for kind in WALK for family in FAMILIES)


COLUMNS = ("what", "T", "time", "goal", "rate", "floor", "x floor", "x cvxbound", "difference")


def line(cells):
    return f"| {' | '.join(cells)} |"


def number(x, form, unit=""):
    return f"{x:{form}}{unit}" if np.isfinite(x) else "-"


def row(case, seconds, error, rates, own):
    """A line of the table; `own` is the time of cvxbound that a rival's is compared with."""
    floor = max((n / rates[of] for of, n in case.cost.items()), default=np.nan)
    goal = GOALS.get((case.what, case.steps), np.nan)
    wrong = "" if case.is_rival or error <= case.rtol else " **wrong**"
    return line([
        case.what, f"{case.steps:,}",
        number(seconds * 1e3, ".4g", " ms"), number(goal * 1e3, ".4g", " ms"),
        f"{case.amount / seconds:.3g} {case.unit}/s",
        number(floor * 1e3, ".3g", " ms"), number(seconds / floor, ".2f"),
        number(seconds / own if case.is_rival else np.nan, ".2f"), f"{error:.1e}{wrong}",
    ])  # fmt: skip


def measure(xp, rates, shrink):
    """Lines of the table, and whether each is as it should be; what cannot run says why."""
    own = np.nan
    for case in plan(shrink):
        skippable = Exception if case.is_rival else MemoryError
        try:
            call, error_of = case.prepare(xp)
            seconds, answer = elapsed(xp, call)
        except skippable as reason:
            seconds = np.nan
            why = " ".join(f"skipped: {type(reason).__name__}: {reason}".split())
            yield line([case.what, f"{case.steps:,}", why, *[""] * (len(COLUMNS) - 3)]), True
        else:
            error = error_of(answer)
            yield row(case, seconds, error, rates, own), case.is_rival or error <= case.rtol
        if not case.is_rival:
            own = seconds


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, help="a file for what is printed, in Markdown")
    by = {"nargs": "?", "type": int, "const": 100, "default": 1, "metavar": "N"}
    parser.add_argument("--quick", help="divide sizes by N, 100 where it is not given", **by)
    options = parser.parse_args(arguments)
    target = options.out and _files.check_target(options.out)
    if missing := _device.missing():
        parser.error(missing)
    xp = _device.cupy()
    rates = device_rates(xp)
    lines = [*facts(xp, rates), "", line(COLUMNS), "| - |" + " -: |" * (len(COLUMNS) - 1)]
    print(*lines, sep="\n", flush=True)
    right = True
    for text, as_it_should in measure(xp, rates, max(1, options.quick)):
        print(text, flush=True)
        lines.append(text)
        right = right and as_it_should
    if target:
        with _files.replacing(target, options.out) as part:
            part.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
