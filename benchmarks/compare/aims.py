"""What the project set itself: ratios between two systems, or two measures of one system, in one run.

Does not: measure, nor judge: the report shows what was read beside the aim.
"""

from typing import Final, NamedTuple


class Aim(NamedTuple):
    """``measure`` of ``system`` over ``than_measure`` (default: the same) of ``than``, and its ``bound``."""

    measure: str
    system: str
    than: str
    bound: str
    than_measure: str = ""


_STORE: Final = "vaultairefs"
_PASSED: Final = "vaultairefs-passthrough"
_SPEEDS: Final = (
    "write, blocks of 4 KiB (MiB): per second",
    "write, blocks of 1 MiB (MiB): per second",
    "read again, blocks of 4 KiB (MiB): per second",
    "read again, blocks of 1 MiB (MiB): per second",
)
_UNTIL_STORED: Final = (
    ("create 4 KiB until in the store: per second", ">= 1"),
    ("copy in until in the store (MiB): per second", ">= 1"),
    ("untar until in the store: seconds", "<= 1"),
    ("git clone until in the store: seconds", "<= 1"),
)

AIMS: Final = (
    *(Aim(measure, _PASSED, "ext4", ">= 0.9") for measure in (*_SPEEDS, "read 4 KiB at random: per second")),
    Aim("write 4 KiB at random: per second", _PASSED, "ext4", ">= 0.85"),
    *(Aim(measure, _STORE, "passthrough_ll", ">= 1") for measure in _SPEEDS),
    *(Aim(measure, _STORE, peer, ">= 1") for peer in ("rclone", "s3fs") for measure in _SPEEDS),
    Aim("create 4 KiB: per second", _STORE, "ext4", ">= 0.3"),
    Aim("create 4 KiB: per second", _STORE, "s3ql", ">= 3"),
    Aim("untar: seconds", _STORE, "ext4", "<= 3"),
    Aim("git clone: seconds", _STORE, "ext4", "<= 3"),
    Aim("unlink: per second", _STORE, "ext4", ">= 1"),
    Aim("append a line and fsync: per second", _STORE, "ext4", ">= 0.5"),
    *(Aim(measure, _STORE, peer, bound) for peer in ("rclone", "s3fs", "s3ql") for measure, bound in _UNTIL_STORED),
    Aim("copy in until in the store (MiB): per second", _STORE, "raw client", ">= 0.9"),
    Aim("read 1 MiB blocks, cold (MiB): per second", _STORE, "raw client", ">= 0.9"),
    Aim("create 4 KiB until in the store: per second", _STORE, "raw client", ">= 0.8"),
    Aim("ls -l of a long directory, cold: seconds", _STORE, _STORE, "<= 1.3", "the same keys listed by boto3: seconds"),
)
"""The ratios that the project set itself; the row of the store is the default, without passthrough."""
