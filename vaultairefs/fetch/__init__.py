"""From the engine to local state: what entries there are, and the bytes of files.

Promise: what programs see of a fresh container is what the engine holds plus what is owed to it; a body holds bytes of
one version only; nothing that came from the engine ever covers newer local bytes or names.
It decides nothing about what is written to the engine.
"""

from vaultairefs.fetch.discovery import Discovery
from vaultairefs.fetch.fetcher import Fetcher

__all__ = ["Discovery", "Fetcher"]
