"""The pages about the program agree with it: flags, exit codes, encoders, messages, links, the commands in README."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import typer.main
from error_messages import collect
from make_notebook import NOTEBOOK, PAGE, SOURCE, cells_of
from make_reference import exit_codes, make_pages, options_of

import gpu_saliency
from gpu_saliency.cli import app
from gpu_saliency.encode.encoders import ENCODERS
from gpu_saliency.errors import GpuSaliencyError
from gpu_saliency.model.shipped import SHIPPED_MODELS

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PROGRAM: Any = typer.main.get_command(app)
if not hasattr(PROGRAM.commands["encode"].params[0], "type_descriptor"):
    pytest.skip("the pages are made with the locked Typer; older ones describe options otherwise", allow_module_level=True)
PAGES = make_pages()
OUTSIDE = ("README.md", "CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "SECURITY.md")
"""Texts that are no part of docs/, whose links the build of the site does not check."""


@pytest.mark.parametrize("page", sorted(PAGES), ids=lambda page: page.name)
def test_the_reference_is_what_the_program_says(page: Path) -> None:
    assert page.read_text(encoding="utf-8") == PAGES[page], "run scripts/make_reference.py"


def test_each_flag_of_encode_is_listed_once() -> None:
    section = PAGES[ROOT / "docs/reference/commands.md"].partition("\n## encode\n")[2].partition("\n## ")[0]
    listed = [flag for row in re.findall(r"^\| (`-.*?) \|", section, re.MULTILINE) for flag in re.findall(r"`(-[^`]*)`", row)]
    assert sorted(listed) == sorted(flag for one in options_of("encode") for flag in one.opts if flag.startswith("-"))


def test_each_encoder_is_listed_once() -> None:
    page = PAGES[ROOT / "docs/reference/encoders.md"]
    assert re.findall(r"^\| `([^`-]\S*)` \|", page, re.MULTILINE) == list(ENCODERS)


def test_each_exit_code_is_listed() -> None:
    codes = set(exit_codes())
    assert codes >= {0} | {error.exit_code for error in _subclasses(GpuSaliencyError)}
    page = PAGES[ROOT / "docs/reference/exit-codes.md"]
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)} == codes


def test_troubleshooting_quotes_real_messages() -> None:
    text = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    quoted = re.findall(r"^### `(.+)`$", text, re.MULTILINE)
    assert len(quoted) > 20
    assert set(quoted) <= {message.text for message in collect()}


@pytest.mark.parametrize(
    "page", ["README.md", "docs/index.md", "docs/quick-start.md", "docs/concepts.md", "docs/troubleshooting.md"]
)
def test_flags_in_the_texts_for_beginners_exist(page: str) -> None:
    foreign = {"--rm", "--user", "--force-reinstall", "--no-deps"}  # of docker and pip
    text = (ROOT / page).read_text(encoding="utf-8")
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) <= _flags() | foreign


def test_the_pages_of_python_names_have_all() -> None:
    text = "".join((ROOT / f"docs/reference/{page}.md").read_text(encoding="utf-8") for page in ("python", "python-results"))
    listed = re.findall(r"^::: gpu_saliency\.(\w+)$", text, re.MULTILINE)
    assert sorted(listed) == sorted(set(gpu_saliency.__all__) - {"__version__"})


def test_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 90


def test_the_notebook_has_the_cells_of_its_source() -> None:
    import json

    cells = cells_of(SOURCE.read_text(encoding="utf-8"))
    written = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert ["".join(cell["source"]) for cell in written] == [cell.text for cell in cells], "run scripts/make_notebook.py"
    page = PAGE.read_text(encoding="utf-8")
    assert all(cell.text in page for cell in cells)


@pytest.mark.parametrize("name", [*OUTSIDE, *(f"gpu_saliency/models/{one}.md" for one in SHIPPED_MODELS)])
def test_links_lead_to_files_and_headings(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for target, _, anchor in (link.partition("#") for link in re.findall(r"\]\(([^)\s]+)\)", text)):
        if target.startswith(("http:", "https:", "mailto:")):
            continue
        file = (ROOT / name).parent / target if target else ROOT / name
        assert file.exists(), target
        if anchor:
            assert anchor in _anchors(file.read_text(encoding="utf-8")), f"{target}#{anchor}"


def _anchors(text: str) -> set[str]:
    """The anchors of the headings, as GitHub and the site make them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def _flags() -> set[str]:
    names = {flag for name in PROGRAM.commands for one in options_of(name) for flag in (*one.opts, *one.secondary_opts)}
    return names | {"--help", "--version"}


def _subclasses(cls: type[GpuSaliencyError]) -> list[type[GpuSaliencyError]]:
    return [cls, *(inner for one in cls.__subclasses__() for inner in _subclasses(one))]


@pytest.mark.parametrize("page", ["README.md", "docs/python.md", "docs/notebook.md"])
def test_python_in_the_texts_imports_public_names(page: str) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    imports = [node for block in blocks for node in ast.walk(ast.parse(block)) if isinstance(node, ast.ImportFrom)]
    names = {alias.name for node in imports if node.module == "gpu_saliency" for alias in node.names}
    assert names
    assert names <= set(gpu_saliency.__all__)
