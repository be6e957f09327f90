"""The command ``cvxbound``: what a learning-rate schedule is worth, from a shell.

One file a concern: `_app` holds the commands, `_options` what they take, `_inputs` turns arguments
into schedules, `_reports` computes, `_tables` and `_documents` show the same reports to people and
to programs.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; by default those of the process.

    Returns
    -------
    int
        What to exit with: 0, 1 if the input is bad or something failed, 2 for wrong usage, 130
        after Ctrl-C, 141 if nobody reads the output any more.

    Examples
    --------
    >>> main(["bound", "linear", "--steps", "400", "--json"])  # doctest: +ELLIPSIS
    {"command": "bound", ...}
    0
    """
    try:
        from ._app import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("cyclopts", "rich"):
            raise
        sys.stderr.write('cvxbound: the command line needs an extra: pip install "cvxbound[cli]"\n')
        return 1
    return run(sys.argv[1:] if argv is None else argv)
