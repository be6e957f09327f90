"""What Megatron and its kin print while they train."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

from ._content import Content, transposed

if TYPE_CHECKING:
    from collections.abc import Iterator

_ITERATION = r"\biteration:?\s+(\d+)\s*/\s*\d+\s*\|"
_TRAINING = re.compile(rf"{_ITERATION}(.*)")
_VALIDATION = re.compile(r"\bvalidation loss at iteration (\d+)([^|]*)\|\s*lm loss value:\s*(\S+)")


def is_output(data: bytes) -> bool:
    """Tell whether a file holds lines such as "iteration 100/5000 | lm loss: 3.2 | ..."."""
    return re.search(_ITERATION.encode(), data) is not None


def output_content(data: bytes) -> Content:
    """Read the lines about iterations, of training and of validation, and nothing else."""
    lines: list[int] = []

    def records() -> Iterator[dict[str, Any]]:
        for line, text in enumerate(io.StringIO(data.decode(errors="replace")), start=1):
            if record := _record(text):
                lines.append(line)
                yield record

    columns = transposed(records())
    return Content(columns, lines, not data.endswith(b"\n"), step="iteration")


def _record(line: str) -> dict[str, Any] | None:
    if found := _TRAINING.search(line):
        fields = (field.partition(":") for field in found[2].split("|"))
        named = {name.strip(): value.strip() for name, _, value in fields if value.strip()}
        return {**named, "iteration": int(found[1])}
    if found := _VALIDATION.search(line):
        name = "test set loss" if "test" in found[2] else "validation loss"
        return {"iteration": int(found[1]), name: found[3]}
    return None
