"""The runs in what `load` is given, and the logs of their pieces."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ._content import Content, is_records
from ._events import event_files
from ._log import Log, texts
from ._names import RUN, find, look, run_of
from ._read import content_of, log_of


def logs_of_runs(sources: object, step: str | None, run: str | None) -> Iterator[list[Log]]:
    """Yield the logs of each run, one for each of its pieces."""
    for pieces in _pieces(sources):
        yield from _grouped([_logs(each, step, run) for each in pieces])


def _pieces(sources: object) -> Iterator[tuple[object, ...]]:
    """Yield the sources of each run, or of each group of runs."""
    if isinstance(sources, list) and not _is_table(sources):
        if not sources:
            raise ValueError("no sources: expected a path, a table, or a list of them")
        for each in sources:
            yield from _pieces(each)
    elif isinstance(sources, tuple) and not _is_table(sources):
        if not sources:
            raise ValueError("no sources: expected the pieces of a run, got an empty tuple")
        yield tuple(path for each in sources for path in _files(each))
    else:
        yield from ((path,) for path in _files(sources))


def _is_table(sources: Sequence[object]) -> bool:
    """Tell whether a list is one of records, rather than of tables."""
    return (
        bool(sources)
        and is_records(sources)
        and not any(
            isinstance(cell, (list, tuple, Mapping))
            or (hasattr(cell, "__array__") and np.ndim(cell))
            for row in sources
            for cell in row.values()  # type: ignore[attr-defined]  # which are mappings
        )
    )


def _files(source: object) -> Sequence[object]:
    """Return the files that match a pattern, or the source itself."""
    if not isinstance(source, (str, os.PathLike)):
        return [source]
    path = os.fsdecode(source)
    if not glob.has_magic(path) or Path(path).exists():
        return [path]
    found = sorted(glob.glob(path, recursive=True))  # noqa: PTH207  # Path has none for a whole path
    if not found:
        raise FileNotFoundError(f"no file matches {path!r}")
    return found


def _logs(source: object, step: str | None, run: str | None) -> list[Log]:
    """Read the logs of all runs in a source."""
    if isinstance(source, Log):
        return _by_run(source, run)
    if isinstance(source, str) and Path(source).is_dir():
        names = _runs_below(source)
        return [
            replace(log, name=name)
            for folder, name in names.items()
            for log in _logs_of(folder, step, run)
        ]
    return _logs_of(source, step, run)


def _logs_of(source: object, step: str | None, run: str | None) -> list[Log]:
    name, content = content_of(source)
    parts = _by_prefix(content)
    names = [name if len(parts) == 1 else _run_source(name, part.name) for part in parts]
    return [
        log
        for name, part in zip(names, parts, strict=True)
        for log in _by_run(log_of(name, part, step), run)
    ]


def _runs_below(folder: str) -> dict[str, str]:
    """Return the folders with event files of TensorBoard, each a run, and what to call them."""
    found = list(event_files(folder))
    if found == [str(Path(folder))]:
        return {folder: Path(folder).resolve().name}
    return {each: Path(each).relative_to(folder).as_posix() for each in found}


def _by_prefix(content: Content) -> list[Content]:
    """Split a wandb export of several runs."""
    owner = {key: run_of(key) for key in content.columns}
    runs = list(dict.fromkeys(filter(None, owner.values())))
    if not runs:
        return [content]
    return [
        content.only(key for key in owner if owner[key] in ("", run))._replace(name=run)
        for run in runs
    ]


def _by_run(log: Log, run: str | None) -> list[Log]:
    """Split a log by its column of runs."""
    name = find(log.names, RUN, run, log.source) if run or look(log.names, RUN) else None
    if name is None:
        return [log]
    runs = texts(log.cells[name])
    if "" in runs.labels:
        row = int(np.argmax(runs.code == runs.labels.index("")))
        log.refuse(row, name, "the run has no name")
    rows = np.split(np.argsort(runs.code, kind="stable"), np.cumsum(np.bincount(runs.code))[:-1])
    if len(rows) == 1:
        return [replace(log, name=runs.labels[0])]
    return [
        replace(log.only(chosen), name=label, source=_run_source(log.source, label))
        for chosen, label in zip(rows, runs.labels, strict=True)
    ]


def _run_source(source: str, run: str) -> str:
    """Return how errors call one of several runs of a source."""
    return f"{source}, run {run!r}"


def _grouped(logs: list[list[Log]]) -> list[list[Log]]:
    """Return the pieces of each run: those of one name, where a source has several runs."""
    if all(len(each) == 1 for each in logs):
        return [[each[0] for each in logs]]
    runs: dict[str, list[Log]] = {}
    for log in (log for each in logs for log in each):
        runs.setdefault(log.name, []).append(log)
    return list(runs.values())
