"""The event log: one record for every operation that reached the daemon, in order, without a gap.

Promise: a recorded event survives ``kill -9``, and the sequence goes on without a gap in the next life; another
process can read while this one writes; old segments are compressed and, beyond a limit, dropped oldest first.
``docs/formats/events.md`` is the format.  It does not decide what is an event, and power loss may take the newest
ones (the journal, not this log, is what a volume is recovered from).
"""

from vaultairefs.events.log import EventLog
from vaultairefs.events.reader import EventReader
from vaultairefs.events.record import EventRecord

__all__ = ["EventLog", "EventReader", "EventRecord"]
