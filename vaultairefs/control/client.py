"""Ask a running mount: blocking, standard library only.

Promise: an answer, or ``Unavailable`` when nobody listens, ``TimedOut`` after a deadline, ``BadInput`` with the
daemon's own sentence when it refuses.
"""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from vaultairefs.control.protocol import SOCKET_NAME, Message, decode, encode, is_last
from vaultairefs.model.errors import BadInput, TimedOut, Unavailable


def ask(state_directory: Path, verb: str, *, timeout_seconds: float | None = None, **arguments: object) -> Message:
    """The last reply."""
    *_, last = converse(state_directory, verb, timeout_seconds=timeout_seconds, **arguments)
    return last


def converse(
    state_directory: Path, verb: str, *, timeout_seconds: float | None = None, **arguments: object
) -> Iterator[Message]:
    """Each reply as it comes; the deadline covers the whole conversation.  Closing the iterator hangs up."""
    deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    with connect(state_directory) as link, link.makefile("rb") as lines:
        try:
            link.sendall(encode({"verb": verb, **arguments}))
            while True:
                if deadline is not None:
                    link.settimeout(max(deadline - time.monotonic(), 0.001))
                line = lines.readline()
                if not line:
                    raise Unavailable("the daemon ended before it answered")
                message = decode(line)
                if "error" in message:
                    raise BadInput(str(message["error"]))
                yield message
                if is_last(message):
                    return
        except TimeoutError as error:
            raise TimedOut("the daemon did not answer in time") from error
        except OSError as error:
            raise Unavailable(f"the connection to the daemon broke: {error.strerror}") from error


def connect(state_directory: Path) -> socket.socket:
    """A connection to the control socket, by way of a directory descriptor, as socket paths end at 107 bytes.

    ``Unavailable`` when nobody listens, ``BadInput`` when the socket is somebody else's.
    """
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    directory = -1
    try:
        directory = os.open(state_directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        link.connect(f"/proc/self/fd/{directory}/{SOCKET_NAME}")
    except PermissionError as error:
        link.close()
        raise BadInput("only the owner of this mount and root may ask its daemon") from error
    except OSError as error:
        link.close()
        raise Unavailable(f"no daemon answers in {state_directory}: {error.strerror}") from error
    finally:
        if directory >= 0:
            os.close(directory)
    return link
