"""Plans in TOML files."""

from __future__ import annotations

import contextlib
import datetime
import math
import reprlib
import runpy
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeGuard

import numpy as np

from .. import schedules
from .._messages import did_you_mean
from ._axes import LENGTHS, Family, Zip, axis_of, coupled, dim_of, parameter

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from ._plan import Plan

__all__ = ["read_plan"]

_SETTINGS = ("family", "kind", "at", "last_step", "where", "block")
_KEYS = (*_SETTINGS, "axes", "zip")
_SPACES: Mapping[str, Callable[..., NDArray[Any]]] = {
    "linspace": np.linspace,
    "geomspace": np.geomspace,
    "logspace": np.logspace,
}
_GENERATORS = (*_SPACES, "arange")
_MOST_VALUES = 10**7
_IN_FILES = {  # advice on Python, in the words of a file
    "; round them: np.rint(...).astype(int)": "",
    "; np.unique leaves out what is repeated": "; leave out what is repeated",
    ": zip(steps=[...], warmup=[...])": ", such as steps = [...] and warmup = [...]",
    ", as in ds.cvx.omega().where(...)": "",
}


def read_plan(path: str | os.PathLike[str]) -> Plan:
    r"""Read a plan from a TOML file.

    Parameters
    ----------
    path : path-like
        The file. ``family`` is the name of a built-in family, or ``"file.py:function"`` of a file
        beside the plan, which is executed. ``kind``, ``at``, ``last_step`` ("repeat" by default),
        ``where`` and ``block`` are as for `sweep`. The table ``axes`` has the parameters of the
        family, ``gamma``, ``D`` and ``G``: a list is an axis, one value is fixed, and a table
        generates an axis: ``linspace``, ``geomspace`` or ``logspace`` = [start, stop] with ``num``,
        or ``arange`` = [start, stop, step], as in NumPy; ``whole = true`` (the default for
        ``steps``) rounds to integers and drops what then occurs twice. Each ``[[zip]]`` is a table
        of axes that are coupled; its ``dim`` names what they share. A number that is whole and
        above 1 is an integer however it is written: 1e3 is 1000 steps, 1.0 all of them.

    Returns
    -------
    Plan

    Raises
    ------
    ValueError
        What is wrong, led by the name of the file and the path of the key.
    OSError
        The file cannot be read.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "plan.toml")
    >>> _ = path.write_text('family = "linear"\n[axes]\nsteps = [100, 1e3]\n')
    >>> read_plan(path).shape
    (2,)
    """
    path = Path(path)
    text = path.read_bytes()
    try:
        return _plan(_parsed(text), path.parent)
    except RecursionError:
        raise ValueError(f"{path}: its values are nested too deeply") from None
    except (TypeError, ValueError) as error:
        told = str(error)
        for python, toml in _IN_FILES.items():
            told = told.replace(python, toml)
        raise ValueError(f"{path}: {told}") from error


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(text.decode("utf-8-sig"), parse_float=_number)
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise ValueError(f"not text in UTF-8 (at line {line})") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"not valid TOML: {error}") from None


def _number(text: str) -> float:
    value = float(text)
    return int(value) if 1 < value < 2**53 and value.is_integer() else value


def _plan(document: Mapping[str, Any], folder: Path) -> Plan:
    from . import sweep

    axes = document.get("axes", {})
    if not isinstance(axes, Mapping):
        _refuse("axes", "a table, [axes]", axes)
    if "device" in (*document, *axes):
        raise ValueError(
            "device: of a run, not of a plan: sweep run --device, or Plan.on in Python"
        )
    for key in document:
        if key not in _KEYS:
            raise ValueError(f"{did_you_mean(key, _KEYS, 'key')}; parameters go below [axes]")
    if "family" not in document:
        raise ValueError('family: expected a name such as "wsd", got none')
    for key in axes:
        if key in _SETTINGS:
            raise ValueError(f"axes.{key}: of the whole plan, not of an axis; put it above [axes]")
    found = _family(document["family"], folder)
    family = Family.of(found)
    settings = {key: document[key] for key in _SETTINGS[1:] if key in document}
    zips = _zips(document.get("zip", []), family)
    _check_once(axes, zips)
    return sweep(
        found,
        *zips,
        **{"last_step": "repeat", **settings},
        **{key: _single(family, key, value) for key, value in axes.items()},
    )


def _single(family: Family, key: str, value: object) -> Any:
    """The values of a parameter by itself, checked here so that an error has its path."""
    values = _values(value, f"axes.{key}", key)
    with _at(f"axes.{key}", _hint(key, values)):
        family.check(key)
        parameter(family, key, values)
    return values


def _zips(tables: object, family: Family) -> list[Zip]:
    if not isinstance(tables, list) or not all(isinstance(each, Mapping) for each in tables):
        _refuse("zip", "tables, each below its own [[zip]]", tables)
    return [_zip(table, f"zip[{i}]", family) for i, table in enumerate(tables)]


def _zip(table: Mapping[str, Any], path: str, family: Family) -> Zip:
    """Axes that are coupled, checked as `_single` does."""
    axes = {}
    for key, value in table.items():
        if key == "dim":
            continue
        axes[key] = _values(value, f"{path}.{key}", key, is_coupled=True)
        with _at(f"{path}.{key}", _hint(key, axes[key])):
            family.check(key)
            axis_of(family, key, axes[key])
    with _at(path):
        found = coupled(table.get("dim"), axes)
        dim_of(family, *found)
    return found


def _check_once(axes: Mapping[str, Any], zips: Sequence[Zip]) -> None:
    paths = {key: f"axes.{key}" for key in axes}
    for i, each in enumerate(zips):
        for key in each.axes:
            if key in paths:
                raise ValueError(f"{paths[key]} and zip[{i}].{key}: {key} is given twice")
            paths[key] = f"zip[{i}].{key}"


def _hint(key: str, values: object) -> str:
    """What helps where fractions were generated, and steps may have been meant."""
    if key not in (*LENGTHS, "steps") or not isinstance(values, np.ndarray):
        return ""
    return "; whole = true makes them steps" * bool(values.dtype.kind == "f" and values.max() > 1)


def _values(value: object, path: str, name: str, is_coupled: bool = False) -> Any:
    """The values of a parameter: a list, an array that a table generates, or a single value."""
    if isinstance(value, Mapping):
        return _generated(value, path, name, is_coupled)
    if is_coupled and not isinstance(value, list):
        _refuse(path, "a list, or a table that generates one", value)
    return _plain(value, path)


def _plain(value: object, path: str) -> Any:
    if isinstance(value, list):
        return [_plain(item, f"{path}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, (Mapping, datetime.date, datetime.time)):
        _refuse(path, "a number, a text, true, false or a list", value)
    return value


def _generated(table: Mapping[str, Any], path: str, name: str, is_coupled: bool) -> NDArray[Any]:
    """The values that a table such as ``{linspace = [0.1, 1.0], num = 10}`` stands for."""
    kinds = [key for key in table if key in _GENERATORS]
    known = (*(kinds or _GENERATORS), *([] if kinds == ["arange"] else ["num"]), "whole")
    for key in table:
        if key not in known:
            raise ValueError(f"{path}.{key}: {did_you_mean(key, known, 'key')}")
    if len(kinds) != 1:
        _refuse(path, f"one of {', '.join(_GENERATORS)}", dict(table))
    (kind,) = kinds
    whole = table.get("whole", name == "steps")
    if not isinstance(whole, bool):
        _refuse(f"{path}.whole", "true or false", whole)
    if kind == "arange":
        values = _arange(table[kind], f"{path}.{kind}")
    else:
        values = _space(kind, table[kind], table.get("num"), path)
    if not np.isfinite(values).all():
        _refuse(f"{path}.{kind}", "a range of finite numbers", table[kind])
    if not whole or values.dtype.kind == "i":
        return values
    if np.abs(values).max() >= 2**53:
        _refuse(f"{path}.{kind}", "whole numbers below 2**53", table[kind])
    rounded: NDArray[Any] = np.rint(values).astype(np.int64)
    different = np.diff(rounded, prepend=rounded[0] - 1) != 0  # they are in order
    return rounded if is_coupled else np.asarray(rounded[different])


def _space(kind: str, ends: object, num: object, path: str) -> NDArray[Any]:
    if not _are_numbers(ends) or len(ends) != 2 or not all(map(math.isfinite, ends)):
        _refuse(f"{path}.{kind}", "two finite numbers, [start, stop]", ends)
    if kind == "geomspace" and min(ends) <= 0:
        _refuse(f"{path}.{kind}", "two positive numbers, [start, stop]", ends)
    if not isinstance(num, int) or isinstance(num, bool) or not 1 <= num <= _MOST_VALUES:
        _refuse(f"{path}.num", f"how many values, from 1 to {_MOST_VALUES:,}", num)
    with np.errstate(over="ignore"):
        return _SPACES[kind](*map(float, ends), num)


def _arange(numbers: object, path: str) -> NDArray[Any]:
    if not _are_numbers(numbers) or len(numbers) not in (2, 3):
        _refuse(path, "two or three numbers, [start, stop, step]", numbers)
    start, stop, step = [*numbers, 1][:3]
    count = (stop - start) / step if step else 0
    if not 0 < count <= _MOST_VALUES:
        _refuse(path, f"from 1 to {_MOST_VALUES:,} values from start on, before stop", numbers)
    return np.arange(start, stop, step)


def _are_numbers(values: object) -> TypeGuard[list[float]]:
    return isinstance(values, list) and all(
        isinstance(value, (int, float)) and not isinstance(value, bool) for value in values
    )


def _family(family: object, folder: Path) -> str | Callable[..., Any]:
    """The name of a built-in family, or a function of a file."""
    if not isinstance(family, str):
        _refuse("family", 'a name such as "wsd", or "file.py:function"', family)
    file, colon, name = family.rpartition(":")
    with _at("family"):
        if not colon:
            return schedules.find(family).__name__
        if not file.endswith(".py"):
            raise ValueError(f'expected "file.py:function", a file beside the plan, got {family!r}')
        functions = {
            key: value
            for key, value in _executed(folder / file).items()
            if callable(value) and not key.startswith("_")
        }
        if name not in functions:
            raise did_you_mean(name, functions, f"function of {file}")
        found: Callable[..., Any] = functions[name]
        return found


def _executed(path: Path) -> dict[str, Any]:
    """The names in a file. It is not left in `sys.modules`, so functions are pickled by value."""
    if not path.is_file():
        raise ValueError(f"no such file: {path}")
    try:
        return runpy.run_path(str(path), run_name=path.stem)
    except (Exception, SystemExit) as error:
        raise ValueError(f"{path} failed: {type(error).__name__}: {error}") from error


@contextlib.contextmanager
def _at(path: str, hint: str = "") -> Iterator[None]:
    """Let an error begin with the path of the key, and end with what may help."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}{hint}") from error


def _refuse(path: str, expected: str, got: object) -> NoReturn:
    told = "none" if got is None else reprlib.repr(got)  # which no value in TOML is
    raise ValueError(f"{path}: expected {expected}, got {told}")
