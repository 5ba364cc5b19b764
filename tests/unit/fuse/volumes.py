"""A stand-in volume for the handlers' tests: it notes what it was asked and answers what the test says."""

from types import SimpleNamespace
from typing import Any

from vaultairefs.model import context
from vaultairefs.model.context import OperationContext
from vaultairefs.model.values import ROOT, Attributes, Ino, Kind
from vaultairefs.namespace.inode import Inode


def make_inode(ino: int, kind: Kind = Kind.FILE, *, mode: int = 0o644, size: int = 0, target: bytes = b"") -> Inode:
    attributes = Attributes(
        kind=kind, mode=mode, uid=7, gid=8, atime_ns=1, mtime_ns=-1, ctime_ns=3_000_000_004, rdev=9, target=target
    )
    return Inode.begin(Ino(ino), attributes, parent=ROOT, size=size)


class Theme:
    """One theme of a volume: every method exists; ``answers`` maps its name to a value, or an error to raise."""

    def __init__(self, owner: "StandInVolume", synchronous: tuple[str, ...] = ()) -> None:
        self._owner = owner
        self._synchronous = synchronous

    def __getattr__(self, name: str) -> Any:
        def ask(*arguments: Any) -> Any:
            self._owner.calls.append((name, *arguments))
            self._owner.callers.append(context.current())
            answer = self._owner.answers.get(name)
            if isinstance(answer, BaseException):
                raise answer
            return answer

        async def ask_later(*arguments: Any) -> Any:
            return ask(*arguments)

        return ask if name in self._synchronous else ask_later


class StandInVolume:
    """Looks like ``Volume`` to the handlers."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {"blocks": 8, **answers}
        self.calls: list[tuple[Any, ...]] = []
        self.callers: list[OperationContext] = []
        self.tree = self.xattrs = self.listings = self.files = Theme(self)
        self.passing = SimpleNamespace(bodies={})
        self.files.way_of = lambda handle: None
        self.inodes = Theme(self, synchronous=("blocks", "remember", "forget"))

    @property
    def questions(self) -> list[tuple[Any, ...]]:
        """The calls but those that only help to encode the answer."""
        return [call for call in self.calls if call[0] != "blocks"]


def request_of(pid: int = 0, uid: int = 1000, gid: int = 1001, umask: int = 0o27) -> Any:
    """What pyfuse3 hands to handlers, which cannot be made from Python."""
    return SimpleNamespace(pid=pid, uid=uid, gid=gid, umask=umask)


def fields_of(*names: str) -> Any:
    """Which attributes a SETATTR request changes."""
    every = ("mode", "uid", "gid", "size", "atime", "mtime", "ctime")
    return SimpleNamespace(**{f"update_{name}": name in names for name in every})
