"""Which cells of a grid are computed: a function of the axes, or an expression of their names."""

from __future__ import annotations

import ast
import inspect
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
_LONGEST = 1000  # characters of an expression
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
        if callable(self.source):
            found = np.asarray(self.source(**needed))
        else:
            found = _evaluated(self.source, needed)
        if found.dtype != bool or found.shape not in ((), (count,)):
            raise ValueError(
                f"{self} must be True or False for each cell, shape ({count},) here; it is of "
                f"{found.dtype}, shape {found.shape}"
            )
        return np.broadcast_to(found, (count,))

    def __str__(self) -> str:
        if callable(self.source):
            return "where="
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
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"where={text!r} is not an expression: {error}") from None
    for node in ast.walk(tree.body):
        known = isinstance(
            node,
            (ast.Compare, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Name, ast.Load, *_OPERATORS),
        ) or (
            isinstance(node, ast.Constant)
            and isinstance(node.value, (bool, int, float, str, type(None)))
        )
        if not known:
            part = ast.unparse(node) if isinstance(node, ast.expr) else type(node).__name__
            raise ValueError(f"where={text!r}: {part!r} is not understood; expected {_UNDERSTOOD}")
    return tuple(sorted({node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}))


def _evaluated(text: str, names: Mapping[str, Any]) -> NDArray[Any]:
    try:
        with np.errstate(all="ignore"):
            return np.asarray(_value(ast.parse(text, mode="eval").body, names))
    except (TypeError, OverflowError) as error:
        raise ValueError(f"where={text!r} cannot be evaluated: {error}") from None


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """Evaluate what `_names` has let through; numbers are floats, so that no power is endless."""
    if isinstance(node, ast.Name):
        return names[node.id]
    if isinstance(node, ast.Constant):
        number = isinstance(node.value, (int, float)) and not isinstance(node.value, bool)
        return np.float64(node.value) if number else node.value  # type: ignore[arg-type]
    if isinstance(node, ast.UnaryOp):
        return _OPERATORS[type(node.op)](_value(node.operand, names))
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left, names), _value(node.right, names)
        return _OPERATORS[type(node.op)](left, right)
    if isinstance(node, ast.BoolOp):
        parts = [_value(each, names) for each in node.values]
        return _OPERATORS[type(node.op)].reduce(np.broadcast_arrays(*parts))  # type: ignore[attr-defined]
    assert isinstance(node, ast.Compare)
    sides = [_value(each, names) for each in (node.left, *node.comparators)]
    found: Any = True
    for i, comparison in enumerate(node.ops):
        found = np.logical_and(found, _OPERATORS[type(comparison)](sides[i], sides[i + 1]))
    return found
