"""``vaultairefs mount``: check the words, start the daemon, say what went wrong."""

import os

from vaultairefs.app import daemon
from vaultairefs.config import options
from vaultairefs.model.errors import BadInput


def mount_volume(spec: str, directory: str, words: list[str], *, foreground: bool, sloppy: bool = False) -> None:
    """Returns when the mount answers (foreground: when it has ended); ``BadInput`` when it cannot.

    ``words`` are the texts after each ``-o``.  The parent of a daemon stays light: settings are read, and everything
    heavy is loaded, in the process that needs it.
    """
    mountpoint = os.path.realpath(directory)
    split = [option for text in words for option in options.split(text)]
    supervised = "supervise" in options.parse(split, sloppy=sloppy).ours

    def run(announce: daemon.Announce) -> None:
        from vaultairefs.config import settings

        found = settings.load(spec, mountpoint, split, sloppy=sloppy)
        from vaultairefs.app import life  # the heavy part: not before the words are known to make sense

        life.run(found, announce, foreground=foreground)

    if not foreground:
        daemon.start(run, watched_mountpoint=mountpoint if supervised else None)
    elif supervised:
        raise BadInput("option supervise is for daemons; in the foreground the service manager is the supervisor")
    else:
        run(lambda: None)
