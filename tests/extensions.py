"""Extension modules that the installed package lacks, from a build folder of CMake."""

import importlib.util
import os
from importlib.machinery import ExtensionFileLoader
from pathlib import Path


def load(name, variable):
    """The module at the path that an environment variable holds; None where it is not set."""
    path = os.environ.get(variable)
    if not path:
        return None
    if not Path(path).is_file():
        raise FileNotFoundError(f"{variable} names no file: {path}")
    loader = ExtensionFileLoader(name, path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module
