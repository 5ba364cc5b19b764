"""Extended attributes, access control lists, sync levels."""

import stat
import struct

import pytest

from tests.support.rooms import House
from tests.unit.volume.callers import USER, calling_as
from vaultairefs.model.errors import (
    AccessDenied,
    AlreadyExists,
    AttributeMissing,
    AttributeTooLarge,
    InvalidRequest,
    NameTooLong,
    NotPermitted,
    NotSupported,
    OutOfSpace,
)
from vaultairefs.model.values import ROOT
from vaultairefs.namespace import Inode
from vaultairefs.volume import AttributeRequest, XattrMode
from vaultairefs.volume.acl import ACCESS, DEFAULT

NO_ID = 0xFFFFFFFF


def access_list(*entries: tuple[int, int, int]) -> bytes:
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def extended(user: int = 7, named: int = 6, group: int = 5, mask: int = 7, other: int = 4) -> bytes:
    return access_list((1, user, NO_ID), (2, named, 1000), (4, group, NO_ID), (16, mask, NO_ID), (32, other, NO_ID))


MINIMAL = access_list((1, 6, NO_ID), (4, 4, NO_ID), (32, 0, NO_ID))


async def make(house: House, name: bytes = b"f") -> Inode:
    return await house.volume.tree.mknod(ROOT, name, stat.S_IFREG | 0o644, 0)


async def test_a_value_is_kept_byte_for_byte_and_moves_ctime(house: House) -> None:
    made, xattrs = await make(house), house.volume.xattrs
    before = made.ctime_ns
    await xattrs.setxattr(made.ino, b"user.one", b"\0\xff")
    assert await xattrs.getxattr(made.ino, b"user.one") == b"\0\xff"
    assert await xattrs.listxattr(made.ino) == [b"user.one"]
    assert made.ctime_ns > before
    await xattrs.removexattr(made.ino, b"user.one")
    assert await xattrs.listxattr(made.ino) == []


async def test_an_empty_value_is_a_value(house: House) -> None:
    made = await make(house)
    await house.volume.xattrs.setxattr(made.ino, b"user.empty", b"")
    assert await house.volume.xattrs.getxattr(made.ino, b"user.empty") == b""


async def test_what_is_not_there_is_missing(house: House) -> None:
    made = await make(house)
    with pytest.raises(AttributeMissing):
        await house.volume.xattrs.getxattr(made.ino, b"user.none")
    with pytest.raises(AttributeMissing):
        await house.volume.xattrs.removexattr(made.ino, b"user.none")
    with pytest.raises(AttributeMissing):
        await house.volume.xattrs.setxattr(made.ino, b"user.none", b"", XattrMode.REPLACE)


async def test_create_wants_a_free_name(house: House) -> None:
    made = await make(house)
    await house.volume.xattrs.setxattr(made.ino, b"user.one", b"1", XattrMode.CREATE)
    with pytest.raises(AlreadyExists):
        await house.volume.xattrs.setxattr(made.ino, b"user.one", b"2", XattrMode.CREATE)
    assert await house.volume.xattrs.getxattr(made.ino, b"user.one") == b"1"


@pytest.mark.parametrize("name", [b"nonsense", b"user.", b"system.other", b"security."])
async def test_unknown_namespaces_are_not_supported(house: House, name: bytes) -> None:
    made = await make(house)
    with pytest.raises(NotSupported):
        await house.volume.xattrs.setxattr(made.ino, name, b"")
    with pytest.raises(NotSupported):
        await house.volume.xattrs.getxattr(made.ino, name)


async def test_the_kernels_limits_hold(house: House) -> None:
    made, xattrs = await make(house), house.volume.xattrs
    await xattrs.setxattr(made.ino, b"user." + b"n" * 250, b"v" * 65_536)
    with pytest.raises(NameTooLong):
        await xattrs.setxattr(made.ino, b"user." + b"n" * 251, b"")
    with pytest.raises(AttributeTooLarge):
        await xattrs.setxattr(made.ino, b"user.large", b"v" * 65_537)


async def test_names_that_could_not_be_listed_are_refused(house: House) -> None:
    made, xattrs = await make(house), house.volume.xattrs
    for number in range(256):
        await xattrs.setxattr(made.ino, b"user.%0250d" % number, b"")
    with pytest.raises(OutOfSpace):
        await xattrs.setxattr(made.ino, b"user.one-more", b"")
    await xattrs.setxattr(made.ino, b"user.%0250d" % 3, b"a new value takes no name")


@pytest.mark.parametrize("name", [b"user.vaultaire", b"trusted.vaultaire", b"user.vaultaire.token"])
async def test_the_engines_own_names_cannot_be_set(house: House, name: bytes) -> None:
    made = await make(house)
    with pytest.raises(NotPermitted):
        await house.volume.xattrs.setxattr(made.ino, name, b"forged")
    await house.volume.xattrs.setxattr(made.ino, b"user.vaultairefs", b"somebody else's")


async def test_a_sync_level_must_be_one(house: House) -> None:
    made = await make(house)
    await house.volume.xattrs.setxattr(made.ino, b"user.vaultaire.sync", b"stored")
    with pytest.raises(InvalidRequest):
        await house.volume.xattrs.setxattr(made.ino, b"user.vaultaire.sync", b"maybe")


async def test_an_access_list_sets_the_mode(house: House) -> None:
    made = await make(house)
    await house.volume.xattrs.setxattr(made.ino, ACCESS, extended(user=6, mask=6, other=1))
    assert made.mode == 0o661
    assert await house.volume.xattrs.getxattr(made.ino, ACCESS) == extended(user=6, mask=6, other=1)


async def test_a_minimal_list_is_only_a_mode(house: House) -> None:
    made = await make(house)
    await house.volume.xattrs.setxattr(made.ino, ACCESS, extended())
    await house.volume.xattrs.setxattr(made.ino, ACCESS, MINIMAL)
    assert made.mode == 0o640
    with pytest.raises(AttributeMissing):
        await house.volume.xattrs.getxattr(made.ino, ACCESS)


async def test_chmod_changes_the_mask_of_a_list(house: House) -> None:
    made = await make(house)
    await house.volume.xattrs.setxattr(made.ino, ACCESS, extended())
    await house.volume.inodes.setattr(made.ino, AttributeRequest(mode=0o421))
    assert await house.volume.xattrs.getxattr(made.ino, ACCESS) == extended(user=4, mask=2, other=1)


async def test_setgid_falls_when_a_stranger_to_the_group_sets_a_list(house: House) -> None:
    made = await make(house)
    await house.volume.inodes.setattr(made.ino, AttributeRequest(mode=0o2755, gid=4_000_000))
    await house.volume.inodes.setattr(made.ino, AttributeRequest(mode=0o2755))
    await house.volume.xattrs.setxattr(made.ino, ACCESS, extended())
    assert made.mode & stat.S_ISGID
    with calling_as(USER):
        await house.volume.xattrs.setxattr(made.ino, ACCESS, extended())
    assert not made.mode & stat.S_ISGID


async def test_only_containers_have_a_default_list_and_it_changes_no_mode(house: House) -> None:
    home, made = await house.volume.tree.mkdir(ROOT, b"d", 0o750), await make(house)
    await house.volume.xattrs.setxattr(home.ino, DEFAULT, extended())
    assert home.mode == 0o750
    with pytest.raises(AccessDenied):
        await house.volume.xattrs.setxattr(made.ino, DEFAULT, extended())


async def test_entries_inherit_the_default_list(house: House) -> None:
    home = await house.volume.tree.mkdir(ROOT, b"d", 0o755)
    await house.volume.xattrs.setxattr(home.ino, DEFAULT, extended())
    inner = await house.volume.tree.mkdir(home.ino, b"inner", 0o700)
    assert await house.volume.xattrs.getxattr(inner.ino, DEFAULT) == extended()
    assert await house.volume.xattrs.getxattr(inner.ino, ACCESS) == extended(mask=0, other=0)


async def test_removing_a_list_that_is_not_there_succeeds(house: House) -> None:
    made = await make(house)
    await house.volume.xattrs.removexattr(made.ino, ACCESS)
    await house.volume.xattrs.setxattr(made.ino, ACCESS, extended())
    await house.volume.xattrs.removexattr(made.ino, ACCESS)
    with pytest.raises(AttributeMissing):
        await house.volume.xattrs.getxattr(made.ino, ACCESS)


async def test_nonsense_is_no_list(house: House) -> None:
    made = await make(house)
    with pytest.raises(InvalidRequest):
        await house.volume.xattrs.setxattr(made.ino, ACCESS, b"nonsense")
    assert made.mode == 0o644


async def test_file_capabilities_fall_with_a_write_a_truncation_and_a_chown(house: House) -> None:
    made, xattrs = await make(house), house.volume.xattrs
    for request in (AttributeRequest(uid=0), AttributeRequest(size=7), AttributeRequest()):
        await xattrs.setxattr(made.ino, b"security.capability", b"\1\0\0\2")
        await house.volume.inodes.setattr(made.ino, request)
        assert await xattrs.listxattr(made.ino) == []
