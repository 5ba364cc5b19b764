"""Where each entry of a namespace lies in its bucket: paths to keys, and keys to paths.

A path's key is the namespace's prefix and the stored forms of its names, joined by ``/``.  A container's own object is
its key with a ``/`` behind.  A container whose prefix would be too long for the names in it keeps them under
``.vaultairefs/long/<sha256 of its path>/``; that folder's own object holds the true path.

Promise: no two paths have one key; every key of a namespace begins with its prefix; none is longer than 900 bytes
below a prefix of at most 300.  Thread-safe.
"""

import hashlib
import threading
from typing import Final

from vaultairefs.engine.paths import STAGING_CONTAINER, parse_container
from vaultairefs.engine.s3_names import (
    COMPONENT_BYTES_MAX,
    INNER_MARKER,
    SHADOWED,
    hashed,
    is_hashed,
    is_too_long,
    show,
    store,
)
from vaultairefs.model.names import RESERVED, check_name, escape_root_name, unescape_root_name
from vaultairefs.model.values import EntryPath

KEY_BYTES_MAX: Final = 900
"""Ceph refuses keys above about 980 bytes, AWS above 1024."""
BASE_BYTES_MAX: Final = 300
_PREFIX_BYTES_MAX: Final = KEY_BYTES_MAX - COMPONENT_BYTES_MAX - len(b"/" + INNER_MARKER)
_CACHED_MAX: Final = 100_000


class Keys:
    """The keys of the namespace below ``base``, which is empty or ends in ``/``."""

    def __init__(self, base: bytes) -> None:
        assert not base or (base.endswith(b"/") and len(base) <= BASE_BYTES_MAX)
        self.base = base
        self.marks_inside = False
        """For stores to which ``dir/`` and ``dir`` are one object: a container's object is ``dir/%%2F`` instead."""
        self._guard = threading.Lock()
        self._prefixes: dict[bytes, bytes] = {b"": base}
        self._long: dict[bytes, bytes] = {}
        self._odd: dict[EntryPath, bytes] = {}

    def private(self, kind: str, name: str) -> bytes:
        """The key of one of our own objects, which no user's path leads to."""
        return b"%s%s/%s/%s" % (self.base, RESERVED, kind.encode(), name.encode())

    def prefix(self, container: bytes) -> bytes:
        """What the keys of everything in the container begin with."""
        with self._guard:
            known = self._prefixes.get(container)
        if known is not None:
            return known
        parse_container(container)
        return self._remember(container, self._prefix(container))

    def key(self, path: EntryPath) -> bytes:
        """The key of an artifact at that path."""
        check_name(path.name)
        prefix = self.prefix(path.container)
        with self._guard:
            component = self._odd.get(path) if self._odd else None
        return prefix + (component if component is not None else self._component(path, container=False))

    def marker(self, container: bytes) -> bytes:
        """The key of the object that stands for the container."""
        if not container:
            return self.marker_of(self.base) if self.base else self.private("top", "attributes")
        return self.marker_of(self._plain_prefix(container))

    def true_path(self, container: bytes) -> bytes:
        """The key of the object that holds the path of a container whose entries lie apart."""
        return self.marker_of(self.prefix(container))

    def marker_of(self, prefix: bytes) -> bytes:
        """The container's object where its key and what is in it share a prefix."""
        return prefix + INNER_MARKER if self.marks_inside else prefix

    def name_to_tell(self, path: EntryPath, *, container: bool) -> bytes:
        """The name that the object's metadata must tell because its key only hashes it; empty for all others."""
        return path.name if is_hashed(self._component(path, container=container)) else b""

    def shown(
        self, container: bytes, component: bytes, *, is_container: bool = False, shadowed: bool = False
    ) -> bytes | None:
        """The name of what a listing of the container shows, None for what is ours; odd ones are remembered."""
        name = show(component, container=is_container)
        if not container:
            unescaped = unescape_root_name(name)
            if unescaped is None:
                return None
            name = unescaped
        if shadowed:
            name += SHADOWED
        if is_too_long(name):
            name = hashed(component + (b"/" if shadowed else b""))
        elif not shadowed:
            return name
        with self._guard:
            self._odd[EntryPath(container, name)] = component
        return name

    def is_long(self, container: bytes) -> bool:
        """Whether what is in the container lies apart from its marker."""
        return container not in (b"", STAGING_CONTAINER) and self.prefix(container) != self._plain_prefix(container)

    def path_of(self, key: bytes) -> EntryPath | None:
        """The path of an artifact's key; None where only a listing could tell."""
        rest = key[len(self.base) :]
        container = b""
        components = rest.split(b"/")
        if components[:2] == [RESERVED, b"long"] and len(components) > 3:
            known = self._long.get(components[2])
            if known is None:
                return None
            container, components = known, components[3:]
        elif components[:2] == [RESERVED, b"staging"]:
            container, components = STAGING_CONTAINER, components[2:]
        for depth, component in enumerate(components, 1):
            if is_hashed(component):
                return None
            name = self.shown(container, component, is_container=depth < len(components))
            if name is None:
                return None
            container = container + b"/" + name if container else name
        parent, _, name = container.rpartition(b"/")
        return EntryPath(parent, name)

    def _prefix(self, container: bytes) -> bytes:
        if container == STAGING_CONTAINER:
            return self.private("staging", "")
        plain = self._plain_prefix(container)
        if len(plain) <= _PREFIX_BYTES_MAX:
            return plain
        digest = hashlib.sha256(container).hexdigest()
        self._long[digest.encode()] = container
        return self.private("long", digest + "/")

    def _plain_prefix(self, container: bytes) -> bytes:
        parent, _, name = container.rpartition(b"/")
        return self.prefix(parent) + self._component(EntryPath(parent, name), container=True) + b"/"

    def _component(self, path: EntryPath, *, container: bool) -> bytes:
        name = path.name if path.container else escape_root_name(path.name)
        component = store(name, container=container)
        return component if len(component) <= COMPONENT_BYTES_MAX else hashed(component)

    def _remember(self, container: bytes, prefix: bytes) -> bytes:
        with self._guard:
            if len(self._prefixes) >= _CACHED_MAX:
                self._prefixes = {b"": self.base}
            self._prefixes[container] = prefix
        return prefix
