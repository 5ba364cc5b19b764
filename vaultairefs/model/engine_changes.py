"""The changes by which the engine's side of a volume's state moves; ``changes.py`` says what holds for all.

What listings showed, what was sent, moved, deleted or lost, and what is in doubt.
"""

import msgspec

from vaultairefs.model.values import Attributes, Ino, Version


class ArtifactDiscovered(msgspec.Struct, frozen=True, array_like=True, tag=16):
    """A listing showed an entry that the volume did not know.

    ``ino`` is new, or known if ``link_id`` says that it is one more name; ``links`` is the engine's count of them.
    """

    ino: Ino
    container: Ino
    name: bytes
    attributes: Attributes
    size: int
    version: Version
    links: int = 1
    link_id: str = ""


class EntryVanished(msgspec.Struct, frozen=True, array_like=True, tag=17):
    """A clean entry is gone from the engine behind our back, or is another version now: forget ours."""

    ino: Ino
    container: Ino
    name: bytes


class ArtifactFlushed(msgspec.Struct, frozen=True, array_like=True, tag=18):
    """The engine holds ``ino`` at this name as ``version``.

    ``content``: its bytes are what the body held at this moment (False: bytes were written since).
    ``attributes``: likewise for everything else.  ``content`` False with ``attributes`` True says that only
    attributes were sent: names that shared the old version share the new one.
    ``size`` is that of ``version`` in bytes, -1 if unknown; with ``content`` the ledger fills it in for recovery.
    ``alone``: the engine has no links, so each name of the inode is an artifact of its own and the others now hold
    something older, whatever their versions say.
    """

    ino: Ino
    container: Ino
    name: bytes
    version: Version
    content: bool
    attributes: bool
    size: int = -1
    alone: bool = False


class ArtifactMoved(msgspec.Struct, frozen=True, array_like=True, tag=19):
    """The engine's entry has another name or container now; ``STAGING`` is a parking place inside the engine."""

    ino: Ino
    container: Ino
    name: bytes
    new_container: Ino
    new_name: bytes


class ArtifactDeleted(msgspec.Struct, frozen=True, array_like=True, tag=20):
    """The engine no longer holds this name for us."""

    ino: Ino
    container: Ino
    name: bytes


class ArtifactConflicted(msgspec.Struct, frozen=True, array_like=True, tag=21):
    """Somebody else wrote this name: ours goes on as ``conflict_name`` beside it."""

    ino: Ino
    container: Ino
    name: bytes
    conflict_name: bytes
    time_ns: int


class StepBegun(msgspec.Struct, frozen=True, array_like=True, tag=23):
    """The flusher is about to change the engine at this name; until that is recorded its outcome is in doubt.

    Without this, a file that is removed while its upload runs would come back after a crash: no record says that it is
    ours.  ``version`` is what the name will hold where that is known beforehand (a move or link from ``source``),
    ``token`` what the engine was given else.  A copy has its source's version and a token.  Ends with
    ``ArtifactFlushed``, ``ArtifactMoved``, ``ArtifactCopied`` or ``StepEnded`` here.  A put in chunks is begun twice:
    the second time with ``upload_id``, the engine's word for what must be thrown away if it does not succeed.
    """

    ino: Ino
    container: Ino
    name: bytes
    verb: str
    version: Version = Version("")
    token: str = ""
    source_container: Ino = Ino(0)
    source_name: bytes = b""
    upload_id: str = ""


class StepEnded(msgspec.Struct, frozen=True, array_like=True, tag=24):
    """The step begun at this name is known to have changed nothing, or what it changed is recorded otherwise."""

    container: Ino
    name: bytes


class ContainerHandedOver(msgspec.Struct, frozen=True, array_like=True, tag=25):
    """What the engine holds at this name, a container and all that is directly in it, counts as ``heir``'s now.

    Nothing moves in the engine.  Where it cannot rename containers, ``ino`` goes on at another place, and what it left
    behind is taken down entry by entry in the name of ``heir``: a new number that no program ever sees, or the
    container that programs have at this place now.
    """

    ino: Ino
    heir: Ino
    container: Ino
    name: bytes


class ArtifactCopied(msgspec.Struct, frozen=True, array_like=True, tag=26):
    """The engine holds at this name, as ``version``, the same bytes that it held elsewhere as ``source_version``.

    ``attributes``: with everything else of ``ino`` as it is at this moment, which names that were sent before an
    attribute changed do not have.
    """

    ino: Ino
    container: Ino
    name: bytes
    version: Version
    source_version: Version
    attributes: bool


class ContainerForgotten(msgspec.Struct, frozen=True, array_like=True, tag=33):
    """What was known to be directly in the container is known no more; nothing has changed anywhere.

    Its entries were all clean and needed by nobody.  The next listing discovers them anew, as other inodes.
    """

    ino: Ino
