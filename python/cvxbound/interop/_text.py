"""Settings as text to paste, in the language of each tool, and read from it again."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from . import _olmo, _torchtitan
from ._tools import WritableTool


def write(tool: WritableTool, settings: Mapping[str, Any], comments: list[str]) -> str:
    """Settings below comments; each ends a line."""
    lines = [f"# {comment}" for comment in comments]
    return "\n".join([*lines, *_LANGUAGES[tool.FORMAT].write(settings)]) + "\n"


def read(tool: WritableTool, text: str) -> dict[str, Any]:
    """The settings that `write` wrote, or that somebody else did in the same language."""
    return _LANGUAGES[tool.FORMAT].read(text)


def form(tool: WritableTool) -> str:
    """What the text of a tool's settings looks like."""
    return _LANGUAGES[tool.FORMAT].form


def _write_flags(settings: Mapping[str, Any]) -> list[str]:
    return [f"--{name.replace('_', '-')} {value}" for name, value in settings.items()]


def _write_dotted(settings: Mapping[str, Any]) -> list[str]:
    names = [name for name in settings if name in _torchtitan.IN_GROUP]
    flags = [f"--{_torchtitan.IN_GROUP[name]} {settings[name]}" for name in names]
    if "lr" in settings:
        flags.insert(0, f"# lr={settings['lr']!r} in the settings of the optimizer")
    return flags


def _read_flags(text: str) -> dict[str, Any]:
    words = shlex.split(text.replace("\\\n", " "), comments=True)
    found: dict[str, Any] = {}
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            continue
        name, equals, value = word.partition("=")
        if not equals:
            value = words.pop(0) if words and not words[0].startswith("--") else "True"
        found[name] = _literal(value)
    return found


def _read_dotted(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        if not re.search(r"^\s*--", text, re.MULTILINE):
            raise
        return _read_flags(text)


def _write_yaml(settings: Mapping[str, Any]) -> list[str]:
    return [f"{name}: {_plain(value)}" for name, value in settings.items()]


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


def _read_yaml(text: str) -> dict[str, Any]:
    """Lines of a file, or the words of a command line."""
    found: dict[str, Any] = {}
    for line in text.replace("\\\n", " ").splitlines():
        bare = line.partition("#")[0]
        row = re.match(r"\s*(\w+)\s*:(.*)", bare)
        for name, value in [row.groups()] if row else re.findall(r"(\w+)=(\S+)", bare):
            word = value.strip(" '\"")
            found[name] = None if word in ("null", "~") else _literal(word)
    return found


def _write_python(settings: Mapping[str, Any]) -> list[str]:
    return [f"{name}={value!r}," for name, value in settings.items()]


def _read_python(text: str) -> dict[str, Any]:
    call = ast.parse(f"dict(\n{text}\n)", mode="eval").body
    found: dict[str, Any] = _object(call)
    return found


def _write_assignments(settings: Mapping[str, Any]) -> list[str]:
    inner = {key: value for key, value in settings.items() if key not in ("lr", "max_steps")}
    told = {"lr": "of the optimizer", "max_steps": "of the trainer: Duration.steps(...)"}
    lines = [f"{key} = {settings[key]!r}  # {told[key]}" for key in told if key in settings]
    name = _olmo.CLASSES[inner.pop("type")]
    lines.append(f"scheduler = {name}(")
    for key, value in inner.items():
        if key != "stages":
            lines.append(f"    {key}={value!r},")
            continue
        lines.append("    stages=[")
        for stage in value:
            words = ", ".join(f"{each}={stage[each]!r}" for each in stage)
            lines.append(f"        ComposableSchedulerStage({words}),")
        lines.append("    ],")
    return [*lines, ")"]


def _read_assignments(text: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for line in ast.parse(text).body:
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
            found[line.targets[0].id] = _object(line.value)
    return found


def _object(node: ast.expr) -> Any:
    """A literal; a member of an enumeration by its name, which OLMo-core has as its value too.

    A call is the mapping of its arguments; the name of what is called is their `type`.
    """
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func).rpartition(".")[2]
        inner = {str(each.arg): _object(each.value) for each in node.keywords}
        return inner if name in ("dict", "ComposableSchedulerStage") else {"type": name} | inner
    if isinstance(node, ast.List):
        return [_object(each) for each in node.elts]
    if isinstance(node, ast.Attribute):
        return node.attr
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ValueError(f"expected a number, a string or such, got {ast.unparse(node)}") from None


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


class _Language(NamedTuple):
    form: str  # what it looks like, for messages
    write: Callable[[Mapping[str, Any]], list[str]]
    read: Callable[[str], dict[str, Any]]


_LANGUAGES: Mapping[str, _Language] = {
    "flags": _Language("flags (--lr 3e-4)", _write_flags, _read_flags),
    "dotted flags": _Language(
        "TOML ([lr_scheduler] above warmup_steps = 50) or flags (--lr_scheduler.warmup_steps 50)",
        _write_dotted,
        _read_dotted,
    ),
    "yaml": _Language("YAML (steps: 100) or a command line (steps=100)", _write_yaml, _read_yaml),
    "python": _Language("arguments of Python (max_steps=100,)", _write_python, _read_python),
    "assignments": _Language(
        "assignments of Python (scheduler = WSD(warmup=50))", _write_assignments, _read_assignments
    ),
}
