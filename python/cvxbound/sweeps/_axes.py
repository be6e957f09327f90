"""The axes of a sweep: which values each parameter takes, checked one by one."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import schedules
from .._arrays import (
    LARGEST_STEP,
    check_range,
    positive_scalar,
    ratio_to_peak,
    real_array,
    step_count,
    whole_number,
)
from .._decay import known_shape
from .._messages import did_you_mean
from .._segments import MOST_STEPS
from ._identity import identity_of, name_of

__all__ = [
    "ABSOLUTE",
    "LENGTHS",
    "SCALES",
    "SEQUENCES",
    "Axis",
    "Dim",
    "Family",
    "Zip",
    "axis_of",
    "coupled",
    "dim_of",
    "is_sequence",
    "parameter",
    "parse",
    "plain",
]

SCALES = ("gamma", "D", "G")
"""What scales a bound; free wherever the schedule does not depend on it."""

ABSOLUTE = {"final_lr": "final", "warmup_start_lr": "warmup_start"}
"""Learning rates of built-in families that count absolutely, and the ratio to gamma they set."""

LENGTHS = ("cooldown", "warmup")
SEQUENCES = ("milestones", "factors")

_TAKEN = ("kind", "horizon", "distance", "noise", "omega", "done", "error", "block")


@dataclass(frozen=True)
class Family:
    """What makes the schedules of a sweep.

    Parameters
    ----------
    name : str
        What it is called.
    function : callable
        Takes parameters by their names and returns a schedule.
    native : bool
        Whether the compiled core makes its schedules.
    """

    name: str
    function: Callable[..., Any]
    native: bool

    @classmethod
    def of(cls, family: object) -> Family:
        """What the user named."""
        if isinstance(family, str):
            family = schedules.find(family)
        if not callable(family):
            raise TypeError(
                f"family must be the name of one, such as 'wsd', or a function that returns a "
                f"schedule; got {family!r}"
            )
        name = name_of(family)
        return cls(name, family, schedules.FAMILIES.get(name) is family)

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter] | None:
        """What it takes by name; None where that is not known or anything is."""
        try:
            found = inspect.signature(self.function).parameters
        except (TypeError, ValueError):
            return None
        if any(each.kind is each.VAR_KEYWORD for each in found.values()):
            return None
        return {
            name: each
            for name, each in found.items()
            if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
        }

    @property
    def scales(self) -> tuple[str, ...]:
        """The scales that its schedules depend on."""
        try:
            named = inspect.signature(self.function).parameters
        except (TypeError, ValueError):
            return ()
        return tuple(name for name in SCALES if name in named)

    def check(self, name: str) -> None:
        """Refuse a parameter that it does not take."""
        if name in _TAKEN:
            raise ValueError(f"an axis cannot be called {name!r}: the result has its own")
        if self.parameters is None:
            return
        known = (*self.parameters, *SCALES, *(ABSOLUTE if self.native else ()))
        if name not in known:
            raise TypeError(
                str(did_you_mean(name, dict.fromkeys(known), f"parameter of {self.name}"))
            )

    def check_all(self, names: Sequence[str]) -> None:
        """Refuse parameters that it does not take, and miss those that it needs."""
        for name in names:
            self.check(name)
        for name, each in (self.parameters or {}).items():
            needed = each.default is each.empty or name in self.scales
            if needed and name not in names:
                raise TypeError(f"{self.name} needs {name}; give a value or an axis")


@dataclass(frozen=True, eq=False)
class Axis:
    """The values of one parameter.

    Parameters
    ----------
    name : str
        The parameter.
    values : ndarray (n,)
        int64, float64, bool, or objects: texts, None, functions, and tuples of numbers.
    """

    name: str
    values: NDArray[Any]

    @classmethod
    def single(cls, name: str, value: Any) -> Axis:
        """An axis of one value, however it came."""
        return cls(name, _as_values(name, [value]))

    def __reduce__(self) -> tuple[Any, ...]:
        return Axis, (self.name, self.values)  # without what is made from them

    @functools.cached_property
    def codes(self) -> NDArray[np.int64]:
        """A number for each value, the same for equal ones."""
        if self.values.dtype != object:
            return np.unique(self.values, return_inverse=True)[1].astype(np.int64)
        known: dict[Any, int] = {}
        found = [known.setdefault(_key(value), len(known)) for value in self.values]
        return np.array(found, np.int64)

    @functools.cached_property
    def labels(self) -> NDArray[Any]:
        """The values as coordinates: numbers (NaN for None among them), or texts."""
        if self.values.dtype != object:
            return self.values
        if all(value is None or _is_number(value) for value in self.values):
            return np.array([math.nan if value is None else value for value in self.values])
        labels, seen = np.empty(self.values.size, object), dict[str, int]()
        for i, value in enumerate(self.values):
            text = in_words(value)
            seen[text] = seen.get(text, 0) + 1
            unique = seen[text] == 1 or not callable(value)
            labels[i] = text if unique else f"{text} {seen[text]}"
        return labels


@dataclass(frozen=True, eq=False)
class Dim:
    """A dimension of the grid: one axis, or several that are coupled."""

    name: str
    axes: tuple[Axis, ...]

    @property
    def size(self) -> int:
        """How many values it has."""
        return self.axes[0].values.size

    def in_words(self, start: int, stop: int) -> str:
        """A range of its values, for messages."""
        told = []
        for axis in self.axes:
            ends = list(dict.fromkeys((start, stop - 1)))
            told.append(f"{axis.name}={'..'.join(_quoted(axis.values[i]) for i in ends)}")
        return ", ".join(told)


class Zip(NamedTuple):
    """Axes that are coupled, before they are checked."""

    dim: str
    axes: Mapping[str, Any]


class Axes(NamedTuple):
    """What a sweep runs over, and what stays the same."""

    dims: tuple[Dim, ...]
    fixed: Mapping[str, Any]

    @property
    def names(self) -> tuple[str, ...]:
        """All parameters that have values."""
        return (*(axis.name for dim in self.dims for axis in dim.axes), *self.fixed)


def coupled(dim: str | None, axes: Mapping[str, Any]) -> Zip:
    """Check what is coupled as far as that is possible without the family."""
    if not axes:
        raise ValueError("zip needs axes: zip(steps=[...], warmup=[...])")
    if dim is not None and (not isinstance(dim, str) or not dim):
        raise TypeError(f"dim must be a name, got {dim!r}")
    lengths = {}
    for name, raw in axes.items():
        if not is_sequence(raw):
            raise TypeError(f"zip takes axes, lists of values; {name} is {raw!r}")
        lengths[name] = len(raw)
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} has {count}" for name, count in lengths.items())
        raise ValueError(f"axes that are coupled must be of one length; {told}")
    return Zip(dim or "_".join(axes), dict(axes))


def parse(family: Family, zips: Sequence[object], axes: Mapping[str, Any]) -> Axes:
    """Check axes and what is fixed, each by itself."""
    dims: list[Dim] = []
    names: list[str] = []
    for each in zips:
        if not isinstance(each, Zip):
            raise TypeError(f"expected cb.zip(...), or axes by name; got {each!r}")
        names += list(each.axes)
    names += list(axes)
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name} is given twice")
    family.check_all(names)
    for each in zips:
        assert isinstance(each, Zip)
        dims.append(dim_of(family, each.dim, each.axes))
    fixed = {}
    for name, raw in axes.items():
        value = parameter(family, name, raw)
        if isinstance(value, Dim):
            dims.append(value)
        else:
            fixed[name] = value
    _check_dims(dims, names)
    return Axes(tuple(dims), fixed)


def parameter(family: Family, name: str, raw: Any) -> Dim | Any:
    """Check one parameter: a dimension of its own, or what is the same for all cells."""
    if _is_axis(family, name, raw):
        return dim_of(family, name, {name: raw})
    if isinstance(raw, (Set, Iterator)):
        raise TypeError(f"{name}: an axis is a list, a tuple, a range or an array, got {raw!r}")
    return _fixed(family, name, raw)


def _check_dims(dims: Sequence[Dim], names: Sequence[str]) -> None:
    for dim in dims:
        others = [each.name for each in dims if each is not dim]
        others += [name for name in names if name not in (axis.name for axis in dim.axes)]
        if dim.name in (*others, *_TAKEN):
            raise ValueError(
                f"zip cannot name its dimension {dim.name!r}, which is taken; set dim="
            )


def dim_of(family: Family, name: str, axes: Mapping[str, Any]) -> Dim:
    """Check a dimension: its axes one by one, and that no value comes twice."""
    parsed = tuple(axis_of(family, each, raw) for each, raw in axes.items())
    codes = np.zeros(parsed[0].values.size, np.int64)
    for axis in parsed:
        codes = np.unique(codes * (int(axis.codes.max()) + 1) + axis.codes, return_inverse=True)[1]
    first, again = _first_repeat(codes)
    dim = Dim(name, parsed)
    if again:
        told = dim.in_words(again, again + 1)
        raise ValueError(
            f"axis {name} has {told} twice, at index {first} and {again}; np.unique leaves out "
            "what is repeated"
        )
    return dim


def _first_repeat(codes: NDArray[Any]) -> tuple[int, int]:
    """Where the first code that occurs twice is, (0, 0) where none does."""
    if np.bincount(codes).max() == 1:
        return 0, 0
    seen: dict[int, int] = {}
    for i, code in enumerate(codes.tolist()):
        if code in seen:
            return seen[code], i
        seen[code] = i
    raise AssertionError


def axis_of(family: Family, name: str, raw: Any) -> Axis:
    """Check an axis by itself."""
    values = _as_values(name, raw)
    if not values.size:
        raise ValueError(f"axis {name} is empty; leave it out, or give values")
    if values.dtype.kind == "f":
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            raise ValueError(
                f"axis {name} must be finite; found {values[bad[0]]} at index {bad[0]}"
            )
    check = _check_of(family, name)
    if check is None:
        _check_portable(name, values)
        _check_hashable(name, values)
        return Axis(name, values)
    if values.dtype == object:
        good = np.empty_like(values)
        for i, value in enumerate(values):
            good[i] = _checked(check, value, f"axis {name} at index {i}")
        return Axis(name, good)
    # Ranges are intervals: the ends stand for all values.
    for i in (int(values.argmin()), int(values.argmax())):
        one = _checked(check, values[i].item(), f"axis {name} at index {i}")
    return Axis(name, values.astype(np.float64) if isinstance(one, float) else values)


def _fixed(family: Family, name: str, raw: Any) -> Any:
    value = plain(raw)
    check = _check_of(family, name)
    if check is not None:
        return check(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} must be finite, got {value}")
    _as_values(name, [value])  # what a coordinate can hold
    _check_portable(name, [value])
    return value


def _check_portable(name: str, values: Any) -> None:
    """Refuse objects that no identity can be made of."""
    if isinstance(values, np.ndarray) and values.dtype != object:
        return
    for value in values:
        try:
            identity_of(value)
        except TypeError as error:
            raise TypeError(f"{name}: {error}") from None


def _check_hashable(name: str, values: NDArray[Any]) -> None:
    """Refuse values that cannot be told apart, and so cannot be labels."""
    for i, value in enumerate(values if values.dtype == object else ()):
        try:
            hash(value)
        except TypeError:
            raise TypeError(
                f"axis {name} at index {i}: expected a number, a text or a function, got {value!r}"
            ) from None


def _checked(check: Callable[[Any], Any], value: Any, where: str) -> Any:
    try:
        return check(value)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{where}: {error}") from None


# --- values ---------------------------------------------------------------------------------------


def is_sequence(raw: Any) -> bool:
    """Whether this is a list, a tuple, a range or an array, but no schedule."""
    if isinstance(raw, (list, tuple, range)):
        return True
    is_array = hasattr(raw, "__array__") and not isinstance(raw, schedules.Schedule)
    return is_array and np.ndim(raw) > 0


def _is_axis(family: Family, name: str, raw: Any) -> bool:
    """Whether these are several values, or one that is a sequence."""
    if not is_sequence(raw):
        return False
    if family.native and name in SEQUENCES:
        return bool(len(raw)) and all(is_sequence(each) for each in raw)
    return True


def _as_values(name: str, raw: Any) -> NDArray[Any]:
    array = np.asarray(raw) if isinstance(raw, range) or hasattr(raw, "__array__") else None
    if array is not None and array.ndim == 1 and _is_held(array):
        kinds: dict[str, type] = {"b": np.bool_, "f": np.float64}
        return array.astype(kinds.get(array.dtype.kind, np.int64))
    items = [plain(each) for each in (raw if array is None else array)]
    if name in LENGTHS and len({type(each) for each in items if _is_number(each)}) > 1:
        raise ValueError(
            f"axis {name} must be all int (steps) or all float (fractions of the steps), got both; "
            "a fraction of all or of none is 1.0 or 0.0"
        )
    for kind, known in ((np.bool_, _is_bool), (np.int64, _is_int), (np.float64, _is_number)):
        if items and all(known(each) for each in items):
            try:
                return np.array(items, kind)
            except OverflowError:
                raise ValueError(f"{name} has an integer of more than 63 bits") from None
    values = np.empty(len(items), object)
    for i, each in enumerate(items):
        values[i] = each
    return values


def _is_held(array: NDArray[Any]) -> bool:
    """Whether an array of numbers is one of bool, int64 or float64 without a change."""
    if array.dtype.kind == "u":
        return not (array > np.iinfo(np.int64).max).any()
    return array.dtype.kind in "bif"


def plain(value: Any) -> Any:
    """A value that nothing changes later, of Python's own types where it is a number."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, (list, tuple, range)):
        return tuple(plain(each) for each in value)
    return value


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _key(value: Any) -> Any:
    """What tells values apart that hash alike, such as 1 and True."""
    return type(value), value


def in_words(value: Any) -> str:
    """A value as a label."""
    if isinstance(value, tuple):
        return f"[{', '.join(in_words(each) for each in value)}]"
    return name_of(value) if callable(value) else str(value)


def _quoted(value: Any) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    return repr(value) if isinstance(value, (str, float)) else in_words(value)


# --- what the parameters of built-in families may be ----------------------------------------------


def _check_of(family: Family, name: str) -> Callable[[Any], Any] | None:
    """The check of one value of a parameter, which returns it as it is used."""
    if not family.native:
        return functools.partial(positive_scalar, name=name) if name in SCALES else None
    return functools.partial(_CHECKS[name], name=name)


def _steps(value: Any, name: str) -> int:
    if isinstance(value, float):
        raise TypeError(
            f"{name} must be integers, got {value}; round them: np.rint(...).astype(int)"
        )
    return whole_number(value, name, MOST_STEPS)


def _length(value: Any, name: str) -> float:
    step_count(value, MOST_STEPS, name)
    return value  # type: ignore[no-any-return]


def _ratio(value: Any, name: str) -> float:
    return ratio_to_peak(value, name)


def _optional(check: Callable[[Any, str], float]) -> Callable[[Any, str], float | None]:
    return lambda value, name: None if value is None else check(value, name)


def _rate(value: Any, name: str) -> float:
    rate = real_array(value, name)
    if rate.ndim:
        raise TypeError(f"{name} must be a number, got {value!r}")
    check_range(rate, name, LARGEST_STEP)
    return float(rate)


def _shape(value: Any, name: str) -> Any:
    return known_shape(value)


def _endpoint(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return value


def _ends(value: Any, name: str) -> tuple[float, ...]:
    if not isinstance(value, tuple):
        raise TypeError(f"{name} must be a sequence of steps or fractions, got {value!r}")
    for i, each in enumerate(value):
        _length(each, f"{name}[{i}]")
    return value


def _levels(value: Any, name: str) -> tuple[float, ...]:
    if not isinstance(value, tuple):
        raise TypeError(f"{name} must be a sequence of ratios to the first piece, got {value!r}")
    return tuple(_rate(each, f"{name}[{i}]") for i, each in enumerate(value))


def _cycles(value: Any, name: str) -> Any:
    if isinstance(value, tuple):
        return _ends(value, name)
    if isinstance(value, float):
        raise TypeError(
            f"{name} must be a number of cycles or where each ends, got {value}; a list of ends is "
            f"one value of an axis: {name}=[[0.5, 1.0]]"
        )
    return whole_number(value, name, MOST_STEPS)


_CHECKS: Mapping[str, Callable[..., Any]] = {
    "steps": _steps,
    "cooldown": _length,
    "warmup": _length,
    "final": _ratio,
    "warmup_start": _optional(_ratio),
    "exponent": positive_scalar,
    "rate": _optional(positive_scalar),
    "cycle": positive_scalar,
    "shape": _shape,
    "endpoint": _endpoint,
    "milestones": _ends,
    "factors": _levels,
    "cycles": _cycles,
    "gamma": positive_scalar,
    "D": positive_scalar,
    "G": positive_scalar,
    "final_lr": _rate,
    "warmup_start_lr": _rate,
}
