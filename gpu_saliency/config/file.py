"""Reads a config file; each problem is an error that names the file and the line.

The tables, the later ones over the earlier: ``[defaults]`` for every command that has the option, ``[COMMAND]``, and of the profile
that the user chooses ``[profiles.NAME]`` and ``[profiles.NAME.COMMAND]``. Keys are the long options without dashes.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_saliency.errors import UsageError, near, setting
from gpu_saliency.untrusted.regular import read_regular

VARIABLE = "GPU_SALIENCY_CONFIG"
NAME = "config.toml"
DEFAULTS, PROFILES = "defaults", "profiles"
_MAX_BYTES = 1 << 20
_HEADER = re.compile(r"^\s*\[\s*([^\[\]]+?)\s*\]\s*(?:#.*)?$")

_AT_LINE = re.compile(r"\(at line (\d+),")

Kind = str
"""What an option takes: ``switch``, ``number``, ``text`` or ``list``."""
Known = Mapping[str, Mapping[str, Kind]]
"""The options of each command that a file may set."""


def config_path() -> Path | None:
    """The file that is read where the user names none: that of ``GPU_SALIENCY_CONFIG`` (empty: none), else in the user's folder."""
    given = os.environ.get(VARIABLE)
    if given is not None:
        return Path(given) if given else None
    import platformdirs  # imported late, as it is needed once

    return platformdirs.user_config_path("gpu-saliency") / NAME


def tables_for(command: str, profile: str | None) -> tuple[str, ...]:
    """The tables that apply to ``command``, the weakest first."""
    own = () if profile is None else (f"{PROFILES}.{profile}", f"{PROFILES}.{profile}.{command}")
    return (DEFAULTS, command, *own)


@dataclass(frozen=True, slots=True)
class Config:
    """A config file."""

    path: Path
    text: str
    tables: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Config:
        """Read ``path``. Raises `UsageError` where it is missing, unreadable or not TOML."""
        cure = f"give {setting('config')} the path of a TOML file; gpu-saliency config init writes one"
        try:
            text = read_regular(path, _MAX_BYTES).decode("utf-8")
            return cls(path, text, tomllib.loads(text))
        except UnicodeDecodeError as error:
            raise UsageError(f"{path}: is not UTF-8", cure=cure) from error
        except tomllib.TOMLDecodeError as error:
            line = _AT_LINE.search(str(error))
            where = path if line is None else f"{path}:{line[1]}"
            raise UsageError(f"{where}: is not TOML: {error}", cure="correct that line") from error
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror}", cure=cure) from error
        except ValueError as error:
            raise UsageError(f"{path}: {error}", cure=cure) from error

    @property
    def profiles(self) -> tuple[str, ...]:
        """Names of the profiles."""
        profiles = self.tables.get(PROFILES, {})
        return tuple(profiles) if isinstance(profiles, dict) else ()

    def check(self, known: Known) -> None:
        """Raise `UsageError` for a table, a key or a value that this program does not know."""
        everything = {name: kind for options in known.values() for name, kind in options.items()}
        for name, value in self.tables.items():
            if name == PROFILES:
                for profile, inner in _table(self, value, name).items():
                    self._check_profile(f"{PROFILES}.{profile}", inner, known, everything)
            elif name == DEFAULTS:
                self._check_table(name, value, everything)
            elif name in known:
                self._check_table(name, value, known[name])
            else:
                names = (DEFAULTS, PROFILES, *known)
                problem = f"unknown table [{name}]{near(name, names)}"
                raise self._error((name,), None, problem, "the tables are " + ", ".join(names))

    def settings(self, command: str, profile: str | None, known: Known) -> list[dict[str, Any]]:
        """The options that apply to ``command``, by name, the weakest table first. Raises `UsageError` for an unknown profile."""
        layers = [self.tables.get(DEFAULTS, {}), self.tables.get(command, {})]
        if profile is not None:
            if profile not in self.profiles:
                there = ", ".join(self.profiles) or "none"
                raise UsageError(f"{self.path} has no such profile", setting="profile", value=profile, cure=f"it has: {there}")
            chosen = self.tables[PROFILES][profile]
            layers += [{name: value for name, value in chosen.items() if not isinstance(value, dict)}, chosen.get(command, {})]
        options = known[command]
        return [{name: _as_given(value, options[name]) for name, value in layer.items() if name in options} for layer in layers]

    def place(self, tables: Sequence[str], key: str) -> str:
        """Path and line of ``key`` in the last of ``tables`` that has it; the path alone where none has."""
        line = next((line for table in reversed(tables) for line in self._lines_of(table, key)), None) if key else None
        return f"{self.path}" if line is None else f"{self.path}:{line}"

    def _check_profile(self, name: str, table: Any, known: Known, everything: Mapping[str, Kind]) -> None:
        own = {key: value for key, value in _table(self, table, name).items() if not isinstance(value, dict)}
        self._check_table(name, own, everything)
        for command, inner in table.items():
            if isinstance(inner, dict):
                if command not in known:
                    raise self._error(
                        (f"{name}.{command}",), None, f"unknown command {command}{near(command, known)}", "see --help"
                    )
                self._check_table(f"{name}.{command}", inner, known[command])

    def _check_table(self, name: str, table: Any, options: Mapping[str, Kind]) -> None:
        for key, value in _table(self, table, name).items():
            if key not in options:
                problem = f"unknown key {key}{near(key, options)}"
                raise self._error((name,), key, problem, "the keys are the long options without dashes")
            kind, found = options[key], _kind_of(value)
            if found != kind and not (kind == "text" and found == "number"):
                wanted = {"switch": "true or false", "number": "a number", "text": "a text", "list": "a list of texts"}[kind]
                raise self._error((name,), key, f"{key} is not {wanted}", f"give {wanted}")

    def _error(self, tables: tuple[str, ...], key: str | None, problem: str, cure: str) -> UsageError:
        line = next(self._lines_of(tables[0], key), None)
        where = f"{self.path}" if line is None else f"{self.path}:{line}"
        return UsageError(f"{where}: {problem}", cure=cure)

    def _lines_of(self, table: str, key: str | None) -> Iterator[int]:
        """Numbers of the lines that hold ``key`` of ``table``, or its header."""
        current = ""
        for number, line in enumerate(self.text.splitlines(), 1):
            header = _HEADER.match(line)
            if header is not None:
                current = ".".join(part.strip().strip("\"'") for part in header[1].split("."))
                if key is None and (current == table or current.startswith(f"{table}.")):
                    yield number
            elif re.match(rf"""\s*(["']?){re.escape(key or table)}\1\s*[.=]""", line) and (current == table or key is None):
                yield number


def _table(config: Config, value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise config._error((name,), None, f"{name} is not a table", f"write [{name}] above its keys")
    return value


def _kind_of(value: Any) -> Kind:
    if isinstance(value, bool):
        return "switch"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "text"
    return "list" if isinstance(value, list) and all(isinstance(one, str) for one in value) else "other"


def _as_given(value: Any, kind: Kind) -> Any:
    """``value`` as the command line would give it."""
    return str(value) if kind == "text" else value
