"""Which cells of a grid are computed: a function of the axes, or an expression of their names."""

from __future__ import annotations

import ast
import inspect
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._identity import name_of

__all__ = ["Where", "parse"]

_OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: np.logical_not,
    ast.And: np.logical_and,
    ast.Or: np.logical_or,
}
_OTHERS: dict[type, str] = {  # which Python has
    ast.In: "in",
    ast.NotIn: "not in",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.MatMult: "@",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
    ast.LShift: "<<",
    ast.RShift: ">>",
    ast.Invert: "~",
}
_LONGEST = 1000  # characters of an expression
_DEEPEST = 200  # parts within each other, well below what Python's stack holds
_UNDERSTOOD = (
    "comparisons, 'and', 'or', 'not', + - * / **, parentheses, names, numbers and texts in quotes"
)


@dataclass(frozen=True)
class Where:
    """A condition on the cells.

    Parameters
    ----------
    source : str or callable
        What the user gave.
    names : tuple of str
        The parameters it needs.
    """

    source: str | Callable[..., Any]
    names: tuple[str, ...]

    def mask(self, values: Mapping[str, Any], count: int) -> NDArray[np.bool_]:
        """Whether each of `count` cells is computed, given their parameters."""
        needed = {name: values[name] for name in self.names}
        found = self._called(needed) if callable(self.source) else _evaluated(self.source, needed)
        if found.dtype != bool or found.shape not in ((), (count,)):
            raise ValueError(
                f"{self} must be True or False for each cell, shape ({count},) here; it is of "
                f"{found.dtype}, shape {found.shape}"
            )
        return np.broadcast_to(found, (count,))

    def _called(self, needed: Mapping[str, Any]) -> NDArray[Any]:
        assert callable(self.source)
        try:
            return np.asarray(self.source(**needed))
        except Exception as error:
            raise ValueError(
                f"{self} failed: {type(error).__name__}: {error}; it takes each axis as an array "
                "with one entry a cell"
            ) from error

    def __str__(self) -> str:
        if callable(self.source):
            return f"where={name_of(self.source)}({', '.join(self.names)})"
        return f"where={self.source!r}"


def parse(where: object) -> Where:
    """Check a condition as far as that is possible without cells.

    Examples
    --------
    >>> parse("cooldown + warmup <= 1 and shape != 'cosine'").names
    ('cooldown', 'shape', 'warmup')
    """
    if isinstance(where, str):
        return Where(where.strip(), _names(where.strip()))
    if not callable(where):
        raise TypeError(f"where must be a function of the axes or an expression, got {where!r}")
    try:
        parameters = inspect.signature(where).parameters.values()
    except (TypeError, ValueError):
        raise TypeError("where must be a function whose parameters have names") from None
    for each in parameters:
        if each.kind not in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY):
            raise TypeError(f"where must take axes by their names; its parameter {each} is none")
    return Where(where, tuple(each.name for each in parameters))


def _names(text: str) -> tuple[str, ...]:
    if len(text) > _LONGEST:
        raise ValueError(f"where is too long: {len(text)} characters, at most {_LONGEST}")
    tree = _tree(text)
    for node in _walked(tree):
        known = isinstance(
            node,
            (ast.Compare, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Name, ast.Load, *_OPERATORS),
        ) or (
            isinstance(node, ast.Constant)
            and isinstance(node.value, (bool, int, float, str, type(None)))
        )
        if not known:
            part = _OTHERS.get(type(node)) or ast.get_source_segment(text, node)
            raise ValueError(f"where={text!r}: {part!r} is not understood; expected {_UNDERSTOOD}")
    return tuple(sorted({node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}))


def _tree(text: str) -> ast.expr:
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"where={text!r} is not an expression: {error.msg}") from None
    except ValueError as error:
        raise ValueError(f"where={text!r} is not an expression: {error}") from None
    except (RecursionError, MemoryError):  # of the parser's stack
        raise _too_deep() from None


def _walked(tree: ast.AST) -> Iterator[ast.AST]:
    """All parts of an expression, level by level, so that no depth exhausts the stack."""
    level, depth = [tree], 0
    while level:
        if depth > _DEEPEST:
            raise _too_deep()
        yield from level
        level, depth = [part for node in level for part in ast.iter_child_nodes(node)], depth + 1


def _too_deep() -> ValueError:
    return ValueError(f"where is nested too deeply: more than {_DEEPEST} levels")


def _evaluated(text: str, names: Mapping[str, Any]) -> NDArray[Any]:
    try:
        with np.errstate(all="ignore"):
            return np.asarray(_Evaluation(text, names).value(_tree(text)))
    except OverflowError as error:
        raise ValueError(f"where={text!r} cannot be evaluated: {error}") from None


class _Evaluation:
    """Evaluates what `_names` has let through; numbers are floats, so that no power is endless."""

    def __init__(self, text: str, names: Mapping[str, Any]) -> None:
        self.text, self.names = text, names

    def value(self, node: ast.expr) -> Any:
        """The value of a part, for all cells."""
        if isinstance(node, ast.Name):
            return self.names[node.id]
        if isinstance(node, ast.Constant):
            number = isinstance(node.value, (int, float)) and not isinstance(node.value, bool)
            return np.float64(node.value) if number else node.value  # type: ignore[arg-type]
        if isinstance(node, ast.UnaryOp):
            return self._applied(node, node.op, self.value(node.operand))
        if isinstance(node, ast.BinOp):
            return self._applied(node, node.op, self.value(node.left), self.value(node.right))
        if isinstance(node, ast.BoolOp):
            parts = np.broadcast_arrays(*map(self.value, node.values))
            return _OPERATORS[type(node.op)].reduce(parts)  # type: ignore[attr-defined]
        assert isinstance(node, ast.Compare)
        sides = [self.value(each) for each in (node.left, *node.comparators)]
        found: Any = True
        for i, comparison in enumerate(node.ops):
            each = self._applied(node, comparison, sides[i], sides[i + 1])
            found = np.logical_and(found, each)
        return found

    def _applied(self, node: ast.expr, operation: ast.AST, *sides: Any) -> Any:
        try:
            return _OPERATORS[type(operation)](*sides)
        except TypeError:
            part = ast.get_source_segment(self.text, node)
            kinds = sorted({_kind(value) for side in sides for value in np.ravel(side).tolist()})
            raise ValueError(
                f"where={self.text!r} cannot be evaluated: {part!r} is not defined for "
                f"{' and '.join(kinds)}"
            ) from None


def _kind(value: object) -> str:
    """What a value is, for messages."""
    kinds = {bool: "True or False", int: "numbers", float: "numbers", str: "texts"}
    return kinds.get(type(value), "None" if value is None else type(value).__name__)
