"""Training runs in the normal form: what is read, what is made up or left out, what is refused."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cvxbound as cb
from cvxbound.logs import Run, load, table

DATA = Path(__file__).parents[2] / "shared" / "data"
real_logs = pytest.mark.skipif(not DATA.is_dir(), reason=f"no real logs in {DATA}")

INF = float("inf")


def columns(step, lr, loss, **others):
    return {"step": step, "lr": lr, "loss": loss, **others}


def one(source, **options):
    (run,) = load(source, **options)
    return run


def notes(source, **options):
    return list(one(source, **options).notes)


# --- the normal form ------------------------------------------------------------------------------


def test_a_run_can_be_built_by_hand():
    lr = np.array([0.1, 0.2, 0.2, 0.0])
    run = Run("mine", lr, [2, 4], [3, 2], "test", grad_norm=[1, 2, 3, 4], notes=["by hand"])
    lr[0] = 7
    assert run.lr.tolist() == [0.1, 0.2, 0.2, 0.0]
    assert (run.step.dtype, run.loss.dtype, run.grad_norm.dtype) == (np.int64, float, float)
    assert (run.steps, run.peak, run.notes, run.diverged) == (4, 0.2, ("by hand",), None)
    for array in (run.lr, run.step, run.loss, run.grad_norm):
        assert not array.flags.writeable
    assert repr(run) == (
        "<Run mine: 4 steps, peak LR 0.2, 2 test losses at steps 2..4: 3 to 2, gradient norms, "
        "1 note>"
    )
    assert repr(Run("a", [1], [1], [2])) == "<Run a: 1 step, peak LR 1, 1 val loss at step 1: 2>"


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"name": 3}, TypeError, "name must be a string, got 3"),
        ({"split": " "}, ValueError, "split must not be blank"),
        ({"lr": [0.1, -1, 0.1]}, ValueError, r"lr must be non-negative.* found -1\.0 at index 1"),
        ({"lr": [0.1, np.nan, 1]}, ValueError, "lr must be .* found nan at index 1"),
        ({"lr": [0, 0, 0]}, ValueError, "lr must be positive somewhere"),
        ({"lr": []}, ValueError, r"lr must have one axis and at least one entry, got shape \(0,\)"),
        ({"lr": [[1, 2, 3]]}, ValueError, r"lr must have one axis .* got shape \(1, 3\)"),
        ({"lr": "fast"}, TypeError, "lr must hold real numbers"),
        ({"step": [1.0, 3.0]}, TypeError, "step must hold integers, got an array of float64"),
        ({"step": [0, 3]}, ValueError, r"step must lie in 1\.\.3, the steps of lr; found 0 at in"),
        ({"step": [1, 4]}, ValueError, r"step must lie in 1\.\.3, .*; found 4 at index 1"),
        ({"step": [2, 2]}, ValueError, "step must be strictly increasing; found 2 after 2 at in"),
        ({"step": [1]}, ValueError, "step and loss must be of one length, got 1 step and 2 losses"),
        ({"loss": [np.nan, 2]}, ValueError, "loss must be finite, or inf .*; found nan at index 0"),
        ({"loss": [INF, 2]}, ValueError, "loss must be finite, or inf .*; found inf at index 0"),
        ({"loss": [2, -INF]}, ValueError, "loss must be finite, or inf .*; found -inf at index 1"),
        ({"loss": [INF, INF]}, ValueError, "loss must be finite somewhere"),
        ({"grad_norm": [1, 2]}, ValueError, "grad_norm must have one entry a step, 3; got 2"),
        ({"grad_norm": [1, 0, 1]}, ValueError, r"grad_norm must be positive .* found 0\.0 at ind"),
        ({"notes": "text"}, TypeError, "notes must be a sequence of strings, got 'text'"),
    ],
)
def test_a_run_is_checked(change, error, message):
    with pytest.raises(error, match=message):
        Run(**{"name": "a", "lr": [1, 1, 1], "step": [1, 3], "loss": [2, 1], **change})


def test_the_schedule_of_a_run_is_that_of_its_log():
    log = columns([1, 3, 5], [0.2, 0.1, 0], [3, 2, 1])
    run = one(log)
    assert run.schedule == cb.schedules.from_log(log)
    assert run.schedule.params == {"peak": 0.2, "last_step": "repeat"}
    assert repr(run.schedule) == "<Schedule table: 5 steps, last step repeated>"
    assert Run("a", [3], [1], [1]).schedule.eta.tolist() == [1]


def test_a_run_is_cut_after_a_step():
    run = Run("a", [1, 2, 3, 4], [2, 4], [9, 8], grad_norm=[1, 2, 3, 4], notes=["n"])
    cut = run.until(3)
    assert (cut.lr.tolist(), cut.step.tolist(), cut.loss.tolist()) == ([1, 2, 3], [2], [9])
    assert (cut.grad_norm.tolist(), cut.notes) == ([1, 2, 3], ("n", "cut after step 3"))
    assert run.until(4).loss.tolist() == [9, 8]
    for step, message in (
        (0, "step must be at least 1"),
        (1, "step must be at least 2, where 'a' has its first loss; got 1"),
        (5, "step must be at most 4, the last of 'a'; got 5"),
    ):
        with pytest.raises(ValueError, match=message):
            run.until(step)
    with pytest.raises(TypeError, match="step must be one integer"):
        run.until(2.0)


# --- a run that diverged --------------------------------------------------------------------------

RNG = np.random.default_rng(0)
FALL = 3 + 8 / np.arange(1, 301) ** 0.5


def diverged(loss):
    return Run("a", np.ones(len(loss)), np.arange(1, len(loss) + 1), loss).diverged


@pytest.mark.parametrize("noise", [0, 0.1])
def test_the_tail_of_a_run_that_diverged(noise):
    fall = FALL + noise * RNG.normal(size=FALL.size)
    assert diverged(fall) is None
    assert diverged(np.append(fall, [INF])) == 301
    assert diverged(np.append(fall, [7, 7.2, 7.1, INF])) == 301
    assert diverged(np.append(fall, 7 + noise * RNG.normal(size=50))) == 301
    # A spike that is over, one loss after it, and losses that rise by a little are no divergence.
    assert diverged(np.concatenate([fall, [9, 9, 9, 9], fall[-20:]])) is None
    assert diverged(np.append(fall, [9])) is None
    assert diverged(np.append(fall, np.full(50, fall[-1] + 0.3))) is None


def test_noise_alone_is_no_divergence():
    for scale in (1e-3, 0.3, 5):
        for count in (2, 5, 30, 1000):
            assert diverged(scale * RNG.normal(size=count) + 2) is None


@real_logs
def test_the_real_run_that_diverged():
    run = one(DATA / "llama_runs/cos-zero-124m_lr0.005_cos_warmup300_decay_sqrt_0.0_iter50000.csv")
    assert 2_000 < run.diverged < 5_000
    assert f"diverged from step {run.diverged} on" in repr(run)


# --- from logs to runs ----------------------------------------------------------------------------


def test_sources(write, tmp_path):
    text = "step,lr,loss\n1,1,{}\n2,1,1\n"
    for name, loss in (("b.csv", 5), ("a.csv", 4), ("c.txt", 3)):
        write(text.format(loss), name)
    found = [run.loss[0] for run in load(str(tmp_path / "*.csv"))]
    assert found == [4, 5]
    runs = load([tmp_path / "c.txt", [str(tmp_path / "*.csv")], columns([1, 2], [1, 1], [9, 8])])
    assert [run.name for run in runs] == ["c", "a", "b", "table"]
    records = [{"step": 1, "lr": 1, "loss": 7}, {"step": 2, "lr": 1, "loss": 6}]
    assert one(records).loss.tolist() == one(tuple(records)).loss.tolist() == [7, 6]
    tables = [columns([1, 2], [1, 1], [9, 8]), {"log_history": records}, cb.logs.read(records)]
    assert [run.loss[0] for run in load(tables)] == [9, 7, 7]
    with pytest.raises(FileNotFoundError, match=r"no file matches .*\*\.json"):
        load(tmp_path / "*.json")
    write(text.format(2), "odd[1].csv")
    assert one(tmp_path / "odd[1].csv").name == "odd[1]"
    for nothing in ([], [()]):
        with pytest.raises(ValueError, match="no sources: expected"):
            load(nothing)
    with pytest.raises(TypeError, match="expected a path, a dict of columns"):
        load([3])


def test_runs_of_one_name_are_numbered():
    log = columns([1, 2], [1, 1], [2, 1])
    assert [run.name for run in load([log] * 3)] == ["table", "table (2)", "table (3)"]


def test_a_column_says_which_run_a_row_belongs_to():
    log = columns([1, 1, 2, 2], [1, 2, 1, 2], [9, 8, 7, 6])
    for name, labels in (("run", ["b", "a", "b", "a"]), ("run_id", np.array([2, 1, 2, 1]))):
        b, a = load({**log, name: labels})
        assert (b.name, a.name) == tuple(map(str, labels[:2]))
        assert (b.lr.tolist(), b.loss.tolist(), a.loss.tolist()) == ([1, 1], [9, 7], [8, 6])
    assert len(load({**log, "seed": [1, 2, 1, 2]}, run="seed")) == 2
    message = r"table, run 'b', row 2, column 'lr': a learning rate must be .* got -1"
    with pytest.raises(ValueError, match=message):
        load({**log, "run": ["b", "a", "b", "a"], "lr": [1, 2, -1, 2]})
    assert load({**log, "run": [[1], [2], [1], [2]]})[0].name == "[1]"
    with pytest.raises(ValueError, match="table, row 1, column 'run': the run has no name"):
        load({**log, "run": ["a", None, "a", "b"]})
    with pytest.raises(ValueError, match="unknown column of table 'sed'; did you mean"):
        load({**log, "seed": [1, 2, 1, 2]}, run="sed")


def test_validation_losses_are_taken_where_there_are_two():
    log = {"step": [1, 2, 3], "lr": [1, 1, 1], "train/loss": [9, 8, 7], "val/loss": [None, 6, 5]}
    assert (one(log).split, one(log).loss.tolist()) == ("val", [6, 5])
    assert (one(log, split="train").split, one(log, split="train").loss.tolist()) == (
        "train",
        [9, 8, 7],
    )
    log["val/loss"] = [None, None, 5]
    run = one(log)
    assert (run.split, run.loss.tolist()) == ("train", [9, 8, 7])
    assert "train losses, as there is one val loss only" in run.notes
    assert one(log, split="val").loss.tolist() == [5]
    del log["train/loss"]
    assert (one(log).split, one(log).loss.tolist()) == ("val", [5])
    named = {**log, "val/bpb": [3, 2, 1]}
    assert (one(named, loss="val/bpb").split, one(named, loss="val/bpb").step.size) == ("val", 3)
    assert one(named, loss="val/bpb", split="bpb").split == "bpb"
    with pytest.raises(ValueError, match=r"unknown split 'test'; .*val, train"):
        load(log, split="test")


def test_a_column_says_what_the_losses_were_measured_on():
    """All rows of one split may come before those of the other: that is no resumed run."""
    log = columns(
        [1, 2, 3, 1, 3], [1, 2, 3, 1, 3], [9, 8, 7, 6, 5], split=["train"] * 3 + ["val"] * 2
    )
    run = one(log)
    assert (run.split, run.lr.tolist()) == ("val", [1, 2, 3])
    assert dict(zip(run.step.tolist(), run.loss.tolist(), strict=True)) == {1: 6, 3: 5}
    assert one(log, split="train").loss.tolist() == [9, 8, 7]
    with pytest.raises(ValueError, match=r"unknown split 'test'; .*val, train"):
        load(log, split="test")


def test_a_continuation_replaces_what_came_before():
    stable = columns([1, 2, 3, 4], [1, 1, 1, 1], [9, 8, 7, 6])
    cooldown = columns([2, 3, 4], [None, 0.5, 0.25], [8.5, 6.5, 5.5])
    run = one([(stable, cooldown)])
    assert (run.lr.tolist(), run.loss.tolist()) == ([1, 1, 0.5, 0.25], [9, 8.5, 6.5, 5.5])
    assert run.notes == (
        "in 2 pieces: table; table",
        "LR of 4 rows, one every step",
        "resumed at step 3: 2 learning rates and 3 losses replaced",
    )


rows = st.lists(st.tuples(st.integers(1, 12), st.floats(0.1, 1)), min_size=2, max_size=30)


@given(rows)
def test_splicing_is_a_replay_of_the_log(rows):
    """Row by row: forget what was logged at this step and after, then write the row down."""
    step, loss = map(list, zip(*rows, strict=True))
    step, loss = [1, *step, 13], [2.0, *loss, 0.5]
    replayed = {}
    for at, value in zip(step, loss, strict=True):
        replayed = {s: x for s, x in replayed.items() if s < at} | {at: value}
    if len(replayed) == 1 or len(set(step)) < 2:
        return
    run = one(columns(step, [1.0] * len(step), loss), warmup=0)
    assert dict(zip(run.step.tolist(), run.loss.tolist(), strict=True)) == replayed
    counts = [int(n) for note in run.notes for n in re.findall(r"(\d+) loss(?:es)?\b", note)]
    assert sum(counts) == len(step) - len(replayed)


# --- learning rates of every step -----------------------------------------------------------------


def test_rates_before_the_first_row():
    def first(step, lr, **options):
        run = one(columns(step, lr, [1] * len(step)), **options)
        return run.lr[: step[0] - 1].tolist(), run.notes[1]

    rising = first([3, 5, 7], [0.3, 0.5, 0.5])
    assert rising == (
        pytest.approx([0.1, 0.2]),
        "LR of the first 2 steps on the line through the first two rows",
    )
    assert first([3, 5, 7], [0.1, 0.5, 0.5])[0] == [0, 0]
    assert first([3, 5, 7], [0.3, 0.3, 0.1]) == (
        [0.3, 0.3],
        "LR of the first 2 steps as in the first row",
    )
    assert first([3, 4, 5], [0.3, 0.3, 0.3], warmup=2) == (
        pytest.approx([0.1, 0.2]),
        "LR of the first 2 steps assumed: warmup=2",
    )
    message = (
        r"table: the first learning rate is at step 9; steps 1\.\.8 are unknown: give warmup=, or "
        r"the earlier part of the run before it, as in load\(\[\(earlier, this\)\]\)"
    )
    with pytest.raises(ValueError, match=message):
        first([9, 10, 11], [0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match=r"at step 9; steps 0\.\.8 are unknown"):
        first([9, 10, 11], [0.1, 0.2, 0.3], first_step=0)


def test_rates_after_the_last_row():
    """The last loss is often logged at the end of the run, between two rows of learning rates."""
    log = columns([10, 20, 30, 35], [0.3, 0.2, 0.1, None], [4, 3, 2, 1])
    run = one(log)
    assert (run.steps, run.loss.tolist()) == (35, [4, 3, 2, 1])
    np.testing.assert_allclose(run.lr[29:], [0.1, 0.09, 0.08, 0.07, 0.06, 0.05])
    assert "LR of the last 5 steps on the line through the last two rows" in run.notes
    log["lr"][1:3] = [0.3, 0.05]
    assert one(log).lr[-1] == 0
    log["step"][-1] = 41
    run = one(log)
    assert (run.steps, run.loss.tolist()) == (30, [4, 3, 2])
    assert "1 loss after the last learning rate (step 30) left out" in run.notes


def test_losses_before_the_first_step_are_left_out():
    log = columns([0, 1, 2], [None, 1, 1], [9, 8, 7])
    assert one(log).loss.tolist() == [8, 7]
    assert "1 loss before step 1 left out" in notes(log)
    log["lr"][0] = 1
    assert (one(log).steps, one(log).step.tolist()) == (3, [1, 2, 3])
    assert "step 1 is what the log calls 0" in notes(log)
    with pytest.raises(ValueError, match=r"table: no loss is within the steps .* 1\.\.2"):
        load(columns([0, 1, 2], [None, 1, 1], [9, None, None]))


def test_rates_given_instead_of_logged():
    log = {"step": [0, 2, 4, 9], "loss": [9, 8, 7, 6]}
    schedule = cb.schedules.linear(5)
    run = one(log, lr=3e-4 * schedule.eta)
    assert (run.steps, run.step.tolist(), run.peak) == (5, [2, 4], 3e-4)
    assert run.notes == (
        "LR given, not logged",
        "1 loss before step 1 left out",
        "1 loss after the last learning rate (step 5) left out",
    )
    assert one(log, lr=schedule).peak == 1
    assert one(log, lr=schedule, first_step=0).step.tolist() == [1, 3, 5]
    resumed = {"step": [1, 2, 3, 2, 3], "loss": [9, 8, 7, 6, 5]}
    assert one(resumed, lr=[1, 1, 1]).loss.tolist() == [9, 6, 5]
    assert "resumed at step 2: 2 losses replaced" in one(resumed, lr=[1, 1, 1]).notes
    with pytest.raises(ValueError, match=r"lr must have one learning rate a step, got shape \(\)"):
        load(log, lr=1e-3)
    with pytest.raises(ValueError, match=r"lr must be non-negative.*found -1\.0 at index 1"):
        load(log, lr=[1, -1, 1])
    with pytest.raises(ValueError, match="table: the steps only descend, from 9 to 1"):
        load({"step": [9, 5, 1], "loss": [1, 2, 3]}, lr=[1] * 9)


def test_gradient_norms():
    log = columns([1, 2, 4, 5], [1] * 4, [4, 3, 2, 1], grad_norm=[None, 2, 4, None])
    run = one(log)
    assert run.grad_norm.tolist() == [2, 2, 3, 4, 4]
    assert (
        "gradient norm interpolated linearly between 2 rows, and held before and after" in run.notes
    )
    log["grad_norm"] = [1, 0, float("inf"), 4]
    run = one(log)
    assert run.grad_norm.tolist() == [1, 1.75, 2.5, 3.25, 4]
    assert "2 gradient norms not positive and finite, dropped" in run.notes
    assert one({**log, "grad_norm": [0] * 4}).grad_norm is None
    log["gradient norm"] = log["grad_norm"]
    run = one(log)
    assert run.grad_norm is None
    assert any(note.startswith("no gradient norm, as it could be any of") for note in run.notes)
    assert one(log, grad_norm="grad_norm").grad_norm is not None
    with pytest.raises(ValueError, match="table: no gradient norm is positive and finite"):
        load({**log, "norm": [0] * 4}, grad_norm="norm")
    with pytest.raises(ValueError, match="unknown column of table 'nrm'"):
        load(log, grad_norm="nrm")


# --- what the notes tell --------------------------------------------------------------------------


def test_rows_logged_twice_are_counted():
    log = columns([1, 2, 2, 3, 3, 3], [1, 1, 1, 1, 1, 0.5], [9, 8, 8, 7, 6, 5])
    run = one(log)
    assert (run.lr.tolist(), run.loss.tolist()) == ([1, 1, 0.5], [9, 8, 5])
    assert run.notes == (
        "LR of 3 rows, one every step",
        "2 learning rates logged twice with the same value",
        "1 learning rate logged again with another value, which counts (first at step 3: 1, then "
        "0.5)",
        "1 loss logged twice with the same value",
        "2 losses logged again with another value, which counts (first at step 3: 7, then 6)",
    )


def test_gaps_and_rows_without_a_loss_are_told():
    step = [*range(1, 11), 40, 41, 42]
    log = columns(step, [1] * 13, [5] * 12 + [None])
    assert notes(log) == [
        "LR interpolated linearly between 13 rows (one every step, longest gap 30)",
        "no LR logged for 30 steps from step 10 on (usually one every step)",
        "1 of the 13 rows without a train loss",
    ]
    step += [80, 120]
    assert notes(columns(step, [1] * 15, [5] * 15))[1] == (
        "no LR logged for 40 steps from step 80 on (usually one every step), nor in 2 other gaps"
    )
    assert notes({"step": [1, None, 2], "lr": [1, 1, 1], "loss": [3, 3, 3]})[0] == (
        "1 row without a step left out"
    )


def test_a_file_that_may_be_cut_off(write):
    assert notes(write("step,lr,loss\n1,1,3\n2,1,2"))[1] == (
        "the last row of run.csv has no line end: is the file still being written?"
    )


# --- losses that are not finite -------------------------------------------------------------------


def test_a_tail_of_losses_that_are_not_finite_is_inf(write):
    path = write("step,lr,loss\n1,1,3\n2,1,2\n3,1,nan\n4,1,\n5,1,inf\n")
    run = one(path)
    assert (run.step.tolist(), run.loss.tolist(), run.diverged) == (
        [1, 2, 3, 5],
        [3, 2, INF, INF],
        3,
    )
    assert "the last 2 losses not finite, from step 3 on: the run diverged" in run.notes
    assert run.until(run.diverged - 1).loss.tolist() == [3, 2]


def test_a_loss_that_is_not_finite_between_others_is_refused(write):
    path = write("step,lr,loss\n0,1,3\n10,1,nan\n20,1,nan\n30,1,2\n")
    message = (
        r"run\.csv, line 3, column 'loss': the loss is nan at step 10, and finite again at step 30;"
        r" drop such rows with skip_nan=True, and cut the run with \.until\(10\) if it diverged"
    )
    with pytest.raises(ValueError, match=message):
        load(path)
    run = one(path, skip_nan=True)
    assert (run.step.tolist(), run.loss.tolist()) == ([1, 31], [3, 2])
    assert "2 losses not finite, dropped" in run.notes
    assert run.until(10).loss.tolist() == [3]
    other = write("step,lr,loss\n31,1,2\n32,1,inf\n33,1,1\n", "more.csv")
    start = write("step,lr,loss\n0,1,3\n10,1,2\n", "start.csv")
    with pytest.raises(ValueError, match=r"more\.csv, line 3, column 'loss': the loss is inf at "):
        load([(start, other)])
    # What a resumed run replaces does not matter.
    fixed = write("step,lr,loss\n5,1,2.5\n30,1,2\n", "fix.csv")
    assert one([(path, fixed)]).loss.tolist() == [3, 2.5, 2]


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "step,loss\n1,2\n2,1\n",
            "no column looks like the learning rate; name it with lr=, or pass lr= the learning "
            r"rates of all steps \(columns found: 'step', 'loss'\)",
        ),
        (
            "step,lr,loss\n1,,2\n2,,1\n",
            "column 'lr' is empty; name another one with lr=, or pass lr= the learning rates of",
        ),
        ("step,lr\n1,1\n2,1\n", r"no column looks like the loss; name it with loss= \(columns fou"),
        ("step,lr,loss\n1,1,\n2,1,\n", "column 'loss' is empty; name another one with loss="),
        (
            "step,lr,loss\n1,1,2\n2,-1,1\n",
            "line 3, column 'lr': a learning rate must be finite and n",
        ),
        ("step,lr,loss\n1,1,2\n2,nan,1\n", "line 3, column 'lr': .* got nan"),
        (
            "step,lr,loss\n1,,2\n2,1,1\n",
            "a learning rate is logged at step 2 only; pass lr= the le",
        ),
        (
            "step,lr,loss\n1,1,2\n2,,1\n",
            "a learning rate is logged at step 1 only; pass lr= the lea",
        ),
        ("step,lr,loss\n1,0,2\n2,0,1\n", "run.csv: no learning rate is positive"),
        (
            "step,lr,loss\n3,1,2\n2,1,1\n1,1,1\n",
            "the steps only descend, from 3 to 1; sort the rows",
        ),
        ("step,lr,loss\n1,1,nan\n2,1,inf\n", r"run\.csv: no loss is finite \(column 'loss'\)"),
        ("step,lr,loss\n1,1,2\n2,1,big\n", "line 3, column 'loss': 'big' is not a number"),
        ("step,lr,loss\n5,,2\n2,1,\n3,1,\n", "run.csv: no loss is left, as later learning rates"),
        ("step,lr,loss\n1,1,2\n9000000000,1,2\n", "9000000000 steps; is the step column counting"),
        (
            "step,lr,a/loss,b/loss\n1,1,2,2\n",
            "the training loss could be any of .*choose one, as in",
        ),
    ],
)
def test_refusals_name_the_file_the_place_and_the_remedy(write, text, message):
    with pytest.raises(ValueError, match=message) as caught:
        load(write(text))
    assert "run.csv" in str(caught.value)


def test_one_rate_is_enough_for_one_step():
    assert one(columns([1], [0.5], [3])).lr.tolist() == [0.5]


def test_arguments():
    log = columns([1, 2], [1, 1], [2, 1])
    with pytest.raises(TypeError, match=r"first_step must be an integer or None, got 1\.0"):
        load(log, first_step=1.0)
    with pytest.raises(ValueError, match="unknown column of table 'lrr'; did you mean 'lr'"):
        load(log, lr="lrr")
    with pytest.raises(ValueError, match="unknown column of table 'los'; did you mean 'loss'"):
        load(log, loss="los")


# --- the normal form as a table -------------------------------------------------------------------

finite = st.floats(1e-6, 1e6)
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(str.strip)


@st.composite
def run_lists(draw):
    runs = []
    for name in draw(st.lists(names, min_size=1, max_size=3, unique=True)):
        lr = draw(st.lists(finite, min_size=1, max_size=12))
        step = sorted(draw(st.sets(st.integers(1, len(lr)), min_size=1)))
        loss = draw(st.lists(finite, min_size=len(step), max_size=len(step)))
        tail = draw(st.integers(0, len(step) - 1))
        loss[len(step) - tail :] = [INF] * tail
        norm = draw(st.none() | st.lists(finite, min_size=len(lr), max_size=len(lr)))
        runs.append(Run(name, lr, step, loss, draw(st.sampled_from(["val", "train", "x"])), norm))
    return runs


def same(run, other):
    assert (run.name, run.split) == (other.name, other.split)
    for field in ("lr", "step", "loss", "grad_norm"):
        np.testing.assert_array_equal(getattr(run, field), getattr(other, field), strict=True)


@given(run_lists())
def test_a_table_of_runs_is_read_back_exactly(runs):
    columns = table(runs)
    assert list(columns) == ["run", "step", "lr", "loss", "split", "grad_norm"]
    assert {len(column) for column in columns.values()} == {sum(run.steps for run in runs)}
    for run, other in zip(runs, load(columns), strict=True):
        same(run, other)


def test_a_table_goes_through_frames_and_files(tmp_path):
    runs = [
        Run("a b", [0.1, 1 / 3, 1], [2, 3], [3, INF], "train"),
        Run("7", [0.2], [1], [4], grad_norm=[1]),
    ]
    paths = [tmp_path / "runs.csv", tmp_path / "runs.parquet"]
    pandas = pytest.importorskip("pandas").DataFrame(table(runs))
    pandas.to_csv(paths[0], index=False)
    polars = pytest.importorskip("polars").DataFrame(table(runs), nan_to_null=True)
    polars.write_parquet(paths[1])
    for source in (pandas, polars, *paths):
        for run, other in zip(runs, load(source), strict=True):
            same(run, other)


def test_tables_of_one_run_of_none_and_of_two_with_one_name():
    run = Run("a", [1, 2], [1], [3])
    assert table(run)["run"].tolist() == ["a", "a"]
    assert all(len(column) == 0 for column in table([]).values())
    message = r"two runs are called 'a'; rename one with dataclasses\.replace\(run, name=\.\.\.\)"
    with pytest.raises(ValueError, match=message):
        table([run, run])
    assert len(load(table([run, dataclasses.replace(run, name="b")]))) == 2


# --- real runs ------------------------------------------------------------------------------------


@real_logs
def test_the_cooldowns_are_joined_to_their_stable_runs():
    folder = DATA / "llama_runs"
    index = json.loads((folder / "index.json").read_text())
    stable = {run["base_lr"]: run["file"] for run in index if run["file"].startswith("stable-")}
    told = [run for run in index if run["file"].startswith("ann124-") and run["first_logged_step"]]
    told = told[::9]
    pieces = [(folder / stable[run["base_lr"]], folder / run["file"]) for run in told]
    for run, facts in zip(load(pieces), told, strict=True):
        assert (run.name, run.steps) == (facts["file"][:-4], facts["steps"])
        assert run.peak == pytest.approx(facts["base_lr"], rel=1e-6)
        assert (run.split, run.diverged) == ("val", None)
        assert run.loss[-1] == pytest.approx(facts["final_val_loss"], abs=0.05)
        # The warm-up from 1 % of the peak is on the line through the first rows.
        np.testing.assert_allclose(
            run.lr[:300] / run.peak, 0.01 + 0.99 * np.arange(1, 301) / 300, rtol=0.01
        )


@real_logs
def test_runs_that_are_logged_after_their_warmup():
    with pytest.raises(ValueError, match=r"first learning rate is at step 2176; .* give warmup="):
        load(DATA / "mpl_runs/25M/constant_24000.csv")
    runs = load(DATA / "mpl_runs/*/*.csv", warmup=2160)
    assert len(runs) == len({run.name for run in runs}) == 18
    for run in runs:
        assert run.peak == pytest.approx(3e-4)
        np.testing.assert_allclose(run.lr[:2000], 3e-4 * np.arange(1, 2001) / 2161, rtol=1e-3)
