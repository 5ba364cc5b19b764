"""How failures cross from the worker to the daemon.

Promise: an error of ``model/errors.py`` arrives as itself, with all its fields, and the text of what caused it as its
cause; one that nobody expected arrives as ``Unavailable``, so that whatever was asked is asked again.  Pure.
"""

from typing import Any, Final

import msgspec

from vaultairefs.model import errors
from vaultairefs.model.errors import Unavailable, VaultaireError

_PLAIN: Final = (bool, int, float, str, bytes, type(None))


class ErrorForm(msgspec.Struct, frozen=True, array_like=True):
    """One error; ``kind`` is a name of ``model/errors.py``, ``cause`` a line for each error behind it."""

    kind: str
    message: str
    fields: dict[str, Any]
    cause: str = ""


class WorkerCause(Exception):
    """What lay behind an error of the worker, in words."""


def form_of(error: BaseException, operation: str) -> ErrorForm:
    """``operation`` is the verb that failed."""
    if not isinstance(error, VaultaireError):
        text = f"the engine failed unexpectedly: {type(error).__name__}: {error}"
        return ErrorForm(Unavailable.__name__, text, {"operation": operation}, _behind(error))
    kind = next(kind.__name__ for kind in type(error).__mro__ if getattr(errors, kind.__name__, None) is kind)
    fields = {name: value for name, value in vars(error).items() if isinstance(value, _PLAIN)}
    return ErrorForm(kind, str(error.args[0]), fields, _behind(error))


def error_of(form: ErrorForm) -> VaultaireError:
    """The error that ``form`` was made of."""
    kind = getattr(errors, form.kind, None)
    error = (kind if isinstance(kind, type) and issubclass(kind, VaultaireError) else Unavailable)(form.message)
    vars(error).update(form.fields)
    if form.cause:
        error.__cause__ = WorkerCause(form.cause)
    return error


def encoded_custom(value: Any) -> Any:
    """For msgspec: errors among the values of an answer (``delete`` has them)."""
    if isinstance(value, VaultaireError):
        return form_of(value, "")
    raise NotImplementedError(f"{type(value).__name__} cannot cross to another process")


def decoded_custom(kind: type, value: Any) -> Any:
    """The reverse of ``encoded_custom``."""
    if kind is VaultaireError:
        return error_of(msgspec.convert(value, ErrorForm))
    raise NotImplementedError(f"{kind.__name__} cannot come from another process")


def _behind(error: BaseException) -> str:
    lines = []
    cause = error.__cause__
    while cause is not None:
        lines.append(f"{type(cause).__name__}: {cause}")
        cause = cause.__cause__
    return "\n".join(lines)
