"""Which schedule and which losses come out of a training log, and what a log is refused for."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cvxbound import logs
from cvxbound.schedules import constant, cosine, from_log, linear, wsd

DATA = Path(__file__).parents[2] / "shared" / "data"
real_logs = pytest.mark.skipif(not DATA.is_dir(), reason=f"no real logs in {DATA}")

ROWS = [(1, 0.1, 9.0), (2, 0.2, 8.0), (3, 0.2, 7.0), (4, 0.1, 6.0)]
ETA = [0.5, 1, 1, 0.5]


def table(steps, rates, **columns):
    return {"step": steps, "lr": rates, **columns}


def eta(*sources, last_step="given", **options):
    return from_log(*sources, last_step=last_step, **options).eta.tolist()


# --- formats --------------------------------------------------------------------------------------

RECORDS = [{"step": s, "lr": lr, "loss": loss} for s, lr, loss in ROWS]
CSV = "step,lr,loss\n" + "".join(f"{s},{lr},{loss}\n" for s, lr, loss in ROWS)


@pytest.mark.parametrize(
    "text",
    [
        CSV,
        CSV.replace(",", "\t"),
        CSV.replace(",", ";"),
        CSV.replace(",", ", "),
        CSV.replace("\n", "\r\n"),
        CSV.rstrip("\n"),
        "\ufeff" + CSV,
        "\n" + CSV.replace("\n", "\n\n") + ",,\n",
        CSV.replace("step", '"step"').replace("9.0", '"9.0"'),
        "\n".join(json.dumps(record) for record in RECORDS),
        "\n\n".join(json.dumps(record) for record in [{"config": {"seed": 1}}, *RECORDS]) + "\n",
        json.dumps(RECORDS),
        "\n" + json.dumps(RECORDS, indent=2) + "\n",
        json.dumps({"log_history": RECORDS, "global_step": 4}, indent=1),
        json.dumps({name: [record[name] for record in RECORDS] for name in RECORDS[0]}),
    ],
)
def test_formats_are_told_apart_by_their_content(write, text):
    path = write(text, "log.txt")
    assert eta(path) == eta(str(path)) == ETA
    assert logs.losses(path).value.tolist() == [9, 8, 7, 6]


def test_tables_in_memory():
    pandas = pytest.importorskip("pandas")
    columns = {name: [record[name] for record in RECORDS] for name in RECORDS[0]}
    for source in (columns, RECORDS, {"log_history": RECORDS}, pandas.DataFrame(columns)):
        assert eta(source) == ETA
    assert eta({name: np.array(column) for name, column in columns.items()}) == ETA
    assert eta(logs.read(RECORDS)) == ETA


def test_what_is_missing_in_a_frame_is_not_logged():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"step": [1, 1, 2], "lr": [None, 0.5, 0.5], "note": ["a", None, "b"]})
    assert eta(frame) == eta(frame.convert_dtypes()) == eta(frame.to_dict("records")) == [1, 1]


def test_a_log_keeps_rows_in_order_and_converts_columns_on_demand(write):
    log = logs.read(write("Step,lr,phase\n2,0.5,warm\n\n1,,cold\n"))
    assert log.names == ("Step", "lr", "phase")
    assert log.step.tolist() == [2, 1]
    np.testing.assert_array_equal(log.column("lr"), [0.5, np.nan])
    assert list(log.cells["phase"]) == ["warm", "cold"]
    with pytest.raises(
        ValueError, match=r"run\.csv, line 2, column 'phase': 'warm' is not a number"
    ):
        log.column("phase")
    with pytest.raises(
        ValueError, match=r"unknown column of .*run\.csv 'phrase'; did you mean 'pha"
    ):
        log.column("phrase")


# --- columns --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "step", ["step", "Step", "global_step", "trainer/global_step", "_step", "iter", "Iteration"]
)
@pytest.mark.parametrize(
    "lr",
    ["lr", "LR", "learning_rate", "train/lr", "lr-AdamW", "optim/learning rate", "lr_0", "a.lr"],
)
def test_common_names_are_found(step, lr):
    others = {"min_lr": [7, 7], "step_time": [7, 7], "epoch": [7, 7], "lr_scheduler": ["a", "b"]}
    assert eta({**others, step: [1, 2], lr: [1, 1]}) == [1, 1]


def test_wandb_exports():
    export = {
        "Step": [1, 2],
        "happy-run - 3 - train/lr": [1.0, 0.5],
        "happy-run - 3 - train/lr__MIN": [0, 0],
        "happy-run - 3 - train/lr__MAX": [2, 2],
    }
    assert eta(export) == [1, 0.5]
    assert eta({"_step": [7, 9], "trainer/global_step": [1, 2], "lr": [1, 1]}) == [1, 1]


def test_ambiguous_columns_must_be_named():
    two = table([1, 2], [1, 1], learning_rate=[1, 0.5])
    message = r"learning rate could be any of the columns 'lr', 'learning_rate'; choose.*lr='lr'"
    with pytest.raises(ValueError, match=message):
        from_log(two)
    assert eta(two, lr="learning_rate") == [1, 0.5]
    groups = {"step": [1], "lr-AdamW/pg1": [1], "lr-AdamW/pg2": [2]}
    with pytest.raises(ValueError, match="any of the columns 'lr-AdamW/pg1', 'lr-AdamW/pg2'"):
        from_log(groups)


def test_missing_columns_are_answered_with_those_found():
    message = r"table: no column looks like the learning rate; name it with lr= .*'step', 'loss'"
    with pytest.raises(ValueError, match=message):
        from_log({"step": [1], "loss": [1]})
    with pytest.raises(ValueError, match="no column looks like the step; name it with step="):
        from_log({"time": [1], "lr": [1]})
    with pytest.raises(ValueError, match="unknown column of table 'lrr'; did you mean 'lr'"):
        from_log({"step": [1], "lr": [1]}, lr="lrr")
    assert eta({"time": [1, 2], "rate": [1, 2]}, step="time", lr="rate") == [0.5, 1]


# --- from rows to steps ---------------------------------------------------------------------------


def test_rates_between_rows_are_interpolated():
    schedule = from_log(table([1, 3, 7], [0.2, 0.2, 0.0]), last_step="given", name="mine")
    np.testing.assert_allclose(schedule, [1, 1, 1, 0.75, 0.5, 0.25, 0], rtol=1e-14)
    assert schedule.params == {
        "peak": 0.2,
        "sources": ("table",),
        "rows": 3,
        "every": 3,
        "longest_gap": 4,
        "interpolated": 4,
        "jumps": 0,
        "assumed": 0,
        "replaced": 0,
        "open_ended": (),
        "first_step": 1,
        "last_step": "given",
    }
    assert repr(schedule) == (
        "<Schedule mine: 7 steps, LR interpolated linearly between 3 rows (one every 3 steps)>"
    )


def test_repr_tells_what_was_made_up(write):
    path = write("step,lr\n10,1\n20,1\n30,1\n90,0\n", "run 7.csv")
    assert repr(from_log(path, warmup=5)) == (
        "<Schedule run 7: 90 steps, LR interpolated linearly between 4 rows (one every 10 steps, "
        "longest gap 60); first 9 steps assumed; last step repeated>"
    )
    assert (
        from_log(table([1, 2], [1, 1])).note == "LR of 2 rows, one every step; last step repeated"
    )


def test_a_jump_between_rows_holds_until_the_later_one():
    """Training steps down or starts a stage anew there; decays and warm-ups are lines."""
    jump = from_log(table([1, 3, 6, 8], [1, 1, 0.3, 0.3]), last_step="given")
    assert jump.eta.tolist() == [1, 1, 1, 1, 1, 0.3, 0.3, 0.3]
    assert jump.params["jumps"] == 1
    assert jump.note.endswith("(one every 2 steps), held across 1 jump until the later row")
    up = eta(table([1, 3, 5, 7], [0.2, 0.199, 1, 0.999]))
    np.testing.assert_allclose(up[:5], [0.2, 0.1995, 0.199, 0.199, 1])
    for rates in ([0, 0.5, 1, 1], [1, 1, 0.5, 0], [1, 1, 0.5], [0, 1, 1], [1, 1, 0.3, 0.2]):
        step = 2 * np.arange(len(rates)) + 1
        line = from_log(table(step.tolist(), rates), last_step="given")
        np.testing.assert_allclose(line.eta, np.interp(np.arange(1, step[-1] + 1), step, rates))
        assert line.params["jumps"] == 0


@pytest.mark.parametrize(
    "steps",
    [
        [1, *range(1000, 10001, 1000), 10001],  # a last row of its own
        [1, 2, *range(500, 10001, 500)],  # the first rows are close together
        [*range(1, 11), *range(1000, 10001, 1000)],
        [*range(1, 9002, 500), 9500, 9999, 10000],
    ],
)
def test_a_ramp_in_one_gap_is_no_jump(steps):
    made = linear(10001, warmup=500).eta[np.array(steps) - 1]
    made = np.where(np.array(steps) < 9000, np.minimum(made * 2, 1), made)
    log = from_log(table(steps, made.tolist()), last_step="given", peak=1)
    assert log.params["jumps"] == 0
    np.testing.assert_allclose(log.eta, np.interp(np.arange(1, steps[-1] + 1), steps, made))


def test_rounded_text_has_no_jumps():
    for steps, digits in ((30_000, 5), (30_000, 6)):
        step = np.arange(1, steps + 1, 100)
        rates = np.round(3e-4 * cosine(steps).eta[step - 1], digits)
        assert from_log(table(step.tolist(), rates.tolist())).params["jumps"] == 0


def test_the_last_step_is_repeated_unless_given():
    log = table([1, 2, 3], [1, 0.5, 0])
    assert from_log(log).eta.tolist() == [1, 0.5, 0.5]
    assert from_log(log, last_step="given").eta.tolist() == [1, 0.5, 0]
    assert from_log(table([1], [0.3])).eta.tolist() == [1]
    with pytest.raises(ValueError, match="unknown last_step 'repeated'; did you mean 'repeat'"):
        from_log(log, last_step="repeated")


def test_the_first_step_is_0_if_a_row_of_step_0_has_a_rate():
    assert eta(table([0, 1, 2], [1, 0.5, 0.5])) == [1, 0.5, 0.5]
    assert eta(table([0, 1, 2], [None, 1, 0.5])) == [1, 0.5]
    assert eta(table([0, 1, 2], [None, 1, 0.5]), first_step=0, warmup=0) == [1, 1, 0.5]
    assert eta(table([101, 102], [1, 0.5]), first_step=101) == [1, 0.5]
    with pytest.raises(ValueError, match="step 1 comes before first_step=2"):
        from_log(table([1, 2], [1, 1]), first_step=2)
    with pytest.raises(TypeError, match="first_step must be an integer or None"):
        from_log(table([1, 2], [1, 1]), first_step=1.0)


def test_the_peak_is_the_largest_rate_unless_given():
    assert from_log(table([1, 2], [0.5, 0.25])).params["peak"] == 0.5
    assert eta(table([1, 2], [0.5, 0.25]), peak=0.25) == [2, 1]
    with pytest.raises(ValueError, match="peak must be positive"):
        from_log(table([1, 2], [0.5, 0.25]), peak=0)


def test_a_late_start_must_be_explained():
    late = table([4, 5], [0.4, 0.8])
    message = r"table: the first learning rate is at step 4; steps 1\.\.3 are unknown: give warmup="
    with pytest.raises(ValueError, match=message):
        from_log(late)
    with pytest.raises(ValueError, match=r"at step 4; steps 2\.\.3 are unknown"):
        from_log(late, first_step=2)
    np.testing.assert_allclose(eta(late, warmup=100, peak=1), [0.1, 0.2, 0.3, 0.4, 0.8])
    np.testing.assert_allclose(eta(late, warmup=1, peak=1), [0.2, 0.4, 0.4, 0.4, 0.8])
    np.testing.assert_allclose(eta(late, warmup=0, peak=1), [0.4, 0.4, 0.4, 0.4, 0.8])
    np.testing.assert_allclose(eta(late, first_lr=0.1, peak=1), [0.1, 0.2, 0.3, 0.4, 0.8])
    ramp = eta(late, warmup=5, warmup_start=0.1, peak=1)
    np.testing.assert_allclose(ramp, [0.1, 0.2, 0.3, 0.4, 0.8])
    with pytest.raises(ValueError, match="not both"):
        from_log(late, warmup=5, first_lr=0.1)
    with pytest.raises(ValueError, match="warmup_start= needs warmup="):
        from_log(late, warmup_start=0.1)
    with pytest.raises(ValueError, match="first_lr must be non-negative"):
        from_log(late, first_lr=-1)
    with pytest.raises(TypeError, match=r"first_lr must be a number, got \[1, 2\]"):
        from_log(late, first_lr=[1, 2])


def test_steps_that_are_not_steps():
    """A count of tokens is told before anything of its size is made, late start or not."""
    message = (
        r"table: 20000000000 steps; is the step column counting tokens or samples\? pass step="
    )
    tokens = table([10**10, 2 * 10**10], [0.1, 0.1])
    for options in ({}, {"warmup": 300}, {"first_lr": 0.1}):
        with pytest.raises(ValueError, match=message):
            from_log(tokens, **options)
    with pytest.raises(ValueError, match=r"at step 2000000000; steps 1\.\.1999999999 are unknown"):
        from_log(table([2 * 10**9, 2 * 10**9 + 1], [0.1, 0.1]))


def test_one_of_a_thing_is_in_the_singular():
    assert from_log(table([1], [1]), last_step="given").note == "LR of 1 row, one every step"
    note = from_log(table([2, 3, 3, 9], [1, 1, 1, 1]), warmup=0, last_step="given").note
    assert note == (
        "LR interpolated linearly between 3 rows (one every 3 steps); 1 row replaced by later ones;"
        " first 1 step assumed"
    )
    note = from_log(table([1, 2, 3, 9], [1, 1, 1, 1]), last_step="given").note
    assert note.endswith("4 rows (one every step, longest gap 6)")


@given(
    steps=st.integers(20, 200),
    warmup=st.integers(0, 10),
    start=st.none() | st.floats(0, 1),
    first=st.integers(1, 15),
    every=st.integers(1, 5),
)
def test_a_family_is_recovered_from_its_log(steps, warmup, start, first, every):
    """Its pieces are straight, so the steps logged say all but how the warm-up starts."""
    schedule = linear(steps, warmup=warmup, warmup_start=start)
    label = sorted({*range(first, steps + 1, every), warmup + 1, steps})
    log = table(label, 3e-4 * schedule.eta[np.array(label) - 1])
    found = from_log(log, warmup=warmup, warmup_start=start, peak=3e-4, last_step="given")
    np.testing.assert_allclose(found, schedule, rtol=1e-12, atol=1e-15)


def test_a_warmup_that_ends_before_the_log_starts_is_that_of_the_families():
    for start in (None, 0.25):
        log = table([8, 20], [0.1, 0.1])
        found = from_log(log, warmup=5, warmup_start=start)
        np.testing.assert_allclose(found, constant(20, warmup=5, warmup_start=start), rtol=1e-15)


# --- splicing -------------------------------------------------------------------------------------


def test_a_continuation_replaces_the_run_from_its_first_rate_on():
    run = table([2, 4, 6, 8], [1, 1, 1, 1])
    cooldown = table([4, 6, 8, 10], [None, 0.5, 0.25, 0])
    found = eta(run, cooldown, warmup=0)
    assert found == [1, 1, 1, 1, 0.75, 0.5, 0.375, 0.25, 0.125, 0]
    with pytest.raises(ValueError, match="table: nothing is left of it after the later logs"):
        from_log(cooldown, run)


def test_a_run_resumed_within_a_file_replaces_what_it_overlaps():
    assert eta(table([1, 2, 3, 4, 3, 4, 5], [1, 1, 1, 1, 0.5, 0.5, 0.5])) == [1, 1, 0.5, 0.5, 0.5]
    assert eta(table([1, 2, 2, 3], [1, 0.1, 0.5, 0.5])) == [1, 0.5, 0.5]
    assert eta(table([1, 2, 3, 1, 2], [1, 1, 1, 0.5, 0.25])) == [1, 0.5]


def test_continuations_may_differ_in_their_columns(write):
    first = write("step,lr,val_loss\n1,1,9\n2,1,8\n3,1,7\n")
    second = write('{"iter": 3, "train/lr": 0.5, "eval_loss": 6}\n', "more.jsonl")
    assert eta(first, second) == [1, 1, 0.5]
    assert logs.losses(first, second).value.tolist() == [9, 8, 6]
    assert logs.learning_rates(first, second).columns == ("lr", "train/lr")


@given(st.lists(st.tuples(st.integers(1, 12), st.floats(0.1, 1)), min_size=1, max_size=30))
def test_splicing_is_a_replay_of_the_log(rows):
    """Row by row: forget what was logged at this step and after, then write the row down."""
    steps = [step for step, _ in rows]
    assume(steps[0] == steps[-1] or steps != sorted(steps, reverse=True))
    replayed = {}
    for step, rate in rows:
        replayed = {s: r for s, r in replayed.items() if s < step} | {step: rate}
    found = logs.learning_rates(table(*map(list, zip(*rows, strict=True))))
    assert dict(zip(found.step.tolist(), found.value.tolist(), strict=True)) == replayed
    assert found.replaced == len(rows) - len(replayed)


def test_rows_that_are_replaced_are_counted():
    schedule = from_log(table([1, 2, 3, 2, 3, 4], [1] * 6), table([4, 5], [0.5, 0.5]))
    assert schedule.params["replaced"] == 3
    assert "3 rows replaced by later ones" in schedule.note
    assert logs.losses(table([1, 2, 2], [1, 1, 1], val_loss=[3, 2, 1])).replaced == 1


def test_a_log_written_backwards_is_refused(write):
    message = r"run\.csv: the steps only descend, from 3 to 1; sort the rows by step"
    path = write("step,lr,loss\n3,0.1,1\n2,0.1,2\n2,,2\n2,0.1,2\n1,0.1,3\n")
    for read in (from_log, logs.losses):
        with pytest.raises(ValueError, match=message):
            read(path)
    with pytest.raises(ValueError, match=message):
        from_log(table([1, 2, 3, 4], [1, 1, 1, 1]), path)
    assert eta(table([1, 1], [1, 1])) == [1]
    assert eta(table([3, 1, 2], [1, 1, 1])) == [1, 1]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("step,lr\n1,0.1\n2,0.0", True),
        ("step,lr\n1,0.1\n2,0.08 ", True),
        ("step,lr\n1,0.1\n2,0.08\n", False),
        ("step,lr\r\n1,0.1\r\n2,0.08\r\n", False),
        ("step,lr\n1,0.1\n2,0.08\n  ", False),
        ('{"step": 1, "lr": 0.1}\n{"step": 2, "lr": 0.1}', False),
    ],
)
def test_a_csv_file_may_be_cut_off_inside_its_last_number(write, text, told):
    path = write(text)
    schedule = from_log(path)
    note = "the last row of run.csv has no line end: is the file still being written?"
    assert schedule.note.endswith(f"; {note}") == told
    assert schedule.params["open_ended"] == ((str(path),) if told else ())


# --- losses ---------------------------------------------------------------------------------------


def test_losses_are_numbered_as_the_steps_of_the_schedule():
    log = table([0, 10, 20, 30], [0.1, 0.1, 0.1, None], val_loss=[9, None, 7, 6])
    found = logs.losses(log)
    assert (found.step.tolist(), found.value.tolist()) == ([1, 21], [9, 7])
    assert len(from_log(log)) == 21
    assert found.columns == ("val_loss",)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["train_loss", "val_loss"], "val_loss"),
        (["loss", "eval_loss"], "eval_loss"),
        (["train/loss", "val/loss"], "val/loss"),
        (["loss", "train_loss"], "loss"),
        (["train_loss", "loss_scale"], "train_loss"),
        (["run - lm loss"], "run - lm loss"),
    ],
)
def test_a_validation_loss_comes_first(columns, expected):
    log = table([1], [1], **{name: [1] for name in columns})
    assert logs.losses(log).columns == (expected,)


def test_losses_named_and_missing():
    log = table([1, 2], [1, 1], val_loss=[None, None], train_loss=[3, "nan"])
    with pytest.raises(ValueError, match="column 'val_loss' is empty; name another one with loss="):
        logs.losses(log)
    assert logs.losses(log, loss="train_loss").value.tolist() == [3]
    with pytest.raises(ValueError, match="no column looks like the loss"):
        logs.losses(table([1], [1]))


def test_losses_are_spliced_where_the_rates_are():
    """A resumed run replaces the losses after its first rate, even where it has none of its own."""
    run = table([1, 2, 3, 4], [1, 1, 1, 1], val_loss=[9, 8, 7, 6])
    more = table([2, 3, 4, 5], [None, 1, 1, 1], val_loss=[8.5, None, 6.5, 5])
    found = logs.losses(run, more)
    assert (found.step.tolist(), found.value.tolist()) == ([1, 2, 4, 5], [9, 8.5, 6.5, 5])
    rows = [
        {"step": 1, "lr": 1},
        {"step": 1, "eval_loss": 9},
        {"step": 2, "eval_loss": 8},
        {"step": 2, "lr": 1},
        {"step": 3, "lr": 1, "eval_loss": 7},
        {"step": 2, "lr": 1},
        {"step": 3, "lr": 1},
    ]
    found = logs.losses(rows)
    assert (found.step.tolist(), found.value.tolist()) == ([1, 2], [9, 8])


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "run.csv: the file is empty"),
        (" \n\n", "run.csv: the file is empty"),
        ("step,lr\n", r"run.csv: no rows below the header \(columns found: 'step', 'lr'\)"),
        (",,\n", "run.csv: no rows below the header"),
        (b"\xff\xfe\x00", r"run.csv: not text in UTF-8 \(byte 0\); expected CSV"),
        (b"\x00step,lr", "run.csv: a binary file"),
        ("step,lr\n1,1\n2\n", "line 3: 1 field where the header has 2"),
        ("step,lr\n1,1\n2,1,1", "line 3: 3 fields where the header has 2"),
        ("step,lr\n1\n2,1\n", "line 2: 1 field where the header has 2$"),
        ("step,lr\n1,1,\n2,1\n", "line 2: 3 fields where the header has 2$"),
        ('step,lr\n1,"1\n2,1\n', "line 3: 2 fields|line 3, column 'lr'"),
        ("step,lr,lr\n1,1,1\n", "run.csv: several columns are called 'lr'"),
        ("step,lr\n1,1\n\n2,fast\n", "line 4, column 'lr': 'fast' is not a number"),
        ("step,lr\n1,1\n2,-0.1\n", r"line 3, column 'lr': a learning rate must be .* got -0\.1"),
        ("step,lr\n1,1\n2,nan\n", "line 3, column 'lr': a learning rate must be .* got nan"),
        ("step,lr\n1,inf\n", "line 2, column 'lr': a learning rate must be .* got inf"),
        ("step,lr\n1.5,1\n", r"line 2, column 'step': a step must be a non-neg.* got 1\.5"),
        ("step,lr\n-1,1\n", "line 2, column 'step': a step must be a non-negative integer"),
        ("step,lr\n1e99,1\n", "line 2, column 'step': a step must be a non-negative integer"),
        ("step,lr\ntwo,1\n", "line 2, column 'step': 'two' is not a number"),
        ("step,lr\n,1\n", "run.csv: column 'step' is empty; name another one with step="),
        ("step,lr\n1,\n2,\n", "run.csv: column 'lr' is empty; name another one with lr="),
        ("step,lr\n1,0\n2,0\n", "run.csv: no learning rate is positive"),
        ('[{"step": 1,\n "lr": 1}, {"st', r"line 2: not valid JSON .* is the file still being wri"),
        ('{"step": 1, "lr": 1}\n{"step": 2, "l\n', "line 2: not valid JSON"),
        ('{"step": 1, "lr": 1}\n[2]\n', r"line 2: expected an object, got '\[2\]"),
        ('{"step": 1, "lr": NaN}', "row 0, column 'lr': a learning rate must be .* got NaN"),
        ('{"step": 1, "lr": 1}\n\n{"step": 2, "lr": "x"}', "line 3, column 'lr': 'x' is not a num"),
        ('{"step": 1, "lr": [1]}', r"row 0, column 'lr': \[1\] is not a number"),
        ("[" * 200_000, "run.csv: not a log .JSON that is nested too deeply"),
        (
            '{"step": 1, "lr": 1}\n' + "[" * 200_000,
            "run.csv, line 2: not a log .JSON that is nested",
        ),
        (f'{{"step": 1, "lr": {"9" * 5000}}}', "run.csv: not a log .a number of too many digits"),
        (
            f'{{"step": 1, "lr": 1}}\n{{"step": 2, "lr": {"9" * 5000}}}\n',
            "run.csv, line 2: not a log .a number of too many digits",
        ),
        (f'{{"step": 1, "lr": {"9" * 400}}}', r"row 0, column 'lr': 9{57}\.\.\. is not a number"),
        ('{"step": 1, "lr": true}', "row 0, column 'lr': True is not a number"),
        ("[1, 2]", "run.csv: expected a path, a dict of columns"),
        ('{"step": [1, 2], "lr": [1]}', "run.csv: the columns of the table differ in length"),
        ('{"log_history": []}', r"no column looks like the step.*columns found: none"),
    ],
)
def test_refusals_name_the_file_and_the_line(write, text, message):
    with pytest.raises(ValueError, match=message) as caught:
        from_log(write(text))
    assert "run.csv" in str(caught.value)


def test_files_that_cannot_be_opened(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing\.csv"):
        from_log(tmp_path / "missing.csv")
    with pytest.raises(OSError, match=tmp_path.name):
        from_log(tmp_path)


def test_errors_while_reading_name_the_file(write, monkeypatch):
    path = write(CSV)

    def fail(self):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(OSError, match=r"Input/output error: .*run\.csv"):
        from_log(path)


@pytest.mark.parametrize("dtype", ["complex128", "bool", "S3", "datetime64[D]"])
def test_arrays_of_anything_but_real_numbers_are_refused(dtype):
    """But only where their numbers are asked for."""
    column = np.array([1, 1]).astype(dtype)
    with pytest.raises(TypeError, match="table, column 'lr': expected real numbers, got an array"):
        from_log(table([1, 2], column))
    with pytest.raises(TypeError, match="table, column 'lr': expected real numbers, got an array"):
        from_log(table([1, None], column))
    with pytest.raises(TypeError, match="table, column 'step': expected real numbers"):
        from_log(table(column, [1, 1]))
    assert eta(table([1, 2], [1, 1], other=column)) == [1, 1]


@pytest.mark.parametrize("cell", [True, b"1", 1j, np.True_, np.complex64(1), 10**400, [1]])
def test_cells_that_are_no_real_numbers_are_refused(cell):
    with pytest.raises(ValueError, match=r"table, row 1, column 'lr': .* is not a number"):
        from_log(table([1, 2], [1, cell]))


def test_numbers_of_every_type():
    for dtype in ("float16", "float32", "longdouble", "int8", "uint64", "object", "U3"):
        assert eta(table([1, 2], np.array([1, 1]).astype(dtype))) == [1, 1]


@pytest.mark.parametrize("source", [3, None, [1, 2], np.ones(3)])
def test_sources_of_another_type(source):
    with pytest.raises(TypeError, match="expected a path, a dict of columns, a list of dicts"):
        from_log(source)


# --- real runs ------------------------------------------------------------------------------------


@real_logs
def test_a_cosine_run_logged_from_step_50_on():
    path = DATA / "llama_runs/cos-zero-124m_lr0.001_cos_warmup300_decay_sqrt_0.0_iter50000.csv"
    with pytest.raises(
        ValueError, match=r"iter50000\.csv: the first learning rate is at step 50; s"
    ):
        from_log(path)
    schedule = from_log(path, warmup=300, warmup_start=0.01)
    assert len(schedule) == 50_000
    assert schedule.params["peak"] == 0.001
    assert (schedule.params["rows"], schedule.params["every"]) == (1000, 50)
    assert schedule.eta[0] == pytest.approx(0.01)
    assert schedule.eta[49] == pytest.approx(7.67515e-05 / 0.001)
    assert (np.diff(schedule.eta[299:]) <= 0).all()
    assert 0 < schedule.eta[-1] == schedule.eta[-2] < 2e-4


@real_logs
def test_a_cooldown_branched_off_a_stable_run():
    runs = DATA / "llama_runs"
    stable = runs / "stable-124m_lr0.001_wsd_warmup300_decay_linear_0.0_iter50000.csv"
    cooldown = runs / "ann124-0.2_lr0.001_wsd_warmup300_decay_linear_0.2_iter50000.csv"
    with pytest.raises(
        ValueError, match=r"at step 40050; steps 1\.\.40049 are unknown: give warmup="
    ):
        from_log(cooldown)
    schedule = from_log(stable, cooldown, warmup=300)
    assert schedule.name == cooldown.stem
    assert len(schedule.params["sources"]) == 2
    # Row s is logged with the rate of step s + 1, the first of the families' cooldown.
    expected = wsd(50_000, cooldown=10_001, endpoint=True).eta
    np.testing.assert_allclose(schedule.eta[300:-1], expected[300:-1], atol=1e-12)
    assert schedule.eta[-1] == schedule.eta[-2] == pytest.approx(1e-4)

    losses = logs.losses(stable, cooldown)
    assert losses.step[0] == 200
    assert (np.diff(losses.step) == 200).all()
    before = logs.losses(stable)
    assert (losses.value[losses.step < 40_000] == before.value[before.step < 40_000]).all()
    assert losses.value[-1] < before.value[-1] - 0.1


@real_logs
def test_every_real_log_can_be_read():
    for path in DATA.rglob("*.csv"):
        schedule = from_log(path, warmup=300)
        assert schedule.eta.max() == 1
        assert logs.losses(path).step[-1] <= len(schedule)
