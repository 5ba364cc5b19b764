"""A POSIX filesystem over a Vaultaire storage engine.

Every directory is a container, every file an artifact.  ``docs/architecture.md`` walks through the rooms.
"""

__version__ = "0.1.0"
