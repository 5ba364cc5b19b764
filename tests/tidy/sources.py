"""Reads the checkout for the tidy tests: which files belong to the project, and their syntax trees."""

import ast
import functools
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PRODUCT = "vaultairefs"


@functools.cache
def project_files() -> tuple[Path, ...]:
    """Every file that git tracks or would track, as a path below the checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout
    names = {name.decode() for name in listed.split(b"\0") if name}
    return tuple(sorted(Path(name) for name in names if (ROOT / name).is_file()))


def python_files(*folders: str) -> list[Path]:
    """The Python files below the given top folders."""
    return [path for path in project_files() if path.suffix == ".py" and path.parts[0] in folders]


@functools.cache
def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a file below the checkout."""
    return ast.parse((ROOT / path).read_text("utf-8"), filename=str(path))


def functions_of(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method of a file, nested ones too."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def classes_of(path: Path) -> Iterator[ast.ClassDef]:
    """Every class of a file."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ClassDef):
            yield node


def public_methods(node: ast.ClassDef) -> list[str]:
    """The methods and properties that a class offers under a public name, each once."""
    names = [
        item.name
        for item in node.body
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) and not item.name.startswith("_")
    ]
    return sorted(set(names))


def is_seam(node: ast.ClassDef) -> bool:
    """Whether a class is a Protocol: its width is the subject of its own contract."""
    return any("Protocol" in ast.unparse(base) for base in node.bases)


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many lines a function's body takes, its docstring apart."""
    body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
    if not body:
        return 0
    return (body[-1].end_lineno or body[-1].lineno) - body[0].lineno + 1


def imported_modules(path: Path) -> set[str]:
    """The top-level names of everything that a file imports."""
    found: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def room_of(path: Path) -> str:
    """The room that a product file belongs to, whether the room is a folder or one module."""
    return path.parts[1].removesuffix(".py")
