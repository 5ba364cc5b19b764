"""Owner, group, mode and lists of new entries."""

import pytest

from vaultairefs.model.context import OperationContext
from vaultairefs.model.values import Attributes, Ino, Kind
from vaultairefs.namespace import Inode
from vaultairefs.volume import acl
from vaultairefs.volume.acl import GROUP_OBJ, MASK, OTHER, USER, USER_OBJ, Entry
from vaultairefs.volume.births import attributes_for

CALLER = OperationContext(uid=1000, gid=100, umask=0o027)
DEFAULT_LIST = acl.encode(
    (Entry(USER_OBJ, 7), Entry(USER, 6, 42), Entry(GROUP_OBJ, 5), Entry(MASK, 7), Entry(OTHER, 5))
)


def home(mode: int = 0o755, gid: int = 0, xattrs: dict[bytes, bytes] | None = None) -> Inode:
    return Inode.begin(Ino(2), Attributes(Kind.CONTAINER, mode, 0, gid, 0, 0, 0, xattrs=xattrs or {}))


def test_a_new_file_belongs_to_its_maker_and_is_cut_by_the_umask() -> None:
    born = attributes_for(Kind.FILE, 0o100666, home(), CALLER, 7)
    assert (born.uid, born.gid, born.mode) == (1000, 100, 0o640)
    assert (born.atime_ns, born.mtime_ns, born.ctime_ns) == (7, 7, 7)


@pytest.mark.parametrize("kind", [Kind.FILE, Kind.FIFO, Kind.SYMLINK, Kind.CONTAINER])
def test_in_a_setgid_container_the_group_is_the_containers(kind: Kind) -> None:
    assert attributes_for(kind, 0o700, home(0o2755, gid=77), CALLER, 0).gid == 77


def test_setgid_is_inherited_by_containers_only() -> None:
    assert attributes_for(Kind.CONTAINER, 0o777, home(0o2755), CALLER, 0).mode == 0o2750
    assert attributes_for(Kind.FILE, 0o777, home(0o2755), CALLER, 0).mode == 0o750


def test_the_mode_of_a_symlink_is_everything_to_everybody() -> None:
    assert attributes_for(Kind.SYMLINK, 0, home(), CALLER, 0, target=b"t").mode == 0o777


def test_a_default_list_takes_the_umasks_place() -> None:
    born = attributes_for(Kind.FILE, 0o666, home(xattrs={acl.DEFAULT: DEFAULT_LIST}), CALLER, 0)
    assert born.mode == 0o664
    assert set(born.xattrs) == {acl.ACCESS}


def test_a_new_container_inherits_the_default_list_as_its_own_default_too() -> None:
    born = attributes_for(Kind.CONTAINER, 0o777, home(xattrs={acl.DEFAULT: DEFAULT_LIST}), CALLER, 0)
    assert born.xattrs[acl.DEFAULT] == DEFAULT_LIST
    assert acl.ACCESS in born.xattrs
    assert born.mode == 0o775


def test_a_symlink_inherits_no_list() -> None:
    assert attributes_for(Kind.SYMLINK, 0, home(xattrs={acl.DEFAULT: DEFAULT_LIST}), CALLER, 0).xattrs == {}
