"""Learning-rate schedules: the built-in families, arrays, training logs and other tools.

A schedule is its shape: ``eta[t]``, t = 0..T-1, is the learning rate of step t+1 over the peak.
Every family is the same three parts, laid out by one function: a warm-up to the peak, a body, and a
cooldown to ``final``. In 1-based steps t, with W steps of warm-up and C of cooldown:

- warm-up: t / (W + 1), or s + (1 - s) (t - 1) / W from ``warmup_start`` = s; step W + 1 is at the
  peak;
- cooldown: from step T0 = T + 1 - C on, final + (v0 - final) f(x) with x = (t - T0) / C and v0 the
  value of the body at T0. ``final`` is reached at step T + 1, so that the last step taken is above
  it: the bound divides by that step. With ``endpoint=True``, x = (t - T0) / (C - 1) and the last
  step is at ``final``.

A decay over the whole run is a cooldown of C = T - W steps from a constant body.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, ParamSpec

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import logs
from ._arrays import (
    LARGEST_STEP,
    check_range,
    positive_scalar,
    real_array,
)
from ._decay import SHAPES, Shape
from ._messages import counted, did_you_mean
from ._schedule import Schedule
from ._segments import Form, Number, Run, Segment, length, table, values
from .interop import (
    from_callable,
    from_config,
    from_hf,
    from_keras,
    from_optax,
    from_timm,
    from_torch,
)
from .logs._start import (
    before_the_log,
    between_rows,
    check_length,
    jumps,
    open_end_note,
    rows_note,
    usual_spacing,
)

__all__ = [
    "FAMILIES",
    "SHAPES",
    "Schedule",
    "by_name",
    "constant",
    "cosine",
    "cyclic_wsd",
    "exponential",
    "find",
    "from_array",
    "from_callable",
    "from_config",
    "from_hf",
    "from_keras",
    "from_log",
    "from_optax",
    "from_timm",
    "from_torch",
    "inverse_sqrt",
    "linear",
    "piecewise",
    "power",
    "wsd",
]

P = ParamSpec("P")

_FAMILY_ALIASES = {
    "cos": "cosine",
    "exp": "exponential",
    "inv_sqrt": "inverse_sqrt",
    "rsqrt": "inverse_sqrt",
}


def _counts(values: object, steps: Number, what: str) -> list[Number]:
    """Convert steps or fractions that must increase."""
    if isinstance(values, str) or not isinstance(values, (Sequence, np.ndarray)):
        raise TypeError(f"{what} must be a sequence of steps, got {values!r}")
    counts = [length(value, steps, f"{what}[{i}]") for i, value in enumerate(values)]
    for i in range(1, len(counts)):
        if np.any(counts[i] <= counts[i - 1]):
            raise ValueError(
                f"{what} must increase; {what}[{i}] is step {counts[i]}, after {counts[i - 1]}"
            )
    return counts


_SHARED_DOCS = {
    "{cooldown}": """
cooldown : int or float
    Length of the cooldown: an int is steps, a float in [0, 1] a fraction of `steps`.
shape : str or callable, default "linear"
    How the cooldown falls: ``"linear"``, ``"1-sqrt"`` (also ``"sqrt"``, ``"minus_sqrt"``),
    ``"cosine"`` (``"cos"``), ``"power"``, ``"exponential"`` (``"exp"``), or a function f of an
    array x in [0, 1] with f(0) = 1, f(1) = 0 and values in [0, 1].
exponent : float, default 2.0
    p of the shape ``"power"``, 1 - x^p.
rate : float, optional
    r of the shape ``"exponential"``, (r^x - r) / (1 - r). By default `final`, which makes the
    cooldown final^x, or 0.5 where `final` is 0: 2 * 0.5^x - 1.
""",
    "{shared}": """
final : float, default 0.0
    Where the decay ends, as a ratio to the peak, in [0, 1]; no effect where nothing decays.
warmup : int or float, default 0
    Length of the linear warm-up: an int is steps, a float in [0, 1] a fraction of `steps`.
warmup_start : float, optional
    Ratio to the peak at the first step. By default the warm-up of W steps is t / (W + 1).
endpoint : bool, default False
    Whether `final` is reached at the last step, rather than at the step after it.

Returns
-------
Schedule
    ``eta`` has shape (steps,) and peak 1.

Raises
------
TypeError, ValueError
    An argument of the wrong type or out of its range: its name, what came and what was expected.

Notes
-----
Time and memory are linear in `steps`.
""",
}

_FAMILIES: dict[str, Callable[..., Schedule]] = {}
_LAYOUTS: dict[str, Callable[..., list[Segment]]] = {}

FAMILIES: Mapping[str, Callable[..., Schedule]] = MappingProxyType(_FAMILIES)
"""The built-in families by name."""


def _family(lay_out: Callable[P, list[Segment]]) -> Callable[P, Schedule]:
    """Make a family of a function that returns its segments: name and arguments are recorded."""
    signature = inspect.signature(lay_out)

    @functools.wraps(lay_out)
    def family(*args: P.args, **kwargs: P.kwargs) -> Schedule:
        eta = values(lay_out(*args, **kwargs))
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        params = {key: _frozen(value) for key, value in bound.arguments.items()}
        told = [
            f"{key}={value!r}"
            for key, value in params.items()
            if key != "steps" and value != signature.parameters[key].default
        ]
        return Schedule(eta, lay_out.__name__, params, ", ".join(told))

    doc = inspect.cleandoc(lay_out.__doc__ or "")
    for mark, text in _SHARED_DOCS.items():
        doc = doc.replace(mark, text.strip())
    family.__doc__ = doc
    shown = signature.replace(return_annotation="Schedule")
    family.__signature__ = shown  # type: ignore[attr-defined]
    _FAMILIES[lay_out.__name__] = family
    _LAYOUTS[lay_out.__name__] = lay_out
    return family


def _frozen(value: Any) -> Any:
    """Turn an argument into a plain value that later changes do not reach."""
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    return tuple(value) if isinstance(value, list) else value


@_family
def constant(
    steps: int,
    *,
    final: float = 0.0,
    warmup: float = 0,
    warmup_start: float | None = None,
    endpoint: bool = False,
) -> list[Segment]:
    """Hold the peak after the warm-up.

    Parameters
    ----------
    steps : int
        Number of steps T.
    {shared}

    Examples
    --------
    >>> constant(4, warmup=2).eta.round(3).tolist()
    [0.333, 0.667, 1.0, 1.0]
    """
    run = Run.of(steps, final, warmup, warmup_start, endpoint)
    return [run.ramp(), Segment(run.rest, Form.CONSTANT)]


@_family
def linear(
    steps: int,
    *,
    final: float = 0.0,
    warmup: float = 0,
    warmup_start: float | None = None,
    endpoint: bool = False,
) -> list[Segment]:
    """Decay linearly over the whole run.

    Parameters
    ----------
    steps : int
        Number of steps T.
    {shared}

    Examples
    --------
    >>> linear(4).eta.tolist()
    [1.0, 0.75, 0.5, 0.25]
    >>> linear(5, endpoint=True).eta.tolist()
    [1.0, 0.75, 0.5, 0.25, 0.0]
    """
    run = Run.of(steps, final, warmup, warmup_start, endpoint)
    return [run.ramp(), *run.decay(run.rest)]


@_family
def cosine(
    steps: int,
    cycle: float = 1.0,
    *,
    final: float = 0.0,
    warmup: float = 0,
    warmup_start: float | None = None,
    endpoint: bool = False,
) -> list[Segment]:
    """Decay along half a cosine over the whole run.

    Parameters
    ----------
    steps : int
        Number of steps T.
    cycle : float, default 1.0
        Length of the half cosine over that of the decay. A shorter one is followed by `final`; a
        longer one is cut off before it gets there.
    {shared}

    Examples
    --------
    >>> cosine(4).eta.round(3).tolist()
    [1.0, 0.854, 0.5, 0.146]
    >>> cosine(4, cycle=0.5, final=0.1).eta.round(3).tolist()
    [1.0, 0.55, 0.1, 0.1]
    """
    run = Run.of(steps, final, warmup, warmup_start, endpoint)
    return [run.ramp(), *run.decay(run.rest, "cosine", cycle=cycle)]


@_family
def wsd(
    steps: int,
    cooldown: float = 0.2,
    shape: Shape = "linear",
    *,
    exponent: float = 2.0,
    rate: float | None = None,
    final: float = 0.0,
    warmup: float = 0,
    warmup_start: float | None = None,
    endpoint: bool = False,
) -> list[Segment]:
    """Hold the peak, then cool down (warm-up, stable, decay).

    Parameters
    ----------
    steps : int
        Number of steps T.
    {cooldown}
    {shared}

    Examples
    --------
    >>> wsd(8, cooldown=0.5).eta.tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25]
    >>> wsd(8, cooldown=4, shape="1-sqrt").eta[-4:].round(3).tolist()
    [1.0, 0.5, 0.293, 0.134]
    """
    run = Run.of(steps, final, warmup, warmup_start, endpoint)
    return run.cycle(cooldown, shape, exponent, rate)


@_family
def inverse_sqrt(
    steps: int,
    cooldown: float = 0.0,
    *,
    shape: Shape = "linear",
    exponent: float = 2.0,
    rate: float | None = None,
    final: float = 0.0,
    warmup: float = 0,
    warmup_start: float | None = None,
    endpoint: bool = False,
) -> list[Segment]:
    """Decay as one over the square root of the step: sqrt((W + 1) / t), the peak at step W + 1.

    Parameters
    ----------
    steps : int
        Number of steps T.
    {cooldown}
    {shared}

    Examples
    --------
    >>> inverse_sqrt(4).eta.round(3).tolist()
    [1.0, 0.707, 0.577, 0.5]
    """
    run = Run.of(steps, final, warmup, warmup_start, endpoint)
    length, peak = run.cooldown(cooldown), run.warmup + 1
    body = Segment(run.rest - length, Form.INVERSE_SQRT, 1.0, 0.0, peak, peak)
    start = np.sqrt(peak / (run.steps + 1 - length))
    decay = run.decay(length, shape, start=start, exponent=exponent, rate=rate)
    return [run.ramp(), body, *decay]


@_family
def power(
    steps: int,
    exponent: float,
    *,
    final: float = 0.0,
    warmup: float = 0,
    warmup_start: float | None = None,
    endpoint: bool = False,
) -> list[Segment]:
    """Decay as 1 - x^p over the whole run.

    Parameters
    ----------
    steps : int
        Number of steps T.
    exponent : float
        p, positive: 1 is the linear decay, more holds the peak for longer.
    {shared}

    Examples
    --------
    >>> power(4, exponent=2).eta.round(4).tolist()
    [1.0, 0.9375, 0.75, 0.4375]
    """
    run = Run.of(steps, final, warmup, warmup_start, endpoint)
    return [run.ramp(), *run.decay(run.rest, "power", exponent=exponent)]


@_family
def exponential(
    steps: int,
    *,
    rate: float | None = None,
    final: float = 0.0,
    warmup: float = 0,
    warmup_start: float | None = None,
    endpoint: bool = False,
) -> list[Segment]:
    """Decay exponentially over the whole run: (r^x - r) / (1 - r), or final^x.

    Parameters
    ----------
    steps : int
        Number of steps T.
    rate : float, optional
        r. By default `final`, which makes the decay final^x, or 0.5 where `final` is 0.
    {shared}

    Examples
    --------
    >>> exponential(2, final=0.01).eta.round(3).tolist()
    [1.0, 0.1]
    """
    run = Run.of(steps, final, warmup, warmup_start, endpoint)
    return [run.ramp(), *run.decay(run.rest, "exponential", rate=rate)]


@_family
def piecewise(
    steps: int,
    milestones: Sequence[float],
    factors: Sequence[float],
    cooldown: float = 0.0,
    *,
    shape: Shape = "linear",
    exponent: float = 2.0,
    rate: float | None = None,
    final: float = 0.0,
    warmup: float = 0,
    warmup_start: float | None = None,
    endpoint: bool = False,
) -> list[Segment]:
    """Hold one value after another, optionally with a cooldown from the last of them.

    Parameters
    ----------
    steps : int
        Number of steps T.
    milestones : sequence of int or float, shape (n,)
        Where a piece ends, increasing: an int is a step, a float in [0, 1] a fraction of `steps`.
    factors : sequence of float, shape (n,)
        The value from the step after each milestone on, as a ratio to the first piece (not to the
        piece before).
    {cooldown}
    {shared}

    Examples
    --------
    >>> piecewise(6, milestones=[2, 4], factors=[0.5, 0.1]).eta.tolist()
    [1.0, 1.0, 0.5, 0.5, 0.1, 0.1]
    """
    run = Run.of(steps, final, warmup, warmup_start, endpoint)
    ends = _counts(milestones, run.steps, "milestones")
    levels = real_array(factors, "factors")
    if levels.shape != (len(ends),):
        raise ValueError(
            f"factors must be one value for each milestone, shape ({len(ends)},); got shape "
            f"{levels.shape}"
        )
    check_range(levels, "factors", LARGEST_STEP)
    length = run.cooldown(cooldown)
    # What the warm-up and the cooldown leave of each piece.
    first, last = run.warmup, run.steps - length
    edges = [first, *(np.clip(end, first, last) for end in ends), last]
    levels = np.append(1.0, levels)
    pieces = [
        Segment(edges[i + 1] - edges[i], Form.CONSTANT, level) for i, level in enumerate(levels)
    ]
    start = levels[sum(np.asarray(end <= last, np.int64) for end in ends)]
    decay = run.decay(length, shape, start=start, exponent=exponent, rate=rate)
    return [run.ramp(), *pieces, *decay]


@_family
def cyclic_wsd(
    steps: int,
    cycles: int | Sequence[float] = 3,
    cooldown: float = 0.2,
    shape: Shape = "linear",
    *,
    exponent: float = 2.0,
    rate: float | None = None,
    final: float = 0.0,
    warmup: float = 0,
    warmup_start: float | None = None,
    endpoint: bool = False,
) -> list[Segment]:
    """Repeat `wsd` cycles, each from the peak; only the first warms up.

    The cooldown is that of every cycle: a fraction is one of the length of the cycle.

    Parameters
    ----------
    steps : int
        Number of steps T, of all cycles together.
    cycles : int or sequence of int or float, default 3
        How many cycles of equal length, or the last step of each, increasing to `steps` (a float is
        a fraction of `steps`).
    {cooldown}
    {shared}

    Examples
    --------
    >>> cyclic_wsd(8, cycles=2, cooldown=0.5).eta.tolist()
    [1.0, 1.0, 1.0, 0.5, 1.0, 1.0, 1.0, 0.5]
    """
    run = Run.of(steps, final, warmup, warmup_start, endpoint)
    segments: list[Segment] = []
    start = 0
    for end in _cycle_ends(cycles, run.steps):
        one = replace(run, steps=end - start, warmup=run.warmup if not segments else 0)
        segments += one.cycle(cooldown, shape, exponent, rate)
        start = end
    return segments


def _cycle_ends(cycles: int | Sequence[float], steps: Number) -> list[Number]:
    if isinstance(cycles, (int, np.integer)) and not isinstance(cycles, bool):
        least = int(np.min(steps))
        if not 1 <= cycles <= least:
            raise ValueError(f"cycles must be from 1 to the number of steps, {least}; got {cycles}")
        return [(i + 1) * steps // int(cycles) for i in range(int(cycles))]
    ends = _counts(cycles, steps, "cycles")
    if not ends or np.any(ends[0] == 0) or np.any(ends[-1] != steps):
        raise ValueError(f"cycles must end at steps from 1 on, the last at {steps}; got {ends}")
    return ends


def find(name: str) -> Callable[..., Schedule]:
    """Return the family of a name, as on a command line.

    Parameters
    ----------
    name : str
        One of `FAMILIES`, in any case and with hyphens for underscores; ``cos``, ``exp``,
        ``inv_sqrt`` and ``rsqrt`` are understood.

    Returns
    -------
    callable
        Takes the number of steps and the parameters of the family.

    Raises
    ------
    ValueError
        Unknown family, with the nearest known one.

    Examples
    --------
    >>> find("cos") is cosine
    True
    """
    key = str(name).lower().replace("-", "_")
    family = FAMILIES.get(_FAMILY_ALIASES.get(key, key))
    if family is None:
        raise did_you_mean(name, FAMILIES, "schedule")
    return family


def segment_table(family: str, params: Mapping[str, Any], cells: int) -> NDArray[np.void]:
    """Segments of many schedules of a family, (cells, segments) of `SEGMENT`, for the core.

    Each of `params` is one value, or an array of numbers with one for each cell; sequences, names
    and what is not a number are the same for all cells. A combination that makes no schedule is a
    `CellError` with the index of its cell.
    """
    return table(_LAYOUTS[family](**params), cells)


def by_name(name: str, steps: int, **params: Any) -> Schedule:
    """Make a schedule of a family given by its name, as on a command line.

    Parameters
    ----------
    name : str
        As for `find`.
    steps : int
        Number of steps.
    **params
        What the family takes.

    Returns
    -------
    Schedule

    Raises
    ------
    ValueError
        Unknown family, with the nearest known one; else as the family itself.
    TypeError
        Unknown or missing argument.

    Examples
    --------
    >>> by_name("cos", 100, final=0.1)
    <Schedule cosine: 100 steps, final=0.1>
    """
    family = find(name)
    known = dict(inspect.signature(family).parameters)
    known.pop("steps")
    for key in params:
        if key not in known:
            raise TypeError(str(did_you_mean(key, known, f"argument of {family.__name__}")))
    needed = [key for key, each in known.items() if each.default is inspect.Parameter.empty]
    missing = [key for key in needed if key not in params]
    if missing:
        raise TypeError(f"{family.__name__} needs {' and '.join(missing)}; there is no default")
    return family(steps, **params)


def from_array(x: ArrayLike, *, name: str = "array") -> Schedule:
    """Make a schedule of its steps.

    Parameters
    ----------
    x : array_like of real numbers, shape (T,)
        The learning rate of each step, finite and not negative. The peak need not be 1: the base
        learning rate of a bound multiplies what is given here.
    name : str, default "array"
        How the schedule is called.

    Returns
    -------
    Schedule
        A copy in float64.

    Raises
    ------
    TypeError, ValueError
        As `Schedule`.

    Examples
    --------
    >>> from_array([1.0, 0.5], name="mine").eta.tolist()
    [1.0, 0.5]
    """
    return Schedule(x, name)  # type: ignore[arg-type]  # which takes what is array_like


def from_log(
    source: object,
    *more: object,
    step: str | None = None,
    lr: str | None = None,
    warmup: float | None = None,
    warmup_start: float | None = None,
    first_lr: float | None = None,
    first_step: int | None = None,
    peak: float | None = None,
    last_step: Literal["repeat", "given"] = "repeat",
    name: str | None = None,
) -> Schedule:
    """Make the schedule of a training run from the learning rates in its log.

    Parameters
    ----------
    source, *more : path or table
        The log of the run, then those of its continuations, each of which replaces what came before
        it from its own first learning rate on: see `cvxbound.logs.read` for the formats. A run that
        was resumed within one file is spliced in the same way.
    step, lr : str, optional
        Columns of the step and of the learning rate, where they are not found by their names.
    warmup : int or float, optional
        For a log that starts late: the steps before its first learning rate are a linear warm-up of
        this length (an int is steps, a float a fraction of the run) to that rate, which is held
        where the warm-up ends before the log starts. 0 holds it from the first step.
    warmup_start : float, optional
        Ratio to the peak at the first step, with `warmup`; by default the warm-up is on the line
        through zero.
    first_lr : float, optional
        Instead of `warmup`: the learning rate of the first step, not over the peak. The steps up to
        the first one logged are on the line between them.
    first_step : int, optional
        What the log calls the first step; by default 0 if a row of step 0 has a learning rate, else
        1. A row labelled s gives ``eta[s - first_step]``.
    peak : float, optional
        What the learning rates are divided by; by default the largest one logged.
    last_step : {"repeat", "given"}, default "repeat"
        Whether the last step is replaced by the one before it. A log may end with a rate of zero,
        where a bound is infinite, and the last iterate does not depend on the last step.
    name : str, optional
        By default that of the last file.

    Returns
    -------
    Schedule
        Of as many steps as the last row with a learning rate counts. Between rows the learning rate
        is interpolated linearly; across a jump, where it is level before and after, it holds until
        the later row. ``params`` has ``peak``, ``sources``, ``rows``, ``every`` (the median
        distance of two rows), ``longest_gap``, ``interpolated`` (how many steps are not logged but
        lie between rows), ``jumps``, ``assumed`` (how many come from `warmup` or `first_lr`),
        ``replaced`` (how many rows later ones replace), ``open_ended`` (which CSV files have no
        line end after their last row, in which a number may be cut off), ``first_step`` and
        ``last_step``.

    Raises
    ------
    OSError
        A file cannot be opened or read.
    TypeError
        `source` is neither a path nor a table, or a column is an array of anything but real
        numbers.
    ValueError
        The log cannot be understood (the file and, where there is one, the line), its steps only
        descend, it starts late and neither `warmup` nor `first_lr` is given, it has no positive
        learning rate, or it counts more than 2**31 steps.

    Notes
    -----
    Time and memory are linear in the size of the log and in the number of steps.

    Examples
    --------
    >>> log = {"step": [1, 3, 5], "lr": [3e-4, 3e-4, 0.0]}
    >>> from_log(log, last_step="given").eta.tolist()
    [1.0, 1.0, 1.0, 0.5, 0.0]
    >>> print(from_log(log, name="run 7").note)
    LR interpolated linearly between 3 rows (one every 2 steps); last step repeated
    """
    if last_step not in ("repeat", "given"):
        raise did_you_mean(last_step, ("repeat", "given"), "last_step")
    rates = logs.learning_rates(source, *more, step=step, lr=lr, first_step=first_step)
    top = float(rates.value.max()) if peak is None else positive_scalar(peak, "peak")
    if not top:
        raise ValueError(f"{', '.join(rates.sources)}: no learning rate is positive")
    check_length(rates)
    assumed = before_the_log(rates, top, warmup, warmup_start, first_lr)
    logged = between_rows(rates)
    eta = np.concatenate([assumed, logged]) / top
    if last_step == "repeat" and eta.size > 1:
        eta[-1] = eta[-2]
    every, longest = usual_spacing(rates)
    params = {
        "peak": top,
        "sources": rates.sources,
        "rows": rates.step.size,
        "every": every,
        "longest_gap": longest,
        "interpolated": logged.size - rates.step.size,
        "jumps": jumps(rates).size,
        "assumed": assumed.size,
        "replaced": rates.replaced,
        "open_ended": rates.open_ended,
        "first_step": rates.first_step,
        "last_step": last_step,
    }
    return Schedule(eta, name or Path(rates.sources[-1]).stem, params, _log_note(params))


def _log_note(params: Mapping[str, Any]) -> str:
    """Say how a schedule was made from its log."""
    rows, every, longest = params["rows"], params["every"], params["longest_gap"]
    notes = [rows_note(rows, every, longest, params["interpolated"], params["jumps"])]
    if params["replaced"]:
        notes.append(f"{counted(params['replaced'], 'row')} replaced by later ones")
    if params["assumed"]:
        notes.append(f"first {counted(params['assumed'], 'step')} assumed")
    if params["last_step"] == "repeat":
        notes.append("last step repeated")
    if params["open_ended"]:
        notes.append(open_end_note(params["open_ended"]))
    return "; ".join(notes)
