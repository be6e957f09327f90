"""What several commands take."""

# Annotations are read at run time: cyclopts makes the options of them.
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter, Token

from .._arrays import thread_count
from .._names import Device, Kind, LastStep
from ..extension import Strategy
from ..interop._configs import Written
from ._inputs import number, whole_number

LawName = Literal["bound", "omega", "annealing", "multi-power"]
FitWord = Literal["fit"]
MuWord = Literal["fit", "kappa"]
Norms = Literal["constant", "logged", "power"]


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
HoldOut = Annotated[
    list[str] | None,
    Parameter(
        negative="",
        json_list=False,
        help="A run that is not fitted but predicted, by its name or file; * stands for anything. "
        "Once for each.",
    ),
]
SavedLaw = Annotated[
    Path | None,
    Parameter(name="--from", help="A law that --save wrote: runs are predicted, not fitted."),
]
SaveLaw = Annotated[Path | None, Parameter(help="Where to write the law: .json.")]
StepColumn = Annotated[
    str | None, Parameter(help="Column of the step, where its name does not tell.")
]
LrColumn = Annotated[
    str | None, Parameter(help="Column of the learning rate, where its name does not tell.")
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

    step_column: StepColumn = None
    lr_column: LrColumn = None
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


@Parameter(name="*", group="Law")
@dataclass(frozen=True)
class FitOptions:
    """Which law, and how it is fitted; what is not given is as `cvxbound.laws.fit` has it."""

    law: Annotated[
        LawName | None,
        Parameter(
            help="bound: C + p a^kappa + q b^mu, of the two parts of a bound (the default). omega: "
            "the bound of Schaipp et al. annealing: Tissue et al. multi-power: Luo et al."
        ),
    ] = None
    kind: Annotated[
        Kind | None, Parameter(help="Of the law bound: which bound, by default tight.")
    ] = None
    weight_decay: Annotated[
        float | FitWord | None,
        Parameter(
            help="Of the law bound: the weight decay of the optimizer, or fit; by default 0.1, "
            "and 0 with --weight-rms inf for steps that are the learning rates."
        ),
    ] = None
    weight_rms: Annotated[
        float | FitWord | None,
        Parameter(
            help="Of the law bound: root mean square of the initial weights, or fit; by default "
            "0.02."
        ),
    ] = None
    kappa: Annotated[
        float | FitWord | None, Parameter(help="Of the law bound: its exponent, if not fitted.")
    ] = None
    mu: Annotated[
        float | MuWord | None,
        Parameter(help="Of the law bound: its exponent, if not fitted; or kappa, for one of both."),
    ] = None
    norms: Annotated[
        Norms | None,
        Parameter(
            help="Of the law bound: the gradient norms, constant (the default), logged, or a power "
            "of the learning rate."
        ),
    ] = None
    burn_in: Annotated[
        int | None,
        Parameter(
            converter=_count,
            help="Losses up to this step do not count; by default the longest warm-up, or more "
            "where the first losses do not follow the law.",
        ),
    ] = None
    replicates: Annotated[
        int | None,
        Parameter(
            converter=_count,
            help="Fits to resampled losses, of which intervals are made: by default 200, 0 for no "
            "intervals.",
        ),
    ] = None


@Parameter(name="*", group="Predictions")
@dataclass(frozen=True)
class ForecastOptions:
    """What to predict."""

    predict: Annotated[
        list[str] | None,
        Parameter(
            negative="",
            json_list=False,
            help="A schedule whose final loss to predict, once for each: a family by its name, "
            "wsd:steps=50000,cooldown=0.2, or a file with the learning rate of every step.",
        ),
    ] = None
    lr: Annotated[
        float | None,
        Parameter(
            help="The base learning rate of these; by default that of the file, or the peak of the "
            "runs where they share one."
        ),
    ] = None
    best_lr: Annotated[
        bool,
        Parameter(
            negative="", show_default=False, help="Find the best base learning rate of each."
        ),
    ] = False
    steps: Annotated[
        int | None,
        Parameter(
            converter=_count,
            help="Steps of the schedules given by name; by default those of the longest run.",
        ),
    ] = None


@Parameter(name="*", group="Training logs")
@dataclass(frozen=True)
class RunOptions:
    """How to read runs with their losses."""

    step_column: StepColumn = None
    lr_column: LrColumn = None
    loss_column: Annotated[
        str | None, Parameter(help="Column of the loss, where its name does not tell.")
    ] = None
    run_column: Annotated[
        str | None,
        Parameter(help="Column that says which run a row is of, where its name does not tell."),
    ] = None
    grad_norm_column: Annotated[
        str | None, Parameter(help="Column of the gradient norm, where its name does not tell.")
    ] = None
    split: Annotated[
        str | None,
        Parameter(help="Which losses: val, train, ...; by default of validation if there are any."),
    ] = None
    warmup: Annotated[
        float | None,
        Parameter(
            converter=_number,
            help="Logs that start late: their first steps are a linear warm-up of this length, in "
            "steps (300, 3e2) or as a fraction of the run (0.01; 1.0 is all of it).",
        ),
    ] = None
    first_step: Annotated[
        int | None,
        Parameter(converter=_count, help="What logs call the first step; by default 0 or 1."),
    ] = None
    skip_nan: Annotated[
        bool,
        Parameter(
            negative="",
            show_default=False,
            help="Drop losses that are not finite although later ones are.",
        ),
    ] = False

    @property
    def of_schedules(self) -> LogOptions:
        """How to read a file of learning rates alone."""
        return LogOptions(
            step_column=self.step_column,
            lr_column=self.lr_column,
            warmup=self.warmup,
            first_step=self.first_step,
        )


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
FIT = FitOptions()
FORECAST = ForecastOptions()
RATE = RateOptions()
RUNS = RunOptions()
SCALE = ScaleOptions()
LOGS = LogOptions()
