"""Reports as JSON: the same keys every time, null where there is nothing to say."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from .. import __version__
from ._reports import FACTORS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from .. import plot
    from ..extension import Extension
    from ..laws import LossLaw
    from ..logs import Run
    from ..views import Sweep, Trend
    from ._advice import Extending, Transfer
    from ._doctor import Diagnosis
    from ._export import Export
    from ._fit import Fitting, Forecast
    from ._inputs import Subject
    from ._reports import Best, Comparison, Problem, Tuning, Values
    from ._sweep import BestCells, Contents, SweepRun


def dumps(document: Mapping[str, Any]) -> str:
    """One line of JSON. Infinities are the texts "inf" and "-inf", and NaN is null."""
    return json.dumps(_finite(document), allow_nan=False)


def comparison(report: Comparison, figure: Path | None) -> dict[str, Any]:
    """Describe `cvxbound compare`."""
    rows = [
        _subject(subject) | {"bounds": {kind: _best(rows[i]) for kind, rows in report.best.items()}}
        for i, subject in enumerate(report.subjects)
    ]
    return _document("compare", report.problem) | {
        "schedules": rows,
        "figure": None if figure is None else str(figure),
    }


def values(report: Values) -> dict[str, Any]:
    """Describe `cvxbound bound`."""
    points = [
        {"step": step, "eta": eta, "omega": omega}
        for step, eta, omega in zip(report.at, report.eta, report.omega, strict=True)
    ]
    return (
        _document("bound", report.problem)
        | _subject(report.subject)
        | {"kind": report.kind, "gamma": report.gamma, "points": points}
    )


def tuning(report: Tuning) -> dict[str, Any]:
    """Describe `cvxbound tune`."""
    bounds = {
        kind: _best(best)
        | {
            "implied_D_over_G": report.scale(kind),
            "wrong_gamma": [
                {"factor": factor, "omega_ratio": ratio}
                for factor, ratio in zip(FACTORS, report.wrong[kind], strict=True)
            ],
        }
        for kind, best in report.best.items()
    }
    others = [
        _subject(other)
        | {"bounds": {kind: _best(rows[i]) for kind, rows in report.others_best.items()}}
        for i, other in enumerate(report.others)
    ]
    return (
        _document("tune", report.problem)
        | _subject(report.subject)
        | {"warmup": report.warmup, "bounds": bounds, "alternatives": others}
    )


def drawing(
    problem: Problem, subjects: Sequence[Subject], curves: Sequence[plot.Curve], figure: Path
) -> dict[str, Any]:
    """Describe `cvxbound plot`."""
    rows = [
        _subject(subject)
        | {
            "kind": curve.kind,
            "gamma": curve.gamma,
            "omega": float(curve.omega[-1]),
            "loss": None if curve.loss is None else curve.loss.name,
        }
        for subject, curve in zip(subjects, curves, strict=True)
    ]
    return _document("plot", problem) | {
        "view": "curves",
        "schedules": rows,
        "figure": str(figure),
    }


def sweeps(
    problem: Problem, subjects: Sequence[Subject], lines: Sequence[Sweep], figure: Path
) -> dict[str, Any]:
    """Describe `cvxbound plot --view sweep`."""
    rows = [
        _subject(subject)
        | {
            "kind": line.kind,
            "best": {"gamma": line.best_gamma, "omega": line.best_omega},
            "gamma": line.gamma.tolist(),
            "omega": line.omega.tolist(),
        }
        for subject, line in zip(subjects, lines, strict=True)
    ]
    return _document("plot", problem) | {"view": "sweep", "schedules": rows, "figure": str(figure)}


def trends(
    problem: Problem, subjects: Sequence[Subject], lines: Sequence[Trend], figure: Path
) -> dict[str, Any]:
    """Describe `cvxbound plot --view horizon` and `--view cooldown`."""
    rows = [
        _subject(subject)
        | {
            "kind": line.kind,
            line.over: line.x.tolist(),
            "gamma": line.gamma.tolist(),
            "omega": line.omega.tolist(),
            "exponent": line.exponent,
        }
        for subject, line in zip(subjects, lines, strict=True)
    ]
    return _document("plot", problem) | {
        "view": lines[0].over,
        "schedules": rows,
        "figure": str(figure),
    }


def transferred(report: Transfer) -> dict[str, Any]:
    """Describe `cvxbound transfer`."""
    targets = [
        _subject(target)
        | {
            "bounds": {
                kind: {"lr": rates[i], "ratio": rates[i] / report.lr}
                for kind, rates in report.rates.items()
            }
        }
        for i, target in enumerate(report.targets)
    ]
    return _document("transfer", report.problem) | {
        "source": _subject(report.source),
        "lr": report.lr,
        "horizon_exponent": report.horizon_exponent,
        "targets": targets,
    }


def extended(report: Extending, out: Path | None) -> dict[str, Any]:
    """Describe `cvxbound extend`."""
    found = {
        strategy: None if each is None else _extension(each)
        for strategy, each in report.found.items()
    }
    return (
        _document("extend", report.problem)
        | _subject(report.subject)
        | {
            "to": len(report.chosen.schedule),
            "reference": _subject(report.reference),
            "strategy": report.strategy,
            "lr": report.lr,
            "gamma": report.chosen.gamma,
            "omega_naive": report.chosen.omega_naive,
            "omega_tuned": report.chosen.omega_tuned,
            "strategies": found,
            "out": None if out is None else str(out),
        }
    )


def _extension(found: Extension) -> dict[str, Any]:
    names = ("resume", "cooldown", "factors", "omega", "improvement", "saving", "solved", "message")
    stages = [stage._asdict() for stage in found.stages]
    return {name: getattr(found, name) for name in names} | {"stages": stages}


def fitting(report: Fitting, save: Path | None, figure: Path | None) -> dict[str, Any]:
    """Describe `cvxbound fit`."""
    return {
        "command": "fit",
        "version": __version__,
        "from": None if report.source is None else str(report.source),
        "law": _law(report.law),
        "runs": [_run(run) for run in report.fitted],
        "held_out": [_run(run) for run in report.held_out],
        "scores": [dict(score) for score in report.scores],
        "predictions": [_forecast(each) for each in report.forecasts],
        "save": None if save is None else str(save),
        "figure": None if figure is None else str(figure),
    }


def _law(law: LossLaw) -> dict[str, Any]:
    ends = law.spread()
    return {
        "name": law.form.name,
        "options": law.form.options(),
        "parameters": {
            name: {"value": value, "fitted": name in ends, "interval": ends.get(name)}
            for name, value in law.parameters.items()
        },
        "errors": dict(law.errors),
        "doubts": list(law.doubts),
        "split": law.split,
        "burn_in": law.burn_in,
        "lr": law.lr,
        "runs": [dict(run) for run in law.runs],
    }


def _run(run: Run) -> dict[str, Any]:
    return {
        "run": run.name,
        "steps": run.steps,
        "peak_lr": run.peak,
        "split": run.split,
        "losses": run.loss.size,
        "final_loss": float(run.loss[-1]),
        "notes": list(run.notes),
    }


def _forecast(forecast: Forecast) -> dict[str, Any]:
    names = ("lr", "loss", "low", "high", "behind")
    best = None if forecast.best is None else forecast.best._asdict()
    return (
        _subject(forecast.subject)
        | {name: getattr(forecast, name) for name in names}
        | {"best": best}
    )


def exported(report: Export, out: Path | None) -> dict[str, Any]:
    """Describe `cvxbound export`."""
    return (
        {"command": "export", "version": __version__}
        | _subject(report.subject)
        | {
            "to": report.tool,
            "lr": report.lr,
            "text": report.text,
            "out": None if out is None else str(out),
        }
    )


def sweep_run(report: SweepRun) -> dict[str, Any]:
    """Describe `cvxbound sweep run`."""
    return _contents("sweep run", report.sweep) | {
        "seconds": report.seconds,
        "kernels": report.kernels,
        "failed_now": _failures(report.failures),
        "best": _cells(report.best),
    }


def sweep_status(report: Contents) -> dict[str, Any]:
    """Describe `cvxbound sweep status`."""
    return _contents("sweep status", report)


def sweep_best(report: BestCells) -> dict[str, Any]:
    """Describe `cvxbound sweep best`."""
    scale = {name: getattr(report.scale, name) for name in ("gamma", "D", "G")}
    return _contents("sweep best", report.sweep) | {"options": scale} | _cells(report)


def _contents(command: str, sweep: Contents) -> dict[str, Any]:
    status = sweep.status
    return {
        "command": command,
        "version": __version__,
        "store": sweep.store,
        "sweep": dict(sweep.attrs),
        "sizes": dict(sweep.sizes),
        "fixed": dict(sweep.fixed),
        "blocks": status.total,
        "done": status.done,
        "failed": _failures(status.failed),
    }


def _failures(failures: Mapping[int, str]) -> list[dict[str, Any]]:
    return [{"block": block, "error": error} for block, error in failures.items()]


def _cells(report: BestCells) -> dict[str, Any]:
    rows = [dict(zip(report.columns, row, strict=True)) for row in report.rows]
    return {"over": list(report.over), "rows": rows, "count": report.count}


def diagnosis(report: Diagnosis) -> dict[str, Any]:
    """Describe `cvxbound doctor`."""
    return {
        "command": "doctor",
        "version": __version__,
        "info": dict(report.info),
        "python": report.python,
        "platform": report.platform,
        "missing_for_gpu": report.missing_for_gpu,
        "packages": [package._asdict() for package in report.packages],
        "checks": [check._asdict() | {"ok": check.ok} for check in report.checks],
        "ok": report.ok,
    }


def _document(command: str, problem: Problem) -> dict[str, Any]:
    options = {
        "kinds": list(problem.kinds),
        "D": problem.D,
        "G": problem.G,
        "last_step": problem.last_step,
        "gamma": problem.gamma,
    }
    return {"command": command, "version": __version__, "options": options}


def _subject(subject: Subject) -> dict[str, Any]:
    params = {key: value for key, value in subject.schedule.params.items() if key != "steps"}
    return {
        "schedule": subject.argument,
        "label": subject.label,
        "steps": len(subject.schedule),
        "peak_lr": subject.peak,
        "params": params,
    }


def _best(best: Best) -> dict[str, Any]:
    return {
        "gamma": best.gamma,
        "omega": best.omega,
        "omega_at_gamma": best.at_gamma,
        "gamma_ratio": best.gamma_ratio,
        "omega_ratio": best.omega_ratio,
        "lr": best.lr,
    }


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else ("inf" if value > 0 else "-inf")
    return value
