"""Reports as tables, for people."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from rich import box
from rich.console import Group
from rich.constrain import Constrain
from rich.table import Table
from rich.text import Text

from ._advice import as_options
from ._reports import FACTORS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import RenderableType

    from .. import plot
    from .._device import Gpu
    from ..laws import BestRate
    from ..logs import Run
    from ..views import Sweep, Trend
    from ._advice import Extending, Transfer
    from ._doctor import Diagnosis, Package
    from ._export import Export
    from ._fit import Fitting
    from ._inputs import Subject
    from ._reports import Best, Comparison, Problem, Tuning, Values
    from ._sweep import BestCells, Contents, SweepRun

    _Columns = list[tuple[str, Sequence[RenderableType]]]  # a header and its cells

_LONGEST_NAME = 32
_MOST_FAILURES = 20
_HEADERS = {"gamma": "LR\ngamma", "omega": "bound\nOmega"}

_KINDS = {
    "last": "last (Omega of Schaipp et al.)",
    "tight": "tight (Zamani & Glineur)",
    "average": "average (of the averaged iterate)",
}
_LAST_STEPS = {
    "repeat": "counts as a repeat of the one before it",
    "given": "counts as it is, and makes `last` infinite where it is zero",
    "free": "is the best one there is",
}


def comparison(report: Comparison, figure: Path | None) -> RenderableType:
    """Show `cvxbound compare`: a table for each bound."""
    subjects, first = report.subjects, report.subjects[0]
    has_peaks = any(subject.peak is not None for subject in subjects)
    parts: list[RenderableType] = []
    for kind, rows in report.best.items():
        columns: _Columns = [
            ("schedule", _names(subjects)),
            ("steps", [_count(len(subject.schedule)) for subject in subjects]),
        ]
        if has_peaks:
            columns.append(("logged\npeak LR", [_number(each.peak) for each in subjects]))
        columns += _at_gamma(report.problem, rows)
        columns += [
            ("best LR\ngamma*", [_number(best.gamma) for best in rows]),
            ("x first", [_number(best.gamma_ratio) for best in rows]),
            ("Omega*", [_number(best.omega) for best in rows]),
            ("% of\nfirst", [_percent(best.omega_ratio) for best in rows]),
        ]
        if first.peak is not None:
            columns.append(("LR if first\nis tuned", [_number(best.lr, 3) for best in rows]))
        parts.append(_table(_KINDS[kind], columns))
    parts.append(_footer(report.problem, *subjects))
    if first.peak is not None:
        parts.append(_note(_CALIBRATED.format(peak=_number(first.peak))))
    elif has_peaks:
        parts.append(_note("Put the run whose peak LR was tuned first to see the LR of each row."))
    return _group(parts, figure)


_CALIBRATED = (
    "LR if first is tuned: the peak LR of each row if {peak}, the peak of the first, was the best "
    "for it. Theory gives LRs up to D/G, which is the same for all rows and cancels here."
)


def values(report: Values) -> RenderableType:
    """Show `cvxbound bound`: a row for each step."""
    title = f"{report.subject.label}: {_KINDS[report.kind]} at base LR {_number(report.gamma)}"
    columns: _Columns = [
        ("after step", [_count(step) for step in report.at]),
        ("LR / peak", [_number(eta) for eta in report.eta]),
        ("bound", [_number(omega, 6) for omega in report.omega]),
    ]
    return _group([_table(title, columns, "right"), _footer(report.problem, report.subject)])


def tuning(report: Tuning) -> RenderableType:
    """Show `cvxbound tune`: the best LR, what missing it costs, and what else could be run."""
    subject = report.subject
    peak = "" if subject.peak is None else f", peak LR {_number(subject.peak)}"
    parts: list[RenderableType] = [
        Text(f"{subject.label}: {_steps(len(subject.schedule))}{peak}\n", style="bold"),
        _best_table(report),
        _wrong_table(report),
        _others_table(report),
        _footer(report.problem, subject),
    ]
    if subject.peak is not None:
        parts.append(
            _note(
                "Best LR: the peak LR to use with that schedule if the one this run logged was the "
                "best for it. If it was not, put in the best one: the ratios hold in any case."
            )
        )
    return _group(parts)


def drawing(
    problem: Problem, subjects: Sequence[Subject], curves: Sequence[plot.Curve], figure: Path
) -> RenderableType:
    """Show `cvxbound plot`: what is in the figure."""
    losses = ["-" if curve.loss is None else curve.loss.name for curve in curves]
    columns: _Columns = [
        ("schedule", _names(subjects)),
        ("steps", [_count(len(subject.schedule)) for subject in subjects]),
        ("base LR", [_number(curve.gamma) for curve in curves]),
        ("bound at\nlast step", [_number(float(curve.omega[-1])) for curve in curves]),
        ("loss drawn", [_name(loss) for loss in losses]),
    ]
    table = _table(_KINDS[curves[0].kind], columns)
    return _group([table, _footer(problem, *subjects)], figure)


def sweeps(
    problem: Problem, subjects: Sequence[Subject], lines: Sequence[Sweep], figure: Path
) -> RenderableType:
    """Show `cvxbound plot --view sweep`: the minima that are marked."""
    columns: _Columns = [
        ("schedule", _names(subjects)),
        ("steps", [_count(len(subject.schedule)) for subject in subjects]),
        ("best LR\ngamma*", [_number(line.best_gamma) for line in lines]),
        ("Omega*", [_number(line.best_omega) for line in lines]),
    ]
    table = _table(_KINDS[lines[0].kind], columns)
    return _group([table, _footer(problem, *subjects)], figure)


def trends(
    problem: Problem, subjects: Sequence[Subject], lines: Sequence[Trend], figure: Path
) -> RenderableType:
    """Show `cvxbound plot --view horizon` and `--view cooldown`: where the lines lead."""
    columns: _Columns = [("schedule", _names(subjects))]
    if lines[0].over == "horizon":
        shown = [-1] * len(lines)
        columns += [
            ("T from", [_count(int(line.x[0])) for line in lines]),
            ("T to", [_count(int(line.x[-1])) for line in lines]),
            ("gamma* falls\nas T to the", [_number(line.exponent, 3) for line in lines]),
        ]
    else:
        shown = [int(line.omega.argmin()) for line in lines]
        enough = [line.x[line.omega <= 1.01 * line.omega.min()][0] for line in lines]
        columns += [
            (
                "best\ncooldown",
                [_number(line.x[i], 3) for line, i in zip(lines, shown, strict=True)],
            ),
            ("within 1 %\nof it from", [_number(x, 3) for x in enough]),
        ]
    best = list(zip(lines, shown, strict=True))
    columns += [
        ("gamma*\nthere", [_number(line.gamma[i]) for line, i in best]),
        ("Omega*\nthere", [_number(line.omega[i]) for line, i in best]),
    ]
    table = _table(_KINDS[lines[0].kind], columns)
    return _group([table, _footer(problem, *subjects)], figure)


def transferred(report: Transfer) -> RenderableType:
    """Show `cvxbound transfer`: a row for each target."""
    source, targets = report.source, report.targets
    columns: _Columns = [
        ("schedule", [Text(source.label, style="bold"), *_names(targets)]),
        ("steps", [_count(len(each.schedule)) for each in (source, *targets)]),
    ]
    for kind, rates in report.rates.items():
        columns.append((f"{kind}:\nLR", [_number(rate, 3) for rate in (report.lr, *rates)]))
        columns.append(("x first", [_number(rate / report.lr) for rate in (report.lr, *rates)]))
    horizon = "T^(-1/2), as theory has it"
    if report.horizon_exponent is not None:
        horizon = f"T^({_number(report.horizon_exponent)})"
    note = (
        f"The peak LR to use with each schedule if {_number(report.lr)} was the best for the first "
        f"one. With the number of steps T it changes as {horizon}. D/G is the same for all rows "
        "and cancels."
    )
    table = _table("Learning rates transferred from the first schedule", columns)
    return _group([table, _footer(report.problem, source, *targets), _note(note)])


def extended(report: Extending, out: Path | None) -> RenderableType:
    """Show `cvxbound extend`: the strategies side by side, and what to do."""
    chosen, subject = report.chosen, report.subject
    steps = _steps(len(chosen.schedule))
    title = f"{subject.label}: {_steps(len(subject.schedule))}, extended to {steps}"
    rate = "1 (of the peak)" if report.lr is None else _number(report.lr)
    parts: list[RenderableType] = [
        _strategies_table(report, f"{title} at a base LR of {rate}"),
        Constrain(Text(f"{report.strategy}: {as_options(chosen.summary())}\n"), width=100),
    ]
    if chosen.stages:
        parts.append(_stages_table(report))
    parts.append(_footer(report.problem, *dict.fromkeys((subject, report.reference))))
    parts.append(
        _note(
            "The old recipe is the plateau held for longer and a cooldown over the same fraction. "
            "LR kept: whether the LR that was tuned for the run is the best one of the row."
        )
    )
    if out is not None:
        parts.append(Text(f"schedule: {out}"))
    return _group(parts)


def exported(report: Export, out: Path | None) -> RenderableType:
    """Show `cvxbound export`: the text as it is, whatever the width."""
    if out is not None:
        return Text(f"settings: {out}")
    return Text(report.text.rstrip(), overflow="ignore", no_wrap=True)


def _strategies_table(report: Extending, title: str) -> RenderableType:
    rows: list[tuple[RenderableType | str, ...]] = []
    naive, tuned = report.chosen.omega_naive, report.chosen.omega_tuned
    for strategy, found in report.found.items():
        name = Text(strategy, style="bold" if strategy == report.strategy else "")
        if found is None:
            rows.append((name, *["-"] * 7))
            continue
        scale = 1.0 if report.lr is None else report.lr
        levels = " ".join(_number(scale * factor, 3) for factor in found.factors) or "held"
        rows.append(
            (
                name,
                _count(found.resume),
                levels,
                _count(round(found.cooldown)),
                _number(found.omega),
                _percent(found.omega / naive),
                _percent(found.saving),
                "yes" if found.solved else "no",
            )
        )
    rows.append(("old recipe", "", "held", "", _number(naive), "100.0", "", "no"))
    best = ("old recipe, its best LR", "", "", "", _number(tuned), _percent(tuned / naive), "", "")
    rows.append(best)
    headers = (
        "strategy",
        "steps\nkept",
        "plateau LR\nafter them",
        "cooldown\nsteps",
        "Omega",
        "% of old\nrecipe",
        "% fewer\nsteps",
        "LR kept",
    )
    cells = list(zip(*rows, strict=True))
    return _table(title, [(header, cells[i]) for i, header in enumerate(headers)])


def _stages_table(report: Extending) -> RenderableType:
    stages = report.chosen.stages
    scale = 1.0 if report.lr is None else report.lr
    columns: _Columns = [
        ("horizon", [_count(stage.steps) for stage in stages]),
        ("plateau LR", [_number(scale * stage.factor, 3) for stage in stages]),
        ("Omega if\nended there", [_number(stage.omega) for stage in stages]),
        ("% of old\nrecipe", [_percent(stage.omega / stage.omega_naive) for stage in stages]),
    ]
    return _table("Stages", columns, "right")


def fitting(report: Fitting, save: Path | None, figure: Path | None) -> RenderableType:
    """Show `cvxbound fit`: the runs, the law, the held-out runs and the predictions."""
    parts: list[RenderableType] = []
    if report.fitted or report.held_out:
        parts.append(_runs_table(report))
        parts.append(_note("\n".join(_notes([*report.fitted, *report.held_out]))))
        parts.append("")
    parts += [Text(report.law.summary()), ""]
    if report.scores:
        parts.append(_scores_table(report))
    if report.untested:
        names = ", ".join(report.untested)
        parts += [_note(f"Without losses of their own after the burn-in: {names}."), ""]
    if report.forecasts:
        parts.append(_forecasts_table(report))
    parts += [Text(f"law: {path}") for path in (report.source, save) if path is not None]
    return _group(parts, figure)


def _runs_table(report: Fitting) -> RenderableType:
    runs = [*report.fitted, *report.held_out]
    columns: _Columns = [
        ("run", [_name(run.name) for run in runs]),
        ("steps", [_count(run.steps) for run in runs]),
        ("peak LR", [_number(run.peak, 3) for run in runs]),
        ("losses", [_count(run.loss.size) for run in runs]),
        ("last\nloss", [_number(float(run.loss[-1])) for run in runs]),
        ("", ["fitted"] * len(report.fitted) + ["held out"] * len(report.held_out)),
    ]
    return _table("Runs", columns)


def _notes(runs: Sequence[Run]) -> list[str]:
    """What was done to the logs, once for all runs it was done to alike."""
    named: dict[str, list[str]] = {}
    for run in runs:
        named.setdefault("; ".join(run.notes), []).append(run.name)
    return [f"{', '.join(names)}: {note}." for note, names in named.items() if note]


def _scores_table(report: Fitting) -> RenderableType:
    scores = report.scores
    columns: _Columns = [
        ("run", [_name(each["run"]) for each in scores]),
        ("losses of\nits own", [_count(each["losses"]) for each in scores]),
        ("R2", [_number(each["r2"], 5) for each in scores]),
        ("MAE", [_number(each["mae"], 3) for each in scores]),
        ("worst,\n%", [_percent(each["worst"]) for each in scores]),
        ("law - loss\nat the end", [_signed(each["final"]) for each in scores]),
        ("in 90 %\ninterval, %", [_share(each["coverage"]) for each in scores]),
    ]
    return _table("Held-out runs, which the law did not see", columns)


def _forecasts_table(report: Fitting) -> RenderableType:
    found = report.forecasts
    columns: _Columns = [
        ("schedule", _names([each.subject for each in found])),
        ("steps", [_count(len(each.subject.schedule)) for each in found]),
        ("base LR", [_number(each.lr, 3) for each in found]),
        ("loss", [_number(each.loss) for each in found]),
        ("90 %\ninterval", [_interval(each.low, each.high) for each in found]),
        ("behind", [_number(each.behind, 3) for each in found]),
    ]
    best = [each.best for each in found if each.best is not None]
    if best:
        columns += [
            ("best LR", [_number(each.lr, 3) + _mark(each) for each in best]),
            ("90 %\ninterval", [_interval(each.low, each.high, 3) for each in best]),
            ("loss\nthere", [_number(each.loss) for each in best]),
        ]
    parts: list[RenderableType] = [_table(f"Predicted {report.law.split} loss at the end", columns)]
    long = [
        f"({i}) {each.subject.label}"
        for i, each in enumerate(found, start=1)
        if len(each.subject.label) > _LONGEST_NAME
    ]
    if any(each.at_edge for each in best):
        long.append("*: the end of the range that was searched; the loss falls beyond it.")
    if any(each.extrapolated and not each.at_edge for each in best):
        long.append("?: beyond the learning rates of the runs; a guess.")
    return Group(*parts, *([_note("\n".join(long)), ""] if long else []))


def _mark(best: BestRate) -> str:
    return "*" if best.at_edge else "?" if best.extrapolated else ""


def _interval(low: float, high: float, digits: int = 4) -> str:
    return "-" if math.isnan(low) else f"{_number(low, digits)} .. {_number(high, digits)}"


def _signed(value: float) -> str:
    return f"{value:+.4f}"


def _share(ratio: float | None) -> str:
    return "-" if ratio is None else f"{100 * ratio:.0f}"


def sweep_run(report: SweepRun) -> RenderableType:
    """Show `cvxbound sweep run`."""
    now = "Nothing was left to do."
    if report.kernels:
        rate = _count(round(report.kernels / report.seconds))
        now = (
            f"{_count(report.kernels)} kernels in {_number(report.seconds, 3)} s, {rate} a second."
        )
    return _group([*_sweep(report.sweep), now, "", *_best_cells(report.best)])


def sweep_status(report: Contents) -> RenderableType:
    """Show `cvxbound sweep status`."""
    return _group(_sweep(report))


def sweep_best(report: BestCells) -> RenderableType:
    """Show `cvxbound sweep best`."""
    return _group([_sweep_title(report.sweep), "", *_best_cells(report)])


def _sweep_title(sweep: Contents) -> RenderableType:
    axes = " x ".join(f"{dim} {_count(size)}" for dim, size in sweep.sizes.items()) or "one cell"
    fixed = ", ".join(f"{name}={_plain(value)}" for name, value in sweep.fixed.items())
    family = f"{sweep.attrs['family']} with {fixed}" if fixed else sweep.attrs["family"]
    return Text(f"{sweep.store}: {family}; {axes}", style="bold")


def _sweep(sweep: Contents) -> list[RenderableType]:
    """What a store holds, how much of it is done, and which blocks failed."""
    done, total, failed = sweep.status.done, sweep.status.total, sweep.status.failed
    blocks = "block is" if total == 1 else "blocks are"
    told = f"{_count(done)} of {_count(total)} {blocks} done ({_percent(done / total)} %)"
    if failed:
        told += f", {_count(len(failed))} failed and will be tried again by the next run"
    parts: list[RenderableType] = [_sweep_title(sweep), Text(f"{told}.")]
    if failed:
        shown = list(failed.items())[:_MOST_FAILURES]
        parts += [_name(f"  block {block}: {message}") for block, message in shown]
        parts += _left_out(len(failed) - len(shown), "--json")
    return [*parts, ""]


def _best_cells(report: BestCells) -> list[RenderableType]:
    sweep = report.sweep
    title = f"Best along {', '.join(report.over)}" if report.over else "Bounds"
    if "kind" not in sweep.sizes:
        title += f": {_KINDS[sweep.attrs['kind']]}"
    if not sweep.is_complete:
        title += ", of what is done so far"
    columns: _Columns = [
        (_HEADERS.get(name, name), [_name(_plain(row[i])) for row in report.rows])
        for i, name in enumerate(report.columns)
    ]
    return [
        _table(title, columns, "right"),
        *_left_out(report.count - len(report.rows), "--rows"),
        _note(_conditions(report)),
    ]


def _conditions(report: BestCells) -> str:
    """Under which conditions the bounds hold."""
    sweep = report.sweep
    given = {name: getattr(report.scale, name) for name in ("gamma", "D", "G")}
    known = {**sweep.fixed, **{name: each for name, each in given.items() if each is not None}}
    scales = [f"{name} = {_plain(known[name])}" for name in given if name in known]
    told = [f"{', '.join(scales)}."] if scales else []
    if not {"D", "G"} & {*known, *sweep.sizes}:
        told.append("LRs (gamma) are in units of D/G and bounds (Omega) of D G.")
    last_step = sweep.attrs["last_step"]
    told.append(f"The last step of a schedule {_LAST_STEPS[last_step]} (last_step {last_step}).")
    return " ".join(told)


def _plain(value: Any) -> str:
    """A coordinate or a result as text."""
    if isinstance(value, float) and not (value.is_integer() and 1e3 <= value < 1e15):
        return _number(value)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return _count(int(value)) if is_number else str(value)


def _left_out(count: int, option: str) -> list[RenderableType]:
    """Say how many rows are not shown, if any, and which option shows them."""
    return [_note(f"... and {_count(count)} more ({option}).")] if count else []


def diagnosis(report: Diagnosis) -> RenderableType:
    """Show `cvxbound doctor`."""
    info = report.info
    machine = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, text in (
        ("cvxbound", info["version"]),
        ("Python", f"{report.python}, {report.platform}"),
        ("instruction set", f"{info['isa']} (available: {', '.join(info['isas'])})"),
        ("threads", str(info["threads"])),
        ("CUDA", info["cuda"] or "built without"),
        ("XLA for JAX", "built with" if info["jax_ffi"] else "built without"),
        *(("GPU", _gpu(device)) for device in info["devices"]),
        *([("no GPU, since", report.missing_for_gpu)] if report.missing_for_gpu else []),
    ):
        machine.add_row(name, Text(text))
    packages: _Columns = [
        ("name", [package.name for package in report.packages]),
        ("needed for", [package.extra or "everything" for package in report.packages]),
        ("version", [_found(package) for package in report.packages]),
    ]
    checks: _Columns = [
        ("value", [_name(check.name) for check in report.checks]),
        ("expected", [_number(check.expected, 16) for check in report.checks]),
        ("found", [_number(check.found, 16) for check in report.checks]),
        ("", ["ok" if check.ok else "WRONG" for check in report.checks]),
    ]
    return _group([machine, _table("Packages", packages), _table("Self check", checks)])


def _gpu(device: Gpu) -> str:
    memory = device["memory"] / 2**30
    return f"{device['name']}, {memory:.0f} GiB, compute capability {device['compute_capability']}"


def _found(package: Package) -> Text:
    """The version of a package, or how to get it."""
    return Text(package.version or f'missing: pip install "cvxbound[{package.extra}]"')


def _best_table(report: Tuning) -> RenderableType:
    best = report.best.values()
    columns: _Columns = [
        ("bound", list(report.best)),
        ("gamma*", [_number(each.gamma) for each in best]),
        ("Omega*", [_number(each.omega) for each in best]),
        *_at_gamma(report.problem, list(best)),
    ]
    if report.subject.peak is not None:
        scales = [_number(report.scale(kind)) for kind in report.best]
        columns.append(("D/G if the logged\npeak is the best", scales))
    return _table("Best base learning rate", columns)


def _wrong_table(report: Tuning) -> RenderableType:
    columns: _Columns = [("bound", list(report.wrong))]
    for i, factor in enumerate(FACTORS):
        header = f"{factor:g}x" if factor > 1 else f"1/{1 / factor:g}x"
        cells = [_percent(ratios[i]) for ratios in report.wrong.values()]
        columns.append(("best" if factor == 1 else header, cells))
    return _table("What a wrong learning rate costs: the bound there in % of the best", columns)


def _others_table(report: Tuning) -> RenderableType:
    names = [Text("this run", style="bold"), *(_name(other.label) for other in report.others)]
    found = {kind: [report.best[kind], *rest] for kind, rest in report.others_best.items()}
    first = next(iter(found.values()))
    order = sorted(range(len(names)), key=lambda i: first[i].omega)
    columns: _Columns = [("schedule", [names[i] for i in order])]
    for kind, rows in found.items():
        ranked = [rows[i] for i in order]
        if report.subject.peak is None:
            columns.append(
                (f"{kind}: LR\nx this run", [_number(each.gamma_ratio) for each in ranked])
            )
        else:
            columns.append((f"{kind}:\nbest LR", [_number(each.lr, 3) for each in ranked]))
        columns.append(("Omega*, %\nof this run", [_percent(each.omega_ratio) for each in ranked]))
    warmup = f" with a warm-up of {_steps(report.warmup)}" if report.warmup else ""
    return _table(f"Other schedules of the same length{warmup}, each at its best LR", columns)


def _at_gamma(problem: Problem, rows: Sequence[Best]) -> _Columns:
    """The column of the base learning rate asked for, if one was."""
    if problem.gamma is None:
        return []
    return [(f"Omega at\n{_number(problem.gamma)}", [_number(best.at_gamma) for best in rows])]


def _footer(problem: Problem, *subjects: Subject) -> RenderableType:
    """Say under which conventions the numbers hold, and how the logs were read."""
    if problem.D == problem.G == 1:
        units = "LRs (gamma) are in units of D/G and bounds (Omega) of D G"
    else:
        units = f"D = {_number(problem.D)}, G = {_number(problem.G)}"
    meaning = "D: distance of the start from a minimiser, G: gradient norm"
    last_step = f"The last step of a schedule {_LAST_STEPS[problem.last_step]}"
    lines = [f"{units} ({meaning}). {last_step} (--last-step {problem.last_step})."]
    for name, subject in zip(_names(subjects), subjects, strict=True):
        about = [name.plain, subject.label] if name.plain != subject.label else [name.plain]
        if subject.read:
            about.append(subject.schedule.note)
        if len(about) > 1:
            text = ": ".join(about)
            lines.append(text if text.endswith("?") else f"{text}.")
    return _note("\n".join(lines))


def _group(parts: list[RenderableType], figure: Path | None = None) -> RenderableType:
    if figure is not None:
        parts.append(Text(f"figure: {figure}"))
    return Group(*parts)


def _table(title: str, columns: _Columns, first: Literal["left", "right"] = "left") -> Group:
    """Columns under a title; all but the first one are set to the right."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for i, (header, _) in enumerate(columns):
        table.add_column(header, justify="right" if i else first, no_wrap=i > 0)
    for row in zip(*(cells for _, cells in columns), strict=True):
        table.add_row(*row)
    return Group(Text(title, style="bold"), table, "")


def _names(subjects: Sequence[Subject]) -> list[Text]:
    """What rows are called: long labels, which the footer has in full, by their number."""
    return [
        _name(each.label if len(each.label) <= _LONGEST_NAME else f"({i})")
        for i, each in enumerate(subjects, start=1)
    ]


def _name(label: str) -> Text:
    """Text as it is: a label may hold the brackets that rich reads as markup."""
    return Text(label, overflow="fold")


def _note(text: str) -> RenderableType:
    return Constrain(Text(text, style="dim"), width=100)


def _count(value: int) -> str:
    return f"{value:,}"


def _steps(value: int) -> str:
    return f"{value:,} {'step' if value == 1 else 'steps'}"


def _number(value: float | None, digits: int = 4) -> str:
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.{digits}g}"


def _percent(ratio: float) -> str:
    return f"{100 * ratio:.1f}" if math.isfinite(ratio) else _number(ratio)
