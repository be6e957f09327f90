"""Facts about the machine and the package that times are quoted with."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import numpy as np

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
