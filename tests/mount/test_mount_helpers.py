"""mount(8), umount(8) and our helpers, in a mount namespace where /sbin holds them."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import COMMAND, SECONDS_MAX, workshop

HELPERS = ("mount.fuse.vaultairefs", "mount.vaultairefs", "umount.fuse.vaultairefs")

PRELUDE = """
set -eu
sbin=$(readlink -f /sbin)
mkdir scratch
mount -t tmpfs none scratch
mkdir scratch/upper scratch/work
mount -t overlay none -o lowerdir=$sbin,upperdir=scratch/upper,workdir=scratch/work $sbin
for helper in $HELPERS; do ln -s $PROGRAMS/$helper $sbin/$helper; done
[ ! -d /run/mount ] || mount -t tmpfs none /run/mount
mkdir -p mnt store
options=state=$PWD/state,flush_delay=1h
trap 'umount -i -l mnt 2>/dev/null || true' EXIT
"""


@pytest.fixture
def base() -> Iterator[Path]:
    with workshop() as folder:
        yield folder


def script(base: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Run below ``base`` in a mount namespace of its own, with the environment that systemd gives a helper."""
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HELPERS": " ".join(HELPERS),
        "PROGRAMS": str(Path(sys.executable).parent),
        "VAULTAIREFS": COMMAND[-1],
    }
    command = ["unshare", "-m", "bash", "-c", PRELUDE + text]
    return subprocess.run(
        command, cwd=base, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )


def test_mount_and_umount_by_type_and_umount_waits_for_the_engine(base: Path) -> None:
    done = script(
        base,
        """
        words=_netdev,nofail,x-systemd.automount,user=somebody,noatime
        mount -t fuse.vaultairefs -o "$options,$words" "file://$PWD/store" mnt
        findmnt -n -o FSTYPE,SOURCE mnt
        pid=$($VAULTAIREFS status mnt --json | sed -n 's/.*"pid": \\([0-9]*\\),/\\1/p')
        for name in $(seq 200); do echo $name >mnt/$name; done
        test ! -e store/200
        umount mnt
        cat store/1 store/200
        grep -q '^State:.Z' /proc/$pid/status 2>/dev/null || test ! -e /proc/$pid && echo ended
        """,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["fuse.vaultairefs", f"file://{base}/store", "1", "200", "ended"]


def test_a_volume_that_the_command_line_mounted_is_waited_for_too(base: Path) -> None:
    done = script(
        base,
        """
        $VAULTAIREFS mount "file://$PWD/store" mnt -o "$options"
        echo text >mnt/file
        umount mnt
        cat store/file
        """,
    )
    assert (done.returncode, done.stdout) == (0, "text\n"), done.stderr


def test_the_short_type_works_and_the_lazy_umount_waits_for_the_engine_alone(base: Path) -> None:
    done = script(
        base,
        """
        mount -t vaultairefs -o "$options" "file://$PWD/store" mnt
        echo text >mnt/file
        exec 7<mnt/file
        umount mnt 2>/dev/null && echo "a busy mount went away"
        umount -l mnt
        cat store/file
        cat <&7
        exec 7<&-
        """,
    )
    assert (done.returncode, done.stdout) == (0, "text\ntext\n"), done.stderr


def test_fstab_mounts_and_a_dead_mount_can_be_unmounted(base: Path) -> None:
    done = script(
        base,
        """
        printf 'file://%s %s fuse.vaultairefs %s,noauto 0 0\\n' "$PWD/store" "$PWD/mnt" "$options" >scratch/fstab
        mount --bind scratch/fstab /etc/fstab
        mount mnt
        echo text >mnt/file
        kill -9 $($VAULTAIREFS status mnt --json | sed -n 's/.*"pid": \\([0-9]*\\),/\\1/p')
        umount mnt
        mount mnt
        cat mnt/file
        umount mnt
        cat store/file
        """,
    )
    assert (done.returncode, done.stdout) == (0, "text\ntext\n"), done.stderr


def test_a_mount_that_fails_is_mounts_status_32_and_one_sentence(base: Path) -> None:
    done = script(
        base,
        """
        mount -t fuse.vaultairefs -o "$options" "file://$PWD/missing" mnt || echo "status $?"
        """,
    )
    assert done.stdout == "status 32\n"
    assert "no such directory" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv(1)")
def test_an_ordinary_user_mounts_and_unmounts_with_fusermount3(base: Path) -> None:
    done = script(
        base,
        """
        chown -R 65534:65534 mnt store
        mknod -m 666 scratch/fuse c 10 229
        mount --bind scratch/fuse /dev/fuse
        mkdir -m 700 home && chown 65534:65534 home
        # The interpreter may lie where only root can read: umount(8) itself would drop this capability.
        caps='--inh-caps +dac_read_search --ambient-caps +dac_read_search'
        user() { setpriv --reuid 65534 --regid 65534 --clear-groups $caps env HOME=$PWD/home "$@"; }
        user $VAULTAIREFS mount "file://$PWD/store" mnt -o flush_delay=1h
        findmnt -n -o FSTYPE mnt
        user sh -c 'echo text >mnt/file'
        user $VAULTAIREFS status mnt --json | grep -o '"dirty_artifacts": 2'
        user $VAULTAIREFS umount mnt
        cat store/file
        stat -c %u store/file
        user $VAULTAIREFS mount "file://$PWD/store" mnt -o flush_delay=1h
        user sh -c 'echo more >mnt/file'
        user umount.fuse.vaultairefs $PWD/mnt
        cat store/file
        """,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["fuse.vaultairefs", '"dirty_artifacts": 2', "text", "65534", "more"]


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv(1)")
def test_why_an_ordinary_user_may_not_mount_is_one_sentence(base: Path) -> None:
    done = script(
        base,
        """
        chown 65534 store
        mkdir -m 700 home && chown 65534 home
        mknod -m 666 scratch/fuse c 10 229
        mount --bind scratch/fuse /dev/fuse
        caps='--inh-caps +dac_read_search --ambient-caps +dac_read_search'
        user() { setpriv --reuid 65534 --regid 65534 --clear-groups $caps env HOME=$PWD/home "$@"; }
        user $VAULTAIREFS mount "file://$PWD/store" mnt || echo "status $?"
        """,
    )
    assert done.stdout == "status 1\n"
    assert done.stderr == (
        f"vaultairefs: cannot mount on {base}/mnt: user has no write access to mountpoint {base}/mnt\n"
    )
