"""Boots a real systemd, as PID 1 of a container, over a throw-away copy of this machine's own root filesystem.

The root is an overlay whose upper layer is in memory, so nothing that happens inside stays.  Only units given here
run: what this machine itself has enabled is removed from the copy first.  The container has its own processes,
network and cgroups.  A *check* program runs inside as a service; when it ends, systemd powers the machine off.

Needs: root, systemd and systemd-container, overlayfs, autofs, /dev/fuse.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

from tests.support.programs import run
from tests.tidy.sources import ROOT

BOOT_SECONDS_MAX = 100
TARGET = "vaultairefs-test.target"
NODES = {"fuse": (10, 229), "autofs": (10, 235)}

CHECK_SERVICE = """\
[Unit]
Description=runs the check and powers off
After=basic.target
SuccessAction=poweroff
FailureAction=poweroff
[Service]
Type=oneshot
ExecStart={command}
StandardOutput=file:{output}
StandardError=file:{output}.err
TimeoutStartSec=90
Environment=LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
"""
TARGET_UNIT = "[Unit]\nRequires=basic.target check.service\nAfter=basic.target\n"


class Machine:
    """A root filesystem that can be filled with ``install`` and started with ``boot``."""

    def __init__(self, base: Path) -> None:
        self.root = base / "root"
        self._base = base
        self._binds: list[str] = []
        for name in ("upper", "work", "root", "dev"):
            (base / name).mkdir()
        layers = f"lowerdir=/,upperdir={base}/upper,workdir={base}/work"
        run("mount", "-t", "overlay", "-o", layers, "overlay", self.root)
        shutil.rmtree(self.root / "etc/systemd/system")
        self.install("etc/machine-id", uuid.uuid4().hex + "\n")
        self.install("etc/fstab", "")
        self.install("etc/hostname", "container\n")
        for name, number in NODES.items():
            os.mknod(base / "dev" / name, 0o600 | 0o020000, os.makedev(*number))
            self.bind(base / "dev" / name, f"/dev/{name}")
        self.link("etc/systemd/system/tmp.mount", Path("/dev/null"))  # what lies in /tmp must stay visible
        for folder in {ROOT, Path(sys.base_prefix)} - {Path("/usr")}:  # /usr is in the copy, with the helpers
            self.bind(folder, str(folder))

    def install(self, path: str, content: str | Path, mode: int = 0o644) -> None:
        """A file in the machine's root; a Path as content is a file to copy."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.write_text(content.read_text() if isinstance(content, Path) else content)
        target.chmod(mode)

    def link(self, path: str, target: Path) -> None:
        """A symlink in the machine's root."""
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).unlink(missing_ok=True)
        (self.root / path).symlink_to(target)

    def bind(self, source: Path, target: str) -> None:
        """A file or directory of the host that the machine sees and changes."""
        self._binds.append(f"--bind={source}:{target}")

    def boot(self, command: str, output: Path) -> None:
        """Start, run ``command`` inside, power off.  ``output`` is a path that both see, for what it prints."""
        self.install("etc/systemd/system/check.service", CHECK_SERVICE.format(command=command, output=output))
        self.install(f"etc/systemd/system/{TARGET}", TARGET_UNIT)
        self.link("etc/systemd/system/default.target", Path(TARGET))
        container = [
            *("systemd-nspawn", "--quiet", f"--directory={self.root}", f"--machine=vt{os.getpid()}"),
            *("--register=no", "--keep-unit", "--capability=all", "--private-network", "--resolv-conf=off"),
            *("--timezone=off", "--link-journal=no", "--console=pipe", *self._binds),
            "--boot",
        ]
        with open(self._base / "console", "wb") as console, own_cgroup():
            done = subprocess.run(
                container,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env={
                    **os.environ,
                    "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
                    "SYSTEMD_NSPAWN_LOCK": "0",
                    "SYSTEMD_NSPAWN_TMPFS_TMP": "0",
                },
                timeout=BOOT_SECONDS_MAX,
            )
        words = (self._base / "console").read_text(errors="backslashreplace")
        assert done.returncode == 0, f"the container ended with {done.returncode}:\n{words[-4000:]}"

    def close(self) -> None:
        run("umount", self.root)


@contextlib.contextmanager
def own_cgroup() -> Iterator[None]:
    """This process, and what it starts, in cgroups of their own: two containers would else share the host's."""
    hierarchies = [Path(f"/sys/fs/cgroup{name}") for name in ("/unified", "/systemd", "")]
    mine = [path for path in hierarchies if (path / "cgroup.procs").exists()]
    before = {path: _present_cgroup(path) for path in mine}
    made = [path / f"vaultairefs-{os.getpid()}" for path in mine]
    for group in made:
        group.mkdir()
        (group / "cgroup.procs").write_text(str(os.getpid()))
    try:
        yield
    finally:
        for path, group in zip(mine, made, strict=True):
            (path / before[path].lstrip("/") / "cgroup.procs").write_text(str(os.getpid()))
            for folder, _, _ in os.walk(group, topdown=False):
                os.rmdir(folder)


def _present_cgroup(hierarchy: Path) -> str:
    """The cgroup of this process below ``hierarchy``, from /proc/self/cgroup (cgroups(7))."""
    controller = "name=systemd" if hierarchy.name == "systemd" else ""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == controller:
            return path
    return "/"
