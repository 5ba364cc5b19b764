"""Attributes in other programs' metadata are understood; nonsense counts as not said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultairefs.engine.s3_dialects import Owner, modified_ns_of, read_attributes, read_xattrs
from vaultairefs.engine.s3_metadata import Extras, read_extras, write, write_xattrs
from vaultairefs.engine.s3_objects import META
from vaultairefs.model.values import Attributes, Kind

MODIFIED_NS = 1_700_000_000_000_000_000


def read(metadata: dict[str, str], *, is_container: bool = False) -> Attributes:
    return read_attributes(metadata, is_container=is_container, modified_ns=MODIFIED_NS, owner=Owner(5, 6))


@pytest.mark.parametrize(
    ("metadata", "kind", "mode"),
    [
        ({}, Kind.FILE, 0o644),
        ({"mode": "33188", "uid": "0"}, Kind.FILE, 0o644),
        ({"mode": "33261"}, Kind.FILE, 0o755),
        ({"mode": "41471"}, Kind.SYMLINK, 0o777),
        ({"mode": "4516", "uid": "0", "ctime": "1"}, Kind.FIFO, 0o644),
        ({"mode": "0100664", "btime": "x"}, Kind.FILE, 0o664),
        ({"mode": "100755"}, Kind.FILE, 0o755),
        ({"mode": "644"}, Kind.FILE, 0o644),
        ({"mode": "4755", "btime": "x"}, Kind.FILE, 0o4755),
        ({"mode": "nonsense"}, Kind.FILE, 0o644),
        ({"mode": "99999999"}, Kind.FILE, 0o644),
        ({"mode": "16877"}, Kind.FILE, 0o755),
        ({"gcsfuse_symlink_target": "there"}, Kind.SYMLINK, 0o777),
        ({"--symlink-target": "there"}, Kind.SYMLINK, 0o777),
        ({"goog-reserved-file-is-symlink": "true"}, Kind.SYMLINK, 0o777),
    ],
)
def test_kind_and_mode_of_a_plain_key(metadata: dict[str, str], kind: Kind, mode: int) -> None:
    found = read(metadata)
    assert (found.kind, found.mode) == (kind, mode)


@pytest.mark.parametrize(
    ("mode", "meant"), [("16877", 0o755), ("40755", 0o755), ("41777", 0o1777), ("040700", 0o700), ("33188", 0o644)]
)
def test_mode_of_a_key_that_ends_in_a_slash(mode: str, meant: int) -> None:
    found = read({"mode": mode}, is_container=True)
    assert (found.kind, found.mode) == (Kind.CONTAINER, meant)


@pytest.mark.parametrize(
    ("metadata", "mtime_ns"),
    [
        ({}, MODIFIED_NS),
        ({"mtime": "1354040105"}, 1_354_040_105_000_000_000),
        ({"mtime": "1354040105.123456789"}, 1_354_040_105_123_456_789),
        ({"mtime": "1354040105.5"}, 1_354_040_105_500_000_000),
        ({"mtime": "-1.999999999"}, -1),
        ({"mtime": "2012-11-27T18:15:05.25Z"}, 1_354_040_105_250_000_000),
        ({"mtime": "2012-11-27T19:15:05+01:00"}, 1_354_040_105_000_000_000),
        ({"gcsfuse_mtime": "2012-11-27T18:15:05.000000001Z"}, 1_354_040_105_000_000_001),
        ({"mtime": "yesterday"}, MODIFIED_NS),
        ({"mtime": "2012-13-27T18:15:05Z"}, MODIFIED_NS),
    ],
)
def test_times(metadata: dict[str, str], mtime_ns: int) -> None:
    found = read(metadata)
    assert found.mtime_ns == mtime_ns
    assert found.atime_ns == mtime_ns


def test_owners_and_devices() -> None:
    found = read({"uid": "1000", "gid": "nobody"})
    assert (found.uid, found.gid) == (1000, 6)
    assert read({"uid": "4294967295"}).uid == 5
    assert read({"mode": str(0o020600), "rdev": "259", "uid": "0"}).rdev == 259


def test_geesefs_and_gcsfuse_tell_a_links_target() -> None:
    assert read({"--symlink-target": "a%20b"}).target == b"a b"
    assert read({"gcsfuse_symlink_target": "there"}).target == b"there"


@pytest.mark.parametrize("text", ["", "%7B", "[]", "1", "%7B%22a%22%3A1%7D", "%7B%22a%22%3A%22no base64!%22%7D", "%ff"])
def test_nonsense_in_place_of_attributes_is_none(text: str) -> None:
    assert read_xattrs(text) == {}


@given(st.dictionaries(st.binary(min_size=1, max_size=20), st.binary(max_size=30), max_size=5))
def test_extended_attributes_come_back(xattrs: dict[bytes, bytes]) -> None:
    text = write_xattrs(xattrs)
    assert text.isascii() and " " not in text
    assert read_xattrs(text) == xattrs


@given(
    kind=st.sampled_from([kind for kind in Kind if kind is not Kind.SYMLINK]),
    mode=st.integers(0, 0o7777),
    uid=st.integers(0, 2**32 - 2),
    times=st.tuples(*[st.integers(-(2**62), 2**62)] * 3),
    token=st.text(max_size=20),
    name=st.binary(max_size=255),
)
def test_what_is_written_is_read(
    kind: Kind, mode: int, uid: int, times: tuple[int, int, int], token: str, name: bytes
) -> None:
    given_ = Attributes(kind, mode, uid, 3, *times, rdev=7 if kind in (Kind.CHARACTER, Kind.BLOCK) else 0)
    written = write(given_, Extras(token=token, name=name))
    assert all(value.isascii() and value == value.strip() for value in written.headers.values())
    metadata = {key.removeprefix(META): value for key, value in written.headers.items() if key.startswith(META)}
    assert read(metadata, is_container=kind is Kind.CONTAINER) == given_
    assert read_extras(metadata) == Extras(token=token, name=name)


def test_metadata_never_passes_two_kilobytes() -> None:
    attributes = Attributes(Kind.FILE, 0o644, 0, 0, 0, 0, 0, xattrs={b"user.%d" % n: b"x" * 50 for n in range(100)})
    written = write(attributes, Extras(token="t" * 60, name=b"n" * 255))
    said = {key: value for key, value in written.headers.items() if key.startswith(META)}
    assert sum(len(key.removeprefix(META)) + len(value) for key, value in said.items()) <= 2048
    assert read_xattrs(written.sidecar) == attributes.xattrs


def test_last_modified() -> None:
    assert modified_ns_of("Wed, 25 Nov 2026 23:31:49 GMT") == 1_795_649_509_000_000_000
    assert modified_ns_of("nonsense") == 0
