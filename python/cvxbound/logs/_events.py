"""The event files of TensorBoard: their scalars.

A file is a sequence of records: a length, its checksum, a message of protocol buffers and its
checksum. `tensorboard` itself reads them too, with 14 packages of 120 MB, so it is not used.
"""

from __future__ import annotations

import errno
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._content import Columns, Content

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_HEADER = struct.Struct("<QI")
_FLOAT, _DOUBLE = 1, 2  # types of a tensor
_FORMAT = {_FLOAT: "<f", _DOUBLE: "<d"}

_Field = tuple[int, Any]  # the number of a field; an int, or the bytes of anything else


def is_event_file(data: bytes) -> bool:
    """Tell whether a file begins with the length of a record and the checksum of it."""
    return len(data) >= _HEADER.size and _length(data, 0) is not None


def event_files(folder: str) -> dict[str, list[Path]]:
    """Return the event files in a folder and those below, by the folder they are in."""
    found: dict[str, list[Path]] = {}
    for path in sorted(Path(folder).rglob("*tfevents*")):
        found.setdefault(str(path.parent), []).append(path)
    if not found:
        raise IsADirectoryError(errno.EISDIR, "a folder without event files", folder)
    return found


def folder_content(folder: str) -> Content:
    """Read the event files of one run, in the order of their names, which begin with the time."""
    found = event_files(folder)
    if len(found) > 1:
        raise ValueError(
            f"{folder}: event files of several runs ({', '.join(list(found)[:3])}, ...); pass the "
            "folder of one"
        )
    (paths,) = found.values()
    return events_content({str(path): path.read_bytes() for path in paths})


def events_content(files: Mapping[str, bytes]) -> Content:
    """Read the scalars of event files: one row for the values of a step that follow each other."""
    table = _Table()
    notes = []
    for path, data in files.items():
        records, whole = _records(path, data)
        for count, record in enumerate(records, start=1):
            try:
                step, values = _event(record)
            except (IndexError, TypeError, struct.error):
                raise ValueError(f"{path}: record {count} is damaged") from None
            for tag, value in values:
                table.add(step, tag, value)
        if not whole:
            notes.append(f"the last record of {Path(path).name}, which is incomplete, left out")
    if not table.step:
        raise ValueError(f"{next(iter(files))}: no scalars in it")
    return Content(table.columns(), step="step", notes=tuple(notes))


class _Table:
    def __init__(self) -> None:
        self.step: list[int] = []
        self.cells: dict[str, tuple[list[int], list[Any]]] = {}

    def add(self, step: int, tag: str, value: float) -> None:
        rows, values = self.cells.setdefault("scalar/step" if tag == "step" else tag, ([], []))
        if not self.step or self.step[-1] != step or (rows and rows[-1] == len(self.step) - 1):
            self.step.append(step)
        rows.append(len(self.step) - 1)
        # NaN that was logged is text, as in the other formats: it is not the same as nothing.
        values.append(value if value == value else "nan")

    def columns(self) -> Columns:
        columns: Columns = {"step": self.step}
        for tag, (rows, values) in self.cells.items():
            columns[tag] = [None] * len(self.step)
            for row, value in zip(rows, values, strict=True):
                columns[tag][row] = value
        return columns


def _records(path: str, data: bytes) -> tuple[list[bytes], bool]:
    """Return the records of a file, and whether the last one is whole; else it is left out."""
    records: list[bytes] = []
    start = 0
    while start + _HEADER.size <= len(data):
        length = _length(data, start)
        if length is None:
            raise ValueError(f"{path}: damaged at byte {start}: the length of a record is wrong")
        begin = start + _HEADER.size
        start = begin + length + 4
        if start > len(data):
            break
        records.append(data[begin : start - 4])
    return records, start == len(data)


def _length(data: bytes, start: int) -> int | None:
    """Return the length of the record that starts there, None where its checksum is another."""
    length, checksum = _HEADER.unpack_from(data, start)
    crc = 0xFFFFFFFF
    for byte in data[start : start + 8]:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    return int(length) if masked == checksum else None


def _crc_table() -> list[int]:
    table = list(range(256))
    for _ in range(8):
        table = [(crc >> 1) ^ (0x82F63B78 if crc & 1 else 0) for crc in table]
    return table


_CRC = _crc_table()  # of CRC-32C


def _event(record: bytes) -> tuple[int, list[tuple[str, float]]]:
    """Read an Event: its step, and the tag and number of each scalar in it."""
    step = 0
    values = []
    for number, field in _fields(record):
        if number == 2:
            step = field
        elif number == 5:  # a Summary
            values += [_value(dict(_fields(value))) for key, value in _fields(field) if key == 1]
    return step, [(tag, number) for tag, number in values if number is not None]


def _value(fields: dict[int, Any]) -> tuple[str, float | None]:
    """Read a Summary.Value: a tag and a number, or None for anything but a scalar."""
    tag = bytes(fields.get(1, b"")).decode(errors="replace")
    if 2 in fields:
        return tag, struct.unpack("<f", fields[2])[0]
    return tag, _scalar(dict(_fields(fields[8]))) if 8 in fields else None


def _scalar(tensor: dict[int, Any]) -> float | None:
    """Read a TensorProto of one float32 or float64, the bytes of which are in one of two fields."""
    kind = tensor.get(1)
    if kind not in _FORMAT:
        return None
    packed = tensor.get(4) or tensor.get(5 if kind == _FLOAT else 6, b"")
    form = _FORMAT[kind]
    return struct.unpack(form, packed)[0] if len(packed) == struct.calcsize(form) else None


def _fields(message: bytes) -> Iterator[_Field]:
    """Yield the fields of a message of protocol buffers."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        size = {1: 8, 5: 4}.get(kind)
        if size is None:
            size, at = _varint(message, at)
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
