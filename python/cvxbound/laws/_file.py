"""Loss laws as JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ._law import LossLaw

_FORMAT = 1


def content_of(law: LossLaw) -> dict[str, Any]:
    """Return what a file says of a law."""
    return {
        "cvxbound_law": _FORMAT,
        "law": law.form.name,
        "options": {
            name: "inf" if value == np.inf else value for name, value in law.form.options().items()
        },
        "values": {name: "inf" if value == np.inf else value for name, value in law.values.items()},
        "coefficients": dict(zip(law.form.coefficients, law.coefficients, strict=True)),
        "errors": {name: value for name, value in law.errors.items() if np.isfinite(value)},
        "split": law.split,
        "burn_in": law.burn_in,
        "runs": [dict(run) for run in law.runs],
        "left_out": list(law.left_out),
        "replicates": law.replicates.tolist(),
    }


def load(path: str | os.PathLike[str]) -> LossLaw:
    """Read a law that `LossLaw.save` wrote.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    LossLaw

    Raises
    ------
    OSError
        It cannot be read.
    ValueError
        It is no loss law, or one of a later version.

    Examples
    --------
    >>> import cvxbound as cb
    >>> cb.laws.load("law.json").predict(cb.schedules.wsd(10_000))  # doctest: +SKIP
    """
    name = os.fspath(path)
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        version = content["cvxbound_law"]
        if version == _FORMAT:
            return _law_of(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{name}: not a loss law that cvxbound saved ({error!r})") from None
    raise ValueError(
        f"{name}: a loss law of format {version!r}, where this version of cvxbound reads {_FORMAT}"
    )


def _law_of(content: dict[str, Any]) -> LossLaw:
    from ._fit import make_form
    from ._law import LossLaw

    def numbers(found: dict[str, Any]) -> dict[str, Any]:
        return {name: np.inf if value == "inf" else value for name, value in found.items()}

    form = make_form(content["law"], numbers(content["options"]))
    return LossLaw(
        form=form,
        values={
            each.name: float(numbers(content["values"])[each.name]) for each in form.parameters
        },
        coefficients=tuple(float(content["coefficients"][name]) for name in form.coefficients),
        replicates=np.array(content["replicates"], float).reshape(-1, form.size),
        left_out=tuple(map(float, content["left_out"])),
        errors={"r2": float("nan"), **content["errors"]},
        runs=tuple(content["runs"]),
        split=str(content["split"]),
        burn_in=int(content["burn_in"]),
    )
