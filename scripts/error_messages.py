"""Collects the error messages of the package from its source, for the site and the tests of its pages."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path
from typing import Final

from gpu_saliency import errors
from gpu_saliency.cli.spelling import spell_flag
from gpu_saliency.errors import spell_python

PACKAGE: Final = Path(__file__).resolve().parents[1] / "gpu_saliency"
PYTHON_ONLY: Final = {"kind", "max_frames", "request"}
"""Settings that errors name and that have no flag: they are of functions, or the verbs check their own option first."""
GAP: Final = "…"
"""Stands for the part of a message that depends on the run, such as a path or a number."""
_MOST_FORMS = 6
Names = dict[str, ast.expr]


@dataclass(frozen=True, slots=True, order=True)
class ErrorMessage:
    """One message of an error, as the command line prints it."""

    exit_code: int
    kind: str
    text: str
    """Subject and problem; `GAP` stands for what depends on the run."""
    cure: str
    """What the message says to do about it; empty where it says nothing."""


def collect(folder: Path = PACKAGE) -> list[ErrorMessage]:
    """Return each error message that the source below ``folder`` can make, sorted by exit code and text.

    Messages that consist of a gap only are left out: their text is made elsewhere.
    """
    found: set[ErrorMessage] = set()
    for path in sorted(folder.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names: Names = {
            node.targets[0].id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                found.update(_inside(node, names))
    return sorted(message for message in found if message.text.strip(f"{GAP}: "))


def _inside(function: ast.FunctionDef, names: Names) -> set[ErrorMessage]:
    """The messages of the calls in ``function``, which sees the module's ``names`` and its own."""
    own: Names = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            own[node.targets[0].id] = node.value
    return {message for node in ast.walk(function) if isinstance(node, ast.Call) for message in _messages_of(node, names | own)}


def _messages_of(call: ast.Call, names: Names) -> list[ErrorMessage]:
    cls = getattr(errors, call.func.id, None) if isinstance(call.func, ast.Name) else None
    if not (isinstance(cls, type) and issubclass(cls, errors.GpuSaliencyError) and call.args):
        return []
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    subject = ""
    if isinstance(keywords.get("setting"), ast.Constant):
        value = GAP if "value" in keywords else None
        name = str(ast.literal_eval(keywords["setting"]))
        subject = (spell_python if name in PYTHON_ONLY else spell_flag)(name, value) + ": "
    elif "setting" in keywords:
        subject = f"{GAP}: "
    cures = _texts(keywords["cure"], names) if "cure" in keywords else [""]
    cure = cures[0] if cures[0].strip(GAP) else ""
    return [ErrorMessage(cls.exit_code, cls.kind, subject + text, cure) for text in _texts(call.args[0], names)]


def _texts(node: ast.expr, names: Names) -> list[str]:
    """The texts that ``node`` can give, with `GAP` for what the source does not tell."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.Constant(value=None):
            return [""]
        case ast.Name(id=name) if name in names:
            return _texts(names[name], {other: value for other, value in names.items() if other != name})
        case ast.IfExp(body=one, orelse=other):
            return [*_texts(one, names), *_texts(other, names)]
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return [one + other for one, other in islice(product(_texts(left, names), _texts(right, names)), _MOST_FORMS)]
        case ast.JoinedStr(values=values):
            forms = islice(product(*(_texts(value, names) for value in values)), _MOST_FORMS)
            return [_joined(form) for form in forms]
        case ast.FormattedValue(value=value):
            return _texts(value, names)
        case ast.Call(func=ast.Name(id="setting"), args=[ast.Constant(value=str(name)), *rest]):
            fixed = str(rest[0].value) if rest and isinstance(rest[0], ast.Constant) else GAP
            return [spell_flag(name, fixed if rest else None)]
        case _:
            return [GAP]


def _joined(parts: tuple[str, ...]) -> str:
    text = "".join(parts)
    while GAP * 2 in text:
        text = text.replace(GAP * 2, GAP)
    return text
