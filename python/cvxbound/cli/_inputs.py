"""SCHEDULE arguments: a family by its name and parameters, or the logs of a training run."""

from __future__ import annotations

import contextlib
import glob
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import logs, schedules

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .._names import LastStep
    from ..schedules import Schedule
    from ._options import LogOptions, RunOptions

LOG_SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".txt")
_ALWAYS_LISTS = ("milestones", "factors")
_CONSTANTS = {"true": True, "false": False, "none": None}

# What the readers call their arguments is called differently in a shell.
_FLAGS = {
    "step": "--step-column",
    "lr": "--lr-column",
    "loss": "--loss-column",
    "warmup": "--warmup",
    "warmup_start": "--warmup-start",
    "first_lr": "--first-lr",
    "first_step": "--first-step",
    "split": "--split",
    "run": "--run-column",
    "grad_norm": "--grad-norm-column",
    "skip_nan": "--skip-nan",
}


class UsageError(ValueError):
    """The command line itself is wrong, whatever the files hold."""


class TooLongError(MemoryError):
    """A schedule takes more memory than there is; says which."""


@contextlib.contextmanager
def fits(label: str) -> Iterator[None]:
    """Let an error about memory name the schedule that needs it."""
    try:
        yield
    except MemoryError:
        raise TooLongError(f"{label}: not enough memory; take fewer steps") from None


@dataclass(frozen=True)
class Subject:
    """A schedule to look at.

    Parameters
    ----------
    argument : str
        How it was given.
    label : str
        What tables and figures call it.
    schedule : Schedule
        Its steps, over the peak for a run.
    peak : float or None
        The peak learning rate that a run logged.
    read : tuple of Log
        The logs of a run.
    warmup : int or None
        The warm-up that a run is said to have, in steps.
    """

    argument: str
    label: str
    schedule: Schedule
    peak: float | None = None
    read: tuple[logs.Log, ...] = ()
    warmup: int | None = None


def whole_number(text: str) -> int:
    """An integer, which may be written as 1_000_000 or 1e6."""
    value = number(text)
    if value != value // 1:
        raise ValueError(f"{text!r} is not a whole number")
    return int(value)


def number(text: str) -> float:
    """A number: an int where it cannot be a fraction of a run.

    That is where it is written as one, or is whole and has an exponent (1e2) or is above 1 (100.0).
    1.0 is a float: all of the run.
    """
    try:
        return int(text)
    except ValueError:
        pass
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None
    is_steps = value > 1 or (value == 1 and "e" in text.lower())
    return int(value) if is_steps and value.is_integer() and value < 2**53 else value


def horizons(text: str) -> list[int]:
    """Steps that are separated by commas."""
    try:
        return [whole_number(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"--at: {error}") from None


def load(
    arguments: Sequence[str],
    steps: int | None,
    options: LogOptions,
    last_step: LastStep,
    labels: Sequence[str] | None = None,
) -> list[Subject]:
    """The schedules of a command, in the order given.

    Without `steps`, families have as many as the first log.
    """
    if labels and len(labels) != len(arguments):
        raise UsageError(f"schedules: {len(arguments)}, labels: {len(labels)}; give one for each")
    paths = [_log_paths(argument) for argument in arguments]
    runs = [
        _from_logs(argument, each, options, last_step) if each else None
        for argument, each in zip(arguments, paths, strict=True)
    ]
    if steps is None:
        steps = next((len(run.schedule) for run in runs if run), None)
    found = [run or family(argument, steps) for argument, run in zip(arguments, runs, strict=True)]
    names = labels or [subject.label for subject in found]
    return [replace(each, label=name) for each, name in zip(found, names, strict=True)]


def losses(subject: Subject, options: LogOptions, column: str | None) -> logs.Series:
    """Read the losses of a run, at the steps of its schedule."""
    with _shell_terms([log.source for log in subject.read]):
        return logs.losses(
            *subject.read, loss=column, lr=options.lr_column, first_step=options.first_step
        )


def runs(arguments: Sequence[str], options: RunOptions) -> list[logs.Run]:
    """Read training runs: paths, patterns of paths, and pieces of one run joined with +."""
    sources = list(dict.fromkeys(tuple(_pieces(argument)) for argument in arguments))
    paths = [path for pieces in sources for path in pieces]
    named = [file for path in paths for file in (path, *glob.glob(path, recursive=True))]  # noqa: PTH207
    with _shell_terms(named), fits(", ".join(arguments)):
        return logs.load(
            [pieces if len(pieces) > 1 else pieces[0] for pieces in sources],
            lr=options.lr_column,
            loss=options.loss_column,
            step=options.step_column,
            run=options.run_column,
            split=options.split,
            grad_norm=options.grad_norm_column,
            first_step=options.first_step,
            warmup=options.warmup,
            skip_nan=options.skip_nan,
        )


def _pieces(argument: str) -> list[str]:
    """The parts that are joined with +, where the whole is not a path itself."""
    if "+" not in argument or Path(argument).exists():
        return [argument]
    if glob.has_magic(argument):
        return argument.split("+")
    return _log_paths(argument) or [argument]


def _log_paths(argument: str) -> list[str]:
    """The files that an argument names: one, or several joined with +; none for a family."""
    parts = argument.split("+")
    paths = _existing(parts)
    if paths is not None:
        return paths
    name = argument.partition(":")[0]
    missing = [part for part in parts if not _is_file(part)]
    if len(missing) < len(parts) or "/" in name or name.lower().endswith(LOG_SUFFIXES):
        folders = [part for part in missing if _is_folder(part)]
        if folders:
            raise IsADirectoryError(f"{', '.join(folders)}: a directory; give the log in it")
        raise FileNotFoundError(f"no such file: {', '.join(missing)}")
    return []


def _existing(parts: list[str]) -> list[str] | None:
    """The parts joined to paths that exist, as few as possible: a file may have a + in its name."""
    if not parts:
        return []
    for count in range(len(parts), 0, -1):
        if _is_file(path := "+".join(parts[:count])):
            rest = _existing(parts[count:])
            if rest is not None:
                return [path, *rest]
    return None


def _is_file(path: str) -> bool:
    """Whether there is something to read, a pipe included."""
    try:
        return bool(path) and Path(path).exists() and not Path(path).is_dir()
    except OSError:  # such as a name longer than a file can have: then it is a family
        return False


def _is_folder(path: str) -> bool:
    try:
        return bool(path) and Path(path).is_dir()
    except OSError:
        return False


def _from_logs(
    argument: str, paths: Sequence[str], options: LogOptions, last_step: LastStep
) -> Subject:
    label = " + ".join(Path(path).stem for path in paths)
    with _shell_terms(paths), fits(argument):
        read = tuple(logs.read(path, step=options.step_column) for path in paths)
        schedule = schedules.from_log(
            *read,
            lr=options.lr_column,
            warmup=options.warmup,
            warmup_start=options.warmup_start,
            first_lr=options.first_lr,
            first_step=options.first_step,
            last_step="repeat" if last_step == "repeat" else "given",
        )
    warmup = options.warmup
    if isinstance(warmup, float):
        warmup = round(warmup * len(schedule))
    return Subject(argument, label, schedule, schedule.params["peak"], read, warmup)


@contextlib.contextmanager
def _shell_terms(paths: Sequence[str]) -> Iterator[None]:
    """Let errors of the readers call their arguments as in a shell; the names of files stay."""
    files = "|".join(map(re.escape, paths))
    terms = re.compile(rf"({files})|\b({'|'.join(_FLAGS)})=(?:True)?(?=(.?))")

    def translate(found: re.Match[str]) -> str:
        if found[1]:
            return found[1]
        return _FLAGS[found[2]] + (" " if found[3].strip(" ,)") else "")

    try:
        yield
    except ValueError as error:
        raise ValueError(terms.sub(translate, str(error))) from None


def family(argument: str, steps: int | None) -> Subject:
    """Make a schedule of a family: its name, and its parameters after a colon."""
    name, _, rest = argument.partition(":")
    try:
        make = schedules.find(name.strip())
    except ValueError as error:
        what = "it is a directory" if _is_folder(argument) else "there is no such file"
        raise ValueError(f"{error}; and {what}") from None
    params = _params(argument, rest)
    steps = params.pop("steps", steps)
    if steps is None:
        raise UsageError(f"{argument} needs --steps N, the length of the run")
    try:
        with fits(argument):
            schedule = schedules.by_name(make.__name__, steps, **params)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{argument}: {error}") from None
    return Subject(argument, argument, schedule)


def _params(argument: str, text: str) -> dict[str, Any]:
    """Read ``key=value,key=value`` as keyword arguments."""
    params: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"{argument}: expected name:key=value,key=value, got {part!r}")
        key = key.strip().replace("-", "_")
        values = [_value(each.strip()) for each in value.split("/")]
        params[key] = values if len(values) > 1 or key in _ALWAYS_LISTS else values[0]
    return params


def _value(text: str) -> Any:
    if text.lower() in _CONSTANTS:
        return _CONSTANTS[text.lower()]
    try:
        return number(text)
    except ValueError:
        return text
