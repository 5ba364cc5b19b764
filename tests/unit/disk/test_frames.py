"""Frames: only what was written here, and whole, is read."""

import zlib

from hypothesis import given
from hypothesis import strategies as st

from vaultairefs.disk import frames
from vaultairefs.disk.frames import Tail


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=10), st.integers(0, 2**32 - 1), st.integers(0, 100))
def test_frames_are_read_as_they_were_packed(payloads: list[bytes], seed: int, reserved: int) -> None:
    data = b"".join(frames.pack_frame(payload, seed) for payload in payloads) + bytes(reserved)
    found = list(frames.frames(data, 0, seed))
    assert [payload for payload, _ in found] == payloads
    assert frames.what_follows(data, found[-1][1] if found else 0) is Tail.END


@given(st.binary(max_size=400), st.integers(0, 2**32 - 1))
def test_garbage_is_never_an_error_and_never_called_the_end(data: bytes, seed: int) -> None:
    end = 0
    for _, end in frames.frames(data, 0, seed):  # noqa: B007 - only the last is needed
        pass
    assert (frames.what_follows(data, end) is Tail.END) == (not any(data[end:]))


def test_a_frame_of_another_segment_is_none() -> None:
    """Its bytes may lie in reused space, or a copy may have mixed two files up."""
    seeds = [frames.seed_of(frames.pack_header(first, "boot", 1)) for first in (1, 2)]
    data = frames.pack_frame(b"payload", seeds[0])
    assert list(frames.frames(data, 0, seeds[0])) == [(b"payload", len(data))]
    assert list(frames.frames(data, 0, seeds[1])) == []


def test_zeros_are_no_frames_whatever_the_seed() -> None:
    assert zlib.crc32(b"", 0) == 0, "else this would not be the hard case"
    assert list(frames.frames(bytes(64), 0, 0)) == []


def test_a_header_says_what_it_was_given() -> None:
    header = frames.unpack_header(frames.pack_header(2**40, "b" * 36, 3), content_version=3)
    assert header is not None
    assert (header.first, header.boot, header.content_version) == (2**40, "b" * 36, 3)
