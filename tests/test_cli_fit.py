"""`cvxbound fit`, on runs whose losses follow a known law."""

import importlib.util
import json

import numpy as np
import pytest

from cvxbound import laws, logs, schedules

pytestmark = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ["cyclopts", "rich", "scipy"])),
    reason="the command line needs cyclopts and rich, and fitting SciPy",
)

WARMUP = 20
SCHEDULES = {
    "cosine": schedules.cosine(800, warmup=WARMUP),
    "constant": schedules.constant(800, warmup=WARMUP),
    "wsd": schedules.wsd(1200, cooldown=0.3, warmup=WARMUP),
}
LR = 1e-3
LAW = {"C": 2.5, "p": 0.9, "q": 60}
QUICK = ["--law", "omega", "--replicates", 0]


def loss(schedule, lr, at):
    """The law of all runs here."""
    a, b = laws.Omega().features(laws.Trace(lr * schedule.eta, None, np.atleast_1d(at)), {})
    return LAW["C"] + LAW["p"] * a + LAW["q"] * b


def write_run(folder, name, schedule, lr=LR, steps=slice(None)):
    """Write a log with a learning rate a row, and a loss every tenth step."""
    at = np.arange(1, len(schedule) + 1)
    rates = (lr * schedule.eta).tolist()
    rows = [
        f"{i},{rate!r}," + f"{x:.9f}" * (i % 10 == 0)
        for i, rate, x in zip(at.tolist(), rates, loss(schedule, lr, at), strict=True)
    ]
    path = folder / f"{name}.csv"
    path.write_text("\n".join(["step,lr,val_loss", *rows[steps]]) + "\n")
    return path


@pytest.fixture
def folder(tmp_path):
    """A folder with a log for each of SCHEDULES."""
    for name, schedule in SCHEDULES.items():
        write_run(tmp_path, name, schedule)
    return tmp_path


@pytest.fixture
def saved(run, folder, tmp_path):
    """A law that a command saved."""
    path = tmp_path / "law.json"
    assert run("fit", folder / "*.csv", *QUICK, "--save", path)[0] == 0
    return path


# --- what it computes ----------------------------------------------------------------------------


def test_the_law_is_that_of_the_library(ask, folder):
    found = ask("fit", folder / "*.csv", *QUICK)
    law = laws.fit(logs.load(str(folder / "*.csv")), law="omega", replicates=0)
    told = {name: each["value"] for name, each in found["law"]["parameters"].items()}
    assert told == law.parameters
    assert told == pytest.approx(LAW, rel=1e-4)
    assert found["law"]["errors"] == law.errors
    assert found["law"]["doubts"] == list(law.doubts)
    assert found["law"]["lr"] == pytest.approx(LR)
    assert [(each["run"], each["steps"], each["losses"]) for each in found["runs"]] == [
        ("constant", 800, 80),
        ("cosine", 800, 80),
        ("wsd", 1200, 120),
    ]
    assert found["runs"][0]["notes"][0] == "LR of 800 rows, one every step"


def test_predictions(ask, folder):
    """As long as the longest run and at the peak of the runs, if nothing else is said."""
    predict = ["--predict", "linear", "--predict", "cosine:steps=3000"]
    short, long = (
        sorted(found["predictions"], key=lambda each: each["steps"])
        for found in (
            ask("fit", folder / "*.csv", *QUICK, *predict),
            ask("fit", folder / "*.csv", *QUICK, *predict, "--steps", 2000, "--lr", 2e-3),
        )
    )
    for found, lr, steps in ((short, LR, 1200), (long, 2e-3, 2000)):
        assert [each["steps"] for each in found] == [steps, 3000]
        assert [each["lr"] for each in found] == pytest.approx([lr, lr])
        for each, schedule in zip(
            found, [schedules.linear(steps), schedules.cosine(3000)], strict=True
        ):
            assert each["loss"] == pytest.approx(loss(schedule, lr, len(schedule))[0], rel=1e-6)
            assert each["low"] is None
            assert each["best"] is None


def test_the_least_loss_comes_first(ask, folder):
    names = ["constant", "linear", "wsd"]
    argv = [part for name in names for part in ("--predict", f"{name}:steps=4000")]
    found = ask("fit", folder / "*.csv", *QUICK, *argv)["predictions"]
    losses = [each["loss"] for each in found]
    assert losses == sorted(losses)
    assert [each["behind"] for each in found] == pytest.approx(np.subtract(losses, losses[0]))


def test_best_rates(ask, folder):
    law = laws.fit(logs.load(str(folder / "*.csv")), law="omega", replicates=0)
    argv = ["fit", folder / "*.csv", *QUICK, "--predict", "linear:steps=3000", "--best-lr"]
    (found,) = ask(*argv)["predictions"]
    best = law.best_lr(schedules.linear(3000))
    assert found["lr"] == pytest.approx(LR)
    assert found["best"]["lr"] == pytest.approx(best.lr)
    assert found["best"]["loss"] == pytest.approx(best.loss)
    assert found["best"]["loss"] < found["loss"]


def test_runs_of_several_peaks_need_a_rate(ask, refuse, folder):
    write_run(folder, "high", schedules.cosine(800, warmup=WARMUP), lr=4e-3)
    argv = ["fit", folder / "*.csv", *QUICK, "--predict", "linear"]
    assert "peak at learning rates from 0.001 to 0.004; give --lr" in refuse(2, *argv)
    (found,) = ask(*argv, "--best-lr")["predictions"]
    assert found["lr"] == found["best"]["lr"]
    assert found["loss"] == pytest.approx(found["best"]["loss"])


def test_a_file_of_learning_rates_is_predicted_as_it_is(ask, folder, tmp_path):
    plan = tmp_path / "plan.json"
    steps = len(SCHEDULES["wsd"])
    rates = 5e-4 * SCHEDULES["wsd"].eta
    plan.write_text(json.dumps({"step": list(range(1, steps + 1)), "lr": rates.tolist()}))
    (found,) = ask("fit", folder / "*.csv", *QUICK, "--predict", plan)["predictions"]
    assert found["lr"] == pytest.approx(5e-4)
    assert found["loss"] == pytest.approx(loss(SCHEDULES["wsd"], 5e-4, steps)[0], rel=1e-6)


def test_options_of_the_law(ask, folder):
    options = {"kind": "last", "weight_decay": 0, "weight_rms": float("inf"), "kappa": 1, "mu": 1}
    argv = [
        part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", value)
    ]
    found = ask("fit", folder / "*.csv", *argv, "--burn-in", 100, "--replicates", 5)["law"]
    law = laws.fit(logs.load(str(folder / "*.csv")), burn_in=100, replicates=5, **options)
    assert found["options"]["kind"] == "last"
    assert found["options"]["weight_rms"] == "inf"
    assert found["burn_in"] == 100
    assert found["parameters"]["p"]["value"] == pytest.approx(law.parameters["p"], rel=1e-9)
    assert found["parameters"]["p"]["interval"] == pytest.approx(law.spread()["p"], rel=1e-9)
    assert not found["parameters"]["kappa"]["fitted"]


# --- held-out runs -------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ["wsd", "ws*", "wsd.csv", "somewhere/ws*.csv"])
def test_held_out_runs(ask, folder, pattern):
    found = ask("fit", folder / "*.csv", *QUICK, "--hold-out", pattern)
    assert [each["run"] for each in found["runs"]] == ["constant", "cosine"]
    assert [each["run"] for each in found["held_out"]] == ["wsd"]
    (score,) = found["scores"]
    assert score["run"] == "wsd"
    assert score["worst"] < 1e-6


def test_losses_that_a_fitted_run_shares_are_not_held_out(ask, run, folder):
    """A constant run goes on as the stable phase of the other one did."""
    write_run(folder, "longer", schedules.constant(1000, warmup=WARMUP))
    argv = ["fit", folder / "*.csv", *QUICK, "--hold-out"]
    (score,) = ask(*argv, "longer")["scores"]
    assert score["losses"] == 16  # the other one cools down from step 840 on
    assert ask(*argv, "constant")["scores"] == []
    assert "Without losses of their own after the burn-in: constant." in run(*argv, "constant")[1]


def test_a_saved_law(ask, folder, saved, tmp_path):
    """It predicts without logs; runs given with it are held out."""
    now = ask("fit", folder / "*.csv", *QUICK, "--predict", "linear")
    then = ask("fit", "--from", saved, "--predict", "linear")
    assert then["from"] == str(saved)
    assert then["law"] == now["law"]
    assert then["predictions"] == now["predictions"]
    assert then["runs"] == then["held_out"] == []
    other = write_run(tmp_path, "other", schedules.linear(1500, warmup=WARMUP), lr=2e-3)
    found = ask("fit", other, "--from", saved)
    assert found["runs"] == []
    (score,) = found["scores"]
    assert (score["run"], score["losses"]) == ("other", 148)
    assert score["worst"] < 1e-6


# --- logs ----------------------------------------------------------------------------------------


def test_pieces_of_a_run(ask, folder, tmp_path):
    """Joined with +; and a run that is given twice counts once."""
    parts = tmp_path / "parts"
    parts.mkdir()
    stable, cooldown = (
        write_run(parts, name, SCHEDULES["wsd"], steps=steps)
        for name, steps in (("stable", slice(900)), ("cooldown", slice(840, None)))
    )
    argv = [folder / "cosine.csv", f"{stable}+{cooldown}", f"{stable}+{cooldown}"]
    first, second = ask("fit", *argv, *QUICK)["runs"]
    assert (first["run"], second["run"]) == ("cosine", "cooldown")
    assert (second["steps"], second["losses"]) == (1200, 120)
    assert second["notes"][0] == "in 2 pieces: stable.csv; cooldown.csv"


def test_columns_by_name(ask, tmp_path):
    rows = [f"{i},{LR},{3 - i / 1000},{4 - i / 1000}" for i in range(1, 200)]
    path = tmp_path / "odd.csv"
    path.write_text("\n".join(["tick,rate,a,b", *rows]) + "\n")
    columns = ["--step-column", "tick", "--lr-column", "rate", "--loss-column", "b"]
    (found,) = ask("fit", path, *QUICK, *columns, "--split", "mine")["runs"]
    assert (found["split"], found["final_loss"]) == ("mine", pytest.approx(3.801))


def test_a_warmup_that_was_not_logged(ask, refuse, tmp_path):
    late = write_run(tmp_path, "late", SCHEDULES["cosine"], steps=slice(100, None))
    assert f"{late}: the first learning rate is at step 101" in (
        message := refuse(1, "fit", late, *QUICK)
    )
    assert "give --warmup" in message
    (found,) = ask("fit", late, *QUICK, "--warmup", WARMUP)["runs"]
    assert "LR of the first 100 steps assumed: warmup=20" in found["notes"]


# --- what it shows and writes --------------------------------------------------------------------


def test_tables(run, folder):
    argv = ["--predict", "linear:steps=2000", "--best-lr", "--hold-out", "wsd"]
    code, out, err = run("fit", folder / "*.csv", "--law", "omega", "--replicates", 5, *argv)
    assert (code, err) == (0, "")
    law = laws.fit(logs.load([str(folder / "c*.csv")]), law="omega", replicates=5)
    assert law.summary() in "\n".join(line.rstrip() for line in out.splitlines())
    for told in (
        "constant, cosine: LR of 800 rows, one every step; 720 of the 800 rows without a val loss.",
        "Held-out runs, which the law did not see",
        "Predicted val loss at the end",
        "linear:steps=2000",
    ):
        assert told in out


def test_a_figure(run, folder, saved, tmp_path):
    pytest.importorskip("matplotlib", reason="figures need matplotlib")
    target = tmp_path / "law.png"
    predict = ["--predict", "linear", "--out", target]
    assert run("fit", folder / "*.csv", *QUICK, "--hold-out", "wsd", *predict)[0] == 0
    assert target.read_bytes().startswith(b"\x89PNG")
    code, out, _ = run("fit", "--from", saved, *predict, "--log-x")
    assert code == 0
    assert f"figure: {target}" in out


def test_a_law_is_saved_as_the_library_saves_it(saved, folder):
    law = laws.load(saved)
    assert law.parameters == pytest.approx(LAW, rel=1e-4)
    assert [each["name"] for each in law.runs] == ["constant", "cosine", "wsd"]


# --- what it refuses -----------------------------------------------------------------------------


def test_nothing_to_fit(refuse, folder):
    assert "give the logs of training runs" in refuse(2, "fit")
    assert "no file matches" in refuse(1, "fit", folder / "*.tsv")
    assert "no such file: b.csv" in refuse(1, "fit", f"{folder / 'wsd.csv'}+b.csv")
    missing = folder / "missing.csv"
    assert f"{missing}: No such file" in refuse(1, "fit", missing)
    assert "leaves no run to fit" in refuse(2, "fit", folder / "*.csv", "--hold-out", "*")
    assert "unknown run to hold out 'cosin'; did you mean 'cosine'?" in refuse(
        1, "fit", folder / "*.csv", "--hold-out", "cosin"
    )


def test_options_of_another_law(refuse, folder):
    told = refuse(2, "fit", folder / "*.csv", *QUICK, "--kind", "last")
    assert "law 'omega' has no option 'kind'" in told
    assert "--law" in refuse(2, "fit", folder / "*.csv", "--law", "kepler")
    assert "--weight-rms" in refuse(2, "fit", folder / "*.csv", "--weight-rms", "much")


@pytest.mark.parametrize(
    "options", [["--burn-in", 10], ["--hold-out", "wsd"], ["--law", "omega"], ["--save", "b.json"]]
)
def test_a_saved_law_is_not_fitted(refuse, saved, options):
    assert f"{options[0]} is for fitting" in refuse(2, "fit", "--from", saved, *options)


def test_what_is_no_law(refuse, folder):
    path = folder / "other.json"
    path.write_text('{"a": 1}')
    assert f"{path}: not a loss law" in refuse(1, "fit", "--from", path)


def test_targets_are_checked_first(refuse, folder, monkeypatch):
    monkeypatch.setattr(laws, "fit", pytest.fail)
    argv = ["fit", folder / "*.csv"]
    assert "a law is written as .json" in refuse(1, *argv, "--save", folder / "a.txt")
    assert "no such folder" in refuse(1, *argv, "--save", folder / "no" / "a.json")
    assert "a figure is written as" in refuse(1, *argv, "--out", folder / "a.jpeg")
    assert "unknown schedule 'wsdd'" in refuse(1, *argv, "--predict", "wsdd")


def test_a_run_that_diverged(refuse, ask, folder):
    """The message of the library; it can be held out."""
    rows = [f"{i},{LR},{3 if i < 50 else 'nan'}" for i in range(1, 100)]
    (folder / "bad.csv").write_text("\n".join(["step,lr,val_loss", *rows]) + "\n")
    assert "run 'bad' diverged from step 50 on" in refuse(1, "fit", folder / "*.csv", *QUICK)
    (score,) = ask("fit", folder / "*.csv", *QUICK, "--hold-out", "bad")["scores"]
    assert (score["run"], score["losses"]) == ("bad", 49 - WARMUP)
