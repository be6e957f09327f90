"""The names that choose a bound, and the check that all functions share."""

from __future__ import annotations

from typing import Literal, get_args

from ._messages import did_you_mean

Kind = Literal["last", "tight", "average"]
LastStep = Literal["given", "repeat", "free"]
Method = Literal["auto", "direct", "fast"]
Device = Literal["cpu", "cuda"]

_CHOICES = {
    "kind": get_args(Kind),
    "last_step": get_args(LastStep),
    "method": get_args(Method),
    "device": get_args(Device),
}


def check_names(**names: object) -> None:
    """ValueError, with the nearest choice, for an unknown ``kind``, ``last_step`` and so on."""
    for what, name in names.items():
        choices = _CHOICES[what]
        if not isinstance(name, str) or name not in choices:
            raise did_you_mean(name, choices, what)
