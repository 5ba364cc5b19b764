"""What every engine's factory checks alike: tenants, and options that mean nothing to it.

Promise: a tenant's name is one plain path component, the same for every kind of store.
"""

import re
from collections.abc import Mapping
from typing import Final

from vaultairefs.model.errors import BadInput

_TENANT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def namespace_name(tenant: str) -> str:
    """``t-NAME``; ``BadInput`` unless the name is 1 to 128 of letters, digits, ``.``, ``_`` and ``-``."""
    if not _TENANT.fullmatch(tenant):
        raise BadInput(
            f"tenant={tenant} cannot be a tenant: a name is letters, digits, '.', '_' and '-', and begins with a"
            " letter or digit"
        )
    return f"t-{tenant}"


def refuse_options(spec: str, options: Mapping[str, str]) -> None:
    """``BadInput`` for an option given to an engine that has none."""
    if options:
        raise BadInput(f"option {min(options)} means nothing to {spec}")
