"""What the module of a tool has: one with settings to read, and one that also has text of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from .._arrays import Float
from ._phases import Phases
from ._settings import Settings


class Tool(Protocol):
    """A module that makes learning rates of a tool's settings."""

    SETTINGS: tuple[str, ...]  # the names that bear on learning rates
    GROUPS: tuple[str, ...]  # those that the tool has them in

    def learning_rates(self, settings: Settings, asked: int | None) -> Float:
        """The learning rate of each step, of so many or those of the run."""


class WritableTool(Tool, Protocol):
    """A module that also finds settings for a schedule, and has a language for both."""

    TITLE: str  # what its text is headed by
    FORMAT: str  # the language of its settings as text
    ABSOLUTE: tuple[str, ...]  # the settings that are learning rates, first that of the peak
    WRITES: tuple[str, ...]  # the shapes of decays that it has settings for

    def candidates(self, phases: Phases, lr: float | None) -> Iterator[dict[str, Any]]:
        """Settings that may do, the best ones first."""
