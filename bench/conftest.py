"""Machine facts in every result, and ratios within a group printed at the end."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import numpy as np
import pytest

import cvxbound as cb


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def commit():
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def facts():
    info = cb.info()
    return {
        "processor": processor(),
        "cpus": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "load": os.getloadavg()[0],
        "cvxbound": info["version"],
        "isa": info["isa"],
        "isas": ",".join(info["isas"]),
        "threads": info["threads"],
        "numpy": np.__version__,
        "commit": commit(),
    }


def pytest_benchmark_update_machine_info(config, machine_info):
    machine_info["cvxbound"] = facts()


@pytest.fixture
def measure(benchmark):
    """Time a call and return its answer; `pairs` counts the target-source pairs it handles."""

    def run(function, *args, pairs=None, rounds=5):
        if pairs is not None:
            benchmark.extra_info["pairs"] = pairs
        return benchmark.pedantic(function, args=args, rounds=rounds, iterations=1, warmup_rounds=1)

    return run


def pytest_terminal_summary(terminalreporter, config):
    session = getattr(config, "_benchmarksession", None)
    done = [bench for bench in getattr(session, "benchmarks", []) if bench.stats.rounds]
    if not done:
        return
    write = terminalreporter.write_line
    terminalreporter.section("best of each group, and ratios to cvxbound")
    write(", ".join(f"{key}: {value}" for key, value in facts().items()))
    for group in dict.fromkeys(bench.group for bench in done):
        members = [bench for bench in done if bench.group == group]
        own = [bench.stats.min for bench in members if "cvxbound" in bench.name]
        write(f"\n{group}")
        for bench in sorted(members, key=lambda bench: bench.stats.min):
            ratio = f"{bench.stats.min / own[0]:9.2f} x" if own else ""
            pairs = bench.extra_info.get("pairs")
            rate = f"{pairs / bench.stats.min / 1e9:8.2f} Gpair/s" if pairs else ""
            write(f"  {bench.name:42s} {bench.stats.min * 1e3:12.3f} ms {ratio} {rate}")
