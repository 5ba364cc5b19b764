"""Compares a folder with the model of a history that was cut off."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from tests.crash.history import File, Model, Step, history

Inode = tuple[bytes, int, dict[str, bytes]]


class Observed:
    """A folder as a program sees it: contents, modes and xattrs by path, and which paths are one inode."""

    def __init__(self, folder: Path) -> None:
        self.folders: set[str] = set()
        self.files: dict[str, Inode] = {}
        self.twins: dict[str, int] = {}
        for path in sorted(folder.rglob("*")):
            name = str(path.relative_to(folder))
            if path.is_dir():
                self.folders.add(name)
                continue
            info = path.stat()
            xattrs = {key: os.getxattr(path, key) for key in os.listxattr(path)}
            self.files[name] = (path.read_bytes(), info.st_mode & 0o7777, xattrs)
            self.twins[name] = info.st_ino


def steps_of(seed: int) -> Iterator[Step]:
    """The steps of a history, each after the one before has been applied."""
    model = Model()
    for step in history(seed, model):
        yield step
        model.apply(step)


def model_after(seed: int, steps: int) -> tuple[Model, Step]:
    """The model once ``steps`` steps have returned, and the step that came next."""
    model = Model()
    sequence = history(seed, model)
    for step in itertools.islice(sequence, steps):
        model.apply(step)
    return model, next(sequence)


def complaints(seen: Observed, seed: int, begun: int, done: int) -> list[str]:
    """Why the folder is neither the state after ``done`` steps nor, if one more had begun, the state after that."""
    model, following = model_after(seed, done)
    before = _differences(seen, model)
    if not before or begun == done:
        return before
    partly = {following.path} if following.verb in ("write", "append") else set()
    if partly and not _differences(seen, model, leave_out=_names_of(model, following.path)):
        return _mixture(seen, model.files[following.path].content, following)
    model.apply(following)
    after = _differences(seen, model)
    return [*before, f"or, with {following.verb} {following.path} done:", *after] if after else []


def name_complaints(seen: Observed, model: Model) -> list[str]:
    """Where names, links, modes and xattrs differ from the model's; contents do not count."""
    return _differences(seen, model, leave_out=frozenset(model.files))


def prefix_complaints(seen: Observed, seed: int, begun: int, done: int) -> list[str]:
    """Why the names are not those after any step between the last fsync and the end, or which synced bytes are lost."""
    history_so_far = [step for _, step in zip(range(begun), steps_of(seed), strict=False)]
    synced = max((n for n, step in enumerate(history_so_far[:done], 1) if step.verb == "fsync"), default=0)
    model, named = Model(), {}
    for number, step in enumerate(history_so_far, 1):
        if number > done and step.verb == "fsync":
            continue  # it had begun and promised nothing yet
        model.apply(step)
        if number >= synced and not name_complaints(seen, model):
            named = {name: file.serial for name, file in model.files.items()}
    if not named:
        return ["no prefix fits; against the last fsync:", *name_complaints(seen, model_after(seed, synced)[0])]
    stable = {file.serial: file.synced for file in model.files.values() if file.synced is not None}
    return [
        f"{name}: synced bytes are not there"
        for name, serial in named.items()
        if serial in stable and seen.files[name][0] != stable[serial]
    ]


def _names_of(model: Model, path: str) -> frozenset[str]:
    return frozenset(name for name, file in model.files.items() if file is model.files[path])


def _differences(seen: Observed, model: Model, leave_out: frozenset[str] = frozenset()) -> list[str]:
    found = [
        f"folder {name}: {'lost' if name in model.folders else 'too many'}" for name in seen.folders ^ model.folders
    ]
    found += [
        f"file {name}: {'lost' if name in model.files else 'too many'}"
        for name in seen.files.keys() ^ model.files.keys()
    ]
    for name in seen.files.keys() & model.files.keys():
        found += _file_differences(name, seen.files[name], model.files[name], name in leave_out)
    for one, other in itertools.combinations(sorted(seen.files.keys() & model.files.keys()), 2):
        if (seen.twins[one] == seen.twins[other]) != (model.files[one] is model.files[other]):
            found.append(f"{one} and {other} are linked in one and not in the other")
    return found


def _file_differences(name: str, seen: Inode, expected: File, skip_content: bool) -> list[str]:
    content, mode, xattrs = seen
    found = []
    if content != expected.content and not skip_content:
        at = next((i for i, (x, y) in enumerate(zip(content, expected.content, strict=False)) if x != y), "the end")
        found.append(f"{name}: content differs at {at} (sizes {len(content)}, expected {len(expected.content)})")
    if mode != expected.mode:
        found.append(f"{name}: mode {mode:o}, expected {expected.mode:o}")
    if xattrs != expected.xattrs:
        found.append(f"{name}: xattrs differ")
    return found


def _mixture(seen: Observed, old: bytearray, step: Step) -> list[str]:
    """A write that had not returned may have reached the file in part, but nothing else may have changed."""
    start = len(old) if step.verb == "append" else step.number
    end = start + len(step.data)
    new = bytearray(old.ljust(end, b"\0"))
    new[start:end] = step.data
    actual = seen.files[step.path][0]
    padded = bytes(old).ljust(len(actual), b"\0")
    if len(actual) > len(new) or len(actual) < len(old):
        return [f"{step.path}: size {len(actual)} is neither old ({len(old)}) nor new ({len(new)})"]
    wrong = [at for at, byte in enumerate(actual) if byte not in (padded[at], new[at])]
    return [f"{step.path}: byte {wrong[0]} is neither old nor new"] if wrong else []
