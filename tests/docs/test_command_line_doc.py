"""docs/command-line.md names what there is, with the defaults that hold."""

import ast
import re
from pathlib import Path

from vaultairefs.cli.application import application
from vaultairefs.config import options, settings

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "command-line.md").read_text("utf-8")


def rows_of(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, its head left out."""
    section = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines[2:]]


def test_every_option_is_documented_and_no_other() -> None:
    documented = {name for row in rows_of("Mount options") for name in re.findall(r"`([a-z_]+)", row[0])}
    assert documented == options.OURS


def test_the_documented_defaults_are_the_ones_that_hold() -> None:
    stated = {}
    for row in rows_of("Mount options"):
        names, default = re.findall(r"`([a-z_]+)=", row[0]), re.fullmatch(r" `([^`/$]+)` ", row[1])
        if default is not None:
            stated.update(dict.fromkeys(names, default[1]))
    assert {"sync", "conflict", "buffer_size", "flush_workers", "flush_delay", "ttl", "events"} <= stated.keys()
    said = settings.load("memory:", "/mnt", [f"{name}={value}" for name, value in stated.items()])
    assert said == settings.load("memory:", "/mnt", [])


def test_every_field_of_status_is_documented_and_no_other() -> None:
    tree = ast.parse((ROOT / "vaultairefs" / "app" / "status.py").read_text("utf-8"))
    (given,) = [node for node in ast.walk(tree) if isinstance(node, ast.Dict)]
    fields = {key.value for key in given.keys if isinstance(key, ast.Constant)}
    documented = {name for row in rows_of("status --json") for name in re.findall(r"`([a-z_]+)`", row[0])}
    assert documented == fields


def test_every_verb_is_documented_and_no_other() -> None:
    commands = {command.name or command.callback.__name__ for command in application.registered_commands}  # type: ignore[union-attr]
    documented = set(re.findall(r"^\| `vaultairefs ([a-z]+)", TEXT, re.MULTILINE))
    assert documented == commands | {"events"}
