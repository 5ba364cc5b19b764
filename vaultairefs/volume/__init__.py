"""POSIX meaning: names, attributes, handles and bytes of one mounted volume.

Promise: a call has happened entirely (journalled, then visible) when it returns, or it raised one of the words of
``model/errors.py`` and changed nothing.  Permission bits, sticky directories and the existence of path components are
checked by the kernel (``default_permissions``); what the kernel leaves to a FUSE server is done here.

Does not: know of FUSE, errnos, descriptors of the kernel, or what an engine is made of.
"""

from vaultairefs.volume.requests import AttributeRequest, DirectoryEntry, RenameMode, SyncLevel, XattrMode
from vaultairefs.volume.volume import Volume

__all__ = ["AttributeRequest", "DirectoryEntry", "RenameMode", "SyncLevel", "Volume", "XattrMode"]
