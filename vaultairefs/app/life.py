"""The life of one mount, from the first byte of recovery to the drained end.

    STARTING -> MOUNTED -> (DRAINING ->) UNMOUNTED -> ENDED

Promise: SIGTERM, SIGINT, umount(8) and the control socket all end the same way: the mount goes away, what the engine
lacks is drained, the state directory is closed.  Signals that come meanwhile do not hurry it (a service manager sends
SIGTERM to a daemon that is already draining); a second SIGINT, from somebody at a terminal, gives up the draining and
leaves the rest to the next mount.
"""

import enum
import math
import os
import resource
import signal
from collections.abc import AsyncIterable, Callable
from pathlib import Path
from typing import Final

import structlog
import trio

from vaultairefs.app import build, collecting, logs, service, upkeep, verbs, waiting
from vaultairefs.app.daemon import Announce
from vaultairefs.app.supervision import Supervision
from vaultairefs.config import environment
from vaultairefs.config.settings import MountSettings
from vaultairefs.control import mounts, server
from vaultairefs.control.server import ControlServer, innermost
from vaultairefs.disk.mount_table import topmost
from vaultairefs.fuse import mounting, session
from vaultairefs.model.errors import BadInput, VaultaireError

_log = structlog.get_logger("vaultairefs.life")

_LAST_WORDS_SECONDS_MAX: Final = 2.0
"""For the replies to those who asked for the end; then the control socket closes."""

_BUSY_SECONDS_MAX: Final = 30.0
"""How long programs may go on with the files of a mount that is stopped; one that writes all the time never ends."""

_DESCRIPTORS_WANTED: Final = 65536


class Phase(enum.Enum):
    """See the module's text."""

    STARTING = enum.auto()
    MOUNTED = enum.auto()
    DRAINING = enum.auto()
    UNMOUNTED = enum.auto()
    ENDED = enum.auto()


UNSUPERVISED: Final = Supervision()


def run(
    settings: MountSettings, announce: Announce, *, foreground: bool, supervision: Supervision = UNSUPERVISED
) -> None:
    """Live until unmounted; ``BadInput`` when the mount cannot be made.  ``announce`` is called when it answers."""
    logs.configure(settings.log_format, to_stderr=foreground)
    os.umask(0o022)
    _want_descriptors()
    collecting.keep_short()
    try:
        trio.run(_live, settings, announce, supervision)
    except BaseExceptionGroup as group:
        _log.error("ended_by_an_error", exc_info=group)
        raise innermost(group) from group


def _want_descriptors() -> None:
    """Bodies are kept open: as many as this process may without asking anybody."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS_WANTED if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS_WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _live(settings: MountSettings, announce: Announce, supervision: Supervision) -> None:
    life = Life(settings, announce, supervision)
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(life.obey, signals, nursery.cancel_scope)
            await life.live()
            nursery.cancel_scope.cancel()
    if life.phase is Phase.STARTING:
        raise BadInput("the start was interrupted")


class Life:
    """One mount.  Invariant: ``rooms`` exists from MOUNTED on, and only ``live`` builds and closes it."""

    def __init__(self, settings: MountSettings, announce: Announce, supervision: Supervision = UNSUPERVISED) -> None:
        self.settings = settings
        self.supervision = supervision
        self.phase = Phase.STARTING
        self.rooms: build.Rooms
        self.drain_deadline = math.inf
        """When to give up draining, in seconds of trio's clock."""
        self.drained = trio.Event()
        """Set when draining after the unmount has ended, one way or another."""
        self._announce = announce
        self._serving = trio.CancelScope()
        self._draining = trio.CancelScope()
        self._registered: Path | None = None
        self._stopping: Callable[[], None]

    async def live(self) -> None:
        """The whole life; returns when everything is closed.

        The mount point is looked at first, so that a wrong one leaves no state directory behind.
        """
        mounting.check_mountpoint(str(self.settings.mountpoint))
        await waiting.until_let_go(self.settings.state_directory)
        async with build.open_rooms(self.settings) as self.rooms, trio.open_nursery() as nursery:
            self._stopping = lambda: nursery.start_soon(self.stop)
            control = ControlServer(server.listen(self.rooms.state.path), verbs.verbs_of(self))
            nursery.start_soon(self.rooms.ledger.run)
            nursery.start_soon(self.rooms.volume.forgetting.run)
            nursery.start_soon(self.rooms.fetcher.run)
            nursery.start_soon(self.rooms.volume.passing.run)
            if not self.settings.read_only:
                nursery.start_soon(self.rooms.flusher.run)
                nursery.start_soon(upkeep.keep_up, self.rooms.engine)
            nursery.start_soon(control.run)
            try:
                with self._serving:
                    await session.serve(
                        self.rooms.volume,
                        str(self.settings.mountpoint),
                        build.mount_options(self.settings, self.rooms.engine.identity),
                        lambda: self._on_ready(nursery),
                        tenant=self.settings.tenant or "",
                    )
                self._enter(Phase.UNMOUNTED)
                await self.drain()
                self.drained.set()
                if not self.settings.read_only:
                    await upkeep.finish(self.rooms.engine, self.drain_deadline)
                with trio.move_on_after(_LAST_WORDS_SECONDS_MAX):
                    await control.finish()
                self._enter(Phase.ENDED)
            finally:
                self._unregister()
            nursery.cancel_scope.cancel()

    async def obey(self, signals: AsyncIterable[int], everything: trio.CancelScope) -> None:
        """The first signal ends the mount in good order; a second SIGINT ends the draining too."""
        asked = False
        async for number in signals:
            name = signal.Signals(number).name
            if self.phase is Phase.STARTING:
                _log.info("interrupted_at_start", signal=name)
                everything.cancel()
            elif not asked:
                _log.info("stopping", signal=name)
                asked = True
                self._stopping()
            elif number == signal.SIGINT:
                _log.warning("draining_given_up", signal=name)
                self.give_up_draining_at(trio.current_time())
            else:
                _log.info("already_stopping", signal=name)

    async def stop(self) -> None:
        """Unmount, lazily when that fails, mostly because programs use it: then they have until it is drained, but not
        for ever, before their files are cut off.  What they have written is drained in any case, by ``live``."""
        if self.phase is not Phase.MOUNTED:
            return
        self._enter(Phase.DRAINING)
        try:
            await self.unmount()
        except VaultaireError as error:
            _log.warning("mount_is_detached", reason=str(error.args[0]))
            try:
                await trio.to_thread.run_sync(lambda: mounting.unmount(str(self.settings.mountpoint), lazy=True))
            except VaultaireError as failure:  # serving ends in any case, and then the mount is dead
                _log.error("mount_stays", reason=str(failure.args[0]))
            with trio.move_on_after(_BUSY_SECONDS_MAX):
                await self.drain()
            self._serving.cancel()

    async def unmount(self) -> None:
        """Ask the kernel to take the mount away; ``Busy`` when programs use it.  ``live`` goes on from there."""
        await trio.to_thread.run_sync(mounting.unmount, str(self.settings.mountpoint))

    async def drain(self) -> None:
        """Wait until the engine has everything, the deadline passes, or the ledger refuses all further work."""
        if self.settings.read_only:
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(service.report_draining, lambda: self.rooms.owed())
            try:
                with trio.CancelScope(deadline=self.drain_deadline) as self._draining:
                    await self.rooms.flusher.drain()
            except VaultaireError as error:  # the local disk failed: waiting would not end
                _log.error("draining_is_impossible", reason=str(error))
            nursery.cancel_scope.cancel()
        owed = self.rooms.owed()
        _log.info("drained" if not owed.artifacts else "not_drained", left=owed.artifacts, bytes=owed.bytes)

    def give_up_draining_at(self, deadline: float) -> None:
        """Drain no longer than that (seconds of trio's clock); what is left is the next mount's."""
        self.drain_deadline = deadline
        self._draining.deadline = deadline

    def _on_ready(self, nursery: trio.Nursery) -> None:
        self._register()
        self._enter(Phase.MOUNTED)
        if degraded := self.rooms.engine.capabilities.degraded:
            _log.warning("store_is_degraded", best_effort=degraded)
        self._announce()
        nursery.start_soon(service.keep_watchdog_quiet, str(self.settings.mountpoint))

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        _log.info(phase.name.lower(), mount=str(self.settings.mountpoint))
        service.tell(phase.name.lower(), stopping=phase in (Phase.DRAINING, Phase.UNMOUNTED))

    def _register(self) -> None:
        mountpoint = str(self.settings.mountpoint)
        mount = topmost(mountpoint)
        record = mounts.MountRecord(
            mount=mountpoint,
            device=mount.device if mount else "",
            engine=self.rooms.engine.identity,
            tenant=self.settings.tenant or "",
            state_dir=str(self.rooms.state.path),
            pid=os.getpid(),
        )
        self._registered = mounts.register(environment.runtime_directory(), self.settings.state_id, record)

    def _unregister(self) -> None:
        if self._registered is not None:
            mounts.unregister(self._registered, os.getpid())
