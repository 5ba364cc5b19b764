"""Shows how a drain goes: a bar on a terminal, nothing elsewhere or when there was nothing to do."""

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from vaultairefs.cli.text import size_text
from vaultairefs.control.protocol import Message


class DrainProgress:
    """A context manager fed with the daemon's replies.  Writes to stderr."""

    def __init__(self) -> None:
        console = Console(file=sys.stderr)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("draining", total=None, visible=False, left="")
        self._most = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, reply: Message) -> None:
        """Take one reply: ``dirty_artifacts`` and ``dirty_bytes`` are what is left."""
        left = int(reply.get("dirty_artifacts", 0))
        self._most = max(self._most, left)
        if not self._most:
            return
        self._progress.update(
            self._task,
            total=self._most,
            completed=self._most - left,
            visible=True,
            left=f"{size_text(int(reply.get('dirty_bytes', 0)))} left" if left else "done",
        )


class CountProgress:
    """A line on a terminal that says how far something is of which nobody knows the end.  Writes to stderr."""

    def __init__(self, label: str) -> None:
        console = Console(file=sys.stderr)
        self._progress = Progress(
            TextColumn(label),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task("", total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, text: str) -> None:
        """Say how far it is."""
        self._progress.update(self._task, description=text)
