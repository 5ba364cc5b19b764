"""What a name in a listing, or its absence, means."""

from vaultairefs.backlog import StoredRef
from vaultairefs.engine.interface import EntryInfo
from vaultairefs.fetch.merging import Known, Meaning, differs, meaning_of
from vaultairefs.model.values import Attributes, Ino, Kind, Version

ATTRIBUTES = Attributes(Kind.FILE, 0o644, 1, 2, 3, 4, 5)
SHOWN = EntryInfo(b"a", ATTRIBUTES, 1, Version("v1"))
REF = StoredRef(Ino(7), Version("v1"))


def test_unknown_names_are_discovered_unless_programs_have_one() -> None:
    assert meaning_of(Known(None, None), SHOWN) is Meaning.DISCOVER
    assert meaning_of(Known(Ino(9), None), SHOWN) is Meaning.NOTHING
    assert meaning_of(Known(None, None), None) is Meaning.NOTHING


def test_a_name_that_programs_changed_is_the_flushers() -> None:
    assert meaning_of(Known(None, REF), SHOWN) is Meaning.NOTHING
    assert meaning_of(Known(Ino(9), REF), SHOWN._replace(version=Version("v2"))) is Meaning.NOTHING
    assert meaning_of(Known(None, REF), None) is Meaning.NOTHING


def test_a_clean_name_follows_the_engine() -> None:
    known = Known(Ino(7), REF, attributes=ATTRIBUTES)
    assert meaning_of(known, SHOWN) is Meaning.NOTHING
    assert meaning_of(known, SHOWN._replace(version=Version("v2"))) is Meaning.REPLACE
    assert meaning_of(known, None) is Meaning.VANISH
    chmodded = Attributes(Kind.FILE, 0o600, 1, 2, 3, 4, 5)
    assert meaning_of(known, SHOWN._replace(attributes=chmodded)) is Meaning.REFRESH


def test_an_owed_name_does_not() -> None:
    owed = Known(Ino(7), REF, content_owed=True, anything_owed=True, attributes=ATTRIBUTES)
    assert meaning_of(owed, SHOWN._replace(version=Version("v2"))) is Meaning.NOTHING
    assert meaning_of(owed, None) is Meaning.RESTORE


def test_attributes_alone_do_not_bring_a_removed_file_back() -> None:
    assert meaning_of(Known(Ino(7), REF, anything_owed=True), None) is Meaning.VANISH


def test_an_older_link_is_the_flushers() -> None:
    stale = Known(Ino(7), REF._replace(stale=True), attributes=ATTRIBUTES)
    assert meaning_of(stale, SHOWN._replace(version=Version("v2"))) is Meaning.NOTHING


def test_reading_and_our_own_puts_are_no_news() -> None:
    read = Attributes(Kind.FILE, 0o644, 1, 2, 99, 4, 98)
    assert not differs(ATTRIBUTES, read)
    container = Attributes(Kind.CONTAINER, 0o755, 1, 2, 3, 4, 5)
    disturbed = Attributes(Kind.CONTAINER, 0o755, 1, 2, 3, 99, 5)
    assert not differs(container, disturbed)
    assert differs(ATTRIBUTES, Attributes(Kind.FILE, 0o644, 1, 2, 3, 99, 5))
