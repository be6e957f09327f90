"""Write every figure of the paper's theory, and the tables of docs/paper.md to the standard output.

python examples/paper/all.py --out paper --data LOGS
"""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path

import _paper

SCRIPTS = (
    "schedule_comparison",
    "multiple_horizon",
    "cooldown_length",
    "cosine_cycle",
    "grad_norm_shape",
    "lr_transfer",
    "horizon_transfer",
    "wsd_detail",
    "lower_bound",
    "optimize_schedule",
    "convex_example",
)


def main() -> None:
    """Run every script; the one on real runs too where their folder is given."""
    parser = _paper.options("Write every figure.")
    parser.add_argument("--data", type=Path, help="folder of the logs published with the paper")
    given = parser.parse_args()
    if given.data and not (given.data / "index.json").is_file():
        parser.error(f"--data {given.data}: no index.json in there; give the folder of the logs")
    names = [*SCRIPTS, *(["measured_transfer"] if given.data else [])]
    for i, name in enumerate(names, 1):
        start = time.perf_counter()
        script = importlib.import_module(name)
        numbers = script.compute(given.data) if name == "measured_transfer" else script.compute()
        _paper.write(name, given.out, numbers, script.draw(numbers))
        print(f"## {name}\n\n{script.table(numbers)}")
        took = time.perf_counter() - start
        print(f"{i}/{len(names)} {name}: {took:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
