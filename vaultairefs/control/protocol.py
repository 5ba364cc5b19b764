"""One request, many replies, each a line of JSON.

A client sends ``{"verb": ..., arguments...}`` and reads lines until one has ``"done": true``; before it may come any
number of progress lines.  A failure is the last line ``{"error": "one sentence", "done": true}``.
"""

import json
from typing import Any, Final

from vaultairefs.model.errors import BadInput

Message = dict[str, Any]

LINE_BYTES_MAX: Final = 1 << 20
SOCKET_NAME: Final = "control"


def encode(message: Message) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Message:
    """``BadInput`` for anything but a JSON object."""
    try:
        message = json.loads(line)
    except ValueError as error:
        raise BadInput("the control socket was sent something that is not JSON") from error
    if not isinstance(message, dict):
        raise BadInput("the control socket was sent something that is not a JSON object")
    return message


def is_last(message: Message) -> bool:
    return bool(message.get("done"))
