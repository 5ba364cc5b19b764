"""Which tenant names are possible, and what their namespace is called inside a store.

Promise: a tenant's name is one plain path component, the same for every kind of store.
"""

import re
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
