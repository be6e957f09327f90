"""Every example in the docstrings and in the README's Python blocks runs."""

import doctest
import importlib
import pkgutil

import pytest

import cvxbound


def modules():
    names = [f"cvxbound.{info.name}" for info in pkgutil.iter_modules(cvxbound.__path__)]
    return ["cvxbound", *(name for name in names if not name.endswith(("_core", "__main__")))]


@pytest.mark.parametrize("name", modules())
def test_docstring_examples(name):
    results = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert results.failed == 0


def test_every_public_name_is_documented_with_an_example():
    for name in cvxbound.__all__:
        thing = getattr(cvxbound, name)
        if callable(thing):
            assert ">>>" in (thing.__doc__ or ""), name
