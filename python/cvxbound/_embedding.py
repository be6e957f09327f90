"""Where the library for C and C++ lies: ``python -m cvxbound --libdir`` and so on."""

from __future__ import annotations

from pathlib import Path

FLAGS = {
    "--cmakedir": "lib/cmake/cvxbound",
    "--includedir": "include",
    "--libdir": "lib",
}
"""What asks for a folder, and the folder within the package."""


def folder(flag: str) -> Path:
    """Return a folder of the library.

    Parameters
    ----------
    flag : str
        One of `FLAGS`.

    Returns
    -------
    Path

    Raises
    ------
    FileNotFoundError
        Where this copy of the package was not installed, and so has no library.
    """
    from . import __path__  # several folders where the package is installed in editable mode

    for root in __path__:
        found = Path(root) / FLAGS[flag]
        if found.is_dir():
            return found
    raise FileNotFoundError(
        f"no {FLAGS[flag]} in {', '.join(__path__)}: the library for C is part of an installed "
        "package (pip install .), or of what `cmake --install` writes"
    )
