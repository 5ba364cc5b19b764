"""The command line: arguments in, one room asked, text or JSON out.

Promise: everything an operator can get wrong is one clear sentence on stderr and exit status 1 (the mount helpers:
32), never a traceback.  Decides nothing about volumes.  Importing this package loads nothing, so that each command
pays only for what it needs: ``status`` and the umount helper never load trio, pyfuse3 or pydantic.
"""


def main() -> None:
    """The entry point ``vaultairefs``."""
    from vaultairefs.cli.application import run

    run()
