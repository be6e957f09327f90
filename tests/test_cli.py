"""The command line: what it prints, what it refuses, and what it exits with."""

import importlib.util
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cvxbound as cb
from cvxbound import cli, plot
from cvxbound.cli import _doctor, _inputs, _reports

pytestmark = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ["cyclopts", "rich"])),
    reason="the command line needs cyclopts and rich",
)

DATA = Path(__file__).parents[2] / "shared" / "data" / "llama_runs"
COSINE = DATA / "cos-zero-124m_lr0.001_cos_warmup300_decay_sqrt_0.0_iter50000.csv"
STABLE = DATA / "stable-124m_lr0.001_wsd_warmup300_decay_linear_0.0_iter50000.csv"
COOLDOWN = DATA / "ann124-0.2_lr0.001_wsd_warmup300_decay_linear_0.2_iter50000.csv"
WSD = f"{STABLE}+{COOLDOWN}"

needs_data = pytest.mark.skipif(not COSINE.exists(), reason=f"no training logs at {DATA}")
needs_matplotlib = pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None, reason="figures need matplotlib"
)


def write_log(path, lr, *, first=1, **columns):
    rows = [",".join(["step", "lr", *columns])]
    for i, rate in enumerate(lr):
        cells = [str(first + i), str(rate), *(str(column[i]) for column in columns.values())]
        rows.append(",".join(cells))
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture
def linear_log(tmp_path):
    return write_log(tmp_path / "linear.csv", 0.01 * cb.schedules.linear(200).eta)


# --- compare -------------------------------------------------------------------------------------

PAPER = ["linear", "wsd:cooldown=0.2", "cosine", "constant"]


def test_the_numbers_of_the_paper(ask):
    """Schaipp et al., T = 400."""
    found = ask("compare", *PAPER, "--steps", 400, "--last-step", "given")
    last = [row["bounds"]["last"] for row in found["schedules"]]
    np.testing.assert_allclose([each["gamma"] for each in last[1:3]], [0.0254, 0.0482], atol=5e-5)
    omega = [each["omega"] for each in last]
    np.testing.assert_allclose(omega, [0.1006, 0.1093, 0.1034, 0.1375], atol=5e-5)


@pytest.mark.parametrize("last_step", ["given", "repeat", "free"])
def test_compare_is_tune(ask, last_step):
    options = ["--last-step", last_step, "--D", 2, "--G", 3, "--gamma", 0.02, "--threads", 1]
    found = ask("compare", *PAPER, "--steps", 400, *options)
    shared = {"D": 2.0, "G": 3.0, "last_step": last_step}
    schedules = [cb.schedules.linear(400), cb.schedules.wsd(400, cooldown=0.2)]
    schedules += [cb.schedules.cosine(400), cb.schedules.constant(400)]
    for kind in ("last", "tight"):
        first = cb.tune(schedules[0], kind=kind, **shared)
        for row, schedule in zip(found["schedules"], schedules, strict=True):
            best = cb.tune(schedule, kind=kind, **shared)
            assert row["bounds"][kind] == {
                "gamma": best.gamma,
                "omega": best.omega,
                "omega_at_gamma": cb.bound(schedule, 0.02, kind=kind, **shared),
                "gamma_ratio": best.gamma / first.gamma,
                "omega_ratio": best.omega / first.omega,
                "lr": None,
            }


def test_compare_says_what_it_assumes(ask):
    found = ask("compare", "linear", "--steps", "1e2")
    assert found["command"] == "compare"
    assert found["version"] == cb.__version__
    assert found["options"] == {
        "kinds": ["last", "tight"],
        "D": 1.0,
        "G": 1.0,
        "last_step": "repeat",
        "gamma": None,
    }
    assert found["figure"] is None
    (row,) = found["schedules"]
    assert set(row) == {"schedule", "label", "steps", "peak_lr", "params", "bounds"}
    assert (row["schedule"], row["label"], row["steps"]) == ("linear", "linear", 100)
    assert row["params"]["warmup"] == 0


@pytest.mark.parametrize("kind", ["last", "tight", "average"])
def test_compare_one_kind(ask, run, kind):
    found = ask("compare", "linear", "--steps", 50, "--kind", kind)
    assert list(found["schedules"][0]["bounds"]) == [kind]
    code, out, _ = run("compare", "linear", "--steps", 50, "--kind", kind)
    assert code == 0
    assert [word in out for word in ("last (", "tight (", "average (")].count(True) == 1


def test_the_tables_of_compare(run):
    code, out, err = run("compare", *PAPER, "--steps", 400, "--last-step", "given")
    assert (code, err) == (0, "")
    rows = {line.split()[0]: line.split() for line in out.splitlines() if " 400 " in line}
    assert rows["wsd:cooldown=0.2"][1:2] == ["400"]
    assert "0.1093" in out
    assert "108.6" in out  # % of linear
    assert "--last-step given" in out
    assert "units of D/G" in out
    assert "as logged" not in out


def test_horizons_of_their_own(ask):
    """The horizon that needs half the bound has four times the steps."""
    found = ask("compare", "linear", "linear:steps=400", "--steps", 100, "--kind", "tight")
    ratios = [row["bounds"]["tight"]["omega_ratio"] for row in found["schedules"]]
    assert [row["steps"] for row in found["schedules"]] == [100, 400]
    assert ratios[1] == pytest.approx(0.5, rel=0.01)


def test_a_run_first_gives_learning_rates(ask, run, linear_log):
    """Families have the length of the first log unless --steps says otherwise."""
    found = ask("compare", linear_log, "wsd")
    rows = found["schedules"]
    assert [row["steps"] for row in rows] == [200, 200]
    assert [row["peak_lr"] for row in rows] == [0.01, None]
    assert rows[0]["label"] == "linear"
    assert rows[0]["params"]["sources"] == [str(linear_log)]
    for kind in ("last", "tight"):
        first, other = (row["bounds"][kind] for row in rows)
        assert first["lr"] == 0.01
        assert other["lr"] == pytest.approx(0.01 * other["gamma"] / first["gamma"])
    shared = {"last_step": "repeat"}
    assert rows[0]["bounds"]["last"]["gamma"] == pytest.approx(
        cb.tune(cb.schedules.linear(200), **shared).gamma, rel=1e-12
    )
    _, out, _ = run("compare", linear_log, "wsd")
    assert "LR if first" in out
    assert "LR of 200 rows, one every step" in out
    _, out, _ = run("compare", "wsd", linear_log)
    assert "LR if first" not in out
    assert "Put the run whose peak LR was tuned first" in out


def test_long_names_are_in_the_footer(run, tmp_path):
    log = write_log(tmp_path / f"{'x' * 60}.csv", [0.1] * 9)
    _, out, _ = run("compare", log, "linear")
    assert any(line.startswith("(1) ") for line in out.splitlines())
    assert f"(1): {log.stem}" in out
    assert "(2)" not in out


def test_infinite_bounds(ask, run):
    """Two texts and null are all that JSON has for what is not finite."""
    argv = ["compare", "linear:endpoint=true", "linear", "--steps", 50, "--last-step", "given"]
    first, other = (row["bounds"]["last"] for row in ask(*argv)["schedules"])
    assert (first["gamma"], first["omega"], first["gamma_ratio"]) == (0, "inf", None)
    assert other["omega_ratio"] is None
    assert np.isfinite(other["omega"])
    code, out, _ = run(*argv)
    assert code == 0
    assert "inf" in out


def test_labels(ask, run, refuse):
    argv = ["compare", "linear", "wsd", "--steps", 50]
    found = ask(*argv, "--label", "a", "--label", "[bold]b[/bold]")
    assert [row["label"] for row in found["schedules"]] == ["a", "[bold]b[/bold]"]
    assert "[bold]b[/bold]" in run(*argv, "--label", "a", "--label", "[bold]b[/bold]")[1]
    assert "schedules: 2, labels: 1" in refuse(2, *argv, "--label", "a")


# --- SCHEDULE arguments --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "schedule"),
    [
        ("cosine", cb.schedules.cosine(1000)),
        ("cos:final=0.1", cb.schedules.cosine(1000, final=0.1)),
        ("inverse-sqrt:warmup=100", cb.schedules.inverse_sqrt(1000, warmup=100)),
        (
            "wsd:cooldown=0.4,shape=1-sqrt,warmup=20",
            cb.schedules.wsd(1000, cooldown=0.4, shape="1-sqrt", warmup=20),
        ),
        (
            "wsd:cooldown=400, warmup-start=0.1",
            cb.schedules.wsd(1000, cooldown=400, warmup_start=0.1),
        ),
        ("wsd:cooldown=4e-1", cb.schedules.wsd(1000, cooldown=0.4)),
        ("linear:endpoint=True,warmup_start=none", cb.schedules.linear(1000, endpoint=True)),
        ("linear:warmup=1e2", cb.schedules.linear(1000, warmup=100)),
        ("wsd:cooldown=1.0", cb.schedules.wsd(1000, cooldown=1.0)),
        ("constant:warmup=1.0", cb.schedules.constant(1000, warmup=1.0)),
        ("power:exponent=2", cb.schedules.power(1000, 2)),
        (
            "piecewise:milestones=0.8/0.9,factors=0.316/0.1",
            cb.schedules.piecewise(1000, [0.8, 0.9], [0.316, 0.1]),
        ),
        ("piecewise:milestones=800,factors=0.1", cb.schedules.piecewise(1000, [800], [0.1])),
        ("cyclic_wsd:cycles=4", cb.schedules.cyclic_wsd(1000, cycles=4)),
        ("cyclic_wsd:cycles=500/1000", cb.schedules.cyclic_wsd(1000, cycles=[500, 1000])),
    ],
)
def test_families(argument, schedule):
    assert _inputs.family(argument, 1000).schedule == schedule


@pytest.mark.parametrize("text", ["1000000", "1_000_000", "1e6", "1E6", "1000000.0"])
def test_whole_numbers(text):
    assert _inputs.whole_number(text) == 1_000_000


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[("300", 300), ("1e2", 100), ("1.5e3", 1500), ("1E0", 1), ("300.0", 300), ("+3e2", 300)],
        *[("1.0", 1.0), ("0.5", 0.5), ("1e-2", 0.01), ("1.5", 1.5), ("0.0", 0.0), ("-1e2", -100.0)],
    ],
)
def test_steps_and_fractions(text, value):
    """What is whole and cannot be a fraction is steps; 1.0 is the whole run."""
    found = _inputs.number(text)
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize("text", ["1.5", "inf", "nan", "x", "", "1e-3"])
def test_not_whole_numbers(text):
    with pytest.raises(ValueError, match="is not a"):
        _inputs.whole_number(text)


def test_joined_logs(ask, tmp_path):
    stable = write_log(tmp_path / "stable.csv", [0.1] * 10)
    end = write_log(tmp_path / "a+b.csv", [0.06, 0.04, 0.02], first=8)
    (row,) = ask("compare", f"{stable}+{end}")["schedules"]
    assert row["label"] == "stable + a+b"
    assert row["steps"] == 10
    assert row["params"]["sources"] == [str(stable), str(end)]
    expected = cb.tune([1] * 7 + [0.6, 0.4, 0.2], last_step="repeat")
    assert row["bounds"]["last"]["omega"] == pytest.approx(expected.omega, rel=1e-12)
    # The whole argument is a path if there is one of that name.
    whole = write_log(tmp_path / f"{stable.name}+{end.name}", [0.1] * 3)
    assert ask("compare", whole)["schedules"][0]["steps"] == 3


def test_formats(ask, tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps({"step": t, "lr": 0.1}) + "\n" for t in range(1, 6)))
    assert ask("tune", path)["steps"] == 5


def test_options_of_logs(ask, tmp_path):
    path = tmp_path / "log.tsv"
    path.write_text("when\trate\tlr\n" + "".join(f"{t}\t0.2\t9\n" for t in range(10, 21)))
    columns = ["--step-column", "when", "--lr-column", "rate"]
    found = ask("tune", path, *columns, "--warmup", 4)
    assert (found["steps"], found["peak_lr"], found["warmup"]) == (20, 0.2, 4)
    assert ask("tune", path, *columns, "--warmup", 0.2)["warmup"] == 4
    assert ask("tune", path, *columns, "--warmup", "4e0")["warmup"] == 4
    late = ask("bound", path, *columns, "--warmup", 4, "--warmup-start", 0.5, "--at", "1,2,5")
    np.testing.assert_allclose([point["eta"] for point in late["points"]], [0.5, 0.625, 1])
    assert ask("tune", path, *columns, "--first-lr", 0.1)["warmup"] == 9
    assert ask("tune", path, *columns, "--first-step", 10)["steps"] == 11


# --- bound ---------------------------------------------------------------------------------------


def test_bound_at_some_steps(ask, run):
    found = ask("bound", "cosine", "--steps", 400, "--at", "100,2e2,400")
    schedule = cb.schedules.cosine(400)
    best = cb.tune(schedule, last_step="repeat")
    omega = cb.curve(schedule, best.gamma, at=[100, 200, 400], last_step="repeat")
    assert (found["kind"], found["gamma"]) == ("last", best.gamma)
    assert found["points"] == [
        {"step": step, "eta": schedule.eta[step - 1], "omega": value}
        for step, value in zip([100, 200, 400], omega, strict=True)
    ]
    code, out, _ = run("bound", "cosine", "--steps", 1000, "--at", "1000")
    assert code == 0
    assert "1,000" in out


@pytest.mark.parametrize("kind", ["last", "tight", "average"])
def test_bound_at_the_last_step(ask, kind):
    argv = ["--kind", kind, "--gamma", 0.1, "--last-step", "free"]
    (point,) = ask("bound", "wsd", "--steps", 400, *argv)["points"]
    expected = cb.bound(cb.schedules.wsd(400), 0.1, kind=kind, last_step="free")
    assert point["omega"] == pytest.approx(expected, rel=1e-12)


# --- tune ----------------------------------------------------------------------------------------


def test_tune_a_run(ask, run, linear_log):
    found = ask("tune", linear_log)
    assert set(found) == {
        *("command", "version", "options", "schedule", "label", "steps", "peak_lr", "params"),
        *("warmup", "bounds", "alternatives"),
    }
    schedule = cb.schedules.from_log(linear_log)
    for kind in ("last", "tight"):
        best = cb.tune(schedule, kind=kind, last_step="repeat")
        mine = found["bounds"][kind]
        assert (mine["gamma"], mine["omega"], mine["lr"]) == (best.gamma, best.omega, 0.01)
        assert mine["implied_D_over_G"] == pytest.approx(0.01 / best.gamma)
        factors = [each["factor"] for each in mine["wrong_gamma"]]
        assert factors == [0.25, 0.5, 1, 2, 4]
        expected = cb.bound(schedule, best.gamma * np.array(factors), kind=kind, last_step="repeat")
        costs = [each["omega_ratio"] for each in mine["wrong_gamma"]]
        np.testing.assert_allclose(costs, expected / best.omega)
        for other in found["alternatives"]:
            theirs = cb.tune(
                _inputs.family(other["schedule"], 200).schedule, kind=kind, last_step="repeat"
            )
            row = other["bounds"][kind]
            assert row["gamma_ratio"] == theirs.gamma / best.gamma
            assert row["omega_ratio"] == theirs.omega / best.omega
            assert row["lr"] == pytest.approx(0.01 * theirs.gamma / best.gamma)
    assert [other["label"] for other in found["alternatives"]] == list(_reports.ALTERNATIVES)
    _, out, _ = run("tune", linear_log)
    assert "peak LR 0.01" in out
    assert "this run" in out


def test_the_cost_of_a_wrong_learning_rate(ask):
    found = ask("tune", "wsd", "--steps", 400, "--kind", "last")["bounds"]["last"]["wrong_gamma"]
    factor = np.array([each["factor"] for each in found])
    ratio = [each["omega_ratio"] for each in found]
    np.testing.assert_allclose(ratio, (factor + 1 / factor) / 2)


def test_implied_scale_in_units_of_the_problem(ask, linear_log):
    """D/G does not depend on what was assumed for D and G."""
    scales = [
        ask("tune", linear_log, "--D", D, "--G", G)["bounds"]["last"]["implied_D_over_G"]
        for D, G in ((1, 1), (2, 5))
    ]
    assert scales[0] == pytest.approx(scales[1])


@pytest.mark.parametrize(
    ("argument", "warmup"),
    [
        ("wsd:warmup=30", 30),
        ("cosine", 0),
        ("constant:warmup=30,warmup_start=0", 30),
        ("wsd:warmup=150", 0),  # more than half of the run
        ("cyclic_wsd", 0),
        ("piecewise:milestones=20/40,factors=0.5/2", 0),
    ],
)
def test_the_warmup_of_the_alternatives(ask, argument, warmup):
    found = ask("tune", argument, "--steps", 200, "--kind", "last")
    assert found["warmup"] == warmup
    assert {other["params"]["warmup"] for other in found["alternatives"]} == {warmup}
    again = {other["label"]: other["bounds"]["last"] for other in found["alternatives"]}
    if argument == "wsd:warmup=30":
        assert again["wsd:cooldown=0.2"]["omega_ratio"] == 1


@pytest.mark.parametrize(
    ("options", "warmup"),
    [
        ([], 100),
        (["--warmup", 95], 95),
        (["--warmup", "0.1"], 100),
        (["--warmup", 900], 100),
        (["--warmup", 0], 100),
    ],
)
def test_the_warmup_of_the_alternatives_of_a_run(ask, run, tmp_path, options, warmup):
    """As given, else to the row at which the peak is reached; at most half of the run counts."""
    path = tmp_path / "run.csv"
    rows = [f"{t},{min(t, 100) / 100}\n" for t in [1, *range(20, 1001, 20)]]
    path.write_text("step,lr\n" + "".join(rows))
    found = ask("tune", path, *options)
    assert found["warmup"] == warmup
    assert {other["params"]["warmup"] for other in found["alternatives"]} == {warmup}
    title = f"Other schedules of the same length with a warm-up of {warmup} steps, each at its best"
    assert title in run("tune", path, *options)[1]


def test_tune_where_the_bound_is_infinite(ask, run):
    argv = ["tune", "linear:endpoint=true", "--steps", 50, "--last-step", "given"]
    found = ask(*argv)
    assert found["bounds"]["last"]["omega"] == "inf"
    assert found["bounds"]["last"]["wrong_gamma"][0]["omega_ratio"] is None
    assert run(*argv)[0] == 0


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_shortest_runs(run, steps):
    assert run("tune", "wsd", "--steps", steps)[0] == 0
    assert run("compare", "wsd", "linear", "--steps", steps)[0] == 0


# --- figures -------------------------------------------------------------------------------------


@needs_matplotlib
@pytest.mark.parametrize("command", ["compare", "plot"])
def test_figures(ask, tmp_path, command):
    target = tmp_path / "figure.png"
    found = ask(command, "cosine", "wsd", "--steps", 100_000, "--out", target)
    assert found["figure"] == str(target)
    assert target.read_bytes().startswith(b"\x89PNG")
    assert list(tmp_path.iterdir()) == [target]


@needs_matplotlib
@pytest.mark.parametrize(
    "argv", [["--log-x"], ["--kind", "tight"], ["--gamma", "0.1"], ["--no-loss"]]
)
def test_options_of_figures(ask, tmp_path, argv):
    target = tmp_path / "figure.svg"
    (row,) = ask("plot", "wsd", "--steps", 200, *argv, "--out", target)["schedules"]
    assert target.exists()
    assert row["kind"] == ("tight" if "tight" in argv else "last")
    best = cb.tune(cb.schedules.wsd(200), kind=row["kind"], last_step="repeat").gamma
    assert row["gamma"] == (0.1 if "--gamma" in argv else best)


@needs_matplotlib
def test_losses_are_drawn(ask, run, tmp_path, monkeypatch):
    lr = [0.1] * 30
    log = write_log(tmp_path / "log.csv", lr, train_loss=range(40, 10, -1), val_loss=range(30))
    target = tmp_path / "figure.png"
    drawn = []
    figure = plot.figure
    monkeypatch.setattr(
        plot, "figure", lambda curves, **k: drawn.append(curves) or figure(curves, **k)
    )
    argv = ["plot", log, "constant", "--out", target]
    assert [row["loss"] for row in ask(*argv)["schedules"]] == ["val_loss", None]
    np.testing.assert_array_equal(drawn[-1][0].loss.value, np.arange(30))
    found = ask(*argv, "--loss-column", "train_loss")
    assert [row["loss"] for row in found["schedules"]] == ["train_loss", None]
    assert [row["loss"] for row in ask(*argv, "--no-loss")["schedules"]] == [None, None]
    assert "val_loss" in run(*argv)[1]


@needs_matplotlib
def test_a_log_without_losses_is_drawn(run, refuse, linear_log, tmp_path):
    target = tmp_path / "figure.png"
    code, _, err = run("plot", linear_log, "--out", target)
    assert code == 0
    assert "no loss is drawn" in err
    assert "--loss-column" in err
    assert "loss" in refuse(1, "plot", linear_log, "--out", target, "--loss-column", "loss")


@needs_matplotlib
@pytest.mark.parametrize("command", ["compare", "plot"])
@pytest.mark.parametrize("name", ["a.gif", "a", "missing/a.png"])
def test_a_bad_target_is_refused_before_anything_is_computed(
    refuse, tmp_path, monkeypatch, command, name
):
    monkeypatch.setattr(_inputs, "load", lambda *_: pytest.fail("computed"))
    target = tmp_path / name
    assert str(target.parent) in refuse(1, command, "linear", "--steps", 100, "--out", target)


@needs_matplotlib
def test_a_figure_that_cannot_be_written_leaves_the_old_one(refuse, tmp_path, monkeypatch):
    target = tmp_path / "a.png"
    target.write_text("old")
    monkeypatch.setattr("os.access", lambda *_: False)
    assert "no permission" in refuse(1, "plot", "linear", "--steps", 100, "--out", target)
    assert target.read_text() == "old"


def test_without_matplotlib(refuse, run, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    argv = ["compare", "linear", "--steps", 100]
    assert 'pip install "cvxbound[plot]"' in refuse(1, *argv, "--out", tmp_path / "a.png")
    assert run(*argv)[0] == 0


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "argv", "told"),
    [
        (1, ["compare", "cosin", "--steps", 9], ["did you mean 'cosine'?", "no such file"]),
        (1, ["tune", "cosin"], ["did you mean 'cosine'?"]),
        (1, ["tune", "missing.csv"], ["no such file: missing.csv"]),
        (1, ["tune", "runs/missing"], ["no such file: runs/missing"]),
        (1, ["tune", "a.csv+b.csv"], ["no such file: a.csv, b.csv"]),
        (1, ["tune", "wsd:cooldwn=1", "--steps", 9], ["wsd:cooldwn=1", "did you mean 'cooldown'?"]),
        (1, ["tune", "wsd:cooldown", "--steps", 9], ["key=value", "'cooldown'"]),
        (1, ["tune", "wsd:cooldown=99", "--steps", 9], ["cooldown must be from 0 to 9 steps"]),
        (1, ["tune", "wsd:shape=1-sqr", "--steps", 9], ["did you mean '1-sqrt'?"]),
        (1, ["tune", "power", "--steps", 9], ["power needs exponent"]),
        (1, ["tune", "wsd", "--steps", 0], ["steps must be from 1"]),
        (1, ["tune", "wsd", "--steps", "-5"], ["steps must be from 1"]),
        (1, ["tune", "wsd" + "x" * 300, "--steps", 9], ["unknown schedule"]),
        (1, ["tune", "", "--steps", 9], ["unknown schedule"]),
        (1, ["tune", "/", "--steps", 9], ["/: a directory"]),
        (1, ["compare", "wsd", "--steps", 9, "--gamma", "-1"], ["gamma must be positive"]),
        (1, ["compare", "wsd", "--steps", 9, "--gamma", "nan"], ["gamma must be positive"]),
        (1, ["compare", "wsd", "--steps", 9, "--D", "0"], ["D must be positive"]),
        (1, ["compare", "wsd", "--steps", 9, "--G", "-1"], ["G"]),
        (1, ["compare", "wsd", "--steps", 9, "--threads", "0"], ["nthreads must be"]),
        (1, ["bound", "wsd", "--steps", 9, "--at", "0,3"], ["1..9"]),
        (1, ["bound", "wsd", "--steps", 9, "--at", "10"], ["1..9"]),
        (
            1,
            ["bound", "wsd:endpoint=true", "--steps", 9, "--last-step", "given"],
            ["--gamma", "--last-step"],
        ),
        (2, ["compare", "cosine"], ["--steps"]),
        (2, ["tune", "wsd:cooldown=99"], ["--steps"]),
        (2, ["compare"], ["SCHEDULE"]),
        (2, ["plot", "cosine", "--steps", 9], ["--out"]),
        (2, ["tune", "cosine", "wsd", "--steps", 9], ["wsd"]),
        (2, ["compar"], ["did you mean", "compare"]),
        (2, ["compare", "cosine", "--stepz", 9], ["--stepz", "--steps"]),
        (2, ["compare", "cosine", "--steps", "x"], ["--steps", "'x'"]),
        (2, ["compare", "cosine", "--steps", "1.5"], ["whole number"]),
        (2, ["compare", "cosine", "--steps", 9, "--gamma", "x"], ["--gamma"]),
        (2, ["compare", "cosine", "--steps", 9, "--kind", "tigt"], ["tight"]),
        (2, ["compare", "cosine", "--steps", 9, "--last-step", "no"], ["repeat"]),
        (2, ["bound", "cosine", "--steps", 9, "--at", "3,x"], ["--at", "'x'"]),
    ],
)
def test_errors(refuse, code, argv, told):
    message = refuse(code, *argv).lower()
    for words in told:
        assert words.lower() in message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", ["the file is empty"]),
        ("step,lr\n", ["no rows"]),
        ("step,lr,loss\n1,0.1,3\n2,0.1\n", ["line 3", "2 fields where the header has 3"]),
        ("step,rate\n1,0.1\n", ["--lr-column", "'rate'"]),
        ("when,lr\n1,0.1\n", ["--step-column", "'when'"]),
        ("step,a/lr,b/lr\n1,0.1,0.1\n", ["--lr-column 'a/lr'"]),
        ("step,lr\n5,0.1\n6,0.1\n", ["step 5", "--warmup or --first-lr"]),
        ("step,lr\n1,0\n", ["no learning rate is positive"]),
        ("step,lr\n1,-0.1\n", ["line 2", "'lr'"]),
        ("step,lr\n1,fast\n", ["line 2", "'fast' is not a number"]),
        ('{"step": 1, "lr": 0.1}\n{"step": 2, "l\n', ["line 2", "not valid JSON"]),
        ('{"step": 1, "l', ["line 1", "still being written"]),
        ("step,lr\n3,0.1\n2,0.1\n", ["only descend", "sort the rows by step"]),
        ("step,lr\n1,0.1\n10000000000,0.1\n", ["tokens or samples", "pass --step-column,"]),
        ("[" * 200_000, ["nested too deeply"]),
        ("\0\1", ["binary"]),
    ],
)
def test_bad_logs(refuse, tmp_path, text, told):
    # The name holds what is an argument of the reader; a file is called by its name all the same.
    path = tmp_path / "lr=0.1,step=3.csv"
    path.write_text(text)
    message = refuse(1, "tune", path)
    for words in [str(path), *told]:
        assert words in message


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--warmup-start", "0.1"], "--warmup-start needs --warmup, the"),
        (["--warmup", "3", "--first-lr", "0.1"], "--first-lr or --warmup (with --warmup-start)"),
        (["--warmup", "3", "--warmup-start", "2"], "warmup_start must be a ratio"),
        (["--warmup", "1.5"], "warmup must be from 0 to 1 where it is a float"),
    ],
)
def test_bad_options_of_logs(refuse, tmp_path, options, told):
    log = write_log(tmp_path / "late.csv", [0.1] * 9, first=5)
    assert told in refuse(1, "tune", log, *options)


def test_a_log_that_may_be_cut_off(run, linear_log):
    linear_log.write_text(linear_log.read_text().rstrip("\n"))
    code, out, _ = run("compare", linear_log, "wsd")
    assert code == 0
    told = "the last row of linear.csv has no line end: is the file still being written? LR if"
    assert told in " ".join(out.split())


def test_directories(refuse, tmp_path, linear_log, monkeypatch):
    assert f"{tmp_path}: a directory" in refuse(1, "tune", tmp_path)
    assert f"{tmp_path}: a directory" in refuse(1, "tune", f"{linear_log}+{tmp_path}")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "linear").mkdir()
    assert "unknown schedule 'runs'" in (told := refuse(1, "tune", "runs"))
    assert told.endswith("; and it is a directory\n")
    assert "needs --steps" in refuse(2, "tune", "linear")


def test_too_little_memory_for_one_of_them(refuse, monkeypatch, linear_log):
    def fail(*_, **__):
        raise MemoryError("std::bad_alloc")

    told = "not enough memory; take fewer steps\n"
    with monkeypatch.context() as patched:
        patched.setattr(_reports.bounds, "tune", fail)
        assert refuse(1, "compare", "wsd", "--steps", 9) == f"cvxbound: wsd: {told}"
    with monkeypatch.context() as patched:
        patched.setattr(_inputs.schedules, "by_name", fail)
        assert refuse(1, "compare", "wsd", "--steps", 9) == f"cvxbound: wsd: {told}"
    monkeypatch.setattr(_inputs.schedules, "from_log", fail)
    assert refuse(1, "tune", linear_log) == f"cvxbound: {linear_log}: {told}"


def test_a_missing_part_of_a_run(refuse, linear_log):
    assert "no such file: cool.csv" in refuse(1, "tune", f"{linear_log}+cool.csv")


def test_a_log_that_cannot_be_opened(refuse, linear_log, monkeypatch):
    def fail(self):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", fail)
    assert refuse(1, "tune", linear_log) == f"cvxbound: {linear_log}: Permission denied\n"


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (KeyboardInterrupt(), 130, ""),
        (MemoryError(), 1, "cvxbound: not enough memory; take fewer steps\n"),
        (ValueError("one\ntwo"), 1, "cvxbound: one two\n"),
    ],
)
def test_what_happens_while_computing(run, monkeypatch, error, code, told):
    def fail(*_):
        raise error

    monkeypatch.setattr(_reports, "compare", fail)
    assert run("compare", "wsd", "--steps", 9) == (code, "", told)


def test_a_mistake_of_ours_is_not_hidden(run, monkeypatch):
    monkeypatch.setattr(_reports, "compare", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run("compare", "wsd", "--steps", 9)


# --- the rest ------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["", "compare", "bound", "tune", "plot", "doctor"])
def test_help(run, command):
    code, out, err = run(*command.split(), "--help")
    assert (code, err) == (0, "")
    assert "--json" in out or not command


def test_version(run):
    assert run("--version") == (0, f"{cb.__version__}\n", "")


def test_progress_is_for_people_and_beside_the_result(capsys, monkeypatch):
    class Screen(io.StringIO):
        def isatty(self):
            return True

    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    assert cli.main(["compare", "wsd", "--steps", "500", "--json"]) == 0
    assert "wsd: tight" in screen.getvalue()
    json.loads(capsys.readouterr().out)


def test_doctor(ask, run):
    found = ask("doctor")
    assert found["ok"]
    assert all(check["ok"] for check in found["checks"])
    assert found["info"] == cb.info()
    numpy = next(each for each in found["packages"] if each["name"] == "numpy")
    assert numpy == {"name": "numpy", "version": np.__version__, "extra": None}
    assert {"cli", "plot"} <= {each["extra"] for each in found["packages"]}
    code, out, _ = run("doctor")
    assert code == 0
    assert cb.info()["isa"] in out


def test_doctor_finds_what_is_wrong(run, monkeypatch):
    monkeypatch.setattr(_doctor.theory, "optimal_bound", lambda _, kind: 1.0)
    monkeypatch.setattr(_doctor, "_version", lambda _: None)
    code, out, _ = run("doctor")
    assert code == 1
    assert "WRONG" in out
    assert 'pip install "cvxbound[plot]"' in out


def test_doctor_with_an_impossible_environment(refuse, monkeypatch):
    monkeypatch.setenv("CVXBOUND_NUM_THREADS", "many")
    assert "CVXBOUND_NUM_THREADS" in refuse(1, "doctor")


# --- as a process --------------------------------------------------------------------------------


def process(*argv, **options):
    return subprocess.run(
        [sys.executable, *argv], capture_output=True, text=True, timeout=60, check=False, **options
    )


def test_as_a_module():
    done = process("-m", "cvxbound", "compare", "wsd", "--steps", "100", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["command"] == "compare"
    assert process("-m", "cvxbound", "compare").returncode == 2


@pytest.mark.parametrize(
    ("variable", "value"), [("CVXBOUND_NUM_THREADS", "0"), ("CVXBOUND_FORCE_ISA", "avx1024")]
)
def test_an_impossible_environment(variable, value):
    environment = os.environ | {variable: value}
    done = process("-m", "cvxbound", "--version", env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{cb.__version__}\n", "")
    done = process("-m", "cvxbound", "doctor", env=environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("cvxbound: ")
    assert variable in done.stderr
    assert value in done.stderr
    assert done.stderr.count("\n") == 1


def test_importing_the_package_needs_numpy_alone():
    code = (
        "import sys, cvxbound\n"
        "extras = {'cyclopts', 'rich', 'matplotlib', 'cvxbound.cli', 'cvxbound.plot'}\n"
        "print(extras & set(sys.modules))\n"
        "import cvxbound.plot, cvxbound.cli\n"
        "print({'cyclopts', 'rich', 'matplotlib'} & set(sys.modules))"
    )
    assert process("-c", code).stdout == "set()\nset()\n"


@pytest.mark.parametrize("missing", ["cyclopts", "rich"])
def test_without_the_extra(missing):
    code = f"import sys; sys.modules[{missing!r}] = None; from cvxbound.cli import main; "
    done = process("-c", code + "sys.exit(main(['doctor']))")
    assert (done.returncode, done.stdout) == (1, "")
    assert 'pip install "cvxbound[cli]"' in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="pipes and signals of POSIX")
@pytest.mark.parametrize("argv", [["compare", "wsd", "--steps", "99"], ["doctor", "--json"]])
def test_a_closed_pipe(argv):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "cvxbound", *argv]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(os.name != "posix", reason="pipes and signals of POSIX")
def test_an_interrupt():
    code = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # it may be ignored around us
        "from cvxbound.cli import _reports, main\n"
        "_reports.compare = lambda *_: signal.raise_signal(signal.SIGINT)\n"
        "sys.exit(main(['compare', 'wsd', '--steps', '9']))"
    )
    done = process("-c", code)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


# --- real logs -----------------------------------------------------------------------------------


@needs_data
def test_cosine_and_wsd_runs(ask):
    """A plateau calls for about half the learning rate of a cosine, and costs 5 %."""
    found = ask("compare", COSINE, WSD, "wsd:warmup=300", "--warmup", 300)
    assert [row["steps"] for row in found["schedules"]] == [50_000] * 3
    assert [row["peak_lr"] for row in found["schedules"]] == [0.001, 0.001, None]
    for kind in ("last", "tight"):
        _, run, family = (row["bounds"][kind] for row in found["schedules"])
        assert run["lr"] == pytest.approx(0.53e-3, rel=0.01)
        assert run["omega_ratio"] == pytest.approx(1.05, abs=0.01)
        assert run["omega"] == pytest.approx(family["omega"], rel=1e-3)


@needs_data
def test_tune_a_real_run(ask):
    found = ask("tune", WSD, "--warmup", 300)
    assert found["warmup"] == 300
    ratios = {each["label"]: each["bounds"]["last"] for each in found["alternatives"]}
    assert ratios["wsd:cooldown=0.2"]["omega_ratio"] == pytest.approx(1, abs=1e-3)
    assert ratios["linear"]["lr"] == pytest.approx(1.94e-3, rel=0.01)
    assert ratios["constant"]["omega_ratio"] > 1.5


@needs_data
@needs_matplotlib
def test_the_losses_of_real_runs_follow_the_bound(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(plot, "save", lambda figure, _: figures.append(figure))
    argv = ["plot", str(COSINE), WSD, "--warmup", "300", "--out", str(tmp_path / "a.png")]
    assert cli.main(argv) == 0
    bottom = figures[0].axes[1]
    for bound, loss in zip(bottom.lines[::2], bottom.lines[1::2], strict=True):
        late = loss.get_xdata() > 20_000
        expected = np.interp(loss.get_xdata()[late], bound.get_xdata(), bound.get_ydata())
        assert np.corrcoef(expected, loss.get_ydata()[late])[0, 1] > 0.98


@needs_data
def test_a_real_log_that_starts_late(refuse):
    assert "--warmup or --first-lr" in refuse(1, "tune", COSINE)
