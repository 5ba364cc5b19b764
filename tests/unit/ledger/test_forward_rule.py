"""docs/formats: a newer format is refused in one sentence and changes nothing; what cannot be read is never skipped."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import trio

from tests.support.ledgers import Lab
from vaultairefs.disk.state_directory import StateDirectory
from vaultairefs.events import log as event_log
from vaultairefs.journal import checkpoints, journal
from vaultairefs.ledger import Ledger, checkpoint
from vaultairefs.model.errors import BadInput
from vaultairefs.model.values import ROOT

UNKNOWN_TAG = 99
NOTHING_LOST = {"lock", "clean"}
"""What every look at a state directory may touch."""


def digests(directory: Path) -> dict[str, str]:
    files = (path for path in directory.rglob("*") if path.is_file() and path.name not in NOTHING_LOST)
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def open_as_we_are(directory: Path) -> None:
    state = StateDirectory.open(directory, "memory:")
    try:
        trio.run(Ledger.open, state)
    finally:
        state.close(clean=False)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        pytest.param(journal, "FORMAT_VERSION", id="journal"),
        pytest.param(event_log, "FORMAT_VERSION", id="events"),
        pytest.param(checkpoint, "FORMAT_VERSION", id="checkpoint"),
        pytest.param(checkpoints, "_VERSION", id="checkpoint file"),
    ],
)
def test_what_a_newer_program_wrote_is_refused_and_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: object, name: str
) -> None:
    with monkeypatch.context() as newer:
        newer.setattr(module, name, getattr(module, name) + 1)
        lab = Lab(tmp_path / "state")
        lab.write_whole(b"a", b"bytes")
        lab.checkpoint()
        lab.write_whole(b"b", b"more")
        lab.ledger.events.record(time_ns=1, operation="create")
        lab.abandon()
    before = digests(tmp_path / "state")
    with pytest.raises(BadInput, match="newer"):
        open_as_we_are(tmp_path / "state")
    assert digests(tmp_path / "state") == before


def test_a_change_that_nobody_knows_ends_the_replay_and_is_kept(tmp_path: Path) -> None:
    """The content version says that there is none, so it is damage: nothing behind it may be believed."""
    lab = Lab(tmp_path / "state")
    lab.write_whole(b"a", b"1")
    entry = [lab.ledger._sequence + 1, 1, 0, "", 0, 0, [UNKNOWN_TAG, 2, 3]]
    lab.ledger._journal._log.append(msgspec.msgpack.encode(entry))
    lab.abandon()
    again = Lab(tmp_path / "state")
    assert again.ledger.namespace.child(ROOT, b"a") is not None
    assert any("cannot be decoded" in sentence for sentence in again.ledger.recovered.damage)
    (report,) = again.state.quarantined()
    assert report.original.startswith("journal-") and report.size_bytes > 10
    again.abandon()


def with_longer_array(payload: bytes) -> bytes:
    return msgspec.msgpack.encode([*msgspec.msgpack.decode(payload, type=list[msgspec.Raw]), "later"])


@pytest.mark.parametrize("change", [with_longer_array, lambda payload: payload])
def test_a_field_that_was_appended_later_does_not_disturb_the_ones_before_it(
    tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    """A checkpoint of the same version may be longer: what an older program may drop is appended without a new one."""
    lab = Lab(tmp_path / "state")
    lab.write_whole(b"a", b"bytes")
    payload = checkpoint.encode(lab.ledger._rooms, operation_id=7, event_sequence=3)
    saved = checkpoint.decode(change(payload))
    assert (saved.operation_id, saved.event_sequence) == (7, 3)
    shorter = msgspec.msgpack.encode(msgspec.msgpack.decode(payload, type=list[msgspec.Raw])[:-1])
    assert checkpoint.decode(shorter).in_flight == []
    lab.abandon()
