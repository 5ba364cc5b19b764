"""Names: lookup, mkdir, mknod, symlink, link, unlink, rmdir."""

import os
import stat

import pytest

from tests.support.rooms import House
from tests.unit.volume.callers import USER, calling_as
from vaultairefs.model.errors import (
    AlreadyExists,
    ContainerNotEmpty,
    InvalidRequest,
    IsAContainer,
    NameTooLong,
    NotAContainer,
    NotFound,
    NotPermitted,
    TooManyLinks,
    VaultaireError,
)
from vaultairefs.model.values import ROOT, Ino, Kind
from vaultairefs.namespace import Inode
from vaultairefs.volume import tree as tree_module


async def make_file(house: House, name: bytes = b"file", parent: Ino = ROOT, mode: int = 0o644) -> Inode:
    return await house.volume.tree.mknod(parent, name, stat.S_IFREG | mode, 0)


def times(inode: Inode) -> tuple[int, int, int]:
    return inode.atime_ns, inode.mtime_ns, inode.ctime_ns


async def test_a_name_that_nobody_made_is_not_found(house: House) -> None:
    with pytest.raises(NotFound):
        await house.volume.tree.lookup(ROOT, b"nothing")


async def test_lookup_finds_what_was_made(house: House) -> None:
    made = await make_file(house)
    assert await house.volume.tree.lookup(ROOT, b"file") is made


async def test_dot_and_dot_dot_can_be_looked_up(house: House) -> None:
    inner = await house.volume.tree.mkdir(ROOT, b"d", 0o755)
    assert (await house.volume.tree.lookup(inner.ino, b".")).ino == inner.ino
    assert (await house.volume.tree.lookup(inner.ino, b"..")).ino == ROOT
    assert (await house.volume.tree.lookup(ROOT, b"..")).ino == ROOT


async def test_nothing_is_below_a_file(house: House) -> None:
    made = await make_file(house)
    with pytest.raises(NotAContainer):
        await house.volume.tree.lookup(made.ino, b"x")
    with pytest.raises(NotAContainer):
        await house.volume.tree.mkdir(made.ino, b"x", 0o755)


async def test_names_of_255_bytes_are_made_and_longer_ones_are_refused_by_every_call(house: House) -> None:
    tree = house.volume.tree
    await make_file(house, b"n" * 255)
    too_long = b"n" * 256
    calls = [
        lambda: tree.lookup(ROOT, too_long),
        lambda: make_file(house, too_long),
        lambda: tree.mkdir(ROOT, too_long, 0o755),
        lambda: tree.symlink(ROOT, too_long, b"t"),
        lambda: tree.link(ROOT, ROOT, too_long),
        lambda: tree.unlink(ROOT, too_long),
        lambda: tree.rmdir(ROOT, too_long),
        lambda: house.volume.files.create(ROOT, too_long, 0o644, os.O_RDWR),
    ]
    for call in calls:
        with pytest.raises(NameTooLong):
            await call()


async def test_a_taken_name_is_refused_by_every_call_that_makes_one(house: House) -> None:
    tree = house.volume.tree
    made = await make_file(house, b"taken")
    calls = [
        lambda: make_file(house, b"taken"),
        lambda: tree.mkdir(ROOT, b"taken", 0o755),
        lambda: tree.symlink(ROOT, b"taken", b"t"),
        lambda: tree.link(made.ino, ROOT, b"taken"),
        lambda: house.volume.files.create(ROOT, b"taken", 0o644, os.O_RDWR | os.O_EXCL),
    ]
    for call in calls:
        with pytest.raises(AlreadyExists):
            await call()


async def test_a_new_entry_moves_its_containers_times_and_has_three_equal_times(house: House) -> None:
    root = house.ledger.namespace.get(ROOT)
    before = times(root)
    made = await make_file(house)
    assert made.atime_ns == made.mtime_ns == made.ctime_ns > before[1]
    assert root.mtime_ns == root.ctime_ns == made.mtime_ns
    assert root.atime_ns == before[0]


async def test_a_failed_call_moves_no_times(house: House) -> None:
    made = await make_file(house)
    root = house.ledger.namespace.get(ROOT)
    before = times(root), times(made)
    for call in (
        lambda: house.volume.tree.mkdir(ROOT, b"file", 0o755),
        lambda: house.volume.tree.rmdir(ROOT, b"file"),
        lambda: house.volume.tree.unlink(ROOT, b"nothing"),
    ):
        with pytest.raises(VaultaireError):
            await call()
    assert (times(root), times(made)) == before


async def test_the_link_count_of_a_container_counts_its_containers(house: House) -> None:
    tree = house.volume.tree
    outer = await tree.mkdir(ROOT, b"outer", 0o755)
    assert outer.nlink == 2
    await make_file(house, parent=outer.ino)
    await tree.mkdir(outer.ino, b"inner", 0o755)
    assert outer.nlink == 3
    await tree.rmdir(outer.ino, b"inner")
    assert outer.nlink == 2


async def test_mkdir_takes_permission_and_sticky_bits_only(house: House) -> None:
    assert (await house.volume.tree.mkdir(ROOT, b"d", 0o7777)).mode == 0o1755


@pytest.mark.parametrize(
    ("st_mode", "rdev", "kind"),
    [
        (stat.S_IFIFO | 0o666, 0, Kind.FIFO),
        (stat.S_IFSOCK | 0o666, 0, Kind.SOCKET),
        (stat.S_IFCHR | 0o666, os.makedev(1, 3), Kind.CHARACTER),
        (stat.S_IFBLK | 0o666, os.makedev(8, 0), Kind.BLOCK),
        (stat.S_IFREG | 0o666, 0, Kind.FILE),
        (0o666, 0, Kind.FILE),
    ],
)
async def test_mknod_makes_every_kind_of_node(house: House, st_mode: int, rdev: int, kind: Kind) -> None:
    made = await house.volume.tree.mknod(ROOT, b"node", st_mode, rdev)
    assert (made.kind, made.rdev, made.mode, made.nlink, made.size) == (kind, rdev, 0o644, 1, 0)


@pytest.mark.parametrize("format_bits", [stat.S_IFDIR, stat.S_IFLNK, 0o150000])
async def test_mknod_makes_nothing_else(house: House, format_bits: int) -> None:
    with pytest.raises(InvalidRequest):
        await house.volume.tree.mknod(ROOT, b"node", format_bits | 0o644, 0)


async def test_a_symlink_keeps_its_text_up_to_4095_bytes(house: House) -> None:
    made = await house.volume.tree.symlink(ROOT, b"link", b"t" * 4095)
    assert made.size == 4095
    assert await house.volume.inodes.readlink(made.ino) == b"t" * 4095
    with pytest.raises(NameTooLong):
        await house.volume.tree.symlink(ROOT, b"longer", b"t" * 4096)


@pytest.mark.parametrize("target", [b"", b"a\0b"])
async def test_a_symlink_says_something_that_can_be_a_path(house: House, target: bytes) -> None:
    with pytest.raises(InvalidRequest):
        await house.volume.tree.symlink(ROOT, b"link", target)


async def test_only_a_symlink_can_be_read_as_one(house: House) -> None:
    made = await make_file(house)
    with pytest.raises(InvalidRequest):
        await house.volume.inodes.readlink(made.ino)


async def test_a_link_is_the_same_inode_and_moves_its_ctime(house: House) -> None:
    made = await make_file(house)
    before = times(made)
    again = await house.volume.tree.link(made.ino, ROOT, b"again")
    assert again is made
    assert made.nlink == 2
    assert times(made)[:2] == before[:2]
    assert made.ctime_ns > before[2]


async def test_a_container_has_one_name_only(house: House) -> None:
    made = await house.volume.tree.mkdir(ROOT, b"d", 0o755)
    with pytest.raises(NotPermitted):
        await house.volume.tree.link(made.ino, ROOT, b"again")


async def test_an_unlinked_file_gets_no_name_back(house: House) -> None:
    made = await make_file(house)
    await house.volume.tree.unlink(ROOT, b"file")
    with pytest.raises(NotFound):
        await house.volume.tree.link(made.ino, ROOT, b"again")


async def test_a_file_has_no_more_links_than_fit_everywhere(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_module, "LINKS_MAX", 2)
    made = await make_file(house)
    await house.volume.tree.link(made.ino, ROOT, b"two")
    with pytest.raises(TooManyLinks):
        await house.volume.tree.link(made.ino, ROOT, b"three")


async def test_unlink_moves_the_ctime_of_what_keeps_a_name_and_both_times_of_the_container(house: House) -> None:
    made = await make_file(house)
    await house.volume.tree.link(made.ino, ROOT, b"again")
    root, before = house.ledger.namespace.get(ROOT), made.ctime_ns
    await house.volume.tree.unlink(ROOT, b"again")
    assert made.nlink == 1
    assert made.ctime_ns == root.mtime_ns == root.ctime_ns > before


async def test_unlink_is_for_artifacts_and_rmdir_for_containers(house: House) -> None:
    await make_file(house)
    await house.volume.tree.mkdir(ROOT, b"d", 0o755)
    await house.volume.tree.symlink(ROOT, b"link", b"d")
    with pytest.raises(IsAContainer):
        await house.volume.tree.unlink(ROOT, b"d")
    for name in (b"file", b"link"):
        with pytest.raises(NotAContainer):
            await house.volume.tree.rmdir(ROOT, name)


async def test_a_container_that_holds_something_stays(house: House) -> None:
    outer = await house.volume.tree.mkdir(ROOT, b"d", 0o755)
    await make_file(house, parent=outer.ino)
    with pytest.raises(ContainerNotEmpty):
        await house.volume.tree.rmdir(ROOT, b"d")


async def test_nothing_is_made_in_a_removed_container(house: House) -> None:
    removed = await house.volume.tree.mkdir(ROOT, b"d", 0o755)
    await house.volume.tree.rmdir(ROOT, b"d")
    with pytest.raises(NotFound):
        await make_file(house, parent=removed.ino)
    assert removed.nlink == 0


async def test_an_unlinked_inode_lives_until_the_kernel_forgets_it(house: House) -> None:
    made = await make_file(house)
    await house.volume.tree.lookup(ROOT, b"file")
    await house.volume.tree.unlink(ROOT, b"file")
    house.volume.inodes.forget([(made.ino, 1)])
    assert (await house.volume.inodes.getattr(made.ino)).nlink == 0
    house.volume.inodes.forget([(made.ino, 1)])
    assert house.ledger.namespace.find(made.ino) is None


async def test_a_file_of_a_stranger_belongs_to_the_stranger(house: House) -> None:
    with calling_as(USER):
        made = await make_file(house, mode=0o666)
    assert (made.uid, made.gid, made.mode) == (1000, 100, 0o644)


async def test_names_are_any_bytes(house: House) -> None:
    for name in (b"\xff\xfe", b"new\nline", b".vaultairefs", b" ", b"-rf"):
        made = await make_file(house, name)
        assert await house.volume.tree.lookup(ROOT, name) is made


@pytest.mark.parametrize("name", [b"", b".", b"..", b"a/b", b"a\0b"])
async def test_impossible_names_are_refused(house: House, name: bytes) -> None:
    with pytest.raises(InvalidRequest):
        await make_file(house, name)
