"""Settings: defaults, units, the environment, and one sentence for each value that cannot work."""

from pathlib import Path

import pytest

from vaultairefs.config import environment, settings, units
from vaultairefs.model.errors import BadInput


def load(*words: str, spec: str = "file:///srv/x", mountpoint: str = "/mnt/x") -> settings.MountSettings:
    return settings.load(spec, mountpoint, list(words))


def test_without_options_the_defaults_hold() -> None:
    found = load()
    assert (found.sync, found.conflict, found.events, found.log_format) == ("journaled", "keep-both", "on", "json")
    assert not found.read_only
    assert not found.allow_other
    assert found.tenant is None


def test_every_option_is_typed() -> None:
    words = "buffer_size=1GiB chunk_size=8M flush_delay=250ms ttl=5m uid=1000 umask=027 allow_other ro"
    found = load(*words.split())
    assert found.buffer_size == 1 << 30
    assert found.chunk_size == 8 << 20
    assert found.flush_delay == 0.25
    assert found.ttl == 300
    assert found.uid == 1000
    assert found.umask == 0o027
    assert found.allow_other
    assert found.read_only


@pytest.mark.parametrize(
    ("word", "complaint"),
    [
        ("sync=later", "must be 'buffered', 'journaled' or 'stored'"),
        ("conflict=both", "must be"),
        ("buffer_size=big", "must be a size"),
        ("buffer_size=1k", "greater than or equal"),
        ("flush_workers=0", "greater than or equal to 1"),
        ("flush_workers=two", "integer"),
        ("flush_delay=soon", "must be a duration"),
        ("umask=999", "octal"),
        ("uid=-1", "greater than or equal to 0"),
        ("uid=alice", "integer"),
        ("events=off", "must be"),
        ("passthrough=on", "must be"),
        ("log_format=xml", "must be"),
    ],
)
def test_a_bad_value_is_one_sentence_that_names_the_option(word: str, complaint: str) -> None:
    with pytest.raises(BadInput) as caught:
        load(word)
    message = str(caught.value)
    assert message.startswith(f"option {word}: ")
    assert complaint in message
    assert "\n" not in message


def test_the_environment_is_a_default_and_the_command_line_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULTAIREFS_SYNC", "stored")
    monkeypatch.setenv("VAULTAIREFS_FLUSH_DELAY", "3s")
    monkeypatch.setenv("VAULTAIREFS_UNHEARD_OF", "1")
    assert load().sync == "stored"
    assert load().flush_delay == 3
    assert load("sync=buffered").sync == "buffered"


def test_a_bad_value_in_the_environment_is_one_sentence_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULTAIREFS_SYNC", "sometimes")
    with pytest.raises(BadInput, match="sync=sometimes"):
        load()


def test_one_mount_keeps_its_state_and_another_has_its_own() -> None:
    same = load()
    assert load(spec="file:///srv/x/").state_directory == same.state_directory
    others = [load(mountpoint="/mnt/y"), load(spec="file:///srv/y"), load("tenant=a")]
    assert len({found.state_id for found in [same, *others]}) == 4


def test_state_says_where_and_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load("state=here").state_directory == tmp_path / "here"


def test_root_keeps_state_under_var_lib_and_others_at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert environment.state_home() == Path("/var/lib/vaultairefs")
    monkeypatch.setattr("os.geteuid", lambda: 1234)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert environment.state_home() == tmp_path / "vaultairefs"


def test_a_user_without_a_runtime_directory_still_has_a_registry(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 987654)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/does/not/exist")
    assert environment.runtime_directory() == tmp_path / "vaultairefs" / "run"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert environment.runtime_directories() == [tmp_path / "vaultairefs", Path("/run/vaultairefs")]


def test_a_watchdog_of_another_process_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    assert environment.service_manager().watchdog_seconds == 3
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert environment.service_manager().watchdog_seconds == 0


@pytest.mark.parametrize(
    ("text", "size"), [("17", 17), ("1k", 1024), ("1kB", 1000), ("1.5KiB", 1536), ("2 GB", 2 * 10**9), ("1T", 1 << 40)]
)
def test_sizes_are_read_as_written(text: str, size: int) -> None:
    assert units.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "1x", "-1", "1 G B", "inf"])
def test_a_size_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as"):
        units.parse_size(text)


@pytest.mark.parametrize(("text", "seconds"), [("2", 2), ("0.5s", 0.5), ("250ms", 0.25), ("5m", 300), ("2h", 7200)])
def test_durations_are_read_as_written(text: str, seconds: float) -> None:
    assert units.parse_duration(text) == seconds
