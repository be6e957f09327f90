"""What tests share: how examples are drawn, and calls of the command line."""

import json

import hypothesis
import pytest

from cvxbound import cli

# How long an example takes says more of the machine than of the code.
hypothesis.settings.register_profile("cvxbound", deadline=None)
hypothesis.settings.load_profile("cvxbound")


@pytest.fixture
def run(capsys):
    """Run a command in this process: its exit code, standard output and standard error."""

    def call(*argv):
        code = cli.main([str(each) for each in argv])
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def ask(run):
    """The JSON that a command prints."""

    def call(*argv):
        code, out, err = run(*argv, "--json")
        assert (code, err) == (0, "")
        assert out.count("\n") == 1
        return json.loads(out, parse_constant=pytest.fail)

    return call


@pytest.fixture
def refuse(run):
    """The error of a command: one paragraph, nothing on the standard output."""

    def call(code, *argv):
        found, out, err = run(*argv)
        assert (found, out) == (code, "")
        assert err.startswith("cvxbound: ")
        assert err.count("\n") == 1
        return err

    return call


@pytest.fixture
def write(tmp_path):
    """Write a file and return its path."""

    def write(text, name="run.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write
