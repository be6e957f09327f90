"""Schedules from and for PyTorch and what is built on it: each against the tool's own steps."""

import copy
import importlib
import importlib.util
import io
import pickle
import sys
import threading
import types
import warnings

import numpy as np
import pytest

import cvxbound as cb
from cvxbound.schedules import from_config, from_hf, from_timm, from_torch, wsd

torch = pytest.importorskip("torch", reason="schedulers of PyTorch need torch")
lr_scheduler = torch.optim.lr_scheduler

T, W, LR = 1000, 100, 1e-3


def new_optimizer(*rates, **options):
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in rates or [LR]]
    return torch.optim.SGD(groups, lr=LR, momentum=0.9, **options)


def used(optimizer, scheduler, steps=T, group=0):
    """The learning rates that the optimizer uses, step by step."""
    optimizer._opt_called = True  # or the scheduler warns; a step would import torch's compiler
    rates = []
    for step in range(steps):
        rates.append(float(optimizer.param_groups[group]["lr"]))
        if step + 1 < steps:
            scheduler.step()
    return np.array(rates)


def rates_of(schedule):
    return schedule.eta * schedule.params["peak"]


SCHEDULERS = {
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda t: min((t + 1) / W, 1 - t / T)),
    "MultiplicativeLR": lambda o: lr_scheduler.MultiplicativeLR(o, lambda t: 0.999),
    "StepLR": lambda o: lr_scheduler.StepLR(o, 100, 0.5),
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, [300, 700], 0.3),
    "ConstantLR": lambda o: lr_scheduler.ConstantLR(o, 0.5, 100),
    "LinearLR": lambda o: lr_scheduler.LinearLR(o, 0.01, 1.0, W),
    "ExponentialLR": lambda o: lr_scheduler.ExponentialLR(o, 0.998),
    "PolynomialLR": lambda o: lr_scheduler.PolynomialLR(o, T, 2.0),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, T, 1e-5),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 250, 2),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, LR, T),
    "OneCycleLR linear": lambda o: lr_scheduler.OneCycleLR(
        o, LR, T, anneal_strategy="linear", three_phase=True
    ),
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 1e-5, LR, 100, mode="triangular2"),
    "ChainedScheduler": lambda o: lr_scheduler.ChainedScheduler(
        [lr_scheduler.LinearLR(o, 0.01, 1.0, W), lr_scheduler.ExponentialLR(o, 0.998)], o
    ),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o,
        [
            lr_scheduler.LinearLR(o, 0.01, 1.0, W),
            lr_scheduler.ConstantLR(o, 1.0, 0),
            lr_scheduler.CosineAnnealingLR(o, T - 700),
        ],
        [W, 700],
    ),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_step_of_a_scheduler(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SequentialLR of torch warns of itself
        optimizer = new_optimizer()
        scheduler = SCHEDULERS[name](optimizer)
        before = copy.deepcopy((optimizer.state_dict(), scheduler.state_dict()))
        found = from_torch(scheduler, T, last_step="given")
        assert str((optimizer.state_dict(), scheduler.state_dict())) == str(before)
        expected = used(optimizer, scheduler)
    np.testing.assert_allclose(rates_of(found), expected, rtol=1e-14)
    assert found.name == name.partition(" ")[0]


def test_groups_have_their_own_rates():
    optimizer = new_optimizer(LR, 3 * LR)
    scheduler = lr_scheduler.LambdaLR(optimizer, [lambda t: 1.0, lambda t: 1 / (1 + t)])
    first, second = (from_torch(scheduler, 10, group=i, last_step="given") for i in (0, 1))
    assert first.params["peak"] == LR
    np.testing.assert_allclose(rates_of(second), 3 * LR / np.arange(1, 11))
    with pytest.raises(ValueError, match="group must be from 0 to 1"):
        from_torch(scheduler, 10, group=2)
    for group in ("0", 1.0, True):
        with pytest.raises(TypeError, match=r"group must be an integer.*got"):
            from_torch(scheduler, 10, group=group)


def test_rates_in_tensors():
    optimizer = new_optimizer(torch.tensor(LR, dtype=torch.float64))
    scheduler = lr_scheduler.StepLR(optimizer, 3)
    found = from_torch(scheduler, 6)
    assert float(optimizer.param_groups[0]["lr"]) == LR
    np.testing.assert_allclose(found.eta, [1, 1, 1, 0.1, 0.1, 0.1])


def test_what_is_no_schedule():
    optimizer = new_optimizer()
    with pytest.raises(ValueError, match="ReduceLROnPlateau follows losses"):
        from_torch(lr_scheduler.ReduceLROnPlateau(optimizer), 10)
    with pytest.raises(TypeError, match=r"one of torch.optim.lr_scheduler, got 3"):
        from_torch(3, 10)
    scheduler = lr_scheduler.StepLR(optimizer, 3)
    used(optimizer, scheduler, 2)
    with pytest.raises(ValueError, match="the StepLR is at step 1, from which"):
        from_torch(scheduler, 10)


def test_a_lambda_that_was_stepped_is_read_from_the_start():
    optimizer = new_optimizer()
    scheduler = lr_scheduler.LambdaLR(optimizer, lambda t: 1 - t / 10)
    expected = from_torch(scheduler, 10)
    used(optimizer, scheduler, 5)
    assert from_torch(scheduler, 10) == expected


class Counting:
    """A factor with a state: it falls with each call, and not with the step."""

    def __init__(self):
        self.calls = []

    def __call__(self, step):
        self.calls.append(step)
        return 1 / len(self.calls)


def test_an_object_that_counts_its_calls_is_left_as_it_is():
    factor = Counting()
    scheduler = lr_scheduler.LambdaLR(new_optimizer(), factor)
    factor.calls.clear()
    found = from_torch(scheduler, 4, last_step="given")
    np.testing.assert_allclose(found.eta, [1, 1 / 2, 1 / 3, 1 / 4])
    assert factor.calls == []


class Trainer:
    """What a method belongs to, and cannot be copied."""

    def __init__(self):
        self.lock = threading.Lock()

    def factor(self, step):
        return 1 - step / 4


def test_a_method_is_called_where_it_is():
    scheduler = lr_scheduler.LambdaLR(new_optimizer(), Trainer().factor)
    assert from_torch(scheduler, 4, last_step="given").eta.tolist() == [1, 0.75, 0.5, 0.25]


# --- to PyTorch ----------------------------------------------------------------------------------


def test_the_optimizer_follows_the_schedule():
    schedule = wsd(T, warmup=W)
    optimizer = new_optimizer(LR, 2 * LR)
    scheduler = schedule.to_torch(optimizer)
    np.testing.assert_array_equal(used(optimizer, scheduler, group=1), 2 * LR * schedule.eta)
    optimizer = new_optimizer(LR, 2 * LR)
    scheduler = schedule.to_torch(optimizer, lr=5 * LR)
    np.testing.assert_allclose(used(optimizer, scheduler, group=1), 5 * LR * schedule.eta)


def test_any_schedule_and_its_end_is_held():
    schedule = cb.optimize(30)
    optimizer = new_optimizer()
    rates = used(optimizer, schedule.to_torch(optimizer), 40)
    np.testing.assert_array_equal(rates[:30], LR * schedule.eta)
    np.testing.assert_array_equal(rates[30:], LR * schedule.eta[-1])


@pytest.mark.parametrize("lr", [None, 0.7])
def test_there_and_back_again(lr):
    schedule = cb.schedules.from_array(np.random.default_rng(0).random(100))
    first = from_torch(schedule.to_torch(new_optimizer(), lr), 100)
    again = from_torch(first.to_torch(new_optimizer(), lr), 100)
    assert first == again
    family = wsd(T, warmup=W)
    assert from_torch(family.to_torch(new_optimizer(), lr), T, last_step="given") == family


def test_a_run_is_resumed():
    schedule = wsd(T, warmup=W)
    optimizer = new_optimizer()
    scheduler = schedule.to_torch(optimizer)
    expected = used(optimizer, schedule.to_torch(new_optimizer()), 0), schedule.eta * LR
    head = used(optimizer, scheduler, 500)
    scheduler.step()
    file = io.BytesIO()
    torch.save({"scheduler": scheduler.state_dict(), "optimizer": optimizer.state_dict()}, file)
    assert file.tell() < 10_000  # no table in it
    file.seek(0)
    state = torch.load(file, weights_only=True)
    optimizer = new_optimizer()
    scheduler = schedule.to_torch(optimizer)
    optimizer.load_state_dict(state["optimizer"])
    scheduler.load_state_dict(state["scheduler"])
    np.testing.assert_array_equal(np.append(head, used(optimizer, scheduler, 500)), expected[1])


def test_a_run_is_resumed_with_a_longer_schedule():
    optimizer = new_optimizer()
    scheduler = wsd(T).to_torch(optimizer)
    used(optimizer, scheduler, 500)
    longer = wsd(2 * T).to_torch(new_optimizer())
    longer.load_state_dict(scheduler.state_dict())
    assert longer.lr_lambdas[0](T) == 1


@pytest.mark.parametrize("name", ["LambdaLR", "OneCycleLR", "CyclicLR", "SequentialLR"])
def test_another_schedule_takes_over_in_the_middle_of_a_run(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SequentialLR of torch warns of itself
        optimizer = new_optimizer()
        used(optimizer, SCHEDULERS[name](optimizer), 501)
    schedule = wsd(2 * T, warmup=W)
    scheduler = schedule.to_torch(optimizer, LR, done=500)
    assert optimizer.param_groups[0]["lr"] == scheduler.get_last_lr()[0] == LR * schedule.eta[500]
    rates = used(optimizer, scheduler, 1500)
    np.testing.assert_array_equal(rates, LR * schedule.eta[500:])
    assert from_torch(scheduler, 2 * T, last_step="given") == schedule


def test_each_group_has_a_learning_rate_of_its_own():
    schedule = wsd(T, warmup=W)
    optimizer = new_optimizer(LR, 2 * LR)
    schedule.to_torch(optimizer, [3 * LR, 4 * LR], done=500)
    assert [each["lr"] for each in optimizer.param_groups] == [3 * LR, 4 * LR]
    with pytest.raises(ValueError, match=r"one for each group of the optimizer, which has 2; got"):
        schedule.to_torch(new_optimizer(LR, 2 * LR), [LR])
    with pytest.raises(ValueError, match=r"lr must be positive and finite; found 0.0 at index 1"):
        schedule.to_torch(new_optimizer(LR, 2 * LR), [LR, 0.0])


def test_an_optimizer_that_has_had_a_scheduler_needs_a_learning_rate():
    """OneCycleLR sets it to a 25th of the peak, and CyclicLR to the least one."""
    optimizer = new_optimizer()
    schedule = from_torch(lr_scheduler.OneCycleLR(optimizer, 25 * LR, T), T)
    message = "lr is needed.*its lr is 0.001, its initial_lr 0.001"
    with pytest.raises(ValueError, match=f"{message}.*read from a run with a peak of 0.025"):
        schedule.to_torch(optimizer)
    with pytest.raises(ValueError, match=rf"{message}\)$"):
        wsd(T).to_torch(optimizer)
    wsd(T).to_torch(optimizer, schedule.params["peak"])
    assert optimizer.param_groups[0]["lr"] == pytest.approx(25 * LR)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((None,), TypeError, "optimizer must be one of torch.optim, got None"),
        ((new_optimizer(), LR, -1), ValueError, "done must be at least 0, got -1"),
        ((new_optimizer(), LR, 0.5), TypeError, "done must be one integer, got 0.5"),
        ((new_optimizer(), "1"), TypeError, "lr must hold real numbers"),
    ],
)
def test_arguments_of_to_torch(arguments, error, message):
    with pytest.raises(error, match=message):
        wsd(T).to_torch(*arguments)


def test_pickles():
    factor = wsd(T).to_torch(new_optimizer(), lr=2 * LR).lr_lambdas[0]
    twin = pickle.loads(pickle.dumps(factor))
    assert [twin(t) for t in (0, 900, 5000)] == [factor(t) for t in (0, 900, 5000)]


def test_the_rate_that_an_optimizer_was_made_with_does_not_matter():
    optimizer = new_optimizer(0.0)
    wsd(T).to_torch(optimizer, lr=LR)
    assert optimizer.param_groups[0]["lr"] == LR


# --- transformers --------------------------------------------------------------------------------

HF = [
    ("linear", {}),
    ("cosine", {}),
    ("cosine", {"num_cycles": 0.25}),
    ("cosine", {"num_cycles": 1.5}),
    ("cosine_with_restarts", {"num_cycles": 3}),
    ("polynomial", {"lr_end": 1e-5, "power": 2.0}),
    ("polynomial", {}),
    ("constant", {}),
    ("constant_with_warmup", {}),
    ("inverse_sqrt", {}),
    ("inverse_sqrt", {"timescale": 50}),
    ("cosine_with_min_lr", {"min_lr": 1e-4}),
    ("cosine_with_min_lr", {"min_lr_rate": 0.1, "num_cycles": 0.3}),
    ("cosine_warmup_with_min_lr", {"min_lr_rate": 0.1}),
    ("cosine_warmup_with_min_lr", {"min_lr": 1e-4, "warmup_lr_rate": 0.05}),
    *(
        ("warmup_stable_decay", {"num_decay_steps": 200, "decay_type": decay, "min_lr_ratio": low})
        for decay in ("linear", "cosine", "1-sqrt")
        for low in (0.0, 0.1)
    ),
    ("warmup_stable_decay", {"num_decay_steps": 2 * T, "decay_type": "linear"}),  # starts within it
    ("warmup_stable_decay", {"num_decay_steps": 200, "warmup_type": "cosine"}),
    ("warmup_stable_decay", {"num_decay_steps": 200, "warmup_type": "1-sqrt"}),
    ("warmup_stable_decay", {"num_decay_steps": 200, "num_stable_steps": 500, "num_cycles": 0.8}),
]


@pytest.fixture(scope="module")
def transformers():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("transformers", reason="the formulas are those of transformers")


@pytest.mark.parametrize("warmup", [0, W])
@pytest.mark.parametrize(("name", "kwargs"), HF)
def test_schedules_of_transformers(transformers, name, kwargs, warmup):
    optimizer = new_optimizer()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler = transformers.get_scheduler(name, optimizer, warmup, T, kwargs)
    found = from_hf(name, T, num_warmup_steps=warmup, lr=LR, last_step="given", **kwargs)
    expected = used(optimizer, scheduler)
    np.testing.assert_allclose(rates_of(found), expected, rtol=1e-9, atol=1e-15 * LR)


def test_the_trainer_follows_what_is_exported(transformers):
    """Its arguments, read by the Trainer's own class."""
    for schedule in (wsd(T, 0.2, "1-sqrt", warmup=W), cb.schedules.cosine(T, final=0.1)):
        text = schedule.to_config("hf", LR)
        args = eval(f"dict(\n{text})")
        optimizer = new_optimizer(args["learning_rate"])
        scheduler = transformers.get_scheduler(
            args["lr_scheduler_type"],
            optimizer,
            args["warmup_steps"],
            args["max_steps"],
            args.get("lr_scheduler_kwargs"),
        )
        rates = used(optimizer, scheduler)
        np.testing.assert_allclose(rates[W:], LR * schedule.eta[W:], rtol=1e-9, atol=1e-15 * LR)
        found = from_config("hf", text, last_step="given")
        np.testing.assert_allclose(rates, rates_of(found), rtol=1e-9, atol=1e-15 * LR)


# --- timm ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def timm():
    """The schedulers of timm, without its models: those need a torchvision built for this torch."""
    spec = importlib.util.find_spec("timm")
    if spec is None:
        pytest.skip("timm is not installed")
    if "timm" not in sys.modules:
        package = types.ModuleType("timm")
        package.__path__ = list(spec.submodule_search_locations)
        sys.modules["timm"] = package
    return importlib.import_module("timm.scheduler")


WARMUP = {"warmup_t": W, "warmup_lr_init": 1e-5}
TIMM = {
    "cosine": ("CosineLRScheduler", {"t_initial": T, "lr_min": 1e-5}),
    "cosine prefix": ("CosineLRScheduler", {"t_initial": T - W, "warmup_prefix": True}),
    "cosine cycles": ("CosineLRScheduler", {"t_initial": 300, "cycle_limit": 3}),
    "noise": ("CosineLRScheduler", {"t_initial": T, "noise_range_t": (0, 500)}),
    "tanh": ("TanhLRScheduler", {"t_initial": T}),
    "tanh without a warm-up": ("TanhLRScheduler", {"t_initial": T, "warmup_t": 0}),
    "poly": ("PolyLRScheduler", {"t_initial": T, "power": 2.0}),
    "step": ("StepLRScheduler", {"decay_t": 300}),
    "multistep": ("MultiStepLRScheduler", {"decay_t": [300, 700]}),
    "wsd": ("WSDLRScheduler", {"t_initial": T - W, "decay_t": 200}),
    "rsqrt": ("WSDLRScheduler", {"t_initial": T - W, "decay_t": 200, "stable_fn": "rsqrt"}),
}


@pytest.mark.parametrize("name", TIMM)
def test_schedulers_of_timm(timm, name):
    kind, options = TIMM[name]
    if not hasattr(timm, kind):
        pytest.skip(f"this timm has no {kind}")
    optimizer = new_optimizer()
    scheduler = getattr(timm, kind)(optimizer, **{"t_in_epochs": False} | WARMUP | options)
    before = str((optimizer.state_dict(), scheduler.state_dict()))
    found = from_timm(scheduler, T, last_step="given")
    assert str((optimizer.state_dict(), scheduler.state_dict())) == before
    rates = []
    for update in range(T):
        rates.append(optimizer.param_groups[0]["lr"])
        scheduler.step_update(update + 1)
    np.testing.assert_allclose(rates_of(found), rates, rtol=1e-14)
    assert found.params["unit"] == "update"


def test_a_scheduler_of_timm_has_a_rate_for_each_group(timm):
    optimizer = new_optimizer(LR, 3 * LR)
    optimizer.param_groups[1]["lr_scale"] = 0.5
    scheduler = timm.CosineLRScheduler(optimizer, t_initial=T, t_in_epochs=False, **WARMUP)
    found = from_timm(scheduler, T, group=1, last_step="given")
    rates = []
    for update in range(T):
        rates.append(optimizer.param_groups[1]["lr"])
        scheduler.step_update(update + 1)
    np.testing.assert_allclose(rates_of(found), rates, rtol=1e-14)
    with pytest.raises(ValueError, match="group must be from 0 to 1"):
        from_timm(scheduler, T, group=2)


def test_a_scheduler_of_timm_knows_its_length(timm):
    scheduler = timm.CosineLRScheduler(new_optimizer(), t_initial=30)
    found = from_timm(scheduler)
    assert (len(found), found.params["unit"]) == (30, "epoch")
    assert "one an epoch" in repr(found)
    step = timm.StepLRScheduler(new_optimizer(), decay_t=3)
    with pytest.raises(ValueError, match="StepLRScheduler has no length of its own; give steps"):
        from_timm(step)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # it is deprecated
        plateau = timm.PlateauLRScheduler(new_optimizer())
    with pytest.raises(ValueError, match="PlateauLRScheduler follows losses"):
        from_timm(plateau, 10)
    with pytest.raises(TypeError, match=r"one of timm.scheduler, got"):
        from_timm(lr_scheduler.StepLR(new_optimizer(), 3), 10)
