"""Families of schedules that dawdle, fail or take their process with them, for tests of sweeps.

In a module of their own: worker processes import it.
"""

import os
import signal
import time
from pathlib import Path

import numpy as np


def ramp(steps, slope):
    """A line from 1 to 1 - slope, never zero."""
    return np.linspace(1, 1 - slope, steps + 1)[:-1]


def slow(steps, slope, delay):
    """Takes its time, so that kills land anywhere."""
    time.sleep(delay)
    return ramp(steps, slope)


def logged(steps, slope, log, victim, flag):
    """Writes down each schedule; at the victim, kills its process once."""
    if slope == victim and _first(flag):
        os.kill(os.getpid(), signal.SIGKILL)
    with Path(log).open("a") as file:
        file.write(f"{steps} {slope}\n")
    return ramp(steps, slope)


def fatal(steps, slope, log, flag):
    """The same, but kills its process when half of eighty schedules are made, wherever that is."""
    made = Path(log).read_text().splitlines() if Path(log).exists() else []
    return logged(steps, slope, log, slope if len(made) >= 40 else None, flag)


def broken(steps, slope, bad, while_exists):
    """Fails at one slope, as long as a file exists."""
    if slope == bad and Path(while_exists).exists():
        raise RuntimeError("no such luck")
    return ramp(steps, slope)


def flaky(steps, slope, bad, folder, times):
    """Fails at one slope the first few times."""
    if slope == bad and any(_first(f"{folder}/{i}") for i in range(times)):
        raise RuntimeError("not yet")
    return ramp(steps, slope)


def interrupted(steps, slope, bad, flag):
    """Ctrl-C, once."""
    if slope == bad and _first(flag):
        raise KeyboardInterrupt
    return ramp(steps, slope)


def _first(flag):
    """Whether no process was here before."""
    try:
        Path(flag).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
