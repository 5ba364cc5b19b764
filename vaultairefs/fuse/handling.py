"""What all handlers share: identity in, errno out.

Promise: only ``FUSEError`` leaves a handler.  Our errors become the errno of the table; anything else is EIO and a log
line with its traceback (the volume's door has written the event by then).  An exception that escaped would end the
mount for everybody: pyfuse3 takes it for a crash.

Does not: know what any handler does.
"""

import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Final, ParamSpec, TypeVar, cast

import pyfuse3
import structlog

from vaultairefs.fuse import encoding, errno_map
from vaultairefs.fuse.answering import Answering
from vaultairefs.fuse.callers import Callers
from vaultairefs.fuse.telling import Teller
from vaultairefs.model import context
from vaultairefs.model.context import NOBODY
from vaultairefs.model.errors import VaultaireError
from vaultairefs.namespace.inode import Inode
from vaultairefs.volume import Volume

_log: Final = structlog.get_logger(__name__)


class HandlerBase(pyfuse3.Operations):
    """The volume, how long the kernel may believe an answer, and which files it holds open.

    ``under_way`` counts calls that may hold the kernel's lock of a directory.
    """

    def __init__(self, volume: Volume, *, tenant: str = "", ttl_seconds: float = 60.0) -> None:
        super().__init__()
        self._volume = volume
        self._ttl_seconds = ttl_seconds
        self._callers = Callers(tenant)
        self._open_files: set[int] = set()
        self.answering: Answering | None = None
        self.under_way = 0
        self.teller = Teller(volume.inodes.knows, lambda: self.under_way == 0)

    def _entry(self, inode: Inode) -> pyfuse3.EntryAttributes:
        passing = self._volume.passing
        if inode.ino in passing.bodies and passing.is_moving(inode.ino):
            passing.look(inode.ino)
            return encoding.entry_attributes(
                inode, self._volume.inodes.blocks(inode), self._ttl_seconds, are_moving=True
            )
        return encoding.entry_attributes(inode, self._volume.inodes.blocks(inode), self._ttl_seconds)


Host = TypeVar("Host", bound=HandlerBase)
Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")
Handler = Callable[Concatenate[Host, Parameters], Coroutine[Any, Any, Answer]]


def for_caller(handler: Handler[Host, Parameters, Answer]) -> Handler[Host, Parameters, Answer]:
    """Wrap a handler whose last argument is the kernel's request context."""

    @functools.wraps(handler)
    async def wrapped(self: Host, /, *args: Parameters.args, **named: Parameters.kwargs) -> Answer:
        self.under_way += 1
        try:
            context.enter(self._callers.context(cast(pyfuse3.RequestContext, args[-1])))
            return await handler(self, *args, **named)
        except Exception as error:
            raise answer_for(error, handler) from None
        finally:
            self.under_way -= 1

    return wrapped


def for_handle(handler: Handler[Host, Parameters, Answer]) -> Handler[Host, Parameters, Answer]:
    """Wrap a handler that comes with an open handle instead of a caller: the volume knows who opened it."""

    @functools.wraps(handler)
    async def wrapped(self: Host, /, *args: Parameters.args, **named: Parameters.kwargs) -> Answer:
        try:
            context.enter(NOBODY)
            return await handler(self, *args, **named)
        except Exception as error:
            raise answer_for(error, handler) from None

    return wrapped


def answer_for(error: Exception, handler: Callable[..., Any]) -> pyfuse3.FUSEError:
    """What the kernel is told of ``error``; failures that no program caused are logged."""
    if isinstance(error, pyfuse3.FUSEError):
        return error
    number = errno_map.errno_of(error)
    if number == errno_map.IO_ERROR:
        _tell(error, getattr(handler, "__name__", "handler"))
    return pyfuse3.FUSEError(number)


def _tell(error: Exception, name: str) -> None:
    if isinstance(error, VaultaireError):
        _log.warning("an operation failed", handler=name, error=str(error), exc_info=error.__cause__)
    else:
        _log.error("a handler failed unexpectedly", handler=name, exc_info=error)
