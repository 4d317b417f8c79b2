"""Print the lowest versions that pyproject.toml allows, as constraints for pip:  python scripts/lowest_versions.py EXTRA,..."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

_PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
_LOWER_BOUND = re.compile(r"^([\w.-]+)(?:\[[\w,-]+\])?[^;]*?>=([\w.]+)")


def lowest_versions(extras: list[str]) -> list[str]:
    """``name==version`` for every direct dependency of the package and of ``extras`` that has a lower bound, sorted."""
    project = tomllib.loads(_PYPROJECT.read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    return sorted({f"{bound[1]}=={bound[2]}" for line in wanted if (bound := _LOWER_BOUND.match(line))})


if __name__ == "__main__":
    print("\n".join(lowest_versions(sys.argv[1].split(","))))
