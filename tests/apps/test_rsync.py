"""rsync works on the mount, and sees from the attributes alone that a copy is up to date."""

import os
from pathlib import Path

import pytest

from tests.support.manifests import differences, manifest
from tests.support.programs import run

ARCHIVE = ("rsync", "-aHAX", "--numeric-ids", "--itemize-changes", "--modify-window=-1")


@pytest.fixture
def original(tmp_path: Path) -> Path:
    """A tree outside the mount, with everything that rsync -aHAX carries over."""
    root = tmp_path / "original"
    for number in range(80):
        folder = root / f"d{number % 9}" / f"e{number % 4}"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"f{number}"
        path.write_bytes(os.urandom(number * 500))
        path.chmod(0o600 + number % 64)
        os.chown(path, 1000 + number % 5, 2000 + number % 3)
        os.utime(path, ns=(10**18 + number, 1_234_567_890_123_456_000 + number))
    (root / "big").write_bytes(os.urandom(3 << 20))
    os.link(root / "big", root / "big again")
    (root / "link").symlink_to("d1/e1/nothing here")
    os.setxattr(root / "big", "user.origin", b"rsync")
    return root


def sync(*options: str, source: Path, target: Path) -> str:
    return run(*ARCHIVE, *options, f"{source}/", f"{target}/")


def test_a_second_rsync_transfers_nothing(original: Path, place: Path) -> None:
    target = place / "target"
    assert "f79" in sync(source=original, target=target)
    assert sync(source=original, target=target) == ""
    assert sync("--checksum", source=original, target=target) == ""
    assert differences(manifest(original), manifest(target)) == []


def test_rsync_inplace_and_delete_leave_exactly_the_source(original: Path, place: Path) -> None:
    target = place / "target"
    sync(source=original, target=target)
    with open(original / "big", "r+b") as file:
        file.seek(1 << 20)
        file.write(b"changed in the middle")
    (original / "d1" / "e1" / "new").write_bytes(b"new")
    run("rm", "-r", original / "d2")
    (target / "foreign").mkdir()
    (target / "foreign" / "file").write_bytes(b"not in the source")
    sync("--inplace", "--no-whole-file", "--delete", source=original, target=target)
    assert differences(manifest(original), manifest(target)) == []


def test_rsync_reads_back_from_the_mount_what_it_wrote(original: Path, place: Path, tmp_path: Path) -> None:
    sync(source=original, target=place / "target")
    back = tmp_path / "back"
    sync(source=place / "target", target=back)
    assert differences(manifest(original), manifest(back)) == []
