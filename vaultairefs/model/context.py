"""Who asks, for which tenant, under which operation: travels with each request in a context variable."""

import contextvars
from typing import Final

import msgspec


class OperationContext(msgspec.Struct, frozen=True, gc=False):
    """The circumstances of one operation.

    ``operation_id`` is unique within a mount and grows; ``pid``/``uid``/``gid`` are the caller's (handle
    operations carry the opener's); ``umask`` is the caller's; ``comm`` its program name, empty when unknown.
    """

    operation_id: int = 0
    operation: str = ""
    tenant: str = ""
    pid: int = 0
    uid: int = 0
    gid: int = 0
    umask: int = 0
    comm: str = ""


NOBODY: Final = OperationContext()
_current: contextvars.ContextVar[OperationContext] = contextvars.ContextVar("vaultairefs_operation", default=NOBODY)


def current() -> OperationContext:
    """The context of the operation that this task works for."""
    return _current.get()


def enter(context: OperationContext) -> contextvars.Token[OperationContext]:
    """Work for ``context`` until ``leave``."""
    return _current.set(context)


def leave(token: contextvars.Token[OperationContext]) -> None:
    """Undo the matching ``enter``."""
    _current.reset(token)
