"""What a plan is made of, as JSON: equal for equal plans in any process."""

from __future__ import annotations

import copyreg
import functools
import hashlib
import json
import reprlib
import sys
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
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
    closure, with all that is in these; what it reads from elsewhere is not seen.

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
        return {"function": place.rstrip(":"), "digest": _contents(value)}
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


def _contents(function: Callable[..., Any]) -> str:
    """A digest of all that a function does and holds."""
    try:
        return digest(_Reader().read(function))[:16]
    except TypeError as error:
        raise TypeError(f"{name_of(function)} cannot be identified: {error}") from error
    except RecursionError:
        raise TypeError(
            f"{name_of(function)} cannot be identified: what it holds is nested too deeply"
        ) from None


class _Reader:
    """Tells what a function does and holds, as JSON, by contents alone.

    Objects count by what a pickle would keep of them. One that comes again counts by its number, so
    that cycles end.
    """

    def __init__(self, seen: Mapping[int, tuple[int, Any]] | None = None) -> None:
        self._seen = dict(seen or {})  # with the objects: while they live, no other has their id

    def read(self, value: Any) -> Any:
        """One value, with all that it holds."""
        if type(value) in (type(None), bool, int, float, str):
            return value
        if id(value) in self._seen:
            return {"again": self._seen[id(value)][0]}
        self._seen[id(value)] = len(self._seen), value
        if isinstance(value, (set, frozenset)):
            return self._set(value)
        if isinstance(value, type):
            return self._class(value)
        return _READERS.get(type(value), _Reader._object)(self, value)

    def all(self, values: Iterable[Any]) -> list[Any]:
        """Several values, in order."""
        return [self.read(each) for each in values]

    def _sequence(self, value: Sequence[Any]) -> Any:
        return [type(value).__name__, *self.all(value)]

    def _mapping(self, value: Mapping[Any, Any]) -> Any:
        return ["mapping", *map(self.all, value.items())]

    def _set(self, value: set[Any] | frozenset[Any]) -> Any:
        """Elements in an order that does not depend on how they are hashed."""
        each = sorted(digest(_Reader(self._seen).read(element)) for element in value)
        return [type(value).__name__, each, self.read(getattr(value, "__dict__", None))]

    def _array(self, value: NDArray[Any]) -> Any:
        if value.dtype.hasobject:
            return [str(value.dtype), value.shape, self.all(value.ravel().tolist())]
        return [value.dtype.str, value.shape, hashlib.sha256(value.tobytes()).hexdigest()]

    def _function(self, value: types.FunctionType) -> Any:
        cells = [_content(cell) for cell in value.__closure__ or ()]
        return self.all([value.__code__, value.__defaults__, value.__kwdefaults__, cells])

    def _code(self, value: types.CodeType) -> Any:
        steps = value.co_code.hex(), value.co_exceptiontable.hex()
        counts = value.co_argcount, value.co_posonlyargcount, value.co_kwonlyargcount
        names = value.co_names, value.co_varnames, value.co_freevars, value.co_cellvars
        return [steps, counts, value.co_flags, names, self.all(value.co_consts)]

    def _class(self, value: type) -> Any:
        """The name of a class that others can import, else all of it."""
        name = f"{value.__module__}:{value.__qualname__}"
        if _found(sys.modules.get(value.__module__), value.__qualname__) is value:
            return {"name": name}
        held = {key: each for key, each in vars(value).items() if _tells(key, each)}
        return [name, self.read(value.__bases__), self.read(held)]

    def _object(self, value: Any) -> Any:
        if callable(value) and hasattr(value, "__wrapped__"):  # by a cache or a compiler
            return [type(value).__qualname__, self.read(value.__wrapped__)]
        reduced = _reduced(value)
        if isinstance(reduced, str):
            return {"name": reduced}
        make, args, state, items, pairs = (*reduced, None, None, None)[:5]
        parts = [args, _without_caches(value, state), list(items or ()), list(pairs or ())]
        if callable(value) and isinstance(type(value).__call__, types.FunctionType):
            parts.append(type(value).__call__)
        return [_place(make), *self.all(parts)]


_READERS: Mapping[type, Callable[[_Reader, Any], Any]] = {
    **dict.fromkeys((list, tuple), _Reader._sequence),
    **dict.fromkeys((dict, types.MappingProxyType), _Reader._mapping),
    np.ndarray: _Reader._array,
    types.FunctionType: _Reader._function,
    types.CodeType: _Reader._code,
    types.CellType: lambda _, __: {"cell": "empty"},
    types.MethodType: lambda self, value: self.all([value.__func__, value.__self__]),
    types.ModuleType: lambda _, value: {"module": value.__name__},
    **dict.fromkeys((bytes, bytearray), lambda _, value: {"bytes": value.hex()}),
    **dict.fromkeys(
        (staticmethod, classmethod), lambda self, value: [_place(value), self.read(value.__func__)]
    ),
    property: lambda self, value: self.all([value.fget, value.fset, value.fdel]),
    functools.cached_property: lambda self, value: [_place(value), self.read(value.func)],
}


def _place(value: Any) -> str:
    """Where something is defined, or what is an instance of it."""
    value = value if hasattr(value, "__qualname__") else type(value)
    return f"{value.__module__}:{value.__qualname__}"


def _found(module: object, name: str) -> object:
    """What a module calls by a name; None where it has none."""
    for part in name.split("."):
        module = getattr(module, "__dict__", {}).get(part)
    return module


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return cell


def _tells(key: str, value: object) -> bool:
    """Whether an attribute of a class is more than how the class is stored or described."""
    slots = types.GetSetDescriptorType, types.MemberDescriptorType
    notes = "__doc__", "__firstlineno__", "__static_attributes__", "_abc_impl"
    return key not in notes and not isinstance(value, slots)


def _reduced(value: Any) -> Any:
    """What a pickle would keep of an object: its name in a module, or how to make it again."""
    try:
        reduce = copyreg.dispatch_table.get(type(value))
        reduced = reduce(value) if reduce else value.__reduce_ex__(4)
    except Exception as error:
        raise _unknown(value) from error
    if isinstance(reduced, str) and not _is_global(value, reduced):
        raise _unknown(value)
    return reduced


def _is_global(value: object, name: str) -> bool:
    return any(_found(module, name) is value for module in [*sys.modules.values()])


def _unknown(value: object) -> TypeError:
    return TypeError(
        f"it holds {reprlib.repr(value)}, and nothing tells whether that is the same in another "
        "process; make it inside the function, or read it from a global variable, which does not "
        "count"
    )


def _without_caches(value: object, state: Any) -> Any:
    """The state of an object, whatever it has been used for."""
    if type(state) is not dict:
        return state
    of_class = type(value)
    return {
        key: each
        for key, each in state.items()
        if not isinstance(getattr(of_class, str(key), None), functools.cached_property)
    }
