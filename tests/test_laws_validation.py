"""Validation of loss laws: what is held out, what counts as held out, and the figures."""

import json

import numpy as np
import pytest

from cvxbound import laws, schedules
from cvxbound.laws import family, score, validate
from cvxbound.logs import Run

pytest.importorskip("scipy", reason="laws are fitted with SciPy")

FAST = {"law": "omega", "replicates": 0}


def made(schedule, name=None, rate=1e-3, at=None, noise=0.0, seed=0):
    """A run whose losses follow the law omega exactly, but for noise."""
    lr = rate * schedule.eta
    at = np.arange(100, lr.size + 1, 20) if at is None else at
    form = laws.Omega()
    loss = form.columns(form.features(laws.Trace(lr, None, at), {}), {}) @ [2.5, 0.9, 60]
    loss *= 1 + noise * np.random.default_rng(seed).standard_normal(loss.size)
    return Run(name or schedule.name, lr, at, loss)


def cosine(steps=1000, **options):
    return made(schedules.cosine(steps, warmup=50), options.pop("name", "cosine"), **options)


def wsd(steps=1000, cooldown=0.2, **options):
    shape = schedules.wsd(steps, cooldown, warmup=50)
    return made(shape, options.pop("name", "wsd"), **options)


def constant(steps=1000, **options):
    return made(schedules.constant(steps, warmup=50), options.pop("name", "constant"), **options)


def held_out(found):
    """Who was predicted, in which turn, from how many runs."""
    return [(row["run"], row["group"], row["fitted"]) for row in found.rows]


# --- what is held out -----------------------------------------------------------------------------


def test_a_law_predicts_the_runs_that_follow_it():
    runs = [cosine(), cosine(2000, name="long", rate=2e-3), wsd(1500, rate=2e-3)]
    for split in ("run", "horizon", "family", "lr"):
        found = validate(runs, split=split, **FAST)
        assert found.overall["worst"] < 1e-8, split
        assert found.overall["r2"] == pytest.approx(1)
        assert all(abs(row["final"]) < 1e-7 for row in found.rows)


def test_each_run_is_held_out_in_turn():
    found = validate([cosine(), wsd(), cosine(1500, name="long")], **FAST)
    assert held_out(found) == [("cosine", "cosine", 2), ("wsd", "wsd", 2), ("long", "long", 2)]
    assert found.split == "run"


def test_runs_of_one_name_are_held_out_one_by_one():
    found = validate([cosine(), cosine(1500), cosine(2000)], **FAST)
    assert held_out(found) == [("cosine", "cosine", 2)] * 3


def test_longer_runs_are_predicted_from_shorter_ones_for_every_cut():
    """Horizons within 5 % are one: a log may end a few rows before the run did."""
    steps = {"a": 1000, "b": 1030, "c": 1500, "d": 3000}
    found = validate([cosine(n, name=name) for name, n in steps.items()], split="horizon", **FAST)
    assert held_out(found) == [
        ("c", "> 1030 steps", 2),
        ("d", "> 1030 steps", 2),
        ("d", "> 1500 steps", 3),
    ]


def test_each_family_is_held_out():
    runs = [cosine(), wsd(), made(schedules.linear(1000, warmup=50)), constant(1010)]
    found = validate(runs, split="family", **FAST)
    assert held_out(found) == [
        ("cosine", "decay", 2),
        ("linear", "decay", 2),
        ("wsd", "cooldown", 3),
        ("constant", "constant", 3),
    ]


def test_each_peak_learning_rate_is_held_out():
    rates = {"a": 1e-3, "b": 2e-3, "c": 1.0005e-3}
    found = validate([cosine(rate=r, name=name) for name, r in rates.items()], split="lr", **FAST)
    assert held_out(found) == [("a", "0.0010005", 1), ("c", "0.0010005", 1), ("b", "0.002", 2)]


@pytest.mark.parametrize(
    "split", [["x", "y", "x"], lambda run: "x" if run.name == "cosine" else "y"[: run.steps]]
)
def test_groups_of_labels(split):
    runs = [cosine(), wsd(), cosine(1500)]
    assert held_out(validate(runs, split=split, **FAST)) == [
        ("cosine", "x", 1),
        ("cosine", "x", 1),
        ("wsd", "y", 2),
    ]


@pytest.mark.parametrize(
    ("eta", "expected"),
    [
        (schedules.constant(500, warmup=100).eta, "constant"),
        (schedules.wsd(500, 0.2, warmup=100).eta, "cooldown"),
        (schedules.wsd(500, 0.9, shape="1-sqrt").eta, "cooldown"),
        (np.repeat([1.0, 0.3], [400, 600]), "cooldown"),  # a drop is a fast cooldown
        (schedules.cosine(500, warmup=100).eta, "decay"),
        (schedules.linear(500).eta, "decay"),
        (schedules.inverse_sqrt(500).eta, "decay"),
        (np.tile(np.linspace(1, 0.1, 100), 3), "other"),
        (np.repeat([1.0, 0.3, 1.0], 100), "other"),
        ([0.5], "constant"),
    ],
)
def test_families_are_told_from_learning_rates(eta, expected):
    assert family(Run("run", 1e-3 * np.asarray(eta), [1], [3.0])) == expected


# --- what counts ----------------------------------------------------------------------------------


def test_losses_of_a_shared_stable_phase_do_not_count():
    stable = constant(2000, noise=0.003)
    cooled = wsd(2000, 0.25, noise=0.003, seed=2)
    shared = int(np.count_nonzero(cooled.step < 1500))
    cooled = Run("wsd", cooled.lr, cooled.step, np.r_[stable.loss[:shared], cooled.loss[shared:]])
    runs = [stable, cooled, cosine(2000, noise=0.003, seed=1)]
    found = {row["run"]: row for row in validate(runs, burn_in=200, **FAST).rows}
    after = {run.name: int(np.count_nonzero(run.step > 200)) for run in runs}
    own = int(np.count_nonzero(cooled.step >= 1500))
    assert (found["wsd"]["losses"], found["cosine"]["losses"]) == (own, after["cosine"])
    assert found["constant"]["losses"] == int(np.count_nonzero(stable.step >= 1500))


def test_equal_losses_after_other_learning_rates_count():
    """Only what went before makes two losses one."""
    run = constant(noise=0.003)
    other = Run("other", cosine().lr, run.step, run.loss)
    law = laws.fit([run, cosine()], **FAST)
    assert [row["losses"] for row in score(law, other, fitted=run, after=0)] == [run.loss.size]


def test_a_run_without_losses_of_its_own_has_a_note():
    run = constant()
    found = validate([run, run.until(700), cosine(), wsd()], **FAST)
    assert [row["run"] for row in found.rows] == ["constant", "cosine", "wsd"]
    assert found.notes == (
        "constant was not tested in a turn: its losses come too early, or are those of fitted runs",
    )
    assert str(found).endswith(f"- {found.notes[0]}")


def test_early_losses_do_not_count():
    runs = [cosine(), wsd(), cosine(1500, name="long")]
    (first, *_) = validate(runs, burn_in=300, **FAST).rows
    assert first["losses"] == np.count_nonzero(runs[0].step > 300)
    (first, *_) = validate(runs, burn_in=300, after=800, **FAST).rows
    assert first["losses"] == np.count_nonzero(runs[0].step > 800)
    (first, *_) = validate(runs, burn_in=300, after=0, **FAST).rows
    assert first["losses"] == runs[0].step.size


# --- the figures ----------------------------------------------------------------------------------


def test_figures_of_one_run():
    law = laws.fit([cosine(), wsd()], **FAST)
    run = constant(noise=0.01)
    (row,) = score(law, run, after=400)
    kept = run.step > 400
    predicted = law.predict(run, at=run.step[kept]).loss
    assert row == {
        "run": "constant",
        "losses": np.count_nonzero(kept),
        **laws.errors(run.loss[kept], predicted),
        "final": pytest.approx(predicted[-1] - run.loss[-1]),
        "coverage": None,
    }


def test_coverage_is_the_share_of_losses_in_their_intervals():
    fitted = [cosine(noise=0.003), wsd(noise=0.003, seed=1)]
    law = laws.fit(fitted, law="omega", replicates=20)
    run = constant(noise=0.003, seed=2)
    (wide,) = score(law, run, interval=0.95)
    (narrow,) = score(law, run, interval=0.2)
    assert 0.8 < wide["coverage"] <= 1
    assert 0.05 < narrow["coverage"] < 0.5
    _, _, low, high = law.predict(run, at=run.step[run.step > law.burn_in], interval=0.2)
    loss = run.loss[run.step > law.burn_in]
    assert narrow["coverage"] == np.mean((low <= loss) & (loss <= high))


def test_overall_figures_are_means_of_rows_and_the_worst_of_all():
    runs = [cosine(noise=0.01), wsd(noise=0.01, seed=1), constant(noise=0.01, seed=2)]
    found = validate(runs, **FAST)
    for name in ("r2", "mae", "rmse"):
        assert found.overall[name] == pytest.approx(np.mean([row[name] for row in found.rows]))
    assert found.overall["worst"] == max(row["worst"] for row in found.rows)
    assert found.overall["final"] == np.mean([abs(row["final"]) for row in found.rows])
    assert found.overall["losses"] == sum(row["losses"] for row in found.rows)
    assert found.overall["coverage"] is None


def test_one_loss_has_no_r2():
    law = laws.fit([cosine(), wsd()], **FAST)
    (row,) = rows = score(law, constant(at=np.array([990])))
    assert row["r2"] is None
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows


def test_what_is_printed():
    found = validate([cosine(), wsd(), cosine(1500, name="long")], burn_in=100, **FAST)
    lines = str(found).splitlines()
    assert lines[0] == ("omega, burn_in=100, replicates=0: predictions of runs held out by run")
    assert lines[2].split() == [
        "run", "group", "fitted", "losses", "r2", "mae", "rmse", "worst", "final", "coverage",
    ]  # fmt: skip
    assert lines[3].split()[:4] == ["cosine", "cosine", "2", "45"]
    assert lines[-1].split()[:3] == ["overall", "160", "1.00000"]
    assert repr(found).startswith("<Validation of omega, burn_in=100, replicates=0 by run: 3 rows")


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"split": "runs"}, ValueError, "unknown split 'runs'; did you mean 'run'"),
        ({"split": 3}, TypeError, "split must be one of run, horizon, family, lr, a function of"),
        ({"split": ["a"]}, ValueError, "one label a run: got 1 label for 2 runs"),
        (
            {"split": "lr"},
            ValueError,
            r"all 2 runs are of one group, 0\.001: give runs that differ",
        ),
        ({"law": "bond"}, ValueError, "unknown law 'bond'; did you mean 'bound'"),
        ({"wd": 1}, TypeError, "law 'omega' has no option 'wd'"),
        ({"after": 5000}, ValueError, "no held-out run has a loss that counts"),
        ({"interval": 2}, ValueError, "interval must be a probability below 1, got 2"),
    ],
)
def test_what_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        validate([cosine(), wsd()], **{**FAST, **options})


def test_runs_are_checked_before_any_fit():
    bad = Run("bad", [1e-3] * 400, [100, 200, 300], [3.0, 2.0, -1.0])
    with pytest.raises(ValueError, match="run 'bad': losses must be positive"):
        validate([cosine(), wsd(), bad], **FAST)
    with pytest.raises(ValueError, match=r"split='run' .* got 1 run: give runs that differ"):
        validate([cosine()], **FAST)
