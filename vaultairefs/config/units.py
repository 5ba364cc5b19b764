"""How operators write sizes and durations.  Pure; ``ValueError`` says what is expected."""

import re
from typing import Final

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)(i?b?)", re.IGNORECASE)
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|)", re.IGNORECASE)
_SECONDS: Final = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


def parse_size(text: str) -> int:
    """``512M``, ``10GiB``, ``1048576``: bytes; units are powers of 1024, but ``kB``, ``MB``, ... are of 1000."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ValueError("must be a size such as 512M or 10GiB")
    number, unit, suffix = found.groups()
    base = 1000 if unit and suffix.lower() == "b" else 1024
    return int(float(number) * base ** _POWERS[unit.lower()])


def parse_duration(text: str) -> float:
    """``2``, ``0.5s``, ``250ms``, ``5m``: seconds."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError("must be a duration such as 2s, 250ms or 5m")
    return float(found[1]) * _SECONDS[found[2].lower()]
