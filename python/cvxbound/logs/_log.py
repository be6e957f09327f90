"""A log as it was written, and its cells as numbers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn

import numpy as np

from .._messages import did_you_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .._arrays import Float, Int

# float() takes them all the same, the complex ones without their imaginary part.
_NO_NUMBERS = {bool, bytes, bytearray, np.bool_, np.bytes_, np.complex64, np.complex128}


@dataclass(frozen=True, eq=False)
class Log:
    """A log as it was written: one row a record, in the order of the records.

    Cells become numbers when their column is asked for, so that columns of text do no harm.

    Parameters
    ----------
    source : str
        The path, or ``"table"``: how errors call it.
    step : ndarray of int64, shape (rows,)
        The step of each row, as labelled. Records without a step are left out.
    cells : mapping of str to sequence
        The columns, each of length ``rows``.
    places : sequence of int, shape (rows,)
        Where each row came from: the line of a file, or the index of a record.
    unit : {"line", "row"}
        Which of the two.
    open_ended : bool, default False
        Whether the last row of a CSV file has no line end: a number may have been cut off there.
    name : str, default ""
        What the log itself calls its run.
    notes : tuple of str, default ()
        What was left out of it.

    Examples
    --------
    >>> import cvxbound as cb
    >>> log = cb.logs.read({"step": [10, 20], "lr": ["0.1", ""]})
    >>> log.names, log.step.tolist(), log.column("lr").tolist()
    (('step', 'lr'), [10, 20], [0.1, nan])
    """

    source: str
    step: Int
    cells: Mapping[str, Sequence[Any]]
    places: Sequence[int]
    unit: Literal["line", "row"]
    open_ended: bool = False
    name: str = ""
    notes: tuple[str, ...] = ()
    _converted: dict[str, Float] = field(default_factory=dict, init=False, repr=False)
    _said: dict[str, NDArray[np.bool_]] = field(default_factory=dict, init=False, repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(self.cells)

    def column(self, name: str) -> Float:
        """One column as numbers, NaN where nothing was logged.

        Parameters
        ----------
        name : str
            One of `names`.

        Returns
        -------
        ndarray of float64, shape (rows,)

        Raises
        ------
        TypeError
            An array of anything but real numbers.
        ValueError
            Unknown name, or a cell that is not a number: its line and text.
        """
        return self.numbers(name).copy()

    def numbers(self, name: str) -> Float:
        """Return `column`, converted once and read-only."""
        if name not in self._converted:
            values = self._convert(name)
            values.flags.writeable = False
            self._converted[name] = values
        return self._converted[name]

    def _convert(self, name: str) -> Float:
        if name not in self.cells:
            raise did_you_mean(name, self.names, f"column of {self.source}")
        cells = self.cells[name]
        if isinstance(cells, np.ndarray):
            if cells.dtype.kind not in "fiu":
                raise TypeError(
                    f"{self.source}, column {name!r}: expected real numbers, got an array of "
                    f"{cells.dtype}"
                )
            return cells.astype(np.float64)
        try:
            return _numbers(cells)
        except (TypeError, ValueError, OverflowError):
            row = next(row for row, cell in enumerate(cells) if not _is_number(cell))
            self.refuse(row, name, f"{short(repr(cells[row]))} is not a number")

    def said(self, name: str) -> NDArray[np.bool_]:
        """Tell which cells of a column say something, were it that a number is NaN."""
        if name not in self._said:
            said = ~np.isnan(self.numbers(name))
            if not isinstance(cells := self.cells[name], np.ndarray):
                nans = np.flatnonzero(~said).tolist()
                said[[row for row in nans if not is_blank(cells[row])]] = True
            self._said[name] = said
        return self._said[name]

    def refuse(self, row: int, name: str, why: str) -> NoReturn:
        """Raise a ValueError about one cell: the file, the line, the column and what is wrong."""
        raise ValueError(f"{self.source}, {self.unit} {self.places[row]}, column {name!r}: {why}")

    def only(self, rows: NDArray[np.intp]) -> Log:
        """Return the log of some of the rows, in the order given."""
        if rows.size == self.step.size and (np.diff(rows) == 1).all():
            return self
        return replace(
            self,
            step=self.step[rows],
            cells=Lazy(self.cells, lambda key: _chosen(self.cells[key], rows)),
            places=_chosen(self.places, rows),
        )


class Lazy(Mapping[str, Any]):
    """Columns that are made when they are asked for, once: most never are."""

    def __init__(self, names: Iterable[str], make: Callable[[str], Any]) -> None:
        self._made: dict[str, Any] = dict.fromkeys(names, _NOT_YET)
        self._make = make

    def __getitem__(self, name: str) -> Any:
        if self._made[name] is _NOT_YET:
            self._made[name] = self._make(name)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)


_NOT_YET = object()


def is_blank(cell: Any) -> bool:
    """Tell whether nothing was logged: a missing value of any kind, but not the text "nan"."""
    return cell is None or cell == "" or (isinstance(cell, float) and np.isnan(cell))


class Texts(NamedTuple):
    """A column of few texts: which there are, and which of them each row has."""

    labels: tuple[str, ...]
    code: Int


def texts(cells: Sequence[Any]) -> Texts:
    """Read a column of few texts; blank ones are an empty text."""
    cells = cells.tolist() if isinstance(cells, np.ndarray) else cells
    if not all(isinstance(cell, Hashable) for cell in cells):
        cells = list(map(str, cells))
    known = {cell: _text(cell) for cell in dict.fromkeys(cells)}
    number = {label: i for i, label in enumerate(dict.fromkeys(known.values()))}
    code = {cell: number[label] for cell, label in known.items()}
    return Texts(tuple(number), np.fromiter(map(code.__getitem__, cells), np.int64, len(cells)))


def _text(cell: Any) -> str:
    if isinstance(cell, float) and cell.is_integer():  # NumPy has made floats of integers
        cell = int(cell)
    text = "" if is_blank(cell) else str(cell)
    return text if text.strip() else ""


def short(text: str, most: int = 60) -> str:
    """Cut a text that is too long for a message."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _chosen(cells: Sequence[Any], rows: NDArray[np.intp]) -> Sequence[Any]:
    return cells[rows] if isinstance(cells, np.ndarray) else [cells[row] for row in rows.tolist()]


def _numbers(cells: Sequence[Any]) -> Float:
    if not _NO_NUMBERS.isdisjoint(map(type, cells)):
        raise TypeError("not all cells are real numbers")
    try:
        return np.fromiter(map(float, cells), np.float64, len(cells))
    except (TypeError, ValueError):  # cells that are blank, if nothing else
        nan = float("nan")
        return np.array([nan if cell is None or cell == "" else float(cell) for cell in cells])


def _is_number(cell: Any) -> bool:
    try:
        _numbers([cell])
    except (TypeError, ValueError, OverflowError):
        return False
    return True
