"""Which column of a log is which."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from .._messages import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence


class Names(NamedTuple):
    """How a column is recognised, and the argument that names it where it is not.

    Patterns are tried in turn, and a later one counts only where the earlier ones found nothing.
    They are matched with the last part of a column name ("train/lr": "lr") and with the last two.
    """

    what: str
    argument: str
    patterns: tuple[str, ...]


STEP = Names(
    "step",
    "step",
    (
        r"((global|train|training|optimizer)[_ ])?(step|iter|iteration)s?",
        r"_step",  # wandb's own count, of log calls
    ),
)
LR = Names(
    "learning rate",
    "lr",
    (
        r"((train|training)_)?(lr|learning[_ -]?rate)",
        r"lr-.+|(lr|learning_rate)[_ ]?(group)?[_ (]*\d+\)?",  # one parameter group of several
    ),
)
VAL_LOSS = Names(
    "validation loss",
    "loss",
    (r"(val|valid|validation|eval|test)[_/ ]loss|lm[_ ]loss[_ ]validation",),
)
TRAIN_LOSS = Names(
    "training loss",
    "loss",
    (
        r"(lm[_ ])?loss",
        r"(train|training)[_ ]loss",  # last: to Hugging Face it is the mean over the run
        r"train[_ ]loss[_ ]step|global[_ ]avg[_ ]loss|(ce|cross[_ ]?entropy)[_ ]?loss",
    ),
)
LOSS = Names("loss", "loss", (*VAL_LOSS.patterns, *TRAIN_LOSS.patterns))
GRAD_NORM = Names(
    "gradient norm", "grad_norm", (r"((global|total)[_ -])?grad(ient)?s?[_ -]?norm", r"gnorm")
)
RUN = Names("run", "run", (r"run", r"run[_ ]name", r"run[_ ]id"))
SPLIT = Names("split", "split", (r"split",))

_VALIDATION = re.compile(r"(?:^|[/._ -])(val|valid|validation|eval|evaluation|test)(?:$|[/._ -])")


def find(names: Sequence[str], known: Names, given: str | None, source: str) -> str:
    """Choose the column to read: the one given, else the one whose name is known."""
    if given is not None:
        if given not in names:
            raise did_you_mean(given, names, f"column of {source}")
        return given
    found = look(names, known)
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(
            f"{source}: the {known.what} could be any of the columns {listed(found)}; "
            f"choose one, as in {known.argument}={found[0]!r}"
        )
    raise ValueError(
        f"{source}: no column looks like the {known.what}; name it with {known.argument}= "
        f"(columns found: {listed(names)})"
    )


def look(names: Sequence[str], known: Names) -> list[str]:
    """Return the columns that match the first pattern that any column matches."""
    if known is TRAIN_LOSS:
        names = [name for name in names if not is_validation(name)]
    matches = ([name for name in names if _matches(name, each)] for each in known.patterns)
    return next(filter(None, matches), [])


def is_validation(name: str) -> bool:
    """Tell whether a column is measured on data that the run is not trained on."""
    return _VALIDATION.search(_metric(name)) is not None


def run_of(name: str) -> str:
    """Return the run that a column of a wandb export belongs to, or an empty string."""
    return name.rpartition(" - ")[0].strip()


def listed(names: Sequence[str]) -> str:
    """Return names for a message."""
    return ", ".join(map(repr, names)) or "none"


def _metric(name: str) -> str:
    return name.rpartition(" - ")[2].strip().lower()  # wandb writes "<run> - <metric>"


def _matches(name: str, pattern: str) -> bool:
    parts = re.split(r"[/.]", _metric(name))
    return any(re.fullmatch(pattern, end) for end in (parts[-1], "/".join(parts[-2:])))
