"""The engine worker's program as tests begin it, able to open engines of theirs: ``python worker_program.py``."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[2])

from vaultairefs.app import worker
from vaultairefs.engine.interface import Engine
from vaultairefs.engine.local import LocalEngine
from vaultairefs.engine.worker import WorkerEngine, working
from vaultairefs.engine.worker_life import Opening

COMMAND: Final = (sys.executable, __file__)
LOCAL: Final = "tests.support.worker_program:local"
ON_STORE: Final = "tests.support.worker_program:on_store"


def local(directory: str, page_entries: int) -> Engine:
    """The local engine with small pages."""
    return LocalEngine(os.open(directory, os.O_RDONLY), f"file://{directory}", page_entries=page_entries)


def on_store(server: list[str], bucket: str, page_entries: int, abilities: bytes) -> Engine:
    """The S3 engine with small pages on a server of ``tests/support/stores.py``, whose abilities are known."""
    import msgspec

    from tests.support.stores import Server
    from vaultairefs.engine.s3_abilities import Abilities

    engine = Server(*server).engine(bucket, page_entries=page_entries)
    engine._store.rely_on(msgspec.msgpack.decode(abilities, type=Abilities))
    return engine


@asynccontextmanager
async def opened(factory: str, **arguments: Any) -> AsyncIterator[WorkerEngine]:
    """A worker with the engine that ``factory``, one of ``module:function``, makes there."""
    async with working(Opening(factory, arguments), COMMAND) as engine:
        yield engine


if __name__ == "__main__":
    worker.main()
