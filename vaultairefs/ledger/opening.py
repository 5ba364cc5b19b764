"""Make journal, events and rooms of a state directory, and recover them.  Blocking."""

import gc
from collections.abc import Callable

from vaultairefs.buffer import Body, Buffer
from vaultairefs.disk.state_directory import StateDirectory
from vaultairefs.events import EventLog
from vaultairefs.journal import Journal
from vaultairefs.ledger.recovery import Recovery, body_report_name
from vaultairefs.ledger.rooms import Rooms
from vaultairefs.model.errors import VaultaireError
from vaultairefs.model.values import Attributes, Kind
from vaultairefs.namespace import Namespace


def recover(
    state: StateDirectory,
    *,
    tenant: str,
    mount: str,
    clock_ns: Callable[[], int],
    now: float,
    root_owner: tuple[int, int],
    buffer_size: int,
    in_use_max: int,
) -> tuple[Journal, EventLog, Recovery]:
    """Everything that a ledger stands on; see ``Ledger.open`` for the parameters.

    ``now`` is the backlog's time meanwhile: this runs in a thread, where trio's clock cannot be read.
    """

    def make_rooms() -> Rooms:
        born = clock_ns()
        rooms = Rooms(
            Namespace(Attributes(Kind.CONTAINER, 0o755, *root_owner, born, born, born)),
            bodies=state.path / "bodies",
            buffer_size=buffer_size,
            clock=lambda: now,
            on_failure=lambda body, error: _keep_apart(state, rooms.buffer, body, error),
            in_use_max=in_use_max,
        )
        return rooms

    boot = state.machine.boot_id
    journal = Journal(state.path / "journal", boot=boot, quarantine=state.quarantine)
    events = EventLog(
        state.path / "events", tenant=tenant, mount=mount or state.mount_id, boot=boot, quarantine=state.quarantine
    )
    journal.reserve.release()  # recovery has the first claim; the ledger sets it aside again when there is room
    recovery = Recovery(state, journal, events, make_rooms, clock_ns)
    # A million new objects at once are no garbage, and looking for some in them would cost more than making them.
    gc.disable()
    try:
        recovery.run()
        recovery.rooms.shelf.put_all_away()
    finally:
        gc.enable()
        gc.freeze()
    return journal, events, recovery


def _keep_apart(state: StateDirectory, buffer: Buffer, body: Body, error: VaultaireError) -> None:
    """A body whose fdatasync failed goes to quarantine with what the disk still gives; later lives refuse it, too.

    Where the disk does not even let it be moved, a report alone says so.
    """
    reason = f"inode {body.ino}: fdatasync failed, so that its bytes may be holes or old ones: {error}"
    try:
        state.quarantine(body_report_name(body), buffer.files.path(body.ino, body.body_id), reason)
    except VaultaireError:
        state.quarantine(body_report_name(body), b"", reason)
