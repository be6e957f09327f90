"""Training logs: which learning rate and which loss a run had at each step.

`load` reads runs into one normal form, `Run`, and `table` writes that down; `read`,
`learning_rates` and `losses` are the steps on the way. CSV, JSON, JSON lines, event files of
TensorBoard and the output of Megatron are read with the standard library, parquet with polars (the
extra ``logs``), and tables that are already in memory (a dict of columns, a list of dicts, a pandas
or polars frame) without importing their packages.

One rule splices a resumed run within a file and a run with its continuation across files: rows
count in the order in which they were written, and a row replaces every earlier row at its own step
or a later one.
"""

from ._load import load
from ._log import Log
from ._read import read
from ._run import Run, table
from ._splice import Series, learning_rates, losses

__all__ = ["Log", "Run", "Series", "learning_rates", "load", "losses", "read", "table"]
