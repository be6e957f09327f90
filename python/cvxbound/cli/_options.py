"""What several commands take."""

# Annotations are read at run time: cyclopts makes the options of them.
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter, Token

from .._arrays import thread_count
from .._names import Device, Kind, LastStep
from ..extension import Strategy
from ..interop._configs import Written
from ._inputs import number, whole_number


def _count(_: Any, tokens: Sequence[Token]) -> int:
    return whole_number(tokens[0].value)


def _number(_: Any, tokens: Sequence[Token]) -> float:
    return number(tokens[0].value)


def _threads(_: Any, tokens: Sequence[Token]) -> int:
    count = whole_number(tokens[0].value)
    try:
        return thread_count(count)
    except ValueError as error:
        raise ValueError(str(error).removeprefix("nthreads ")) from None


Steps = Annotated[
    int | None,
    Parameter(
        converter=_count,
        help="Steps of the schedules given by name (1_000_000 and 1e6 are understood); by default "
        "those of the first log.",
    ),
]
SourceSteps = Annotated[
    int | None,
    Parameter(
        converter=_count,
        help="Steps of the first schedule, if given by name; by default --steps.",
    ),
]
NewSteps = Annotated[
    int, Parameter(converter=_count, help="The number of steps to extend the run to.")
]
PlanFile = Annotated[
    Path,
    Parameter(
        name="PLAN",
        help="The plan (.toml): the family, its axes, the bounds. examples/sweeps has some; "
        "docs/sweeps.md describes them.",
    ),
]
NewStore = Annotated[
    str,
    Parameter(
        help="Where results are kept, a Zarr folder or a URL; what it has already is not computed "
        "again."
    ),
]
OldStore = Annotated[str, Parameter(name="STORE", help="The results of `cvxbound sweep run`.")]
Shard = Annotated[
    str | None,
    Parameter(
        help="i/n, counted from 0: take every n-th block, from the i-th on; other processes take "
        "the others into the same store.",
    ),
]
Scheduler = Annotated[
    str | None,
    Parameter(
        help="A dask scheduler that hands the blocks to its workers: tcp://host:8786, or the file "
        "that `dask scheduler --scheduler-file` wrote."
    ),
]
Compute = Annotated[
    Device,
    Parameter(
        help="What computes the blocks: the processor, or the GPU of each process that takes part. "
        "A store may be filled by both."
    ),
]
Threads = Annotated[
    int | None,
    Parameter(
        converter=_threads,
        help="Threads to use; by default the processors available, and 1 on each dask worker.",
    ),
]
Dims = Annotated[
    str | None,
    Parameter(
        help="The axes to choose along, separated by commas; there is a row for each combination "
        "of the others. By default all axes."
    ),
]
Rows = Annotated[int, Parameter(converter=_count, help="The most rows to print.")]
Labels = Annotated[
    list[str] | None,
    Parameter(
        name="--label",
        negative="",
        json_list=False,
        help="What to call a schedule; once for each of them, in their order.",
    ),
]
Json = Annotated[
    bool,
    Parameter(
        name="--json",
        negative="",
        show_default=False,
        help="Print one JSON object instead of tables.",
    ),
]
ScheduleOut = Annotated[
    Path | None,
    Parameter(help="Where to write the learning rate of every step: .csv or .json."),
]
TextOut = Annotated[Path | None, Parameter(help="The file to write instead of the output.")]
Tool = Annotated[
    Written,
    Parameter(
        name="--to",
        help="hf: TrainingArguments of Hugging Face; torchtitan and megatron: flags; olmo: a "
        "scheduler of OLMo-core; maxtext: lines of its YAML.",
    ),
]
Out = Annotated[Path, Parameter(help="The figure to write: .png, .pdf or .svg.")]
AnyKind = Annotated[
    Kind | None,
    Parameter(
        help="last: Omega of Schaipp et al.; tight: by the lemma of Zamani and Glineur, about half "
        "of it; average: of the averaged iterate. By default compare, tune and transfer tabulate "
        "last and tight; the others show last."
    ),
]
LastStepOption = Annotated[
    LastStep,
    Parameter(
        help="What stands for the last step of a schedule, which the last iterate does not depend "
        "on: the step itself, the step before it, or the best one."
    ),
]


@Parameter(name="*", group="Bound")
@dataclass(frozen=True)
class BoundOptions:
    """Which bound, of which problem."""

    kind: AnyKind = None
    D: Annotated[
        float, Parameter(name="--D", help="Distance of the first iterate from a minimiser.")
    ] = 1.0
    G: Annotated[float, Parameter(name="--G", help="Bound on the gradient norms.")] = 1.0
    last_step: LastStepOption = "repeat"
    gamma: Annotated[
        float | None,
        Parameter(help="Base learning rate, by which a schedule is multiplied; else the best one."),
    ] = None
    threads: Annotated[
        int | None,
        Parameter(converter=_count, help="Threads to use; by default the processors available."),
    ] = None


@Parameter(name="*", group="Bound")
@dataclass(frozen=True)
class RateOptions:
    """Which bound, where D and G cancel."""

    kind: AnyKind = None
    last_step: LastStepOption = "repeat"


@Parameter(name="*", group="Extension")
@dataclass(frozen=True)
class ExtendOptions:
    """How to go on with a run."""

    strategy: Annotated[
        Strategy,
        Parameter(
            help="cooldown: hold the plateau and cool down for longer. factor: lower the plateau "
            "once. stages: lower it for one horizon after another, so that the run can be ended at "
            "each of them."
        ),
    ] = "cooldown"
    resume: Annotated[
        int | None,
        Parameter(
            converter=_count,
            help="Steps of the run to keep in any case; by default up to the end of its plateau, "
            "or to where the new cooldown starts.",
        ),
    ] = None
    cooldown: Annotated[
        float | None,
        Parameter(
            converter=_number,
            help="For factor and stages: length of the cooldown in steps or as a fraction; by "
            "default the fraction that the run has.",
        ),
    ] = None
    shape: Annotated[
        str | None,
        Parameter(
            help="How the cooldown falls: linear, 1-sqrt, ...; by default as that of the run."
        ),
    ] = None
    final: Annotated[
        float | None,
        Parameter(help="Where the cooldown ends, as a ratio to the peak; by default as the run."),
    ] = None
    stages: Annotated[
        str,
        Parameter(help="For stages: how many there are, or their horizons, such as 5e4,1e5."),
    ] = "4"
    lookahead: Annotated[
        int, Parameter(help="For stages: of how many stages the horizon is looked ahead.")
    ] = 1


@Parameter(name="*", group="Training logs")
@dataclass(frozen=True)
class LogOptions:
    """How to read the logs; what the named schedules look like is part of their names."""

    step_column: Annotated[
        str | None, Parameter(help="Column of the step, where its name does not tell.")
    ] = None
    lr_column: Annotated[
        str | None, Parameter(help="Column of the learning rate, where its name does not tell.")
    ] = None
    warmup: Annotated[
        float | None,
        Parameter(
            converter=_number,
            help="A log that starts late: its first steps are a linear warm-up of this length, in "
            "steps (300, 3e2) or as a fraction of the run (0.01; 1.0 is all of it).",
        ),
    ] = None
    warmup_start: Annotated[
        float | None,
        Parameter(
            help="With --warmup: the learning rate of the first step as a ratio to the peak; by "
            "default the warm-up is on the line through zero."
        ),
    ] = None
    first_lr: Annotated[
        float | None, Parameter(help="Instead of --warmup: the learning rate of the first step.")
    ] = None
    first_step: Annotated[
        int | None,
        Parameter(converter=_count, help="What the log calls the first step; by default 0 or 1."),
    ] = None


@Parameter(name="*", group="Bound")
@dataclass(frozen=True)
class ScaleOptions:
    """The problem of a sweep."""

    gamma: Annotated[
        float | None,
        Parameter(
            help="Base learning rate; by default the best one of the axis, or where the sweep has "
            "no such axis, of all."
        ),
    ] = None
    D: Annotated[
        float | None,
        Parameter(
            name="--D",
            help="Distance of the first iterate from a minimiser; by default as swept, else 1.",
        ),
    ] = None
    G: Annotated[
        float | None,
        Parameter(name="--G", help="Bound on the gradient norms; by default as swept, else 1."),
    ] = None


BOUND = BoundOptions()
EXTEND = ExtendOptions()
RATE = RateOptions()
SCALE = ScaleOptions()
LOGS = LogOptions()
