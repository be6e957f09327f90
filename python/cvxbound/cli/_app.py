"""The commands: read, compute, show."""

# Annotations are read at run time: cyclopts makes the options of them.
import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from .. import __version__, laws, plot, views
from .._files import check_target, replacing
from .._messages import counted
from .._progress import bar
from ..sweeps import SweepError
from . import _advice, _documents, _export, _fit, _inputs, _reports, _sweep, _tables, _views
from ._doctor import diagnose
from ._inputs import Subject, TooLongError, UsageError
from ._options import (
    BOUND,
    EXTEND,
    FIT,
    FORECAST,
    LOGS,
    RATE,
    RUNS,
    SCALE,
    BoundOptions,
    Compute,
    Dims,
    ExtendOptions,
    FitOptions,
    ForecastOptions,
    HoldOut,
    Json,
    Labels,
    LogOptions,
    NewSteps,
    NewStore,
    OldStore,
    Out,
    PlanFile,
    RateOptions,
    Rows,
    RunOptions,
    SavedLaw,
    SaveLaw,
    ScaleOptions,
    ScheduleOut,
    Scheduler,
    Shard,
    SourceSteps,
    Steps,
    TextOut,
    Threads,
    Tool,
)
from ._views import View

_WIDE = 200  # columns where the output is not a terminal: nobody's window cuts it off

_SCHEDULE = (
    "The name of a family, with its parameters after a colon: wsd:cooldown=0.4,shape=1-sqrt or "
    "piecewise:milestones=0.8/0.9,factors=0.316/0.1. Lengths are steps (100, 1e2) or fractions of "
    "the run (0.1; 1.0 is all of it). Or the log of a training run (.csv, .tsv, .json, .jsonl), or "
    "several logs of one run joined with +: stable.csv+cooldown.csv."
)

_RUN = (
    "The log of a training run, with its losses: CSV, TSV, JSON, JSON lines, parquet, an event "
    "file of TensorBoard or a folder of them, the output of Megatron. Or a pattern for several of "
    "them, 'runs/*.csv', or the pieces of one run joined with +: stable.csv+cooldown.csv."
)

Runs = Annotated[str, Parameter(name="RUN", help=_RUN)]
Schedules = Annotated[str, Parameter(name="SCHEDULE", required=True, help=_SCHEDULE)]
OneSchedule = Annotated[str, Parameter(name="SCHEDULE", help=_SCHEDULE)]

app = App(
    name="cvxbound",
    help="What a learning-rate schedule is worth, before the compute is spent.",
    version=__version__,
    suppress_keyboard_interrupt=False,
)
sweep_app = App(name="sweep", help="Evaluate a grid of schedules, of any size, on any machine.")
app.command(sweep_app)


@app.command(name="compare")
def compare_command(
    *schedules: Schedules,
    steps: Steps = None,
    out: Out | None = None,
    label: Labels = None,
    bound: BoundOptions = BOUND,
    logs: LogOptions = LOGS,
    as_json: Json = False,
) -> None:
    """Rank schedules, each at its best base learning rate.

    The first one is what the others are relative to. If it is the log of a run whose peak learning
    rate was tuned, the table has the learning rate to use for each of the others.
    """
    target = None if out is None else plot.check_path(out)
    subjects = _inputs.load(schedules, steps, logs, bound.last_step, label)
    problem = _reports.Problem.of(bound, default=("last", "tight"))
    parts = len(subjects) * len(problem.kinds) * (2 if target else 1)
    with _progress(parts) as tick:
        report = _reports.compare(problem, subjects, tick)
        if target is not None:
            plot.save(plot.figure(_curves(problem, subjects, tick)), target)
    _show(as_json, _documents.comparison(report, out), _tables.comparison(report, out))


@app.command(name="bound")
def bound_command(
    schedule: OneSchedule,
    /,
    *,
    at: str | None = None,
    steps: Steps = None,
    bound: BoundOptions = BOUND,
    logs: LogOptions = LOGS,
    as_json: Json = False,
) -> None:
    """Evaluate the bound of a schedule after some of its steps.

    Parameters
    ----------
    at
        The steps, such as 100,1000; by default the last one.
    """
    horizons = None if at is None else _inputs.horizons(at)
    (subject,) = _inputs.load([schedule], steps, logs, bound.last_step)
    problem = _reports.Problem.of(bound, default=("last",))
    report = _reports.values(problem, subject, horizons)
    _show(as_json, _documents.values(report), _tables.values(report))


@app.command(name="tune")
def tune_command(
    schedule: OneSchedule,
    /,
    *,
    steps: Steps = None,
    bound: BoundOptions = BOUND,
    logs: LogOptions = LOGS,
    as_json: Json = False,
) -> None:
    """Find the best base learning rate of a schedule, and what other schedules would do."""
    (subject,) = _inputs.load([schedule], steps, logs, bound.last_step)
    problem = _reports.Problem.of(bound, default=("last", "tight"))
    with _progress(len(problem.kinds) * (1 + len(_reports.ALTERNATIVES))) as tick:
        report = _reports.tune(problem, subject, tick)
    _show(as_json, _documents.tuning(report), _tables.tuning(report))


@app.command(name="plot")
def plot_command(
    *schedules: Schedules,
    out: Out,
    steps: Steps = None,
    label: Labels = None,
    view: View = "curves",
    log_x: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    loss: Annotated[bool, Parameter(name="--loss", show_default=False)] = True,
    loss_column: str | None = None,
    bound: BoundOptions = BOUND,
    logs: LogOptions = LOGS,
    as_json: Json = False,
) -> None:
    """Draw schedules above their bounds, and over these the losses of the runs among them.

    Parameters
    ----------
    view
        What to draw. curves: schedules and bounds over the steps. sweep: the bound at the last step
        over the base learning rate. horizon, cooldown: the best base learning rate and the bound
        there, of schedules by name that are made anew for each horizon up to --steps, or for each
        cooldown.
    log_x
        Logarithmic steps and bounds.
    loss
        Whether to draw losses: of validation if they were logged, else of training.
    loss_column
        Column of the loss, where its name does not tell.
    """
    target = plot.check_path(out)
    subjects = _inputs.load(schedules, steps, logs, bound.last_step, label)
    problem = _reports.Problem.of(bound, default=("last",))
    if view != "curves":
        only = {"--log-x": log_x, "--loss-column": loss_column, "--gamma": bound.gamma}
        for option in (name for name, value in only.items() if value):
            raise UsageError(f"{option} goes with --view curves, not with --view {view}")
        _draw_view(view, problem, subjects, out, as_json)
        return
    losses = [_loss(subject, logs, loss_column) if loss else None for subject in subjects]
    with _progress(len(subjects) * len(problem.kinds)) as tick:
        curves = _curves(problem, subjects, tick, losses, log_x)
        plot.save(plot.figure(curves, log_x=log_x), target)
    shown = problem, subjects, curves, out
    _show(as_json, _documents.drawing(*shown), _tables.drawing(*shown))


@app.command(name="transfer")
def transfer_command(
    source: OneSchedule,
    /,
    *targets: Schedules,
    lr: float | None = None,
    steps: Steps = None,
    source_steps: SourceSteps = None,
    horizon_exponent: float | None = None,
    rate: RateOptions = RATE,
    logs: LogOptions = LOGS,
    as_json: Json = False,
) -> None:
    """Turn the learning rate tuned for the first schedule into that for the others.

    Parameters
    ----------
    lr
        The learning rate that was best with the first schedule, at its peak; by default the peak
        that its log has.
    horizon_exponent
        Let the best learning rate change with the number of steps T as T to this power, instead of
        -1/2. About -0.3 on language models.
    """
    of_source = source_steps or steps
    (first,) = _inputs.load([source], of_source, logs, rate.last_step)
    others = _inputs.load(targets, steps or len(first.schedule), logs, rate.last_step)
    problem = _reports.Problem.of(rate, default=("last", "tight"))
    with _progress(len(problem.kinds) * len(others)) as tick:
        report = _advice.transferred(problem, first, lr, horizon_exponent, others, tick)
    _show(as_json, _documents.transferred(report), _tables.transferred(report))


@app.command(name="extend")
def extend_command(
    schedule: OneSchedule,
    /,
    *,
    to: NewSteps,
    steps: Steps = None,
    lr: float | None = None,
    reference: str | None = None,
    out: ScheduleOut = None,
    extension: ExtendOptions = EXTEND,
    rate: RateOptions = RATE,
    logs: LogOptions = LOGS,
    as_json: Json = False,
) -> None:
    """Go on with a run for longer than planned, so that its learning rate is the best one again.

    Parameters
    ----------
    lr
        The learning rate of the plateau; by default the peak that the log has.
    reference
        The schedule that it was tuned for, where the run has only its plateau so far:
        wsd:cooldown=0.2,steps=1e5. By default the run itself.
    """
    if out is not None:
        _advice.check_out(out)
    (subject,) = _inputs.load([schedule], steps, logs, rate.last_step)
    told = None
    if reference is not None:
        (told,) = _inputs.load([reference], len(subject.schedule), logs, rate.last_step)
    problem = _reports.Problem.of(rate, default=("last",))
    with _progress(len(_advice.STRATEGIES)) as tick:
        report = _advice.extended(problem, subject, told, to, extension, lr, tick)
        if out is not None:
            _advice.write(report, out)
    _show(as_json, _documents.extended(report, out), _tables.extended(report, out))


@app.command(name="fit")
def fit_command(
    *runs: Runs,
    hold_out: HoldOut = None,
    saved: SavedLaw = None,
    save: SaveLaw = None,
    out: Out | None = None,
    log_x: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    forecast: ForecastOptions = FORECAST,
    fit: FitOptions = FIT,
    logs: RunOptions = RUNS,
    as_json: Json = False,
) -> None:
    """Fit a law of the loss to training runs, and predict the loss of other schedules.

    Parameters
    ----------
    log_x
        Logarithmic steps and losses in the figure.
    """
    if not runs and saved is None:
        raise UsageError("give the logs of training runs, or a law that was saved (--from)")
    target = None if out is None else plot.check_path(out)
    if save is not None:
        _fit.check_save(save)
    predictions = len(forecast.predict or ())
    with _progress(2 + predictions * forecast.best_lr + bool(predictions)) as tick:
        read = _inputs.runs(runs, logs) if runs else []
        if saved is None:
            fitted, held_out = _fit.divided(read, hold_out or ())
            subjects = _fit.subjects(forecast, max(run.steps for run in fitted), logs)
            tick(f"fitting to {counted(len(fitted), 'run')}")
            law = _fit.fitted(fitted, fit)
        else:
            law = _fit.read(saved, fit, {"hold_out": hold_out, "save": save})
            fitted, held_out = [], read
            subjects = _fit.subjects(forecast, max(run["steps"] for run in law.runs), logs)
        tick(repr(law))
        if save is not None:
            law.save(save)
        scores = laws.score(law, held_out, fitted=tuple(fitted)) if held_out else []
        forecasts = _fit.predicted(law, subjects, forecast, tick) if subjects else ()
        report = _fit.Fitting(
            law, saved, tuple(fitted), tuple(held_out), tuple(scores), tuple(forecasts)
        )
        if target is not None:
            plot.save(_fit.figure(report, log_x), target)
    _show(as_json, _documents.fitting(report, save, out), _tables.fitting(report, save, out))


@app.command(name="export")
def export_command(
    schedule: OneSchedule,
    /,
    *,
    to: Tool,
    steps: Steps = None,
    lr: float | None = None,
    out: TextOut = None,
    as_json: Json = False,
) -> None:
    """Write the settings with which another tool follows a schedule, as text to paste.

    Parameters
    ----------
    lr
        The learning rate at the peak; without it the text has none.
    """
    target = None if out is None else check_target(out)
    (subject,) = _inputs.load([schedule], steps, LOGS, "repeat")
    report = _export.exported(subject, to, lr)
    if out is not None and target is not None:
        with replacing(target, out) as part:
            part.write_text(report.text)
    _show(as_json, _documents.exported(report, out), _tables.exported(report, out))


@sweep_app.command(name="run")
def sweep_run_command(
    plan: PlanFile,
    /,
    *,
    store: NewStore,
    shard: Shard = None,
    scheduler: Scheduler = None,
    device: Compute = "cpu",
    threads: Threads = None,
    as_json: Json = False,
) -> int:
    """Compute what a plan asks for and its store does not have yet.

    Stopped at any moment, it goes on where it was when it is run again.
    """
    planned = _sweep.planned(plan, shard, device)
    sys.stderr.write(f"{planned!r}\n")
    try:
        with _sweep.executor(scheduler) as engine, bar() as show:
            report = _sweep.run(planned, store, engine, threads, show)
    except KeyboardInterrupt:
        return _fail(_sweep.interrupted(store), 130)
    _show(as_json, _documents.sweep_run(report), _tables.sweep_run(report))
    if report.failures:
        failed = counted(len(report.failures), "block")
        return _fail(f"{failed} failed; the same command tries again", 1)
    return 0


@sweep_app.command(name="status")
def sweep_status_command(store: OldStore, /, *, as_json: Json = False) -> None:
    """Say how much of a sweep is done, also while it is running."""
    report = _sweep.status(store)
    _show(as_json, _documents.sweep_status(report), _tables.sweep_status(report))


@sweep_app.command(name="best")
def sweep_best_command(
    store: OldStore,
    /,
    *,
    over: Dims = None,
    rows: Rows = _sweep.ROWS,
    scale: ScaleOptions = SCALE,
    as_json: Json = False,
) -> None:
    """Find the cells of a sweep with the smallest bound."""
    report = _sweep.best(store, over, rows, scale)
    _show(as_json, _documents.sweep_best(report), _tables.sweep_best(report))


@app.command(name="doctor")
def doctor_command(*, as_json: Json = False) -> int:
    """Check this installation against values in closed form, and list what it could use."""
    report = diagnose()
    _show(as_json, _documents.diagnosis(report), _tables.diagnosis(report))
    return 0 if report.ok else 1


def run(argv: Sequence[str]) -> int:
    """Run one command and return what to exit with."""
    try:
        code = app(
            list(argv),
            console=_Terminal(highlight=False),
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
        sys.stdout.flush()
    except (CycloptsError, UsageError) as error:
        message = str(error).rstrip()
        stop = "" if message.endswith((".", "?")) else "."
        return _fail(f"{message}{stop} Try `cvxbound --help`.", 2)
    except BrokenPipeError:
        return _closed_pipe()
    except (ValueError, OSError, ImportError, MemoryError, SweepError) as error:
        return _fail(_message(error), 1)
    except KeyboardInterrupt:
        return 130
    return code or 0


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"cvxbound: {' '.join(message.split())}\n")
    return code


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror or error}"
    if isinstance(error, MemoryError) and not isinstance(error, TooLongError):
        return "not enough memory; take fewer steps"
    return str(error)


def _closed_pipe() -> int:
    """Let nothing be written to a pipe that nobody reads, not even as Python exits."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141  # as a shell reports a command that SIGPIPE ended


class _Terminal(Console):
    """A console that leaves a closed pipe to `run`."""

    def on_broken_pipe(self) -> None:
        raise


def _console() -> Console:
    console = _Terminal(highlight=False)
    if not console.is_terminal:
        console.width = _WIDE
    return console


def _show(as_json: bool, document: Mapping[str, Any], table: RenderableType) -> None:
    """Write a result to the standard output."""
    if as_json:
        sys.stdout.write(_documents.dumps(document) + "\n")
    else:
        _console().print(table)


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[str], None]]:
    """A bar on the standard error while a person looks; call what it yields after each part."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    columns = BarColumn(bar_width=30), TimeElapsedColumn(), TextColumn("{task.description}")
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda what: bar.update(task, advance=1, description=what)


def _curves(
    problem: _reports.Problem,
    subjects: Sequence[Subject],
    tick: Callable[[str], None],
    losses: Sequence[plot.Loss | None] = (),
    log_x: bool = False,
) -> list[plot.Curve]:
    """What a figure shows: all bounds of the problem, with the losses beside the first."""
    curves = []
    for kind in problem.kinds:
        for i, subject in enumerate(subjects):
            with _inputs.fits(subject.label):
                curve = plot.sample(
                    subject.schedule,
                    problem.gamma,
                    label=subject.label,
                    loss=losses[i] if losses and kind == problem.kinds[0] else None,
                    kind=kind,
                    log_x=log_x,
                    **problem.arguments,
                )
            tick(f"{subject.label}: {kind} curve")
            curves.append(curve)
    return curves


def _draw_view(
    view: Literal["sweep", "horizon", "cooldown"],
    problem: _reports.Problem,
    subjects: Sequence[Subject],
    out: Path,
    as_json: bool,
) -> None:
    """Draw and show what is not over the steps."""
    with _progress(len(subjects)) as tick:
        if view == "sweep":
            sweeps = _views.sweeps(problem, subjects, tick)
            plot.save(views.sweep_figure(sweeps), out)
            document = _documents.sweeps(problem, subjects, sweeps, out)
            table = _tables.sweeps(problem, subjects, sweeps, out)
        else:
            trends = _views.trends(view, problem, subjects, tick)
            plot.save(views.trend_figure(trends), out)
            document = _documents.trends(problem, subjects, trends, out)
            table = _tables.trends(problem, subjects, trends, out)
    _show(as_json, document, table)


def _loss(subject: Subject, logs: LogOptions, column: str | None) -> plot.Loss | None:
    """The losses that a run logged; without any, the figure is drawn all the same."""
    if not subject.read:
        return None
    try:
        found = _inputs.losses(subject, logs, column)
    except ValueError as error:
        if column is not None:
            raise
        sys.stderr.write(f"cvxbound: no loss is drawn: {error}\n")
        return None
    return plot.Loss(found.step, found.value, " + ".join(dict.fromkeys(found.columns)))
