"""Machine facts in every result, and ratios within a group printed at the end."""

from __future__ import annotations

import pytest

from machine import facts


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
