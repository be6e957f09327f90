"""The wording of messages."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def counted(count: int, what: str) -> str:
    """Return a number of things, one of them in the singular.

    Parameters
    ----------
    count : int
        How many.
    what : str
        One of them; the plural is formed with an s, or es where it ends in one.

    Returns
    -------
    str

    Examples
    --------
    >>> counted(1, "step"), counted(20, "step"), counted(3, "loss")
    ('1 step', '20 steps', '3 losses')
    """
    plural = "es" if what.endswith("s") else "s"
    return f"{count} {what}{plural * (count != 1)}"


def did_you_mean(value: object, choices: Iterable[str], what: str) -> ValueError:
    """Return the error for a name that is not among the choices, with the nearest of them.

    Parameters
    ----------
    value : object
        What came.
    choices : iterable of str
        What would have been accepted, in the order to list it.
    what : str
        The kind of name: the message begins with "unknown <what>".

    Returns
    -------
    ValueError
        For the caller to raise.

    Examples
    --------
    >>> did_you_mean("1-sqr", ["linear", "1-sqrt"], "cooldown shape")
    ValueError("unknown cooldown shape '1-sqr'; did you mean '1-sqrt'? (linear, 1-sqrt)")
    """
    names = [str(choice) for choice in choices]
    near = difflib.get_close_matches(str(value).lower(), names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "choose one of these:"
    return ValueError(f"unknown {what} {value!r}; {hint} ({', '.join(names)})")
