"""Each format of logs, from a small file as its program writes it to runs in the normal form."""

import json
import struct
import sys

import numpy as np
import pytest

from cvxbound import logs
from cvxbound.schedules import from_log


def one(source, **options):
    """The only run in a source: its learning rates, and its losses by step."""
    (run,) = logs.load(source, **options)
    return run.lr.tolist(), dict(zip(run.step.tolist(), run.loss.tolist(), strict=True)), run.split


# --- wandb ----------------------------------------------------------------------------------------

EXPORT = """\
"Step","swift-sun-1 - train/lr","swift-sun-1 - train/lr__MIN","swift-sun-1 - train/lr__MAX",\
"old - 2 - train/lr","old - 2 - train/lr__MIN","old - 2 - train/lr__MAX",\
"swift-sun-1 - val/loss","old - 2 - val/loss"
"1","0.1","0.0","9","0.2","0.2","0.2","4.0","5.0"
"2","0.1","0.1","0.1","0.1","0.1","0.1","3.0","4.5"
"3","0.05","0.1","0.1","","","","2.5",""
"""


def test_an_export_of_wandb_holds_several_runs(write):
    first, second = logs.load(write(EXPORT))
    assert (first.name, second.name) == ("swift-sun-1", "old - 2")
    assert first.lr.tolist() == [0.1, 0.1, 0.05]
    assert first.loss.tolist() == [4, 3, 2.5]
    assert second.lr.tolist() == [0.2, 0.1]
    assert second.loss.tolist() == [5, 4.5]


def test_the_panels_of_wandb_are_joined_by_their_runs(write):
    """An export holds one panel: rates in one file, losses in another."""
    rates = write("Step,a - lr,b - lr\n1,1,2\n2,1,2\n3,1,\n", "lr.csv")
    losses = write("Step,b - eval/loss,a - eval/loss\n1,7,9\n2,6,8\n3,,7\n", "loss.csv")
    a, b = logs.load([(rates, losses)])
    assert (a.name, a.lr.tolist(), a.loss.tolist()) == ("a", [1, 1, 1], [9, 8, 7])
    assert (b.name, b.lr.tolist(), b.loss.tolist()) == ("b", [2, 2], [7, 6])
    assert a.notes[0] == "in 2 pieces: lr.csv, run 'a'; loss.csv, run 'a'"
    for run, other in zip(
        (a, b), sorted(logs.load([(losses, rates)]), key=lambda run: run.name), strict=True
    ):
        assert (run.lr.tolist(), run.loss.tolist()) == (other.lr.tolist(), other.loss.tolist())


def test_errors_name_the_run_of_an_export(write):
    with pytest.raises(ValueError, match=r"run\.csv, run 'old - 2', line 3, column .*: 'x' is no"):
        logs.load(write(EXPORT.replace('"0.1","0.1","0.1","3.0"', '"x","0.1","0.1","3.0"')))


@pytest.mark.parametrize(
    ("whole", "cut"),
    [
        ("step,lr,loss\n1,0.1,3\n2,0.1,2\n", "3,0."),
        ("step,lr,loss\n1,0.1,3\n2,0.1,2\n", "3,0.1,2.5e"),
        ("step\tlr\tloss\n1\t0.1\t3\n2\t0.1\t2\n", "3"),
        (
            '{"step": 1, "lr": 0.1, "loss": 3}\n{"step": 2, "lr": 0.1, "loss": 2}\n',
            '{"step": 3, "l',
        ),
    ],
)
def test_a_last_line_that_is_cut_off_is_left_out(write, whole, cut):
    (run,) = logs.load(write(whole + cut))
    (known,) = logs.load(write(whole))
    assert (run.lr.tolist(), run.loss.tolist()) == (known.lr.tolist(), known.loss.tolist())
    assert any("the last line, which is cut off, left out" in note for note in run.notes)
    assert not any("cut off" in note for note in known.notes)
    assert "is the file still being written?" in from_log(write(whole + cut)).note
    with pytest.raises(ValueError, match=r"line (3|4)"):  # in the middle it is damage
        logs.load(write(whole + cut + "\n" + whole.splitlines()[-1] + "\n"))


def parquet(tmp_path, columns, schema=None):
    polars = pytest.importorskip("polars")
    path = tmp_path / "history.parquet"
    polars.DataFrame(columns, schema).write_parquet(path)
    return path


def test_the_history_of_wandb_is_parquet(tmp_path):
    columns = {
        "_step": [0, 1, 2, 3],
        "train/lr": [None, 1e-3, 1e-3, 5e-4],
        "train/loss": [9.0, 8.0, float("nan"), None],
        "eval/loss": [None, 7.0, None, 6.0],
        "_runtime": [0.1, 0.2, 0.3, 0.4],
        "note": ["a", None, "b", "c"],
        "grads": [{"bins": [1.0]}, None, None, None],
        "list": [[1.0], None, [], [2.0]],
    }
    path = parquet(tmp_path, columns)
    assert one(path) == ([1e-3, 1e-3, 5e-4], {1: 7, 3: 6}, "val")
    log = logs.read(path)
    assert log.names == ("_step", "train/lr", "train/loss", "eval/loss", "_runtime", "note")
    assert log.cells["note"] == ["a", None, "b", "c"]
    # NaN that was logged is not the same as nothing logged.
    assert one(path, split="train") == ([1e-3, 1e-3, 5e-4], {1: 8, 2: np.inf}, "train")


def test_parquet_of_every_type_of_number(tmp_path):
    polars = pytest.importorskip("polars")
    for dtype in (polars.Float32, polars.Int8, polars.UInt64, polars.Decimal(10, 2)):
        path = parquet(
            tmp_path,
            {"step": [1, 2], "lr": [1, 2], "loss": [2, 1]},
            {"lr": dtype, "step": dtype, "loss": dtype},
        )
        assert one(path) == ([1, 2], {1: 2, 2: 1}, "train")


def test_parquet_that_cannot_be_read(tmp_path, write, monkeypatch):
    path = parquet(tmp_path, {"step": [1, 2], "lr": [1.0, 1.0]})
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with pytest.raises(ValueError, match=r"history\.parquet: not valid parquet .* still being wri"):
        logs.load(path)
    path.write_bytes(whole)
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(
        ImportError, match=r"history\.parquet: a parquet file needs .*bound\[logs\]"
    ):
        logs.load(path)


# --- JSON -----------------------------------------------------------------------------------------


def test_trainer_state_of_hugging_face(write):
    state = {
        "best_metric": None,
        "global_step": 30,
        "log_history": [
            {"epoch": 0.1, "grad_norm": 1.5, "learning_rate": 1e-4, "loss": 3.0, "step": 10},
            {"epoch": 0.2, "grad_norm": 1.0, "learning_rate": 2e-4, "loss": 2.5, "step": 20},
            {"epoch": 0.2, "eval_loss": 2.4, "eval_runtime": 1.0, "step": 20},
            {"epoch": 0.3, "grad_norm": 0.5, "learning_rate": 1e-4, "loss": 2.0, "step": 30},
            {"epoch": 0.3, "eval_loss": 2.1, "eval_runtime": 1.0, "step": 30},
            {"epoch": 0.3, "step": 30, "total_flos": 1e9, "train_loss": 2.5, "train_runtime": 9.0},
        ],
    }
    path = write(json.dumps(state, indent=2), "trainer_state.json")
    (run,) = logs.load(path)
    assert run.lr[[0, 9, 14, 19, 29]] == pytest.approx([1e-5, 1e-4, 1.5e-4, 2e-4, 1e-4], rel=1e-12)
    assert (run.step.tolist(), run.loss.tolist(), run.split) == ([20, 30], [2.4, 2.1], "val")
    assert run.grad_norm[[0, 9, 14, 29]].tolist() == [1.5, 1.5, 1.25, 0.5]
    assert one(path, split="train")[1] == {10: 3, 20: 2.5, 30: 2}


def test_tables_within_a_history(write):
    document = {
        "summary": {"val_loss": 2.5},
        "config": {"lr": 0.001},
        "name": "cos-124m",
        "history": {
            "val": {"iter": [2, 4], "val_loss": [3.0, 2.5]},
            "train": {"iter": [1, 2, 4], "train_lr": [0.1, 0.2, 0.1], "train_loss": [9, 8, 7]},
        },
    }
    path = write(json.dumps(document), "x.json")
    assert (
        one(path) == one(document) == ([0.1, 0.2, 0.15000000000000002, 0.1], {2: 3, 4: 2.5}, "val")
    )
    assert one(path, split="train")[1] == {1: 9, 2: 8, 4: 7}
    assert logs.load(path)[0].name == "cos-124m"
    flat = {"history": {"iter": [1, 2], "lr": [1, 1], "loss": [2, 1]}}
    assert one(flat) == one(
        {"history": [{"iter": 1, "lr": 1, "loss": 2}, {"iter": 2, "lr": 1, "loss": 1}]}
    )


def test_json_lines(write):
    """As of litgpt, nanochat or OLMo: several metrics, not all of them in each record."""
    lines = [
        {"config": {"seed": 1}},
        {"step": 1, "train/loss": 4.0, "optim/learning_rate_group0": 0.1},
        {"step": 1, "eval/loss": 3.9},
        {"step": 2, "train/loss": float("nan"), "optim/learning_rate_group0": 0.2},
        {"step": 2, "eval/loss": 3.5},
    ]
    path = write("\n".join(map(json.dumps, lines)), "metrics.jsonl")
    assert one(path) == ([0.1, 0.2], {1: 3.9, 2: 3.5}, "val")
    assert one(path, split="train") == ([0.1, 0.2], {1: 4, 2: np.inf}, "train")
    assert "1 row without a step left out" in logs.load(path)[0].notes


# --- the output of Megatron -----------------------------------------------------------------------

MEGATRON = """\
using world size: 8, data-parallel size: 8 {"step": 1}
[before the start of training step] datetime: 2026-01-01 00:00:00
 [2026-01-01 00:01:00] iteration       10/      30 | consumed samples:         2560 | \
elapsed time per iteration (ms): 1234.5 | learning rate: 1.000000E-04 | global batch size:   256 | \
lm loss: 4.000000E+00 | loss scale: 1.0 | grad norm: 2.500 | number of nan iterations:   0 |
0: iteration       20/      30 | consumed samples: 5120 | learning rate: 2.0E-04 | \
lm loss: 3.5E+00 | grad norm: 1.5 |
-----------------------------------------------------------------------------------------
 validation loss at iteration 20 | lm loss value: 3.6E+00 | lm loss PPL: 3.659823E+01 |
-----------------------------------------------------------------------------------------
\xff\x00 saving checkpoint at iteration      20 to /checkpoints
 iteration       30/      30 | consumed samples: 7680 | learning rate: 1.0E-04 | lm loss: nan |
 validation loss at iteration 30 on validation set | lm loss value: 3.2E+00 | lm loss PPL: 24.5 |
 validation loss at iteration 30 on test set | lm loss value: 3.3E+00 | lm loss PPL: 27.1 |
"""


def test_the_output_of_megatron(write):
    path = write(MEGATRON.encode("latin-1"), "slurm-1.out")
    lr, losses, split = one(path)
    assert (lr[9], lr[19], lr[29], losses, split) == (1e-4, 2e-4, 1e-4, {20: 3.6, 30: 3.2}, "val")
    (run,) = logs.load(path, split="train")
    assert (run.step.tolist(), run.loss.tolist()) == ([10, 20, 30], [4, 3.5, np.inf])
    assert run.grad_norm[[0, 9, 29]].tolist() == [2.5, 2.5, 1.5]
    with pytest.raises(ValueError, match=r"line 4, column 'learning rate': 'fast' is not"):
        logs.load(write(MEGATRON.replace("2.0E-04", "fast").encode("latin-1"), "slurm-1.out"))


def test_the_output_of_nanotron(write):
    line = "[INFO|DP=0]: iteration: {} / 15 | consumed_tokens: 1.5K | lr: {} | lm_loss: {} | z: 1\n"
    path = write(line.format(1, 0.0003, 11.3) + line.format(2, 0.0002, 10.9), "log.txt")
    assert one(path) == ([3e-4, 2e-4], {1: 11.3, 2: 10.9}, "train")


# --- event files of TensorBoard -------------------------------------------------------------------


def varint(value):
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


def field(number, kind, payload):
    size = varint(len(payload)) if kind == 2 else b""
    return varint(number << 3 | kind) + size + payload


def crc(data):
    """Masked CRC-32C, bit by bit."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0x82F63B78 * (value & 1)
    value ^= 0xFFFFFFFF
    return struct.pack("<I", ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def record(message):
    length = struct.pack("<Q", len(message))
    return length + crc(length) + message + crc(message)


TIME = field(1, 1, struct.pack("<d", 1.7e9))


def event(step, **values):
    """An event as a record of a file."""
    summary = b"".join(
        field(1, 2, field(1, 2, tag.encode()) + value) for tag, value in values.items()
    )
    message = (
        field(1, 1, struct.pack("<d", 1.7e9)) + field(2, 0, varint(step)) + field(5, 2, summary)
    )
    length = struct.pack("<Q", len(message))
    return length + crc(length) + message + crc(message)


def simple(value):
    return field(2, 5, struct.pack("<f", value))


def tensor(value, *, content=False, double=False, shape=b""):
    packed = struct.pack("<d" if double else "<f", value)
    number = 4 if content else 6 if double else 5
    kind = field(1, 0, varint(2 if double else 1))
    return field(8, 2, kind + field(2, 2, shape) + field(number, 2, packed))


HEADER = record(TIME + field(3, 2, b"brain.Event:2"))
EVENTS = [
    event(1, lr=simple(0.5), **{"train/loss": simple(4)}),
    event(1, histogram=field(5, 2, b"\x09" + bytes(8)), text=field(8, 2, field(1, 0, varint(7)))),
    event(2, lr=tensor(0.5), **{"train/loss": tensor(3, content=True)}),
    event(300, lr=tensor(0.25, double=True)),
    event(300, **{"train/loss": simple(float("nan"))}),
]


def test_event_files(write):
    data = HEADER + b"".join(EVENTS)
    path = write(data, "events.out.tfevents.1700000000.host.1.0")
    log = logs.read(path)
    assert log.names == ("step", "lr", "train/loss")
    assert log.step.tolist() == [1, 2, 300]
    lr, losses, split = one(path)
    assert (lr[:2], lr[-1], len(lr)) == ([0.5, 0.5], 0.25, 300)
    assert (losses, split) == ({1: 4, 2: 3, 300: np.inf}, "train")


def test_a_folder_of_event_files_is_a_run_and_one_of_folders_several(write, tmp_path):
    name = "events.out.tfevents.{}.host"
    for run, scale in (("a", 1), ("b/version_0", 2)):
        (tmp_path / run).mkdir(parents=True)
        first = [event(s, lr=simple(scale), loss=simple(9 - s)) for s in (1, 2, 3)]
        second = [event(s, lr=simple(scale), loss=simple(4 - s)) for s in (2, 3)]
        (tmp_path / run / name.format(1)).write_bytes(HEADER + b"".join(first))
        (tmp_path / run / name.format(2)).write_bytes(HEADER + b"".join(second))
    a, b = logs.load(tmp_path)
    assert (a.name, b.name) == ("a", "b/version_0")
    assert (b.lr.tolist(), b.loss.tolist()) == ([2, 2, 2], [8, 2, 1])
    assert "resumed at step 2: 2 learning rates and 2 losses replaced" in b.notes
    assert logs.load(tmp_path / "a")[0].name == "a"
    with pytest.raises(ValueError, match=r"event files of several runs .*; pass the folder of"):
        logs.read(tmp_path)
    (tmp_path / "none").mkdir()
    with pytest.raises(IsADirectoryError, match=r"a folder without event files.*none"):
        logs.load(tmp_path / "none")


def test_event_files_that_are_still_written_or_damaged(write):
    data = HEADER + b"".join(EVENTS)
    path = write(data[:-5], "events")
    assert "the last record of events, which is incomplete, left out" in logs.load(path)[0].notes
    wrong = bytearray(data)
    wrong[len(HEADER)] ^= 1
    with pytest.raises(ValueError, match=rf"events: damaged at byte {len(HEADER)}: the length"):
        logs.load(write(bytes(wrong), "events"))
    with pytest.raises(ValueError, match="events: no scalars in it"):
        logs.load(write(HEADER, "events"))
    with pytest.raises(ValueError, match="events: record 2 is damaged"):
        logs.load(write(HEADER + record(b"\xff"), "events"))  # a number that does not end


def test_event_files_are_read_as_tensorboard_does(tmp_path):
    module = "tensorboard.backend.event_processing.event_accumulator"
    accumulator = pytest.importorskip(module, reason="TensorBoard is not installed")
    path = tmp_path / "events.out.tfevents.1.host"
    values = [(1, 0.5), (2, 0.25), (300, 0.125)]
    path.write_bytes(HEADER + b"".join(event(step, lr=simple(lr)) for step, lr in values))
    theirs = accumulator.EventAccumulator(str(path)).Reload().Scalars("lr")
    log = logs.read(path)
    assert [(each.step, each.value) for each in theirs] == values
    assert list(zip(log.step.tolist(), log.column("lr").tolist(), strict=True)) == values
