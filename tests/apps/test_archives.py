"""tar, sha256sum and cp -a carry a tree through the mount without losing anything of it."""

from pathlib import Path

from tests.support.manifests import differences, manifest
from tests.support.programs import run
from tests.support.trees import plant


def test_a_tree_survives_tar_and_untar_on_the_mount(place: Path, tmp_path: Path) -> None:
    original = tmp_path / "original"
    plant(original)
    before = manifest(original)
    archive, unpacked = place / "tree.tar", place / "unpacked"
    options = ("--acls", "--xattrs", "--xattrs-include=*", "--numeric-owner", "--format=posix")
    run("tar", *options, "-cf", archive, "-C", original, ".")
    unpacked.mkdir()
    run("tar", *options, "-xpf", archive, "-C", unpacked)
    del before[b"nodes/socket"]  # tar never stores sockets
    assert differences(before, manifest(unpacked)) == []


def test_cp_a_within_the_mount_copies_everything(place: Path) -> None:
    original, copy = place / "original", place / "copy"
    plant(original)
    before = manifest(original)
    run("cp", "-a", original, copy)
    assert differences(before, manifest(copy)) == []
    assert differences(before, manifest(original)) == []


def test_sha256sum_agrees_after_a_move_between_folders(place: Path) -> None:
    one, other = place / "one", place / "other"
    plant(one)
    sums = run("bash", "-c", "find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum", cwd=one)
    other.mkdir()
    run("bash", "-c", 'mv -- * .[!.]* "$1"', "mv", other, cwd=one)
    run("sha256sum", "--quiet", "--check", place_file(place, sums), cwd=other)
    assert list(one.iterdir()) == []


def place_file(place: Path, text: str) -> Path:
    path = place / "sums"
    path.write_text(text, errors="surrogateescape")
    return path
