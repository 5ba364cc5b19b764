"""Runs a function as somebody else, in a child process, the way another user's program would."""

import os
import pickle
import traceback
from collections.abc import Callable, Sequence
from typing import Any

NOBODY = 65534
SOMEBODY = 12345


def as_user(act: Callable[[], Any], uid: int = NOBODY, *, gid: int | None = None, groups: Sequence[int] = ()) -> Any:
    """What ``act`` returns; an ``OSError`` that it raises is raised here, with its errno."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _act_as(act, uid, uid if gid is None else gid, groups, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, f"the child failed:\n{answer.decode(errors='replace')}"
    result = pickle.loads(answer)
    if isinstance(result, OSError):
        raise result
    return result


def _act_as(act: Callable[[], Any], uid: int, gid: int, groups: Sequence[int], writer: int) -> None:
    status = 1
    try:
        os.setgroups(groups)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        try:
            answer = act()
        except OSError as error:
            answer = OSError(error.errno, error.strerror)
        os.write(writer, pickle.dumps(answer))
        status = 0
    except BaseException:
        os.write(writer, traceback.format_exc().encode())
    finally:
        os._exit(status)
