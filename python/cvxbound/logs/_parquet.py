"""Parquet files, through polars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._content import UNFINISHED, Content
from ._log import Lazy

if TYPE_CHECKING:
    import polars


def parquet_content(path: str) -> Content:
    """Read a parquet file, each column when it is asked for; what is not a scalar is no column."""
    try:
        import polars
    except ImportError:
        raise ImportError(
            f'{path}: a parquet file needs polars: pip install "cvxbound[logs]"'
        ) from None

    def read(name: str) -> Any:
        try:
            return _cells(frame.select(polars.col(name)).collect().to_series())
        except polars.exceptions.PolarsError as error:
            raise ValueError(f"{path}, column {name!r}: {error}; {UNFINISHED}") from None

    try:
        frame = polars.scan_parquet(path, glob=False)
        schema = frame.collect_schema()
    except polars.exceptions.PolarsError as error:
        raise ValueError(f"{path}: not valid parquet ({error}); {UNFINISHED}") from None
    return Content(Lazy((name for name, kind in schema.items() if not kind.is_nested()), read))


def _cells(column: polars.Series) -> Any:
    """Return numbers as float64, NaN where nothing was logged; anything else as a list."""
    kind = column.dtype
    if kind.is_float() and column.is_nan().any():
        # NaN that was logged is text, as in the other formats: it is not the same as nothing.
        return ["nan" if cell != cell else cell for cell in column.to_list()]
    if kind.is_numeric():
        return column.cast(float).to_numpy().astype(np.float64)
    return column.to_list()
