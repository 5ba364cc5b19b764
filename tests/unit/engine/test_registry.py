"""A SPEC leads to an engine, or to one sentence that says why not."""

from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from vaultairefs.engine import registry
from vaultairefs.engine.local import LocalEngine
from vaultairefs.engine.memory import MemoryEngine
from vaultairefs.engine.registry import open_engine
from vaultairefs.model.errors import BadInput


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("", "no engine"),
        ("/srv/data", "file:///srv/data"),
        ("data", "no engine"),
        ("ftp://host/x", "ftp"),
        ("file:///does/not/exist", "no such directory"),
        ("file:///dev/null", "no directory"),
        ("file://host/path", "file:///absolute"),
        ("file:relative", "file:///absolute"),
        ("file://", "file:///absolute"),
    ],
)
def test_a_spec_that_cannot_work_is_one_sentence(spec: str, words: str) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        open_engine(spec)
    assert "\n" not in str(caught.value)


async def test_a_directory_is_opened_by_its_url(tmp_path: Path) -> None:
    (tmp_path / "a b%c").mkdir()
    engine = open_engine(f"file://{tmp_path}/a%20b%25c")
    assert isinstance(engine, LocalEngine)
    assert engine.identity == f"file://{tmp_path}/a%20b%25c"
    await engine.close()


async def test_the_scheme_is_read_without_regard_to_case(tmp_path: Path) -> None:
    engine = open_engine(f"FILE://{tmp_path}")
    assert engine.identity == f"file://{tmp_path}"
    await engine.close()


async def test_two_ways_to_one_directory_have_one_identity(tmp_path: Path) -> None:
    """A state directory must recognise its engine again."""
    (tmp_path / "real").mkdir()
    (tmp_path / "alias").symlink_to("real")
    engines = [open_engine(f"file://{tmp_path}/{name}") for name in ("real", "alias", "real/", "./real")]
    assert len({engine.identity for engine in engines}) == 1
    for engine in engines:
        await engine.close()


async def test_a_tenant_is_part_of_the_identity(tmp_path: Path) -> None:
    engine = open_engine(f"file://{tmp_path}", "acme")
    assert engine.identity == f"file://{tmp_path}/t-acme"
    assert (tmp_path / "t-acme").is_dir()
    await engine.close()


def test_an_impossible_tenant_is_refused_before_any_engine_sees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_factory", lambda scheme: pytest.fail("opened"))
    with pytest.raises(BadInput, match="tenant="):
        open_engine("memory:", "../up")


def test_memory_engines_are_new_and_named() -> None:
    engine = open_engine("memory:demo", "acme")
    assert isinstance(engine, MemoryEngine)
    assert engine.identity == "memory:demo/t-acme"


def test_other_packages_add_schemes(monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, EntryPoint("demo", "vaultairefs.engine.memory:open_engine", registry.GROUP))
    assert isinstance(open_engine("demo:x"), MemoryEngine)
    assert registry.schemes() == ["demo", "file", "memory", "s3"]


def test_an_engine_that_cannot_be_loaded_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, EntryPoint("demo", "no_such_module:open_engine", registry.GROUP))
    with pytest.raises(BadInput, match="demo"):
        open_engine("demo:x")


def add(monkeypatch: pytest.MonkeyPatch, point: EntryPoint) -> None:
    monkeypatch.setattr(registry, "entry_points", lambda **wanted: EntryPoints([point]).select(**wanted))


def everything_in(directory: Path) -> dict[str, tuple[int, int, int]]:
    """Path to inode, mtime and ctime."""
    found = {}
    for path in [directory, *directory.rglob("*")]:
        status = path.lstat()
        found[str(path)] = (status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
    return found


async def test_a_read_only_engine_leaves_the_store_as_it_is(tmp_path: Path) -> None:
    """Not even what a crash left behind is removed."""
    left = tmp_path / ".vaultairefs/tmp/0123456789abcdef"
    left.mkdir(parents=True)
    (left / "lock").touch()
    (tmp_path / "file").write_bytes(b"1")
    before = everything_in(tmp_path)
    engine = open_engine(f"file://{tmp_path}", read_only=True)
    await engine.probe()
    page = await engine.list(b"")
    await engine.close()
    assert [entry.name for entry in page.entries] == [b"file"]
    assert everything_in(tmp_path) == before
    await open_engine(f"file://{tmp_path}").close()
    assert not left.exists()


def test_a_read_only_engine_makes_no_namespace(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such tenant"):
        open_engine(f"file://{tmp_path}", "acme", read_only=True)
    assert not list(tmp_path.iterdir())
