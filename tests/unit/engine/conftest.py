"""A local engine on an empty directory."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vaultairefs.engine.local import LocalEngine, open_engine


@pytest.fixture
def store() -> Iterator[Path]:
    """The directory that is the store; other users can reach it, unlike pytest's own ones."""
    outer = Path(tempfile.mkdtemp(prefix="vaultairefs-store-"))
    outer.chmod(0o755)
    path = outer / "store"
    path.mkdir()
    yield path
    shutil.rmtree(outer)


@pytest.fixture
def opened(store: Path) -> Iterator[Callable[..., LocalEngine]]:
    """Opens engines on the store; they are left to the end of the test."""
    engines = []

    def open_one(tenant: str | None = None) -> LocalEngine:
        engines.append(open_engine(f"file://{store}", tenant))
        return engines[-1]

    yield open_one
    for engine in engines:
        engine._close()


@pytest.fixture
def engine(opened: Callable[..., LocalEngine]) -> LocalEngine:
    return opened()
