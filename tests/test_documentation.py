"""Every example in the docstrings and in the README's Python blocks runs."""

import doctest
import importlib.util
import pkgutil
import re
import warnings
from pathlib import Path

import pytest

import cvxbound

ROOT = Path(__file__).resolve().parents[1]
FRAMEWORKS = {
    "cvxbound.torch": "torch",
    "cvxbound._torch_operators": "torch",
    "cvxbound.jax": "jax",
}


def modules():
    names = [info.name for info in pkgutil.walk_packages(cvxbound.__path__, "cvxbound.")]
    return ["cvxbound", *(name for name in names if not name.endswith(("_core", "__main__")))]


def is_missing(name):
    return name in FRAMEWORKS and importlib.util.find_spec(FRAMEWORKS[name]) is None


@pytest.mark.parametrize("name", modules())
def test_docstring_examples(name):
    if is_missing(name):
        pytest.skip(f"{name} needs {FRAMEWORKS[name]}")
    results = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert results.failed == 0


def public_things():
    for name in modules():
        # A part of a package, which shows what is public; and what needs a package that is missing.
        if re.search(r"\.\w+\._", name) or is_missing(name):
            continue
        module = importlib.import_module(name)
        for public in getattr(module, "__all__", []):
            thing = getattr(module, public)
            if callable(thing):
                yield f"{name}.{public}", thing


@pytest.mark.parametrize(("name", "thing"), list(public_things()))
def test_every_public_name_is_documented_with_an_example(name, thing):
    assert ">>>" in (thing.__doc__ or "")


def test_readme_python_blocks(monkeypatch, capsys):
    """The README's Python runs as it stands, from the root of the checkout."""
    monkeypatch.chdir(ROOT)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
    assert "a linear decay wants" in capsys.readouterr().out


def test_examples_of_other_tools(monkeypatch, capsys):
    """Each block runs after those before it; those of a tool, named beside it, where it is."""
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    text = (ROOT / "docs" / "interop.md").read_text()
    blocks = re.findall(r"```python(.*?)\n(.*?)```", text, re.DOTALL)
    shared = {}
    for packages, block in blocks:
        if all(map(importable, packages.split())):
            exec(compile(block, "docs/interop.md", "exec"), shared)
    assert "# Megatron-LM: wsd, 1000 steps, warmup=50" in capsys.readouterr().out


def importable(package):
    """Whether a package is there and works, which timm does with a torchvision for its torch."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module(package)
    except (ImportError, RuntimeError):
        return False
    return True


@pytest.mark.parametrize("name", ["advice.md", "fitting.md", "logs.md"])
def test_examples_in_the_notes(name, monkeypatch):
    """They run from the root of the checkout."""
    monkeypatch.chdir(ROOT)
    path = ROOT / "docs" / name
    results = doctest.testfile(str(path), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert results.attempted
    assert results.failed == 0


def autodiff_blocks():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/autodiff.md").read_text(), re.DOTALL)
    return [pytest.param(re.search(r"import (\w+)", block)[1], block) for block in blocks]


# PyTorch's compiler makes an instance of what it deprecates instances of.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("framework", "block"), autodiff_blocks())
def test_blocks_of_the_autodiff_note(framework, block):
    pytest.importorskip(framework, reason=f"the block needs {framework}")
    exec(compile(block, "autodiff.md", "exec"), {})
