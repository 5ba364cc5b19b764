"""Nothing that comes to quarantine is lost or overwritten, and each thing has its report."""

import errno
import os
from pathlib import Path

import msgspec
import pytest

from tests.support.small_disk import small_disk
from vaultairefs.disk.quarantine import Quarantine
from vaultairefs.model.errors import NotFound, OutOfSpace


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    directory = tmp_path / "quarantine"
    directory.mkdir()
    return directory


def test_bytes_and_files_are_kept_with_a_report(tmp_path: Path, kept: Path) -> None:
    quarantine = Quarantine(kept)
    body = tmp_path / "body"
    body.write_bytes(b"from a file")
    assert quarantine.keep("tail", b"from memory", "torn") == kept / "tail"
    assert quarantine.keep("body", body, "checksum") == kept / "body"
    assert (kept / "tail").read_bytes() == b"from memory"
    assert (kept / "body").read_bytes() == b"from a file"
    assert not body.exists()
    reports = quarantine.reports()
    assert [(r.name, r.original, r.reason, r.size_bytes) for r in reports] == [
        ("body", str(body), "checksum", 11),
        ("tail", "tail", "torn", 11),
    ]
    on_disk = msgspec.json.decode((kept / "tail.reason.json").read_bytes())
    assert on_disk["reason"] == "torn"


def test_two_things_of_one_name_are_both_kept(kept: Path) -> None:
    quarantine = Quarantine(kept)
    paths = [quarantine.keep("tail", data, "again") for data in (b"1", b"2", b"3")]
    assert [path.read_bytes() for path in paths] == [b"1", b"2", b"3"]
    assert [report.name for report in quarantine.reports()] == ["tail", "tail.2", "tail.3"]


def test_no_name_leads_out_of_the_quarantine(kept: Path) -> None:
    quarantine = Quarantine(kept)
    for name in ("../../etc/x", "/abs", "..", ".", "", "a/b"):
        assert quarantine.keep(name, b"", "odd name").parent == kept


def test_a_file_whose_report_was_never_written_is_still_listed(kept: Path) -> None:
    (kept / "orphan").write_bytes(b"12345")
    (kept / "half.reason.json").write_bytes(b"{")
    (kept / "half").write_bytes(b"1")
    reports = Quarantine(kept).reports()
    assert [(r.name, r.reason, r.size_bytes) for r in reports] == [("half", "", 1), ("orphan", "", 5)]


def test_bytes_that_do_not_fit_are_said_not_to_be_kept(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 64 << 10) as directory:
        with pytest.raises(OutOfSpace):
            Quarantine(directory).keep("tail", b"x" * (1 << 20), "too much")
        assert os.listdir(directory) == []


def test_a_file_from_another_filesystem_is_copied_whole_before_it_goes(
    tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "body"
    source.write_bytes(b"z" * 3_000_000)
    rename = os.rename

    def refuse(old: Path, new: Path) -> None:
        if Path(old) == source:
            raise OSError(errno.EXDEV, "another filesystem")
        rename(old, new)

    monkeypatch.setattr(os, "rename", refuse)
    assert Quarantine(kept).keep("body", source, "moved").read_bytes() == b"z" * 3_000_000
    assert not source.exists()


def test_only_what_is_named_is_dropped_and_its_report_with_it(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path)
    for name in ("one", "two"):
        quarantine.keep(name, name.encode(), "a reason")
    with pytest.raises(NotFound, match="three"):
        quarantine.drop("three")
    with pytest.raises(NotFound):
        quarantine.drop("../outside")
    quarantine.drop("one")
    assert [report.name for report in quarantine.reports()] == ["two"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["two", "two.reason.json"]
