"""``vaultairefs doctor``: what a mount needs from this machine, and what a store can do.

Promise: looks, and changes nothing, but that an S3 store is tried out with objects of our own, which are gone again; a
line per finding, exit status 1 when one of them keeps a mount from working.
"""

import importlib
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from vaultairefs.cli.text import size_text
from vaultairefs.config import environment
from vaultairefs.model.errors import VaultaireError

if TYPE_CHECKING:
    from vaultairefs.config.settings import MountSettings
    from vaultairefs.engine.interface import Capabilities

_KERNEL_MIN: Final = (5, 4)
_PASSTHROUGH_KERNEL_MIN: Final = (6, 9)
_PROBE_SECONDS_MAX: Final = 60.0
_TRIED_OUT: Final = ("s3:",)
"""Stores of which only trying tells what they do."""
_TABLE_COLUMNS: Final = 100
"""Of a table that goes into a file or a pipe."""
_HELPERS: Final = (
    ("/sbin/mount.fuse.vaultairefs", "mount(8), fstab and systemd cannot mount a volume"),
    ("/sbin/umount.fuse.vaultairefs", "umount(8) and systemd return before the engine has everything"),
)


class Finding(NamedTuple):
    """``fail``: a mount cannot work; ``warn``: something will be missed."""

    verdict: Literal["ok", "warn", "fail"]
    text: str


def examine(spec: str | None, options: list[str]) -> None:
    """Print all findings; exits with status 1 when one is a failure.  ``options`` are those of a mount."""
    failed = False
    for finding in _findings():
        failed = _tell(finding) or failed
    if spec is not None:
        failed = _examine_store(spec, options) or failed
    if failed:
        sys.exit(1)


def _tell(finding: Finding) -> bool:
    print(f"{finding.verdict:<5} {finding.text}", flush=True)
    return finding.verdict == "fail"


def _findings() -> Iterator[Finding]:
    yield Finding("ok", f"vaultairefs {metadata.version('vaultairefs')}, Python {platform.python_version()}")
    yield _kernel()
    yield _device()
    yield _pyfuse3()
    yield from _privilege()
    yield _passthrough()
    for helper, loss in _HELPERS:
        yield Finding("ok", f"{helper} is there") if Path(helper).exists() else Finding("warn", f"no {helper}: {loss}")
    yield _state_home()


def _kernel() -> Finding:
    release = platform.release()
    if _release() < _KERNEL_MIN:
        return Finding("fail", f"Linux {release} is older than {'.'.join(map(str, _KERNEL_MIN))}")
    return Finding("ok", f"Linux {release}")


def _release() -> tuple[int, ...]:
    return tuple(int(part) for part in platform.release().split("-")[0].split(".")[:2] if part.isdigit())


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


def _passthrough() -> Finding:
    from vaultairefs.fuse.answering import why_unsuited

    numbers, reason = _release(), ""
    if numbers < _PASSTHROUGH_KERNEL_MIN:
        reason = f"Linux is older than {'.'.join(map(str, _PASSTHROUGH_KERNEL_MIN))}"
    elif os.geteuid() != 0:
        reason = "it needs CAP_SYS_ADMIN"
    reason = reason or why_unsuited()
    if reason:
        return Finding("warn", f"reads and writes go through the daemon, passthrough is not possible: {reason}")
    return Finding("ok", "passthrough: the kernel can read and write bodies itself; status says whether a mount does")


def _state_home() -> Finding:
    home = environment.state_home()
    existing = next(path for path in (home, *home.parents) if path.exists())
    if not os.access(existing, os.W_OK):
        return Finding("fail", f"the state home {home} cannot be written; say where with -o state=DIR")
    space = os.statvfs(existing)
    return Finding("ok", f"the state home {home} has {size_text(space.f_bavail * space.f_frsize)} free")


def _examine_store(spec: str, options: list[str]) -> bool:
    """Print what the store is and does; whether it is no use."""
    import trio

    from vaultairefs.config.options import split
    from vaultairefs.config.settings import load

    try:
        settings = load(spec, "/", [word for text in options for word in split(text)])
        capabilities, lines = trio.run(_probe_store, settings)
    except trio.TooSlowError:
        return _tell(Finding("fail", f"{spec} did not answer within {_PROBE_SECONDS_MAX:.0f} s"))
    except VaultaireError as error:
        return _tell(Finding("fail", str(error.args[0])))
    for text in lines:
        _tell(Finding("ok", text))
    if capabilities.degraded:
        _tell(Finding("warn", f"the store does less than it might: {', '.join(capabilities.degraded)}"))
    if capabilities.findings:
        _show(capabilities)
    return False


async def _probe_store(settings: "MountSettings") -> tuple["Capabilities", list[str]]:
    import trio

    from vaultairefs.engine.registry import open_engine

    read_only = settings.read_only or not settings.spec.lower().startswith(_TRIED_OUT)
    engine = open_engine(settings.spec, settings.tenant, read_only=read_only, options=settings.engine_options)
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
    return found, lines


def _show(capabilities: "Capabilities") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("what was tried", "what the store does", title="measured just now", title_justify="left")
    for finding in capabilities.findings:
        table.add_row(finding.subject, finding.found, style="yellow" if finding.is_degraded else None)
    Console(width=None if sys.stdout.isatty() else _TABLE_COLUMNS).print(table)


def _yes(value: bool) -> str:
    return "yes" if value else "no"
