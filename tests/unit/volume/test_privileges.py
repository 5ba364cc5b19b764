"""When setuid and setgid fall (chmod(2), chown(2), write(2))."""

import os

import pytest

from vaultairefs.model.context import OperationContext
from vaultairefs.model.values import Attributes, Ino, Kind
from vaultairefs.namespace import Inode
from vaultairefs.volume import privileges


@pytest.mark.parametrize(
    ("before", "after"),
    [(0o4755, 0o755), (0o2755, 0o755), (0o6777, 0o777), (0o2744, 0o2744), (0o6745, 0o2745), (0o1777, 0o1777)],
)
def test_a_strangers_write_drops_setuid_and_executable_setgid(before: int, after: int) -> None:
    assert privileges.mode_without_set_id(before) == after


def test_a_change_of_owner_drops_them_from_files_but_not_from_containers() -> None:
    def inode(kind: Kind) -> Inode:
        return Inode.begin(Ino(2), Attributes(kind, 0o6555, 0, 0, 0, 0, 0))

    assert privileges.mode_after_chown(inode(Kind.FILE)) == 0o555
    assert privileges.mode_after_chown(inode(Kind.CONTAINER)) == 0o6555


def test_root_and_members_belong_to_a_group() -> None:
    assert privileges.belongs_to_group(OperationContext(uid=0, gid=5, pid=0), 77)
    assert privileges.belongs_to_group(OperationContext(uid=1000, gid=77, pid=0), 77)
    assert not privileges.belongs_to_group(OperationContext(uid=1000, gid=5, pid=0), 77)


def test_supplementary_groups_count() -> None:
    for gid in os.getgroups():
        assert privileges.belongs_to_group(OperationContext(uid=1000, gid=4_000_000, pid=os.getpid()), gid)
    assert not privileges.belongs_to_group(OperationContext(uid=1000, gid=4_000_000, pid=os.getpid()), 4_000_001)
