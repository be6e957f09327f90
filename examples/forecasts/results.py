"""How well loss laws predict runs that they were not fitted to: the tables of docs/forecasts.md.

    python examples/forecasts/results.py [FOLDER]

FOLDER holds the training logs, `mpl_runs` and `llama_runs`; docs/forecasts.md says where they are
from. By default it is ../shared/data, beside the checkout.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cvxbound import laws, logs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cvxbound.laws import LossLaw
    from cvxbound.logs import Run

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

RATES = {"weight_decay": 0, "weight_rms": math.inf}  # the learning rates themselves
LAWS: dict[str, dict[str, Any]] = {
    "bound": {},
    "bound, mu = 1": {"mu": 1},
    "bound, mu = kappa": {"mu": "kappa"},
    "bound, weight_decay and weight_rms fitted": {"weight_decay": "fit", "weight_rms": "fit"},
    "bound, norms a power of the LR": {"norms": "power"},
    "bound, of the LRs themselves": RATES,
    "bound, of the LRs themselves, last": {**RATES, "kind": "last"},
    "bound, of the LRs themselves, norms a power": {**RATES, "norms": "power"},
    "omega": {"law": "omega"},
    "annealing": {"law": "annealing"},
    "multi-power": {"law": "multi-power"},
}
PUBLISHED = {"25M": (0.9988, 0.00376), "100M": (0.9983, 0.00435)}

SIZES = ("25M", "100M")
MPL_FITTED = ("cosine_24000", "constant_24000", "wsdcon_9")
MPL_WARMUP = 2160

LLAMA_LARGEST = 2e-3
LLAMA_FITTED = 25_000  # steps of the longest run that laws are fitted to
LLAMA_AFTER = 3_000  # steps, from which losses count
# No table of llama_runs has multi-power, whose sums take millions of terms for each number
# tried. That of every split leaves out what is slow too: laws whose features are fitted.
RATE_LAWS = [name for name in LAWS if name != "multi-power"]
SPLIT_LAWS = [name for name in RATE_LAWS if "fitted" not in name and "power" not in name]

Row = dict[str, Any]


def mpl_runs(data: Path, size: str) -> tuple[list[Run], list[Run]]:
    """Return the runs of Luo et al. that laws are fitted to, and those that are predicted."""
    found = {
        path.stem: logs.load(path, warmup=MPL_WARMUP)[0]
        for path in sorted((data / "mpl_runs" / size).glob("*.csv"))
    }
    fitted = [found.pop(name) for name in MPL_FITTED]
    return fitted, list(found.values())


def llama_runs(data: Path) -> list[Run]:
    """Return the runs of Schaipp et al. without gradient norms, base learning rates up to 0.002."""
    folder = data / "llama_runs"
    told = [
        each
        for each in json.loads((folder / "index.json").read_text())
        if not each["file"].startswith("gn-") and each["base_lr"] <= LLAMA_LARGEST
    ]
    stable = {each["base_lr"]: each["file"] for each in told if each["file"].startswith("stable-")}
    return logs.load(
        [
            (folder / stable[each["base_lr"]], folder / each["file"])
            if each["first_logged_step"]  # only its cooldown was logged
            else folder / each["file"]
            for each in told
        ]
    )


def fitted_and_scored(
    name: str,
    fitted: Sequence[Run],
    tested: Iterable[Run],
    *,
    after: int | None = None,
    shared: bool = False,
    replicates: int = 0,
) -> tuple[LossLaw, list[Row]]:
    """Fit a law and score it on other runs: without the losses that they share, or with them."""
    law = laws.fit(fitted, replicates=replicates, **LAWS[name])
    known = () if shared else fitted
    return law, laws.score(law, list(tested), fitted=known, after=after)


def mean(rows: Sequence[Row], name: str) -> float:
    """Return the mean of a figure over runs, of absolute values for the error of the final loss."""
    return float(np.mean([abs(row[name]) if name == "final" else row[name] for row in rows]))


# --- tables ---------------------------------------------------------------------------------------


def mpl_table(data: Path) -> list[list[str]]:
    """Every law on the published protocol: all losses of the six test curves count."""
    table = [["law", "numbers"]]
    table[0] += [f"{size}, {what}" for size in SIZES for what in ("R2", "MAE", "worst")]
    runs = {size: mpl_runs(data, size) for size in SIZES}
    for name in LAWS:
        line = [name]
        for size in SIZES:
            law, rows = fitted_and_scored(name, *runs[size], shared=True)
            line += [str(law.form.size)] if len(line) == 1 else []
            line += [f"{mean(rows, 'r2'):.5f}", f"{mean(rows, 'mae'):.5f}"]
            line += [f"{mean(rows, 'worst'):.2%}"]
        table.append(line)
    published = [[f"{r2:.4f}", f"{mae:.5f}", ""] for r2, mae in PUBLISHED.values()]
    return [*table, ["multi-power, as published", "7", *published[0], *published[1]]]


def mpl_curves(data: Path) -> list[list[str]]:
    """The six test curves one by one, for the default law, and without shared losses."""
    table = [["model", "curve", "R2", "MAE", "worst", "final", "of its own", "MAE", "coverage"]]
    for size in SIZES:
        fitted, tested = mpl_runs(data, size)
        law, rows = fitted_and_scored("bound", fitted, tested, shared=True, replicates=200)
        own = {row["run"]: row for row in laws.score(law, tested, fitted=fitted)}
        for row in rows:
            strict = own[row["run"]]
            table.append(
                [
                    size,
                    row["run"],
                    f"{row['r2']:.5f}",
                    f"{row['mae']:.5f}",
                    f"{row['worst']:.2%}",
                    f"{row['final']:+.4f}",
                    f"{strict['losses']} of {row['losses']}",
                    f"{strict['mae']:.5f}",
                    f"{strict['coverage']:.0%}",
                ]
            )
    return table


def llama_splits(runs: Sequence[Run]) -> dict[str, tuple[list[Run], list[Run]]]:
    """Return the ways to fit and to test, by name: fitted runs, and tested ones."""

    def chosen(rates: Sequence[float], *, long: bool) -> list[Run]:
        return [
            run
            for run in runs
            if any(math.isclose(run.peak, rate, rel_tol=1e-3) for rate in rates)
            and (run.steps > LLAMA_FITTED) == long
        ]

    def at(*rates: float) -> list[Run]:
        return chosen(rates, long=False) + chosen(rates, long=True)

    every = sorted({float(f"{run.peak:.1g}") for run in runs})
    decays = [run for run in runs if laws.family(run) == "decay" and "cos" in run.name]
    others = [run for run in runs if run not in decays]
    return {
        **{
            f"LR {rate:g}: longer runs": (chosen([rate], long=False), chosen([rate], long=True))
            for rate in every
        },
        "all LRs: longer runs": (chosen(every, long=False), chosen(every, long=True)),
        "all LRs: cosine from WSD": (others, decays),
        "LR 0.001 from 0.0005 and 0.002": (at(5e-4, 2e-3), at(1e-3)),
        "LR 0.0001 from the others": (at(*every[1:]), at(every[0])),
    }


def llama_table(runs: Sequence[Run]) -> list[list[str]]:
    """The default law on each split."""
    table = [["held out", "fitted", "tested", "R2", "MAE", "RMSE", "worst", "final", "coverage"]]
    for name, (fitted, tested) in llama_splits(runs).items():
        _, rows = fitted_and_scored("bound", fitted, tested, after=LLAMA_AFTER, replicates=100)
        table.append(
            [
                name,
                str(len(fitted)),
                str(len(rows)),
                f"{mean(rows, 'r2'):.4f}",
                f"{mean(rows, 'mae'):.4f}",
                f"{mean(rows, 'rmse'):.4f}",
                f"{max(row['worst'] for row in rows):.2%}",
                f"{mean(rows, 'final'):.4f}",
                f"{mean(rows, 'coverage'):.0%}",
            ]
        )
    return table


def llama_laws(runs: Sequence[Run]) -> list[list[str]]:
    """The root mean square error of laws on each split."""
    splits = llama_splits(runs)
    table = [["law", "numbers", *splits]]
    for name in SPLIT_LAWS:
        line = [name]
        for fitted, tested in splits.values():
            law, rows = fitted_and_scored(name, fitted, tested, after=LLAMA_AFTER)
            line += [str(law.form.size)] if len(line) == 1 else []
            line.append(f"{mean(rows, 'rmse'):.4f}")
        table.append(line)
    return table


def rate_table(runs: Sequence[Run]) -> list[list[str]]:
    """What a form gains in one fit across learning rates: errors on longer runs, by their LR."""
    fitted, tested = llama_splits(runs)["all LRs: longer runs"]
    by_rate = sorted({f"{run.peak:.1g}" for run in tested}, key=float)
    rate_of = {run.name: f"{run.peak:.1g}" for run in tested}
    table = [["law", "numbers", *(f"LR {float(rate):g}" for rate in by_rate), "parameters"]]
    for name in RATE_LAWS:
        law, rows = fitted_and_scored(name, fitted, tested, after=LLAMA_AFTER)
        line = [name, str(law.form.size)]
        for rate in by_rate:
            own = [row for row in rows if rate_of[row["run"]] == rate]
            line.append(f"{mean(own, 'rmse'):.4f}")
        found = ", ".join(f"{each.name} {law.values[each.name]:.3g}" for each in law.form.free)
        table.append([*line, found])
    return table


def markdown(table: Sequence[Sequence[str]]) -> str:
    """Return a table as Markdown, its first line the header."""
    header, *lines = (f"| {' | '.join(line)} |" for line in table)
    return "\n".join([header, f"|{' --- |' * len(table[0])}", *lines])


def main() -> None:
    """Print every table, and the processor time each took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path, default=DATA, help="the folder of the logs")
    data = parser.parse_args().data
    for name in ("mpl_runs", "llama_runs"):
        if not (data / name).is_dir():
            parser.error(
                f"no folder {name} in {data}: expected the training logs that docs/forecasts.md "
                "lists; give the folder that holds them"
            )
    runs = llama_runs(data)
    for title, make in {
        "mpl_runs: every law": lambda: mpl_table(data),
        "mpl_runs: curve by curve": lambda: mpl_curves(data),
        "llama_runs: the default law": lambda: llama_table(runs),
        "llama_runs: other laws": lambda: llama_laws(runs),
        "llama_runs: across learning rates": lambda: rate_table(runs),
    }.items():
        begin = time.process_time()
        table = make()
        print(
            f"## {title}\n\n{markdown(table)}\n\n{time.process_time() - begin:.0f} s\n", flush=True
        )


if __name__ == "__main__":
    main()
