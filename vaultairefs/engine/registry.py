"""Which engine a SPEC means: by its scheme, through the entry-point group ``vaultairefs.engines``.

An entry point is a factory ``open_engine(spec: str, tenant: str | None, *, read_only: bool, options: Mapping[str, str])
-> Engine``; other packages may add schemes.
Our own are known even where no package metadata is installed (a source tree).

Promise: whatever is wrong with a SPEC is a ``BadInput`` in one sentence.
"""

import importlib
import re
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Final, Protocol

from vaultairefs.engine.interface import Engine
from vaultairefs.engine.tenancy import namespace_name
from vaultairefs.model.errors import BadInput

GROUP: Final = "vaultairefs.engines"
_OWN: Final = {"file": "vaultairefs.engine.local", "memory": "vaultairefs.engine.memory", "s3": "vaultairefs.engine.s3"}
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")


class Factory(Protocol):
    """What an entry point is."""

    def __call__(self, spec: str, tenant: str | None, *, read_only: bool, options: Mapping[str, str]) -> Engine:
        """See ``open_engine``."""
        ...


def schemes() -> list[str]:
    """Every scheme that some engine serves, sorted."""
    return sorted({*_OWN, *(point.name for point in entry_points(group=GROUP))})


def open_engine(
    spec: str, tenant: str | None = None, *, read_only: bool = False, options: Mapping[str, str] = {}
) -> Engine:
    """The engine for ``spec``, its namespace narrowed to ``tenant`` if given.  Blocking, briefly.

    ``read_only``: only reading verbs will be called, and opening and closing leave the store as it is, too: no
    namespace is made, nothing is cleaned up or tried out.  ``options`` are the engine's own; one that means nothing to
    it is ``BadInput``.
    """
    found = _SCHEME.match(spec)
    if found is None:
        hint = f"file://{spec}" if spec.startswith("/") else "file:///directory"
        raise BadInput(f"{spec or 'an empty text'} is no engine: write for example {hint}")
    if tenant is not None:
        namespace_name(tenant)
    return _factory(found[1].lower())(spec, tenant, read_only=read_only, options=options)


def _factory(scheme: str) -> Factory:
    if scheme in _OWN:
        factory: Factory = importlib.import_module(_OWN[scheme]).open_engine
        return factory
    for point in entry_points(group=GROUP, name=scheme):
        try:
            loaded: Factory = point.load()
        except Exception as error:  # whatever a foreign package raises while it is imported
            raise BadInput(f"the engine for {scheme}: cannot be loaded: {error}") from error
        return loaded
    raise BadInput(f"{scheme}: is no engine that is installed here; there are {', '.join(schemes())}")
