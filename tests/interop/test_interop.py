"""Plain both ways: what other programs store appears right here, and what is stored from here appears right there."""

import os
import stat
from contextlib import closing
from pathlib import Path

from tests.interop.others import Others
from tests.support.daemon import Daemon
from tests.support.manifests import Seen, differences, manifest

OUR_OWN = frozenset({b".vaultairefs"})
MOMENT_NS = 1_234_567_890_123_456_789
BIG = os.urandom(6 << 20)


def plant(root: Path) -> None:
    """What s3fs can hold: files, modes, owners, times, symlinks, xattrs, empty folders; no hard links."""
    folder = root / "folder"
    folder.mkdir()
    folder.chmod(0o750)
    (root / "empty folder").mkdir()
    for name, content, mode in (("small", b"content", 0o640), ("nothing", b"", 0o604), ("big", BIG, 0o755)):
        path = folder / name
        path.write_bytes(content)
        path.chmod(mode)
        os.chown(path, 1234, 4321)
    (root / "caf\N{LATIN SMALL LETTER E WITH ACUTE} +%&").write_bytes(b"an odd name")
    (folder / "link").symlink_to("../empty folder")
    os.setxattr(folder / "small", "user.text", b"an attribute \0\xff")
    os.utime(folder / "small", ns=(MOMENT_NS, MOMENT_NS))
    os.utime(folder, ns=(MOMENT_NS, MOMENT_NS))


def seen(root: Path) -> dict[bytes, Seen]:
    """Without the root, which is a matter of the mount, and without what we keep at the top for ourselves."""
    return {path: entry for path, entry in manifest(root, leave_out=OUR_OWN).items() if path != b"."}


def test_what_s3fs_wrote_appears_with_every_attribute(ours: Daemon, others: Others) -> None:
    with others.s3fs() as folder:
        plant(folder)
        expected = seen(folder)
    ours.mount()
    assert differences(expected, seen(ours.mountpoint)) == []


def test_what_we_wrote_appears_in_s3fs_with_every_attribute(ours: Daemon, others: Others) -> None:
    ours.mount()
    plant(ours.mountpoint)
    expected = seen(ours.mountpoint)
    ours.umount()
    with others.s3fs() as folder:
        assert differences(expected, seen(folder)) == []


def test_s3fs_and_we_take_turns_on_one_tree(ours: Daemon, others: Others) -> None:
    ours.mount()
    plant(ours.mountpoint)
    ours.umount()
    with others.s3fs() as folder:
        (folder / "folder" / "small").write_bytes(b"rewritten there")
        (folder / "folder" / "nothing").unlink()
        (folder / "folder" / "link").rename(folder / "moved link")
        (folder / "empty folder").rmdir()
        expected = seen(folder)
    ours.mount()
    assert differences(expected, seen(ours.mountpoint)) == []


def test_what_a_client_without_metadata_put_is_a_tree_of_plain_files(ours: Daemon, others: Others) -> None:
    with closing(others.server.client()) as client:
        for key, body in (("top", b"1"), ("a/b/c", b"22"), ("a/b/d", BIG)):
            client.put_object(Bucket=ours.bucket, Key=key, Body=body)
    ours.mount()
    found = seen(ours.mountpoint)
    assert {path: stat.S_IFMT(entry.mode) for path, entry in found.items()} == {
        b"top": stat.S_IFREG,
        b"a": stat.S_IFDIR,
        b"a/b": stat.S_IFDIR,
        b"a/b/c": stat.S_IFREG,
        b"a/b/d": stat.S_IFREG,
    }
    assert (ours.mountpoint / "a/b/d").read_bytes() == BIG


def test_what_we_wrote_are_plain_objects(ours: Daemon, others: Others) -> None:
    ours.mount()
    plant(ours.mountpoint)
    ours.umount()
    with closing(others.server.client()) as client:
        body = client.get_object(Bucket=ours.bucket, Key="folder/big")["Body"]
        assert body.read() == BIG
        keys = {entry["Key"] for entry in client.list_objects_v2(Bucket=ours.bucket)["Contents"]}
    assert {key for key in keys if not key.startswith(".vaultairefs/")} == {
        "caf\N{LATIN SMALL LETTER E WITH ACUTE} +%&",
        "empty folder/",
        "folder/",
        "folder/big",
        "folder/link",
        "folder/nothing",
        "folder/small",
    }


def test_what_rclone_copied_with_metadata_keeps_mode_owner_and_time(
    ours: Daemon, others: Others, tmp_path: Path
) -> None:
    for name, mode in (("private", 0o600), ("program", 0o755)):
        path = tmp_path / name
        path.write_bytes(name.encode())
        path.chmod(mode)
        os.chown(path, 1234, 4321)
        os.utime(path, ns=(MOMENT_NS, MOMENT_NS))
    expected = {path: entry._replace(twin=b"tree/" + path) for path, entry in seen(tmp_path).items()}
    others.rclone("copy", "--metadata", str(tmp_path), "{bucket}/tree")
    ours.mount()
    found = {path.removeprefix(b"tree/"): entry for path, entry in seen(ours.mountpoint).items() if path != b"tree"}
    assert differences(expected, found) == []


def test_rclone_reads_what_we_wrote(ours: Daemon, others: Others, tmp_path: Path) -> None:
    ours.mount()
    plant(ours.mountpoint)
    ours.umount()
    others.rclone("copy", "{bucket}/folder", str(tmp_path))
    assert (tmp_path / "big").read_bytes() == BIG and (tmp_path / "small").read_bytes() == b"content"
    assert (tmp_path / "nothing").read_bytes() == b""


def test_hard_links_are_whole_files_for_others_and_what_they_change_is_a_file_of_its_own(
    ours: Daemon, others: Others, tmp_path: Path
) -> None:
    ours.mount()
    top = ours.mountpoint
    (top / "a").write_text("linked four times")
    for name in ("b", "c", "d"):
        os.link(top / "a", top / name)
    ours.umount()
    others.rclone("copy", "--metadata", "{bucket}", str(tmp_path))
    assert {(tmp_path / name).read_text() for name in "abcd"} == {"linked four times"}
    others.rclone("copyto", "--metadata", "{bucket}/a", "{bucket}/copy")
    with others.s3fs() as folder:
        assert {(folder / name).read_text() for name in "abcd"} == {"linked four times"}
        (folder / "b").write_text("rewritten there, metadata and all")
        (folder / "c").rename(folder / "moved there")
    ours.forget_state()
    ours.mount()
    found = {entry.name: os.lstat(entry).st_ino for entry in top.iterdir()}
    assert len({found[name] for name in ("a", "b", "copy", "moved there")}) == 4
    assert found["a"] == found["d"]
    (top / "a").write_text("newer")
    ours.umount()
    ours.mount()
    assert {name: (top / name).read_text() for name in found} == {
        "a": "newer",
        "d": "newer",
        "b": "rewritten there, metadata and all",
        "copy": "linked four times",
        "moved there": "linked four times",
    }
