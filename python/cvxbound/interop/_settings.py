"""The settings of another tool: whatever holds them, read by the names that the tool has."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from .._arrays import whole_number
from .._messages import did_you_mean

_ALIKE = 0.88  # of a name that must be a slip for a known one, as no tool has both


class Settings:
    """The settings of a tool that bear on its learning rates; others are left out.

    Parameters
    ----------
    tool : str
        Whose settings they are; errors begin with it.
    given : mapping
        By name; with or without leading dashes, dashes for underscores, in one mapping or in the
        tool's own groups, which may be part of the name (``lr_scheduler.warmup_steps``).
    known : collection of str
        The names that are read.
    groups : collection of str
        The groups that hold them.
    """

    def __init__(
        self,
        tool: str,
        given: Mapping[str, Any],
        known: Collection[str],
        groups: Collection[str] = (),
    ) -> None:
        if not isinstance(given, Mapping):
            raise TypeError(
                f"{tool}: expected a mapping of its settings, or the text of one; got {given!r}"
            )
        self.tool = tool
        self.used: dict[str, Any] = {}
        for path, value in _flat(given, known):
            group, _, name = path.rpartition(".")
            if group and group.rpartition(".")[2] not in groups:
                continue
            if name in known:
                self.used[name] = getattr(value, "value", value)  # that of an enumeration
            elif near := difflib.get_close_matches(name, known, n=1, cutoff=_ALIKE):
                raise did_you_mean(name, near, f"setting of {tool}")

    def error(self, message: str) -> ValueError:
        """An error that begins with the tool, for the caller to raise."""
        return ValueError(f"{self.tool}: {message}")

    def get(self, name: str, default: Any = None) -> Any:
        """A setting as it is; None is as good as none."""
        value = self.used.get(name)
        return default if value is None else value

    def number(self, name: str, default: float | None = None) -> float:
        """A finite number that is not negative."""
        value = self.get(name, default)
        if value is None:
            raise self.error(f"{name} is needed")
        return self._number(name, value)

    def count(self, name: str, default: int | None = None) -> int:
        """A number of steps."""
        return self._count(name, self.number(name, default))

    def sequence(self, name: str) -> list[Any]:
        """A list of one thing or more."""
        value = self.get(name, [])
        if not isinstance(value, (list, tuple)):
            raise self.error(f"{name} must be a list, got {value!r}")
        if not value:
            raise self.error(f"{name} is needed")
        return list(value)

    def numbers(self, name: str) -> list[float]:
        """A list of finite numbers that are not negative."""
        return [self._number(name, each) for each in self.sequence(name)]

    def counts(self, name: str) -> list[int]:
        """A list of numbers of steps."""
        return [self._count(name, each) for each in self.numbers(name)]

    def _number(self, name: str, given: Any) -> float:
        value = _parsed(given) if isinstance(given, str) else given
        is_number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
        if not is_number or not 0 <= value < np.inf:
            raise self.error(f"{name} must be a number from 0 on, got {given!r}")
        return value if isinstance(value, int) else float(value)

    def _count(self, name: str, value: float) -> int:
        if value != int(value):
            raise self.error(f"{name} must be a number of steps, got {value}")
        return int(value)

    def choice(self, name: str, choices: Collection[str], default: str | None = None) -> str:
        """One of the names that the tool has for something."""
        value = self.get(name, default)
        if value is None:
            raise self.error(f"{name} is needed: {', '.join(choices)}")
        if str(value) not in choices:
            raise did_you_mean(value, choices, f"{name} of {self.tool}")
        return str(value)

    def steps(self, asked: int | None, name: str) -> int:
        """The length of the schedule: as asked for, else that of the run."""
        steps = self.get(name) if asked is None else asked
        if steps is None:
            raise self.error(f"how long is the run? pass steps, or {name} among the settings")
        return whole_number(self.count(name) if asked is None else steps, "steps")


def _flat(given: Mapping[str, Any], known: Collection[str]) -> Iterator[tuple[str, Any]]:
    for key, value in given.items():
        name = str(key).lstrip("-").replace("-", "_")
        if isinstance(value, Mapping) and name.rpartition(".")[2] not in known:
            for inner, each in _flat(value, known):
                yield f"{name}.{inner}", each
        else:
            yield name, value


def _parsed(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text
