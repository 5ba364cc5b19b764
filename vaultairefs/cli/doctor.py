"""``vaultairefs doctor``: what a mount needs from this machine, and what a store can do.

Promise: looks, and changes nothing; a line per finding, exit status 1 when one of them keeps a mount from working.
"""

import importlib
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final, Literal, NamedTuple

from vaultairefs.cli.text import size_text
from vaultairefs.config import environment
from vaultairefs.model.errors import VaultaireError

_KERNEL_MIN: Final = (5, 4)
_PROBE_SECONDS_MAX: Final = 30.0
_HELPERS: Final = (
    ("/sbin/mount.fuse.vaultairefs", "mount(8), fstab and systemd cannot mount a volume"),
    ("/sbin/umount.fuse.vaultairefs", "umount(8) and systemd return before the engine has everything"),
)


class Finding(NamedTuple):
    """``fail``: a mount cannot work; ``warn``: something will be missed."""

    verdict: Literal["ok", "warn", "fail"]
    text: str


def examine(spec: str | None) -> None:
    """Print all findings; exits with status 1 when one is a failure."""
    failed = False
    for finding in _findings(spec):
        print(f"{finding.verdict:<5} {finding.text}", flush=True)
        failed = failed or finding.verdict == "fail"
    if failed:
        sys.exit(1)


def _findings(spec: str | None) -> Iterator[Finding]:
    yield Finding("ok", f"vaultairefs {metadata.version('vaultairefs')}, Python {platform.python_version()}")
    yield _kernel()
    yield _device()
    yield _pyfuse3()
    yield from _privilege()
    for helper, loss in _HELPERS:
        yield Finding("ok", f"{helper} is there") if Path(helper).exists() else Finding("warn", f"no {helper}: {loss}")
    yield _state_home()
    if spec is not None:
        yield from _store(spec)


def _kernel() -> Finding:
    release = platform.release()
    numbers = tuple(int(part) for part in release.split("-")[0].split(".")[:2] if part.isdigit())
    if numbers < _KERNEL_MIN:
        return Finding("fail", f"Linux {release} is older than {'.'.join(map(str, _KERNEL_MIN))}")
    return Finding("ok", f"Linux {release}")


def _device() -> Finding:
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return Finding("fail", f"/dev/fuse cannot be opened: {error.strerror}")
    return Finding("ok", "/dev/fuse can be opened")


def _pyfuse3() -> Finding:
    try:
        importlib.import_module("vaultairefs.fuse.session")
    except ImportError as error:
        return Finding("fail", f"pyfuse3 cannot be loaded: {error}")
    return Finding("ok", f"pyfuse3 {metadata.version('pyfuse3')}")


def _privilege() -> Iterator[Finding]:
    if os.geteuid() == 0:
        yield Finding("ok", "root mounts by itself")
        return
    if shutil.which("fusermount3") is None:
        yield Finding("fail", "fusermount3 is not installed: only root can mount")
        return
    yield Finding("ok", "fusermount3 mounts for ordinary users")
    configuration = Path("/etc/fuse.conf")
    words = configuration.read_text(errors="replace").split() if configuration.exists() else []
    if "user_allow_other" not in words:
        yield Finding("warn", "no user_allow_other in /etc/fuse.conf: the option allow_other is for root only")


def _state_home() -> Finding:
    home = environment.state_home()
    existing = next(path for path in (home, *home.parents) if path.exists())
    if not os.access(existing, os.W_OK):
        return Finding("fail", f"the state home {home} cannot be written; say where with -o state=DIR")
    space = os.statvfs(existing)
    return Finding("ok", f"the state home {home} has {size_text(space.f_bavail * space.f_frsize)} free")


def _store(spec: str) -> Iterator[Finding]:
    import trio

    try:
        for text in trio.run(_probe_store, spec):
            yield Finding("ok", text)
    except trio.TooSlowError:
        yield Finding("fail", f"{spec} did not answer within {_PROBE_SECONDS_MAX:.0f} s")
    except VaultaireError as error:
        yield Finding("fail", str(error.args[0]))


async def _probe_store(spec: str) -> list[str]:
    import trio

    from vaultairefs.engine.registry import open_engine

    engine = open_engine(spec, None, read_only=True)
    try:
        with trio.fail_after(_PROBE_SECONDS_MAX):
            found = await engine.probe()
            usage = await engine.usage()
    finally:
        await engine.close()
    lines = [
        f"{engine.identity} answers",
        f"renames without copying: {_yes(found.moves)}; hard links: {_yes(found.links)}; "
        f"conditions: {'by the store' if found.conditional else 'best effort, a check right before'}",
    ]
    if usage.available_bytes is not None and usage.capacity_bytes is not None:
        lines.append(f"{size_text(usage.available_bytes)} of {size_text(usage.capacity_bytes)} available")
    return lines


def _yes(value: bool) -> str:
    return "yes" if value else "no"
