"""A training loop that looks at its own bound, and is made longer while it runs.

python examples/live/train.py

A small network learns a function under a schedule of PyTorch's. The loop reads that schedule, logs
the bound it predicts beside the loss, and half-way through asks for twice the steps: it goes on at
the same peak learning rate, with a schedule that makes this rate the best one for the longer run.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

import cvxbound as cb


@dataclass(frozen=True)
class Plan:
    """What is run: the peak learning rate, the steps, and when to ask for how many more."""

    lr: float = 0.1
    steps: int = 400
    ask_after: int = 200
    longer: int = 800
    every: int = 50  # steps from one row of the log to the next


@dataclass(frozen=True)
class Row:
    """A row of the log, of step `step`; the bound is in units of D G."""

    step: int
    lr: float
    loss: float
    bound: float


def planned(optimizer: torch.optim.Optimizer, steps: int) -> LambdaLR:
    """A scheduler as a training script has it: a plateau, then down over the last fifth."""
    cooldown = steps // 5
    return LambdaLR(optimizer, lambda step: min(1.0, (steps - step) / cooldown))


def train(plan: Plan) -> tuple[list[Row], cb.Extension]:
    """Train, and return the log and the extension of the run."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 1))
    target = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1)).requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), lr=plan.lr)
    scheduler = planned(optimizer, plan.steps)

    schedule = cb.schedules.from_torch(scheduler, plan.steps, last_step="given")
    gamma = cb.tune(schedule).gamma  # `lr` was tuned for this schedule: it is this, in other units
    predicted = cb.curve(schedule, gamma)

    rows, losses = [], []
    for step in range(1, plan.longer + 1):
        x = torch.randn(32, 8)
        loss = nn.functional.l1_loss(model(x), target(x))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step % plan.every == 0:
            rate = optimizer.param_groups[0]["lr"]
            rows.append(Row(step, rate, float(np.mean(losses)), float(predicted[step - 1])))
            losses.clear()
        scheduler.step()
        if step == plan.ask_after:
            extension = cb.extend(schedule, plan.longer, resume=step)
            predicted = cb.curve(extension.schedule, extension.gamma)
            scheduler = extension.schedule.to_torch(optimizer, plan.lr, done=step)
    return rows, extension


def main() -> None:
    """Train once and print the log."""
    parser = argparse.ArgumentParser(description="Train under a schedule that is made longer.")
    for name, value in vars(Plan()).items():
        flag = "--" + name.replace("_", "-")
        parser.add_argument(flag, type=type(value), default=value, help="default: %(default)s")
    plan = Plan(**vars(parser.parse_args()))
    rows, extension = train(plan)
    print("  step      lr    loss   bound")
    for row in rows:
        if row.step - plan.every < plan.ask_after + 1 <= row.step:
            print(f"--- after step {plan.ask_after}: {extension.message}")
        print(f"{row.step:6} {row.lr:7.4f} {row.loss:7.4f} {row.bound:7.4f}")
    print(extension)


if __name__ == "__main__":
    main()
