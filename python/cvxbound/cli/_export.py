"""Settings of another tool from a schedule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ._inputs import fits

if TYPE_CHECKING:
    from ._inputs import Subject


@dataclass(frozen=True)
class Export:
    """What `cvxbound export` found."""

    subject: Subject
    tool: str
    lr: float | None
    text: str


def exported(subject: Subject, tool: str, lr: float | None) -> Export:
    """The settings of a tool with which it follows a schedule."""
    with fits(subject.label):
        text = subject.schedule.to_config(tool, subject.peak if lr is None else lr)
    return Export(subject, tool, lr, text)
