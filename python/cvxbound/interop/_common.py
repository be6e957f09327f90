"""What all importers share: from the learning rates of a tool to a schedule."""

from __future__ import annotations

import importlib
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import LARGEST_STEP, check_range, real_array, whole_number
from .._messages import did_you_mean
from .._schedule import Schedule

LastStep = Literal["repeat", "given"]


def needed(module: str, package: str, what: str) -> Any:
    """Import a package that is no dependency; ImportError that says how to get it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != module.partition(".")[0]:
            raise
        raise ImportError(f"{what} needs {package}: pip install {package}") from None


def checked(steps: object, last_step: object) -> int:
    """The arguments that all importers have, before anything is computed."""
    if last_step not in get_args(LastStep):
        raise did_you_mean(last_step, get_args(LastStep), "last_step")
    return whole_number(steps, "steps")


def check_callable(value: object, name: str, expected: str) -> None:
    """TypeError for an argument that cannot be called."""
    if not callable(value):
        raise TypeError(f"{name} must be {expected}; got {value!r}")


def group_number(group: object, optimizer: Any) -> int:
    """The number of one of an optimizer's groups of parameters, from zero on."""
    groups = len(optimizer.param_groups)
    if isinstance(group, bool) or not isinstance(group, (int, np.integer)):
        raise TypeError(f"group must be an integer, a group of the optimizer; got {group!r}")
    if not 0 <= group < groups:
        raise ValueError(f"group must be from 0 to {groups - 1}, a group of the optimizer: {group}")
    return int(group)


def imported(
    rates: ArrayLike,
    name: str,
    source: str,
    last_step: LastStep,
    *,
    scale: float = 1.0,
    **params: Any,
) -> Schedule:
    """The schedule of learning rates, which `scale` multiplies; over their peak, as from a log."""
    values = real_array(rates, f"learning rates of {source}")
    check_range(values, f"learning rates of {source}", LARGEST_STEP)
    top = values.max()
    if not top * scale > 0:
        raise ValueError(f"{source}: no learning rate is positive")
    eta = values / top
    notes = [f"learning rates of {source}"]
    if last_step == "repeat" and eta.size > 1:
        eta[-1] = eta[-2]
        notes.append("last step repeated")
    params = {"peak": float(top * scale), "source": source, "last_step": last_step, **params}
    return Schedule(eta, name, params, "; ".join(notes))
