"""What a plan is made of, as JSON: equal for equal plans in any process."""

from __future__ import annotations

import functools
import hashlib
import json
import types
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["digest", "identity_of", "name_of"]

_MOST_VALUES = 64  # of an axis that is told in full


def digest(value: object) -> str:
    """The SHA-256 of something made of JSON, in hexadecimal."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def name_of(function: Callable[..., Any]) -> str:
    """What a function is called."""
    if isinstance(function, functools.partial):
        return name_of(function.func)
    return str(getattr(function, "__name__", type(function).__name__))


def identity_of(value: Any) -> Any:
    """Anything that a plan may hold, as JSON.

    A function is its module, its name, and a digest of its bytecode, constants, defaults and
    closure; what it reads from elsewhere is not seen.

    Raises
    ------
    TypeError
        There is no telling whether such a value is the same in another process.

    Examples
    --------
    >>> identity_of((1, 0.5, "linear", None))
    [1, 0.5, 'linear', None]
    >>> identity_of(np.arange(3))
    {'dtype': 'int64', 'values': [0, 1, 2]}
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (tuple, list)):
        return [identity_of(each) for each in value]
    if isinstance(value, Mapping):
        return {str(key): identity_of(each) for key, each in value.items()}
    if isinstance(value, np.ndarray):
        return _array(value)
    if callable(value):
        place = f"{getattr(value, '__module__', None)}:{getattr(value, '__qualname__', '')}"
        return {"function": place.rstrip(":"), "digest": digest(_function(value, set()))[:16]}
    raise TypeError(
        f"expected a number, a text, None, a function or sequences of them, got {value!r}"
    )


def _array(values: NDArray[Any]) -> dict[str, Any]:
    if values.dtype == object:
        return {"dtype": "object", "values": [identity_of(each) for each in values]}
    facts: dict[str, Any] = {"dtype": str(values.dtype)}
    if values.size <= _MOST_VALUES:
        return {**facts, "values": values.tolist()}
    data = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    return {
        **facts,
        "count": values.size,
        "first": values.flat[0].item(),
        "last": values.flat[-1].item(),
        "digest": hashlib.sha256(data.tobytes()).hexdigest()[:16],
    }


def _function(value: Any, seen: set[int]) -> Any:
    """What a callable does, as far as it can be told, as JSON."""
    if id(value) in seen:  # it calls itself
        return "..."
    seen = {*seen, id(value)}
    inside = functools.partial(_inside, seen=seen)
    if isinstance(value, functools.partial):
        keywords = {key: inside(each) for key, each in value.keywords.items()}
        return [inside(value.func), [inside(each) for each in value.args], keywords]
    if isinstance(value, types.MethodType):
        return [inside(value.__func__), inside(value.__self__)]
    if isinstance(value, types.FunctionType):
        cells = [_content(cell) for cell in value.__closure__ or ()]
        keywords = {key: inside(each) for key, each in (value.__kwdefaults__ or {}).items()}
        defaults = [inside(each) for each in value.__defaults__ or ()]
        return [_code(value.__code__), defaults, keywords, [inside(cell) for cell in cells]]
    if isinstance(value, type) or not isinstance(type(value).__call__, types.FunctionType):
        return getattr(value, "__qualname__", getattr(value, "__name__", type(value).__qualname__))
    state = {key: inside(each) for key, each in getattr(value, "__dict__", {}).items()}
    return [inside(type(value).__call__), state]


def _inside(value: Any, seen: set[int]) -> Any:
    """What a function holds; a value that cannot be told apart counts by its type."""
    if callable(value):
        return _function(value, seen)
    try:
        return identity_of(value)
    except TypeError:
        return type(value).__qualname__


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return None


def _code(code: types.CodeType) -> Any:
    return [code.co_code.hex(), code.co_names, [_constant(each) for each in code.co_consts]]


def _constant(value: object) -> Any:
    if isinstance(value, types.CodeType):
        return _code(value)
    if isinstance(value, frozenset):
        return sorted(map(repr, value))
    return repr(value)
