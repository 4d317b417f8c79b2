"""Check what a wheel and an sdist contain: ``python scripts/release_contents.py FOLDER``."""

from __future__ import annotations

import sys
import tarfile
import zipfile
from pathlib import Path

MOST_BYTES = 25_000_000
"""Most bytes of a wheel or an sdist. The two models have 21 MB of them; the rest is for code and documentation."""
_WHEEL_NEEDS = (
    "gpu_saliency/__main__.py",
    "gpu_saliency/py.typed",
    "gpu_saliency/models/saliency_fast_v3.onnx",
    "gpu_saliency/models/saliency_best_v3.onnx",
    "gpu_saliency/models/LICENSE-APACHE-2.0.txt",
    "gpu_saliency/preview/web/page/index.html",
    "gpu_saliency/serve/page/index.html",
)
_SDIST_NEEDS = ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "docs/quick-start.md", "gpu_saliency/_version.py")
_SDIST_FOLDERS = {"gpu_saliency", "kernels", "docs"}


def wheel_problems(names: list[str]) -> list[str]:
    """What is wrong with the files of a wheel."""
    tops = {name.split("/")[0] for name in names}
    problems = [f"misses {name}" for name in _WHEEL_NEEDS if name not in names]
    problems += [f"has the folder {top}" for top in sorted(tops) if top != "gpu_saliency" and not top.endswith(".dist-info")]
    if not any(name.startswith("gpu_saliency/kernels/") and name.endswith((".cu", ".cuh")) for name in names):
        problems.append("misses the kernels")
    if not any("/licenses/" in name and name.endswith("LICENSE") for name in names):
        problems.append("misses its licence")
    return problems + _unwanted(names)


def sdist_problems(names: list[str]) -> list[str]:
    """What is wrong with the files of an sdist, by their paths below its only folder."""
    folders = {name.split("/")[0] for name in names if "/" in name}
    problems = [f"misses {name}" for name in _SDIST_NEEDS if name not in names]
    problems += [f"has the folder {folder}" for folder in sorted(folders - _SDIST_FOLDERS)]
    return problems + _unwanted(names)


def _unwanted(names: list[str]) -> list[str]:
    suffixes = (".pyc", ".mp4", ".mkv", ".npz", ".part", ".png", ".webp")
    pages = "gpu_saliency/preview/web/", "gpu_saliency/compare/page/"
    return [f"has {name}" for name in names if name.endswith(suffixes) and not name.startswith(pages)]


def main(folder: Path) -> int:
    """Print the problems of the files in ``folder``; returns the exit status."""
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        problems = [f"{wheel.name} {problem}" for problem in wheel_problems(archive.namelist())]
    with tarfile.open(sdist) as tar:
        names = [one.name.partition("/")[2] for one in tar.getmembers()]
    problems += [f"{sdist.name} {problem}" for problem in sdist_problems(names)]
    sizes = {path.name: path.stat().st_size for path in (wheel, sdist)}
    problems += [f"{name} has {size} bytes" for name, size in sizes.items() if size > MOST_BYTES]
    print(*problems or [f"{name}: {size / 1e6:.1f} MB" for name, size in sizes.items()], sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
