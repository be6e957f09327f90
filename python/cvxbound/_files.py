"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def check_target(path: Path) -> Path:
    """The file to write, behind a symbolic link; OSError where `replacing` could not write it."""
    target = path.resolve()
    if target.is_dir():
        raise IsADirectoryError(f"{target}: a folder; give the name of a file")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{target.parent}: no such folder, for {target.name}")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise PermissionError(f"{target.parent}: no permission to write {target.name} here")
    return target


@contextlib.contextmanager
def replacing(target: Path, asked: str | os.PathLike[str]) -> Iterator[Path]:
    """A file to write beside the target, which takes its place if nothing goes wrong.

    Errors name `asked`, the file that was asked for, and not the one beside it.
    """
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(target)
    except OSError as error:
        if error.filename is not None and str(error.filename) != str(part):
            raise
        raise OSError(error.errno, error.strerror or str(error), os.fspath(asked)) from error
    finally:
        part.unlink(missing_ok=True)
