"""The words: every module says its job, every link leads somewhere, nothing unfinished or private is committed."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tidy.sources import PRODUCT, ROOT, project_files, python_files, tree_of

DOCUMENTS = [path for path in project_files() if path.suffix == ".md"]
TEXTS = {".py", ".md", ".toml", ".sh", ".service", ".mount", ".automount", ".svg", ""}
UNFINISHED = re.compile("|".join(("TO" + "DO", "FIX" + "ME", "X" * 3)))
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def texts() -> Iterator[tuple[Path, str]]:
    for path in project_files():
        if path.suffix in TEXTS and path.name != "LICENSE":
            yield path, (ROOT / path).read_text("utf-8")


def test_every_module_says_what_it_is_for() -> None:
    assert not [path for path in python_files(PRODUCT, "tests") if not ast.get_docstring(tree_of(path))]


def test_nothing_is_marked_unfinished() -> None:
    assert not [str(path) for path, text in texts() if UNFINISHED.search(text)]


def test_no_machine_path_is_committed() -> None:
    """A checkout must not know on which machine it was written."""
    private = re.compile("|".join(("/wo" + "rk/", "/ro" + "ot/", "/ho" + r"me/\w")))
    assert not [str(path) for path, text in texts() if private.search(text)]


def anchors(document: Path) -> set[str]:
    """The fragment names that a Markdown document's headings get."""
    text = FENCE.sub("", document.read_text("utf-8"))
    headings = re.findall(r"^#+\s+(.+?)\s*$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_every_link_leads_somewhere(document: Path) -> None:
    text = FENCE.sub("", (ROOT / document).read_text("utf-8"))
    for link in LINK.findall(text):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, fragment = link.partition("#")
        target = (ROOT / document).parent / name if name else ROOT / document
        assert target.exists(), f"{document} links to {link}"
        if fragment and target.suffix == ".md":
            assert fragment in anchors(target), f"{document} links to {link}"


@pytest.mark.parametrize(
    "document",
    [
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "docs/architecture.md",
        "docs/semantics.md",
        "docs/durability.md",
        "docs/evidence.md",
        "docs/formats/journal.md",
        "docs/formats/events.md",
    ],
)
def test_document_is_there(document: str) -> None:
    assert (ROOT / document).read_text("utf-8").strip()


def test_the_changelog_has_an_unreleased_section_with_entries() -> None:
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    section = re.search(r"^## Unreleased\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert section and re.search(r"^- ", section.group(1), re.MULTILINE)


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = sorted(int(path.name[:4]) for path in project_files() if path.parts[:2] == ("docs", "decisions"))
    assert numbers == list(range(1, len(numbers) + 1))
