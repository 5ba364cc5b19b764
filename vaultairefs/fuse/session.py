"""The life of one mount: mount, serve, clean up.

Promise: ``on_ready`` is called when the kernel has been answered and programs can use the mount; ``serve`` returns
when the mount is gone, however it went (umount(8), ``mounting.unmount``, an aborted connection), with every handle
closed; a cancelled or failed one takes the mount with it.

Does not: drain.  An orderly end is: drain, then ``mounting.unmount`` in a thread while ``serve`` goes on (the kernel
writes mapped memory during it), then drain again.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pyfuse3
import structlog
import trio

from vaultairefs.disk.mount_table import topmost
from vaultairefs.fuse import greeting, mounting, passthrough, waiting
from vaultairefs.fuse.adapter import Adapter
from vaultairefs.fuse.answering import Answering
from vaultairefs.fuse.mounting import MountOptions
from vaultairefs.model.errors import BadInput, NotSupported, VaultaireError
from vaultairefs.volume import Volume

TASKS_MAX: Final = 128
"""Requests under way at once: each that waits for an engine or for room holds a task.  libfuse gives every task a
buffer of 1 MiB, which large writes fill where it may not use a pipe (not root)."""

_WANTED: Final = greeting.HANDLE_KILLPRIV_V2 | greeting.EXPLICIT_INVAL_DATA

_log: Final = structlog.get_logger(__name__)


async def serve(
    volume: Volume, mountpoint: str, options: MountOptions, on_ready: Callable[[], None], *, tenant: str = ""
) -> None:
    """Mount ``volume`` on ``mountpoint`` and answer the kernel.  ``BadInput`` when it cannot be mounted."""
    path = mounting.resolved(mountpoint)
    adapter = Adapter(volume, tenant=tenant, ttl_seconds=options.ttl_seconds)
    descriptor = _connect(adapter, path, options)
    device = _device(path)
    volume.ledger.witnesses.append(adapter.teller)
    hooks = contextlib.ExitStack()
    wanted = _WANTED | greeting.PASSTHROUGH if volume.passing.is_wanted else _WANTED
    try:
        with waiting.installed(descriptor, wanted, lambda granted: _pass(adapter, volume, hooks, descriptor, granted)):
            await _answer(adapter, path, descriptor, on_ready)
    finally:
        volume.ledger.witnesses.remove(adapter.teller)
        volume.passing.stop()
        hooks.close()
        # The connection goes first: an unmount that asks a server which no longer answers would never return.
        pyfuse3.close(unmount=False)
        if device is not None and _device(path) == device:
            _detach(path)
        with trio.CancelScope(shield=True):
            await adapter.release_all()


def _pass(adapter: Adapter, volume: Volume, hooks: contextlib.ExitStack, descriptor: int, granted: int) -> None:
    """The kernel has greeted us: answer opens in full and pass files, each where it is possible beyond any doubt."""
    reason = ""
    try:
        answering = Answering()
        hooks.enter_context(answering.installed())
        adapter.answering = answering
    except NotSupported as error:
        reason = str(error.args[0])
    if not volume.passing.is_wanted:
        return
    reason = reason or passthrough.why_impossible(descriptor, granted, volume.ledger.buffer.files.directory)
    if not reason:
        volume.passing.start(passthrough.Passthrough(descriptor))
        return
    volume.passing.stay_off(reason)
    _log.info("files are not passed to the kernel", reason=reason)


async def _answer(adapter: Adapter, path: str, descriptor: int, on_ready: Callable[[], None]) -> None:
    async with trio.open_nursery() as nursery:

        async def requests() -> None:
            await pyfuse3.main(max_tasks=TASKS_MAX)
            nursery.cancel_scope.cancel()

        nursery.start_soon(requests)
        nursery.start_soon(adapter.teller.run, descriptor)
        await adapter.initialised.wait()
        mounting.raise_read_ahead(path)
        on_ready()


def _connect(adapter: Adapter, path: str, options: MountOptions) -> int:
    """Mount and give the connection to libfuse, which owns its descriptor from then on."""
    if mounting.may_mount():
        descriptor = mounting.replace_or_mount(path, options)
        try:
            pyfuse3.init(adapter, f"/dev/fd/{descriptor}", set())
        except BaseException:
            os.close(descriptor)
            _detach(path)
            raise
        return descriptor
    mounting.prepare_mountpoint(path)
    before = _fuse_descriptors()
    with _stderr_kept() as said:
        try:
            pyfuse3.init(adapter, path, options.fusermount_options)
        except RuntimeError as error:
            reason = said().strip().partition("\n")[0].removeprefix("fusermount3: ").removeprefix("fuse: ")
            raise BadInput(f"cannot mount on {path}: {reason or 'fusermount3 refused'}") from error
    (descriptor,) = _fuse_descriptors() - before
    return descriptor


@contextlib.contextmanager
def _stderr_kept() -> Iterator[Callable[[], str]]:
    """Descriptor 2 goes into memory: libfuse and fusermount3 say there, and only there, why they refuse."""
    kept, memory = os.dup(2), os.memfd_create("stderr")
    os.dup2(memory, 2)
    try:
        yield lambda: os.pread(memory, 4096, 0).decode(errors="replace")
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(memory)


def _fuse_descriptors() -> set[int]:
    """Our own descriptors of /dev/fuse: pyfuse3 tells nobody which one it uses."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        try:
            if os.readlink(link) == "/dev/fuse":
                found.add(int(link.name))
        except OSError:
            # The descriptor of this very listing is closed by now.
            continue
    return found


def _device(path: str) -> str | None:
    # Never resolved: looking at a path below our own mount from here would wait for ourselves.
    entry = topmost(path)
    return entry.device if entry is not None else None


def _detach(path: str) -> None:
    try:
        mounting.unmount(path, lazy=True)
    except VaultaireError as error:
        _log.warning("the mount stays behind", mountpoint=path, error=str(error))
