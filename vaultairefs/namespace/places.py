"""Where names stand in listings: a cookie per name that stays the same while the name stays.

A cookie is the inode's number, shifted past ``.`` and ``..``, and is stored nowhere.  ``Inode.places`` of a container
holds the exceptions: a name that took over the place of the one it replaced, and a further name of one inode in one
container.
Invariants: cookies of a container's names differ; ``places_taken`` are the values of ``places``.

Does not: sort; ``Namespace.entries`` does.
"""

from typing import Final

from vaultairefs.model.values import Ino
from vaultairefs.namespace.inode import Inode

DOTS: Final = 2
"""``.`` and ``..`` have the cookies 1 and 2, and inode numbers begin at 1."""

BEYOND: Final = 1 << 40
"""Places from here on are numbered by the container; no volume has that many inodes."""


def cookie_of(container: Inode, name: bytes, ino: Ino) -> int:
    """The cookie of ``name``, which leads to ``ino``."""
    places = container.places
    return ino + DOTS if places is None else places.get(name, ino + DOTS)


def take(container: Inode, name: bytes, inode: Inode, replaced: Ino | None) -> None:
    """``name`` is about to lead to ``inode``, instead of to ``replaced``, whose place it then keeps."""
    usual = inode.ino + DOTS
    if replaced is not None:
        cookie = cookie_of(container, name, replaced)
    elif usual in (container.places_taken or ()) or any(ref.container == container.ino for ref in inode.refs):
        cookie = _next(container)
    else:
        return
    leave(container, name)
    if cookie != usual or container.places is not None:
        _keep(container, name, cookie)


def leave(container: Inode, name: bytes) -> None:
    """``name`` leads nowhere now."""
    places, taken = container.places, container.places_taken
    if places is None or taken is None or name not in places:
        return
    taken.discard(places.pop(name))
    if not places:
        container.places = container.places_taken = None


def _next(container: Inode) -> int:
    container.next_place = max(container.next_place, BEYOND)
    container.next_place += 1
    return container.next_place


def _keep(container: Inode, name: bytes, cookie: int) -> None:
    if container.places is None or container.places_taken is None:
        container.places, container.places_taken = {}, set()
    container.places[name] = cookie
    container.places_taken.add(cookie)
