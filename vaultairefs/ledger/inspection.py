"""Look at what a state directory holds without being its daemon: the rooms as checkpoint and journal say.

Promise: nothing of it is changed, but for a checkpoint that cannot be read, which goes to quarantine as it would at the
next mount.  What only a mount decides (what a body is worth after a power cut, which names were provisional) is shown
as it was written.
Blocking; the caller holds the directory.
"""

from vaultairefs.disk.state_directory import StateDirectory
from vaultairefs.journal import Journal
from vaultairefs.ledger import checkpoint
from vaultairefs.ledger.rooms import Rooms
from vaultairefs.model.values import Attributes, Kind, Sequence
from vaultairefs.namespace import Namespace


def inspect(state: StateDirectory) -> tuple[Rooms, list[str]]:
    """The rooms, and a sentence for each thing that could not be read.  ``BadInput`` for a newer format."""
    rooms = Rooms(
        Namespace(Attributes(Kind.CONTAINER, 0o755, 0, 0, 0, 0, 0)),
        bodies=state.path / "bodies",
        buffer_size=0,
        clock=lambda: 0.0,
        on_failure=lambda body, error: None,
    )
    journal = Journal(state.path / "journal", boot=state.machine.boot_id, quarantine=state.quarantine)
    rooms.buffer.replaying = True
    start, damage = Sequence(0), journal.damage
    found = journal.read_checkpoint()
    if found is not None:
        start, payload = found
        checkpoint.restore(rooms, checkpoint.decode(payload))
    for entry in journal.peek(start):
        if entry.change is None:
            continue
        try:
            rooms.post(entry.sequence, entry.change)
        except Exception as error:  # what a mount would put into quarantine
            damage.append(f"change {entry.sequence} cannot be posted: {error!r}")
            break
    journal.close()
    return rooms, damage
