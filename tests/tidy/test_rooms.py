"""Who may do what (docs/architecture.md): durability, errnos, the environment and pyfuse3 each have one home."""

import ast
import tomllib
from pathlib import Path

from tests.tidy.sources import PRODUCT, ROOT, imported_modules, python_files, room_of, tree_of

DURABLE_CALLS = {"fsync", "fdatasync", "rename", "renames", "replace", "link_rename"}
ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
ERRNO_FILES = {Path("vaultairefs/fuse/errno_map.py"), Path("vaultairefs/disk/os_errors.py")}


def may_make_durable(path: Path) -> bool:
    return room_of(path) == "disk" or (room_of(path) == "engine" and path.name.startswith("local"))


def uses_of_os(path: Path, names: set[str]) -> list[str]:
    """Where a file names ``os.X`` for one of ``names``, called or passed on, or imports it from os."""
    found = []
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id in ("os", "posix") and node.attr in names:
                found.append(f"{path}:{node.lineno}: os.{node.attr}")
        elif isinstance(node, ast.ImportFrom) and node.module in ("os", "posix"):
            found += [f"{path}:{node.lineno}: from os import {a.name}" for a in node.names if a.name in names]
    return found


def path_renames(path: Path) -> list[str]:
    """Where a file calls ``something.rename(x)`` or ``something.replace(x)``: with one argument that is pathlib's."""
    return [
        f"{path}:{node.lineno}: .{node.func.attr}()"
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("rename", "replace")
        and len(node.args) == 1
        and not node.keywords
    ]


def test_only_disk_and_the_local_engine_fsync_or_rename() -> None:
    outside = [path for path in python_files(PRODUCT) if path.parts[1:] and not may_make_durable(path)]
    assert not [use for path in outside for use in uses_of_os(path, DURABLE_CALLS) + path_renames(path)]


def test_only_the_errno_table_and_the_translation_of_oserror_know_errnos() -> None:
    assert not [path for path in python_files(PRODUCT) if path not in ERRNO_FILES and "errno" in imported_modules(path)]


def test_only_config_reads_the_environment() -> None:
    outside = [path for path in python_files(PRODUCT) if room_of(path) != "config"]
    assert not [use for path in outside for use in uses_of_os(path, ENVIRONMENT)]


def test_only_the_fuse_room_imports_pyfuse3() -> None:
    assert not [p for p in python_files(PRODUCT) if room_of(p) != "fuse" and "pyfuse3" in imported_modules(p)]


def test_the_layers_contract_is_exhaustive_and_names_every_room() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract for contract in contracts if contract["type"] == "layers")
    named = {room.strip() for layer in layers["layers"] for room in layer.split("|")}
    rooms = {room_of(path) for path in python_files(PRODUCT)} - {"__init__", "__main__"}
    assert layers["exhaustive"] is True
    assert rooms <= named


def test_only_the_s3_engine_imports_boto3() -> None:
    outside = [p for p in python_files(PRODUCT) if not (room_of(p) == "engine" and p.name.startswith("s3"))]
    assert not [path for path in outside if {"boto3", "botocore"} & imported_modules(path)]
