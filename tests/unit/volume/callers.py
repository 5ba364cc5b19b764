"""Who asks, in these tests."""

import contextlib
from collections.abc import Iterator

from vaultairefs.model import context
from vaultairefs.model.context import OperationContext

ROOT_CALLER = OperationContext(pid=7, uid=0, gid=0, umask=0o022, comm="root-program")
USER = OperationContext(pid=8, uid=1000, gid=100, umask=0o022, comm="user-program")


@contextlib.contextmanager
def calling_as(caller: OperationContext) -> Iterator[None]:
    """Everything inside the block is asked by ``caller``."""
    token = context.enter(caller)
    try:
        yield
    finally:
        context.leave(token)
