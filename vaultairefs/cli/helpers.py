"""What mount(8) and umount(8) call: ``mount.fuse.vaultairefs``, ``mount.vaultairefs``, ``umount.fuse.vaultairefs``.

They look for helpers in ``/sbin`` only, by the type of the filesystem, for root and for everybody else (util-linux
2.38, seen with strace); no mark in ``/run/mount/utab`` is needed for that, and mount(8) keeps utab itself.  The type
in the mount table is ``fuse.vaultairefs``, however it was mounted, so with the umount helper in place every umount(8),
systemd's too, returns only when the engine has everything.

Promise: argv as documented in mount(8) and umount(8), "external helpers"; exit status 32 when mounting failed, 1 for
a wrong call; no PATH and no HOME are needed.
"""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

from vaultairefs.config import options
from vaultairefs.model.errors import BadInput, Unavailable, VaultaireError

_USAGE_STATUS: Final = 1
_MOUNT_FAILED_STATUS: Final = 32
_MOUNT_USAGE: Final = "usage: mount.fuse.vaultairefs SPEC DIR [-sfnv] [-N namespace] [-t type] [-o options]"
_UMOUNT_USAGE: Final = "usage: umount.fuse.vaultairefs DIR [-flnrv] [-N namespace] [-t type]"
_UMOUNT_PLACES: Final = ("/bin/umount", "/usr/bin/umount", "/sbin/umount")


class HelperCall(NamedTuple):
    """A helper's argv: what stood alone, the letters that were set, the values of -o, -N, -t."""

    positional: list[str]
    flags: str
    values: dict[str, list[str]]


def parse_call(arguments: Iterable[str], *, flags: str, valued: str) -> HelperCall:
    """Single letters in clusters, values in the next word; ``BadInput`` for a letter that is neither."""
    positional: list[str] = []
    seen = ""
    values: dict[str, list[str]] = {}
    words = iter(arguments)
    for word in words:
        if not word.startswith("-") or word == "-":
            positional.append(word)
            continue
        for at, letter in enumerate(word[1:], start=1):
            if letter in valued:
                value = word[at + 1 :] or next(words, None)
                if value is None:
                    raise BadInput(f"the flag -{letter} needs a value")
                values.setdefault(letter, []).append(value)
                break
            if letter not in flags:
                raise BadInput(f"the flag -{letter} is not known")
            seen += letter
    return HelperCall(positional, seen, values)


def mount() -> None:
    """Entry point of the mount helper; exits the process."""
    try:
        call = parse_call(sys.argv[1:], flags="sfnv", valued="oNt")
        if len(call.positional) != 2:
            raise BadInput(_MOUNT_USAGE)
    except BadInput as error:
        _fail(sys.argv[0], error, _USAGE_STATUS)
    try:
        _mount(call)
    except VaultaireError as error:
        _fail(sys.argv[0], error, _MOUNT_FAILED_STATUS)
    except KeyboardInterrupt:
        sys.exit(_MOUNT_FAILED_STATUS)


def _mount(call: HelperCall) -> None:
    spec, directory = call.positional
    words = call.values.get("o", [])
    if "N" in call.values:
        raise BadInput("mounting into another namespace (-N) is not possible; run mount inside of it with nsenter(1)")
    if "f" in call.flags:  # mount -f: everything but the mount
        options.parse(option for text in words for option in options.split(text))
        return
    from vaultairefs.cli.mounting import mount_volume

    mount_volume(spec, directory, words, foreground=False, sloppy="s" in call.flags)
    if "v" in call.flags:
        print(f"{spec} mounted on {directory}")


def umount() -> None:
    """Entry point of the umount helper; exits the process."""
    try:
        call = parse_call(sys.argv[1:], flags="flnrvc", valued="Nt")
        if len(call.positional) != 1:
            raise BadInput(_UMOUNT_USAGE)
    except BadInput as error:
        _fail(sys.argv[0], error, _USAGE_STATUS)
    try:
        sys.exit(_umount(call))
    except VaultaireError as error:
        _fail(sys.argv[0], error, _USAGE_STATUS)
    except KeyboardInterrupt:
        sys.exit(130)  # the daemon goes on draining by itself


def _umount(call: HelperCall) -> int:
    """Unmount as umount(8) does without a helper, then wait until the daemon has drained and ended.

    After ``-l`` programs may keep the mount alive for as long as they like, so there only the engine is waited for.
    """
    from vaultairefs.cli import locating
    from vaultairefs.control import client

    (directory,) = call.positional
    located, process = None, None
    try:
        located = locating.volume_at(Path(directory))
        process = locating.Process.of(located)
    except (BadInput, Unavailable):
        pass  # a dead mount, or one of another namespace: there is nobody to wait for
    flags = [f"-{letter}" for letter in call.flags] + [
        word for path in call.values.get("N", []) for word in ("-N", path)
    ]
    status = subprocess.run([_umount_program(), "-i", *flags, "--", directory], check=False).returncode
    if status != 0 or process is None or located is None:
        return status
    if "l" in call.flags:
        try:
            client.ask(located.state_directory, "drain")
        except Unavailable:
            process.wait()
        return 0
    process.wait()
    return 0


def _umount_program() -> str:
    for place in _UMOUNT_PLACES:
        if Path(place).exists():
            return place
    raise BadInput("umount(8) is not installed")


def _fail(program: str, error: VaultaireError, status: int) -> NoReturn:
    print(f"{Path(program).name}: {error.args[0]}", file=sys.stderr)
    sys.exit(status)
