"""Train a small language model on the CPU under a schedule of cvxbound, and write its log.

python train.py wsd '{"cooldown": 0.2, "warmup": 100}' --steps 4000 --lr 8e-3 --out wsd.csv

A transformer predicts the bytes of Python's own standard library, one after the other; every tenth
file is held out. The initial weights, the batches and what is evaluated are the same in all runs,
which differ in their learning rates alone.
"""

from __future__ import annotations

import argparse
import json
import sysconfig
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

import cvxbound as cb

SEED = 1
COLUMNS = ("step", "lr", "train_loss", "val_loss", "grad_norm")
LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "idle_test"}
LEFT_OUT |= {"encodings", "pydoc_data"}  # tables written by scripts


@dataclass(frozen=True)
class Setting:
    """The size of the model, of its batches, and of an evaluation."""

    width: int = 64
    layers: int = 2
    heads: int = 2
    context: int = 64
    batch: int = 16
    every: int = 50  # steps from one row of the log to the next
    evaluated: int = 32  # batches, the same ones each time


class Block(nn.Module):
    """Attention to the bytes before, then a perceptron, each added to what comes in."""

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        width, self.heads = setting.width, setting.heads
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_qkv = nn.Linear(width, 3 * width, bias=False)
        self.from_heads = nn.Linear(width, width, bias=False)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, context, width) to the same shape."""
        heads = self.to_qkv(self.before_attention(x)).unflatten(-1, (3 * self.heads, -1))
        q, k, v = heads.transpose(1, 2).chunk(3, dim=1)
        seen = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.from_heads(seen.transpose(1, 2).flatten(2))
        return x + self.mlp(self.before_mlp(x))


class LanguageModel(nn.Module):
    """The logits of the next byte after each byte of a context."""

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self.byte = nn.Embedding(256, setting.width)
        self.place = nn.Embedding(setting.context, setting.width)
        self.blocks = nn.Sequential(*(Block(setting) for _ in range(setting.layers)))
        self.norm = nn.LayerNorm(setting.width)
        self.head = nn.Linear(setting.width, 256, bias=False)
        nn.init.normal_(self.byte.weight, std=0.02)
        nn.init.normal_(self.place.weight, std=0.02)

    def forward(self, text: Tensor) -> Tensor:
        """(batch, context) bytes to (batch, context, 256)."""
        x = self.byte(text) + self.place.weight[: text.shape[1]]
        return self.head(self.norm(self.blocks(x)))


def read_text() -> tuple[Tensor, Tensor]:
    """The bytes to train on, and those held out."""
    root = Path(sysconfig.get_path("stdlib"))
    files = [path.relative_to(root) for path in sorted(root.rglob("*.py"))]
    files = [file for file in files if not LEFT_OUT.intersection(file.parts)]
    held_out = files[::10]
    kept = [file for file in files if file not in set(held_out)]
    return joined(root, kept), joined(root, held_out)


def joined(root: Path, files: list[Path]) -> Tensor:
    """The bytes of files, one after the other."""
    text = bytearray().join((root / file).read_bytes() for file in files)
    return torch.frombuffer(text, dtype=torch.uint8)


def draw(text: Tensor, setting: Setting, random: torch.Generator) -> Tensor:
    """A batch: pieces of the text of one byte more than the context."""
    length = setting.context + 1
    starts = torch.randint(len(text) - length, (setting.batch, 1), generator=random)
    return text[starts + torch.arange(length)].long()


def mean_loss(model: LanguageModel, batch: Tensor) -> Tensor:
    """Cross-entropy in nats a byte."""
    return nn.functional.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())


@torch.inference_mode()
def evaluate(model: LanguageModel, batches: list[Tensor]) -> float:
    """The mean loss of batches of one size."""
    return sum(mean_loss(model, batch).item() for batch in batches) / len(batches)


def train(schedule: cb.Schedule, lr: float, out: Path, setting: Setting | None = None) -> float:
    """Train under `lr` times a schedule, and write the log when all is done.

    Parameters
    ----------
    schedule : Schedule
        Its shape: step t = 1..T is taken with ``lr * schedule.eta[t - 1]``.
    lr : float
        The peak of the learning rate.
    out : Path
        The log: a row after the first step, after every `setting.every` steps and after the last.
        ``train_loss`` and ``grad_norm`` (before clipping) are means over the steps since the row
        above.
    setting : Setting, optional
        All sizes.

    Returns
    -------
    float
        The last validation loss.
    """
    setting = setting or Setting()
    out.parent.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # other numbers of threads add in other orders
    torch.manual_seed(SEED)
    model = LanguageModel(setting)
    optimizer = torch.optim.AdamW(
        model.parameters(), betas=(0.9, 0.95), weight_decay=0.1, fused=True
    )
    to_train, held_out = read_text()
    random = torch.Generator().manual_seed(SEED)
    validation = [draw(held_out, setting, random) for _ in range(setting.evaluated)]
    rows, recent, start = [], [], time.perf_counter()
    for step, rate in enumerate((lr * schedule.eta).tolist(), 1):
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        loss = mean_loss(model, draw(to_train, setting, random))
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        recent.append((loss.item(), norm.item()))
        if step == 1 or step % setting.every == 0 or step == len(schedule):
            train_loss, grad_norm = (sum(each) / len(recent) for each in zip(*recent, strict=True))
            val_loss = evaluate(model, validation)
            rows.append((step, rate, train_loss, val_loss, grad_norm))
            recent = []
            report(step, len(schedule), val_loss, time.perf_counter() - start)
    write(out, rows)
    return val_loss


def report(step: int, steps: int, val_loss: float, seconds: float) -> None:
    """Print how far a run is, ten times in all."""
    if step == steps or step % max(steps // 10, 1) == 0:
        each = 1e3 * seconds / step
        print(f"  step {step}/{steps}, val_loss {val_loss:.4f}, {each:.0f} ms a step", flush=True)


def write(out: Path, rows: list[tuple[float, ...]]) -> None:
    """Write a log that is there whole or not at all."""
    lines = [COLUMNS, *((str(row[0]), *(f"{value:.6g}" for value in row[1:])) for row in rows)]
    part = out.with_name(out.name + ".part")
    part.write_text("".join(",".join(line) + "\n" for line in lines))
    part.replace(out)


def main() -> None:
    """Train once, as the command line says."""
    parser = argparse.ArgumentParser(description="Train a small language model, write its log.")
    parser.add_argument("family", choices=sorted(cb.schedules.FAMILIES), help="the schedule")
    parser.add_argument("params", type=json.loads, nargs="?", default={}, help="its own, as JSON")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--lr", type=float, required=True, help="peak learning rate")
    parser.add_argument("--out", type=Path, required=True, help="the log to write, a CSV file")
    given = parser.parse_args()
    schedule = cb.schedules.by_name(given.family, given.steps, **given.params)
    train(schedule, given.lr, given.out)


if __name__ == "__main__":
    main()
