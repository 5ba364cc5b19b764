"""``vaultairefs mount``: check the words, start the daemon, say what went wrong."""

import os
import sys
from typing import TYPE_CHECKING

from vaultairefs.app import daemon, supervision
from vaultairefs.app.supervision import Restart, Supervision
from vaultairefs.config import environment, options
from vaultairefs.model.errors import BadInput

if TYPE_CHECKING:
    from vaultairefs.config.settings import MountSettings


def mount_volume(
    spec: str,
    directory: str,
    words: list[str],
    *,
    foreground: bool,
    sloppy: bool = False,
    restarted: str | None = None,
) -> None:
    """Returns when the mount answers (foreground: when it has ended); ``BadInput`` when it cannot.

    ``words`` are the texts after each ``-o``; ``restarted`` is what the supervisor says of its child.  The parent of a
    daemon stays light: settings are read, and everything heavy is loaded, in the process that needs it.
    """
    mountpoint = os.path.realpath(directory)
    split = [option for text in words for option in options.split(text)]
    supervise = options.parse(split, sloppy=sloppy).ours.get("supervise")

    def load() -> "MountSettings":
        from vaultairefs.config import settings

        return settings.load(spec, mountpoint, split, sloppy=sloppy)

    def run(announce: daemon.Announce, restarts: int = 0) -> None:
        found = load()
        from vaultairefs.app import healing, life  # the heavy part: not before the words are known to make sense

        if not foreground and not restarts and healing.is_healed(found):
            announce()
            return
        supervised = not foreground and found.supervise == "on"
        kept = Supervision(os.getppid() if supervised else 0, restarts)
        life.run(found, announce, foreground=foreground, supervision=kept)

    if restarted is not None:
        restart = Restart.of(restarted)
        from vaultairefs.app import healing

        sys.exit(healing.heal(restart, load(), lambda announce: run(announce, restart.number)))
    if foreground:
        if supervise in ("", "on"):
            raise BadInput("option supervise is for daemons; in the foreground the service manager is the supervisor")
        run(lambda: None)
        return
    again = supervision.command_of(spec, mountpoint, options.with_absolute_paths(split))
    wanted = supervise if supervise is not None else environment.default_of("supervise")
    daemon.start(run, again=None if wanted == "off" else again)
