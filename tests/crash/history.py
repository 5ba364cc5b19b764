"""A history: an endless, seeded sequence of operations on one folder, with a model of what each does.

The writer process runs it against the mount; the test runs the same sequence against the model alone, up to the
operation that had returned when the daemon was killed.  Every step is one system call that changes something, so a
crash leaves the state before it or after it; only a write may have reached the file in part.
"""

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FILES = ("a", "b", "c", "d0/a", "d0/b", "d1/a", "d1/long " + "n" * 200)
FOLDERS = ("d0", "d1", "d2")
WRITE_BYTES_MAX = 64 << 10
FILE_BYTES_MAX = 400 << 10
JOURNAL = "held open"
"""The file that the writer keeps open and appends to through one descriptor."""
WEIGHTS = {
    **dict.fromkeys(("truncate", "chmod", "setxattr", "fsync", "unlink", "link", "mkdir", "rmdir", "rename_folder"), 1),
    **dict.fromkeys(("create", "append", "log", "rename"), 2),
    "write": 3,
}


class Step(NamedTuple):
    """One operation; ``number`` stands for an offset, a size or a mode."""

    verb: str
    path: str
    other: str = ""
    number: int = 0
    data: bytes = b""


class File:
    """What the model knows of one inode; ``serial`` tells inodes apart, also between two runs of one history."""

    def __init__(self, serial: int) -> None:
        self.serial = serial
        self.content = bytearray()
        self.mode = 0o600
        self.xattrs: dict[str, bytes] = {}
        self.synced: bytes | None = None
        """The content, when nothing was changed since it was last fsynced."""


class Model:
    """The folder as it must look: ``files`` maps a path to its inode."""

    def __init__(self) -> None:
        self.created = 0
        self.files: dict[str, File] = {}
        self.folders: set[str] = set()

    def below(self, folder: str) -> list[str]:
        return [path for path in (*self.files, *self.folders) if path.startswith(folder + "/")]

    def apply(self, step: Step) -> None:
        if step.verb in ("write", "append", "truncate"):
            self.files[step.path].synced = None
        getattr(self, "_" + step.verb)(step)

    def _create(self, step: Step) -> None:
        self.created += 1
        self.files[step.path] = File(self.created)

    def _write(self, step: Step) -> None:
        content = self.files[step.path].content
        if len(content) < step.number:
            content.extend(bytes(step.number - len(content)))
        content[step.number : step.number + len(step.data)] = step.data

    def _append(self, step: Step) -> None:
        self.files[step.path].content += step.data

    def _truncate(self, step: Step) -> None:
        content = self.files[step.path].content
        content[:] = content[: step.number] + bytes(max(0, step.number - len(content)))

    def _chmod(self, step: Step) -> None:
        self.files[step.path].mode = step.number

    def _setxattr(self, step: Step) -> None:
        self.files[step.path].xattrs["user.step"] = step.data

    def _fsync(self, step: Step) -> None:
        self.files[step.path].synced = bytes(self.files[step.path].content)

    def _unlink(self, step: Step) -> None:
        del self.files[step.path]

    def _link(self, step: Step) -> None:
        self.files[step.other] = self.files[step.path]

    def _rename(self, step: Step) -> None:
        if self.files.get(step.other) is not self.files[step.path]:  # rename(2): two names of one inode both stay
            self.files[step.other] = self.files.pop(step.path)

    def _mkdir(self, step: Step) -> None:
        self.folders.add(step.path)

    def _rmdir(self, step: Step) -> None:
        self.folders.remove(step.path)

    def _rename_folder(self, step: Step) -> None:
        self.folders.remove(step.path)
        self.folders.add(step.other)
        for path in self.below(step.path):
            self.files[step.other + path[len(step.path) :]] = self.files.pop(path)


def history(seed: int, model: Model) -> Iterator[Step]:
    """Steps that fit the model's present state; the caller applies each before it asks for the next."""
    source = random.Random(seed)
    yield Step("create", JOURNAL)
    while True:
        step = _propose(source, model)
        if step is not None:
            yield step


def _propose(source: random.Random, model: Model) -> Step | None:
    (verb,) = source.choices(list(WEIGHTS), WEIGHTS.values())
    if verb in ("mkdir", "rmdir", "rename_folder"):
        return _propose_folder(source, model, verb)
    if verb == "log":
        return Step("append", JOURNAL, data=source.randbytes(source.randrange(1, 500)))
    path, other = source.sample(FILES, 2)
    if not _may_hold(model, path):
        return None
    if (verb == "create") == (path in model.files):
        return None
    if verb in ("link", "rename") and (not _may_hold(model, other) or (verb == "link" and other in model.files)):
        return None
    return _fill(source, Step(verb, path, other))


def _fill(source: random.Random, step: Step) -> Step:
    if step.verb in ("write", "append"):
        length = source.choice((1, 100, 4096, 5000, WRITE_BYTES_MAX))
        return step._replace(number=source.randrange(FILE_BYTES_MAX), data=source.randbytes(length))
    if step.verb == "truncate":
        return step._replace(number=source.choice((0, 1, 4096, source.randrange(FILE_BYTES_MAX))))
    if step.verb == "chmod":
        return step._replace(number=source.choice((0o600, 0o640, 0o755, 0o444)))
    return step._replace(data=source.randbytes(20)) if step.verb == "setxattr" else step


def _may_hold(model: Model, path: str) -> bool:
    folder, slash, _ = path.rpartition("/")
    return not slash or folder in model.folders


def _propose_folder(source: random.Random, model: Model, verb: str) -> Step | None:
    path, other = source.sample(FOLDERS, 2)
    if (verb == "mkdir") == (path in model.folders):
        return None
    if verb == "rmdir" and model.below(path):
        return None
    if verb == "rename_folder" and other in model.folders:
        return None
    return Step(verb, path, other)


class Runner:
    """Runs steps with real system calls in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.held = -1

    def run(self, step: Step) -> None:
        path, other = self.folder / step.path, self.folder / step.other
        match step.verb:
            case "create":
                descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
                if step.path == JOURNAL:
                    self.held = descriptor
                else:
                    os.close(descriptor)
            case "append" if step.path == JOURNAL:
                _all_of(step, os.write(self.held, step.data))
            case "write" | "append" | "fsync":
                self._through_descriptor(path, step)
            case "truncate":
                os.truncate(path, step.number)
            case "chmod":
                path.chmod(step.number)
            case "setxattr":
                os.setxattr(path, "user.step", step.data)
            case "unlink":
                path.unlink()
            case "link":
                os.link(path, other)
            case "rename" | "rename_folder":
                path.rename(other)
            case "mkdir":
                path.mkdir()
            case "rmdir":
                path.rmdir()

    def _through_descriptor(self, path: Path, step: Step) -> None:
        descriptor = os.open(path, os.O_RDWR | (os.O_APPEND if step.verb == "append" else 0))
        try:
            if step.verb == "append":
                _all_of(step, os.write(descriptor, step.data))
            elif step.verb == "write":
                _all_of(step, os.pwrite(descriptor, step.data, step.number))
            else:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _all_of(step: Step, written: int) -> None:
    """The kernel sends a write in pieces that end at a page; a daemon that dies between them makes it a short one."""
    if written < len(step.data):
        raise OSError(f"only {written} of {len(step.data)} bytes were written")
