"""`cvxbound transfer` and `cvxbound extend`."""

import csv
import importlib.util
import json

import numpy as np
import pytest

import cvxbound as cb
from cvxbound import schedules

pytestmark = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ["cyclopts", "rich"])),
    reason="the command line needs cyclopts and rich",
)

RUN = schedules.wsd(400, cooldown=0.2)


@pytest.fixture
def log(tmp_path):
    """The log of RUN at a peak of 3e-4, with steps counted from 0."""
    path = tmp_path / "run.csv"
    rows = [f"{i},{3e-4 * eta!r}" for i, eta in enumerate(RUN.eta.tolist())]
    path.write_text("\n".join(["step,lr", *rows]) + "\n")
    return path


# --- transfer ------------------------------------------------------------------------------------


def test_transfer(ask):
    found = ask("transfer", "wsd", "cosine", "linear:steps=800", "--steps", 400, "--lr", "3e-4")
    assert found["source"]["label"] == "wsd"
    assert found["lr"] == 3e-4
    assert [each["steps"] for each in found["targets"]] == [400, 800]
    for row, target in zip(
        found["targets"], [schedules.cosine(400), schedules.linear(800)], strict=True
    ):
        for kind in ("last", "tight"):
            lr = cb.transfer_lr(3e-4, RUN, target, kind=kind)
            assert row["bounds"][kind] == {"lr": lr, "ratio": lr / 3e-4}


def test_transfer_from_a_log(ask, log):
    """Its peak is the learning rate; the others are as long as it is."""
    found = ask("transfer", log, "cosine", "--kind", "last")
    assert found["lr"] == pytest.approx(3e-4)
    (row,) = found["targets"]
    assert row["steps"] == 400
    expected = cb.transfer_lr(3e-4, RUN, schedules.cosine(400))
    assert row["bounds"]["last"]["lr"] == pytest.approx(expected, rel=1e-3)


def test_transfer_across_horizons(ask):
    argv = ["transfer", "wsd", "wsd", "--source-steps", 400, "--steps", 1600, "--lr", 1]
    theory, fitted = (
        ask(*argv, *more)["targets"][0]["bounds"]["last"]["lr"]
        for more in ([], ["--horizon-exponent", "-0.3"])
    )
    target = schedules.wsd(1600)
    assert theory == cb.transfer_lr(1.0, RUN, target)
    assert fitted == cb.transfer_lr(1.0, RUN, target, horizon_exponent=-0.3)


def test_transfer_table(run):
    code, out, _ = run("transfer", "wsd", "cosine", "--steps", 400, "--lr", "3e-4")
    assert code == 0
    assert "0.000568" in out
    assert "T^(-1/2), as theory has it" in out


def test_transfer_needs_a_rate(refuse):
    assert "give --lr" in refuse(2, "transfer", "wsd", "cosine", "--steps", 400)


def test_transfer_refuses(refuse, tmp_path):
    assert "--steps N" in refuse(2, "transfer", "wsd", "cosine", "--lr", 1)
    dead = tmp_path / "dead.csv"
    dead.write_text("step,lr\n1,1\n2,0\n3,0\n4,0\n")
    message = refuse(1, "transfer", "wsd", dead, "--steps", 400, "--lr", 1)
    assert "wsd to dead: target has no best base learning rate" in message


# --- extend --------------------------------------------------------------------------------------


def test_extend(ask):
    found = ask("extend", "wsd", "--steps", 400, "--to", 800)
    assert (found["steps"], found["to"], found["strategy"]) == (400, 800, "cooldown")
    for strategy in ("cooldown", "factor", "stages"):
        expected = cb.extend(RUN, 800, strategy=strategy)
        row = found["strategies"][strategy]
        for name in ("resume", "cooldown", "omega", "improvement", "saving", "solved", "message"):
            assert row[name] == getattr(expected, name)
        assert row["factors"] == list(expected.factors)
    assert found["omega_naive"] == expected.omega_naive
    assert found["omega_tuned"] == expected.omega_tuned


def test_extend_takes_its_options(ask):
    options = {"resume": 300, "cooldown": 0.25, "shape": "1-sqrt", "final": 0.1, "lookahead": 2}
    argv = [part for name, value in options.items() for part in (f"--{name}", value)]
    argv += ["--strategy", "stages", "--stages", "600,8e2", "--kind", "tight"]
    found = ask("extend", "wsd", "--steps", 400, "--to", 1000, *argv)
    expected = cb.extend(RUN, 1000, strategy="stages", stages=[600, 800], kind="tight", **options)
    stages = found["strategies"]["stages"]["stages"]
    assert stages == [stage._asdict() for stage in expected.stages]


def test_extend_a_plateau(ask):
    argv = ["extend", "constant", "--steps", 350, "--reference", "wsd:steps=400", "--to", 800]
    found = ask(*argv)["strategies"]["cooldown"]
    assert found["cooldown"] == cb.extend(RUN, 800).cooldown


def test_extend_a_log_and_write_it(ask, log, tmp_path):
    """In the units and with the step labels of the log."""
    out = tmp_path / "longer.csv"
    found = ask("extend", log, "--to", 800, "--out", out)
    assert found["lr"] == pytest.approx(3e-4)
    assert found["out"] == str(out)
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(800))
    rates = np.array([float(row["lr"]) for row in rows])
    np.testing.assert_allclose(rates, 3e-4 * cb.extend(RUN, 800).schedule.eta, atol=1e-6)
    assert schedules.from_log(out, last_step="given").eta.size == 800
    assert list(tmp_path.glob(".*")) == []


def test_extend_writes_json(ask, tmp_path):
    out = tmp_path / "longer.json"
    ask("extend", "wsd", "--steps", 400, "--to", 800, "--lr", "3e-4", "--out", out)
    written = json.loads(out.read_text())
    assert written["step"] == list(range(1, 801))
    np.testing.assert_allclose(written["lr"], 3e-4 * cb.extend(RUN, 800).schedule.eta, rtol=1e-15)


@pytest.mark.parametrize("strategy", ["cooldown", "factor", "stages"])
def test_extend_tables(run, strategy):
    argv = ["extend", "wsd", "--steps", 400, "--to", 1600, "--lr", "3e-4"]
    code, out, err = run(*argv, "--strategy", strategy)
    assert (code, err) == (0, "")
    assert "400 steps, extended to 1,600 steps at a base LR of 0.0003" in out
    assert "old recipe, its best LR" in out
    assert ("Omega if" in out) == (strategy == "stages")
    assert ("--strategy 'factor' keeps it the best one" in " ".join(out.split())) == (
        strategy == "cooldown"
    )


def test_other_strategies_may_be_impossible(run, ask):
    argv = ["extend", "cosine", "--steps", 400, "--to", 800, "--resume", 200]
    assert ask(*argv)["strategies"]["factor"] is None
    code, out, _ = run(*argv)
    assert code == 0
    assert "factor" in out


def test_extend_refuses(refuse, tmp_path):
    extend = ["extend", "wsd", "--steps", 400]
    assert "--to" in refuse(2, *extend)
    assert "--to must be more than its 400 steps" in refuse(1, *extend, "--to", 400)
    assert "pass --resume, the step" in refuse(1, "extend", "cosine", "--steps", 400, "--to", 800)
    assert "--stages: 'x' is not a number" in refuse(2, *extend, "--to", 800, "--stages", "x")
    message = refuse(1, *extend, "--to", 800, "--out", tmp_path / "a.txt")
    assert "a schedule is written as .csv or .json" in message
    assert "no such folder" in refuse(1, *extend, "--to", 800, "--out", tmp_path / "no" / "a.csv")


@pytest.mark.parametrize("lr", ["nan", "-1", "0", "inf"])
def test_learning_rates_that_are_none(refuse, log, tmp_path, lr):
    out = tmp_path / "longer.csv"
    for argv in (["extend", log, "--to", 800, "--out", out], ["transfer", log, "linear"]):
        assert "--lr must be positive and finite" in refuse(1, *argv, f"--lr={lr}")
    assert not out.exists()
