"""JSON documents and JSON lines."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

from ._content import CUT_OFF, UNFINISHED, Content, table_content, transposed

if TYPE_CHECKING:
    from collections.abc import Iterator


def json_content(path: str, text: str) -> Content:
    """Read one JSON document, or one a line."""
    # NaN and Infinity stay text, as in a CSV file: nothing logged is not the same as NaN logged.
    decoder = json.JSONDecoder(parse_constant=str)
    try:
        document, end = decoder.raw_decode(text, len(text) - len(text.lstrip()))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}, line {error.lineno}: {_bad_json(error)}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {_bad_json(error)}") from None
    if text[end:].strip():
        return _lines_content(path, text, decoder)
    try:
        return table_content(document)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None


def _lines_content(path: str, text: str, decoder: json.JSONDecoder) -> Content:
    lines: list[int] = []
    notes: list[str] = []

    def records() -> Iterator[dict[str, Any]]:
        for line, content in enumerate(io.StringIO(text), start=1):
            if not content.strip():
                continue
            try:
                record = decoder.decode(content)
            except (ValueError, RecursionError) as error:
                if isinstance(error, json.JSONDecodeError) and not content.endswith("\n"):
                    notes.append(CUT_OFF)
                    return
                raise ValueError(f"{path}, line {line}: {_bad_json(error)}") from None
            if not isinstance(record, dict):
                raise ValueError(f"{path}, line {line}: expected an object, got {content[:40]!r}")
            lines.append(line)
            yield record

    columns = transposed(records())
    return Content(columns, lines, open_ended=bool(notes), notes=tuple(notes))


def _bad_json(error: ValueError | RecursionError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"not valid JSON ({error.msg}); {UNFINISHED}"
    if isinstance(error, RecursionError):
        return "not a log (JSON that is nested too deeply)"
    return "not a log (a number of too many digits)"  # Python's limit for an int
