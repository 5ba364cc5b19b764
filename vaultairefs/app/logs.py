"""Where the log goes: a bounded file in the state directory, and stderr for a daemon in the foreground.

Promise: every line of ours (structlog) and of libraries (logging) has the same form, JSON or console text; the
files ``log``, ``log.1``, ``log.2`` together stay under 30 MiB.
"""

import logging
import logging.handlers
import sys
from pathlib import Path
from typing import Any, Final

import structlog

FILE_NAME: Final = "log"
_FILE_BYTES_MAX: Final = 10 << 20
_FILES_KEPT: Final = 2

_SHARED: Final[list[Any]] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
]


def configure(log_format: str, *, to_stderr: bool) -> None:
    """Route structlog and logging; until ``add_file`` the file is missing, and without stderr lines wait for nobody."""
    root = logging.getLogger()
    root.handlers.clear()
    root.setLevel(logging.INFO)
    if to_stderr:
        _add(root, logging.StreamHandler(sys.stderr), log_format)
    else:
        root.addHandler(logging.NullHandler())
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def add_file(state_directory: Path, log_format: str) -> None:
    """Log into the state directory from now on."""
    handler = logging.handlers.RotatingFileHandler(
        state_directory / FILE_NAME,
        maxBytes=_FILE_BYTES_MAX,
        backupCount=_FILES_KEPT,
        encoding="utf-8",
        errors="backslashreplace",
    )
    _add(logging.getLogger(), handler, log_format)


def _add(root: logging.Logger, handler: logging.Handler, log_format: str) -> None:
    if log_format == "json":
        render: list[Any] = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=repr)]
    else:
        render = [structlog.dev.ConsoleRenderer(colors=False)]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root.addHandler(handler)
