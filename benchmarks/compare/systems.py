"""What is compared: each system can be mounted, drained, mounted again as if on another machine, and unmounted.

Promise: every process started here is ended here, by its own unmount; a system that is not installed says so.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.compare.store import Store

_VAULTAIREFS: Final = Path(sys.executable).with_name("vaultairefs")
_WAIT_SECONDS_MAX: Final = 900.0


class System(ABC):
    """One system, in front of one bucket, with its own directory ``base`` for whatever it keeps on the disk.

    ``is_in_store`` is False for those that never ask the store.
    """

    name: str
    program: str
    is_in_store = True

    def __init__(self, base: Path, store: Store) -> None:
        self.base, self.store = base / self.name, store
        self.path = self.base / "mount"
        self.bucket = "compare-" + self.name.replace("_", "-")
        self.processor_seconds, self.peak_mib = 0.0, 0.0

    @classmethod
    def is_installed(cls) -> bool:
        """Whether its program is on the PATH or beside our interpreter."""
        return shutil.which(cls.program, path=_search_path()) is not None

    def prepare(self) -> None:
        """An empty bucket and an empty directory."""
        shutil.rmtree(self.base, ignore_errors=True)
        self.path.mkdir(parents=True)
        self.store.empty(self.bucket)

    @abstractmethod
    def mount(self) -> None:
        """Mount, with whatever it kept from before."""

    @abstractmethod
    def drain(self) -> None:
        """Wait until the store holds everything."""

    def unmount(self) -> None:
        """End it, the way its users do."""
        self.run("fusermount3", "-u", str(self.path))
        _await(lambda: not os.path.ismount(self.path))

    @abstractmethod
    def forget(self) -> None:
        """While it is not mounted: throw away what it kept on this machine."""

    def account(self) -> None:
        """Before its processes end: add up what they used (proc(5))."""
        pids = self.pids()
        self.processor_seconds += sum(map(_processor_seconds, pids))
        self.peak_mib = max(self.peak_mib, sum(map(_peak_mib, pids)))

    def pids(self) -> list[int]:
        """Its processes, found by its mount point in their command line."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                except OSError:
                    continue
                if os.fsencode(self.path) in words and int(entry.name) != os.getpid():
                    found.append(int(entry.name))
        return found

    def run(self, *command: str, **more: str) -> str:
        """Run a program to its end; its output."""
        environment = {**os.environ, "PATH": _search_path(), **self.store.environment, **more}
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=1200)
        return done.stdout


class Ext4(System):
    """The disk itself."""

    name, program = "ext4", "sync"
    is_in_store = False

    def mount(self) -> None: ...

    def drain(self) -> None:
        self.run("sync", "-f", str(self.path))

    def unmount(self) -> None:
        self.drain()

    def forget(self) -> None:
        Path("/proc/sys/vm/drop_caches").write_text("3")


class Vaultairefs(System):
    """Ours, on the object store, as it is when nobody asks for anything: also the ordinary path of the unprivileged."""

    name, program = "vaultairefs", str(_VAULTAIREFS)
    options: tuple[str, ...] = ()

    @property
    def spec(self) -> str:
        return f"s3://{self.bucket}"

    def mount(self) -> None:
        options = [f"state={self.base / 'state'}", *self.options]
        if self.spec.startswith("s3:"):
            options.append(f"endpoint_url={self.store.endpoint}")
        self.run(str(_VAULTAIREFS), "mount", self.spec, str(self.path), "-o", ",".join(options))

    def drain(self) -> None:
        self.run(str(_VAULTAIREFS), "flush", str(self.path))

    def unmount(self) -> None:
        self.run(str(_VAULTAIREFS), "umount", str(self.path))

    def forget(self) -> None:
        shutil.rmtree(self.base / "state")

    def pids(self) -> list[int]:
        daemon = int(json.loads(self.run(str(_VAULTAIREFS), "status", str(self.path), "--json"))["pid"])
        children = Path(f"/proc/{daemon}/task/{daemon}/children").read_text().split()
        return [daemon, *map(int, children)]


class VaultairefsPassthrough(Vaultairefs):
    """Ours, where the kernel reads and writes the local bodies itself."""

    name, options = "vaultairefs-passthrough", ("passthrough=auto",)


class VaultairefsLocal(Vaultairefs):
    """Ours, on a local directory."""

    name = "vaultairefs-local"
    is_in_store = False

    @property
    def spec(self) -> str:
        return f"file://{self.base / 'engine'}"

    def mount(self) -> None:
        (self.base / "engine").mkdir(exist_ok=True)
        super().mount()


class Rclone(System):
    """rclone mount with its full cache: the mode in which it is most of a filesystem."""

    name, program, mode = "rclone", "rclone", "full"

    def mount(self) -> None:
        (self.base / "control").unlink(missing_ok=True)  # a killed one leaves it, and the next cannot bind
        self.run(
            *("rclone", "mount", f":s3:{self.bucket}", str(self.path), "--daemon", "--vfs-cache-mode", self.mode),
            *("--s3-provider", "Ceph", "--s3-env-auth", "--s3-endpoint", self.store.endpoint),
            *("--vfs-write-back", "1s", "--cache-dir", str(self.base / "cache"), "--config", "/dev/null"),
            *("--rc", "--rc-no-auth", "--rc-addr", f"unix://{self.base / 'control'}"),
        )

    def drain(self) -> None:
        time.sleep(1.5)  # its write-back delay, in which nothing is queued yet
        _await(self._is_idle)

    def _is_idle(self) -> bool:
        answer = self.run("rclone", "rc", "--unix-socket", str(self.base / "control"), "vfs/stats")
        cache = json.loads(answer)["diskCache"]
        return not cache["uploadsInProgress"] and not cache["uploadsQueued"]

    def forget(self) -> None:
        shutil.rmtree(self.base / "cache", ignore_errors=True)


class S3fs(System):
    """s3fs-fuse with its file cache."""

    name, program = "s3fs", "s3fs"

    def mount(self) -> None:
        keys = self.base / "keys"
        keys.touch(mode=0o600)
        keys.write_text(f"{self.store.access_key}:{self.store.secret_key}\n")
        options = f"url={self.store.endpoint},use_path_request_style,passwd_file={keys},use_cache={self.base / 'cache'}"
        self.run("s3fs", self.bucket, str(self.path), "-o", options)

    def drain(self) -> None:
        """close(2) returns when the store has it."""

    def forget(self) -> None:
        shutil.rmtree(self.base / "cache", ignore_errors=True)


class S3ql(System):
    """S3QL: its own format in the store, which nothing else reads."""

    name, program = "s3ql", "mount.s3ql"

    def prepare(self) -> None:
        super().prepare()
        keys = self.base / "keys"
        keys.touch(mode=0o600)
        keys.write_text(
            f"[s3c]\nstorage-url: s3c://\nbackend-login: {self.store.access_key}\n"
            f"backend-password: {self.store.secret_key}\n"
        )
        self.run("mkfs.s3ql", "--plain", *self._common(), self._url())

    def _url(self) -> str:
        return f"s3c://{self.store.endpoint.removeprefix('http://')}/{self.bucket}"

    def _common(self) -> list[str]:
        keys, cache = str(self.base / "keys"), str(self.base / "cache")
        return ["--authfile", keys, "--cachedir", cache, "--backend-options", "no-ssl,dumb-copy"]

    def mount(self) -> None:
        self.run("mount.s3ql", *self._common(), "--compress", "none", self._url(), str(self.path))

    def drain(self) -> None:
        self.run("s3qlctrl", "flushcache", str(self.path))

    def unmount(self) -> None:
        self.run("umount.s3ql", str(self.path))

    def forget(self) -> None:
        shutil.rmtree(self.base / "cache", ignore_errors=True)


class PassthroughLl(System):
    """libfuse's own example in C over ext4: what a careful C filesystem without a store costs."""

    name, program = "passthrough_ll", "passthrough_ll"
    is_in_store = False

    def mount(self) -> None:
        (self.base / "source").mkdir(exist_ok=True)
        self.run("passthrough_ll", "-o", f"source={self.base / 'source'},cache=auto", str(self.path))

    def drain(self) -> None:
        self.run("sync", "-f", str(self.base / "source"))

    def forget(self) -> None:
        Path("/proc/sys/vm/drop_caches").write_text("3")


SYSTEMS: Final[dict[str, type[System]]] = {
    system.name: system
    for system in (
        Ext4,
        Vaultairefs,
        VaultairefsPassthrough,
        VaultairefsLocal,
        PassthroughLl,
        Rclone,
        S3fs,
        S3ql,
    )
}


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def _search_path() -> str:
    return f"{Path(sys.executable).parent}:{os.environ['PATH']}"


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS_MAX
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("it does not end")
        time.sleep(0.1)
