"""Plants a tree that holds one of everything a filesystem must keep."""

import os
import random
import stat
from pathlib import Path

from tests.support.programs import run

LONG_NAME = b"n" * 254 + b"\xff"
BLOCK = 4096


def plant(root: Path, seed: int = 1) -> None:
    """Files of many sizes, modes, owners and times, odd names, links, nodes, xattrs, ACLs, holes, empty folders."""
    source = random.Random(seed)
    root.mkdir()
    _plant_files(root, source)
    _plant_names(root)
    _plant_links(root)
    _plant_nodes(root)
    _plant_xattrs(root)
    _date_folders(root)


def _plant_files(root: Path, source: random.Random) -> None:
    sizes = (0, 1, 17, BLOCK - 1, BLOCK, BLOCK + 1, 70_001, (1 << 20) + 3, 5 << 20)
    for number, size in enumerate(sizes * 4):
        folder = root / f"folder{number % 5}" / "inner"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"file{number}"
        path.write_bytes(source.randbytes(size))
        os.chown(path, 1000 + number % 3, 100 + number % 4)
        path.chmod(source.choice((0o600, 0o644, 0o755, 0o400, 0o4755, 0o2711, 0o0)))
        os.utime(path, ns=(source.randrange(10**18), source.randrange(2 * 10**18)))
    with open(root / "sparse", "wb") as file:
        file.seek(32 << 20)
        file.write(b"end")
    (root / "empty folder").mkdir(mode=0o1777)
    (root / "empty folder").chmod(0o1777)


def _plant_names(root: Path) -> None:
    folder = os.fsencode(root / "names")
    os.mkdir(folder, 0o750)
    for name in (b" ", b"-n", b"new\nline", b"\x01\x7f", b"caf\xc3\xa9", b"not utf-8 \xff\xfe", b"*?[a]", LONG_NAME):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(name)
    for name in (b".vaultairefs", b".vaultairefs%", b".hidden"):
        with open(os.path.join(os.fsencode(root), name), "wb") as file:
            file.write(name)


def _plant_links(root: Path) -> None:
    folder = root / "links"
    folder.mkdir()
    (folder / "one").write_bytes(b"several names")
    os.link(folder / "one", folder / "two")
    os.link(folder / "one", root / "three")
    os.symlink(b"t" * 4095, folder / "long target")
    os.symlink("../folder0", folder / "to a folder")
    os.symlink("/nowhere/at all", folder / "dangling")
    os.lchown(folder / "dangling", 1234, 4321)
    os.link(folder / "dangling", folder / "dangling again", follow_symlinks=False)
    os.utime(folder / "dangling", ns=(1, 946_684_800_123_456_789), follow_symlinks=False)


def _plant_nodes(root: Path) -> None:
    folder = root / "nodes"
    folder.mkdir()
    os.mkfifo(folder / "fifo", 0o640)
    os.mknod(folder / "socket", stat.S_IFSOCK | 0o660)
    os.mknod(folder / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(folder / "loop", stat.S_IFBLK | 0o600, os.makedev(7, 200))


def _plant_xattrs(root: Path) -> None:
    folder = root / "xattrs"
    folder.mkdir()
    path = folder / "file"
    path.write_bytes(b"x")
    os.setxattr(path, "user.text", b"some text")
    os.setxattr(path, "user.binary", bytes(range(256)))
    os.setxattr(path, "user.empty", b"")
    os.setxattr(path, "trusted.secret", b"for root")
    os.setxattr(folder, "user.on.a.folder", b"yes")
    (folder / "shared").mkdir()
    (folder / "shared" / "listed").write_bytes(b"with an ACL")
    run("setfacl", "-m", "u:1234:rw,g:4321:r,m::rw", folder / "shared" / "listed")
    run("setfacl", "-d", "-m", "u:1234:rwx,o::-", folder / "shared")


def _date_folders(root: Path) -> None:
    """Last, since everything above moved them."""
    for number, (folder, _, _) in enumerate(os.walk(root, topdown=False)):
        os.utime(folder, ns=(10**18 + number, 1_300_000_000_987_654_321 + number))
