"""A mount on a store behind a bad network ends with the right bytes in the store, whatever breaks and how often.

The load is the same each time and its outcome is known; the proxy breaks every n-th request of each operation, or the
first ones in a row, from the moment that the volume is mounted until it is drained.
"""

import errno
import os
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support import stores
from tests.support.daemon import Daemon, workshop
from tests.support.fault_proxy import FAULTS, Plan, fault_proxy
from tests.support.http_relay import OPERATIONS

LAUNCHER = Path(__file__).parent / "s3_launcher.py"
CHUNK_BYTES = 5 << 20
IN_A_ROW = 9
"""More than the client itself tries again."""

TOLD = {errno.EIO, errno.EACCES, errno.ENOENT}
"""What a program may be told while the store says nothing, no, or that there is nothing."""
TRIES = 200
QUICK = {"applied and reset", "truncated", "412"}
"""Those of which even a run without ``--slow`` tries every second request."""
Tree = dict[str, bytes]


def minutes(name: str, number: int = 2) -> tuple[pytest.MarkDecorator, ...]:
    return () if name in QUICK and number == 2 else (pytest.mark.slow,)


EVERY = [pytest.param(name, number, marks=minutes(name, number)) for name in FAULTS for number in (2, 3)]


@pytest.fixture(scope="module", params=["moto", pytest.param("ceph", marks=pytest.mark.slow)])
def server(request: pytest.FixtureRequest) -> Iterator[stores.Server]:
    with stores.store(request.param) as found:
        assert found is not None
        yield found


def every(name: str, number: int, operations: tuple[str, ...] = OPERATIONS) -> Plan:
    """Every ``number``-th request of each of the operations."""
    return Plan(lambda operation, seen: name if operation in operations and seen % number == number - 1 else None)


def first(name: str) -> Plan:
    """The first requests of each operation, in a row."""
    return Plan(lambda operation, seen: name if seen < IN_A_ROW else None)


def at_random(seed: int) -> Plan:
    """A third of all requests, each with any fault."""
    source = random.Random(seed)
    return Plan(lambda operation, seen: source.choice(sorted(FAULTS)) if source.random() < 1 / 3 else None)


def again(call: Callable[[], object]) -> None:
    """What a program does that is told of an error: nothing has happened, and it tries once more."""
    for _ in range(TRIES):
        try:
            call()
            return
        except OSError as error:
            assert error.errno in TOLD, error
    raise AssertionError("the program gives up")


class Volume:
    """A mount behind a proxy, and what must be in the store at the end."""

    def __init__(self, base: Path, server: stores.Server, endpoint_url: str) -> None:
        self.daemon = Daemon(
            base,
            options=["flush_delay=0.02", f"chunk_size={CHUNK_BYTES}"],
            command=[sys.executable, str(LAUNCHER)],
            server=server._replace(endpoint_url=endpoint_url),
        )
        self.root = self.daemon.mountpoint
        self.client = server.client()
        self.expected: Tree = {}

    def write(self, name: str, content: bytes) -> None:
        again(lambda: (self.root / name).parent.mkdir(exist_ok=True))
        again(lambda: (self.root / name).write_bytes(content))
        self.expected[name] = content

    def edit(self, name: str, offset: int, content: bytes) -> None:
        def change() -> None:
            with open(self.root / name, "r+b") as file:
                file.seek(offset)
                file.write(content)

        again(change)
        old = self.expected[name]
        self.expected[name] = old[:offset] + content + old[offset + len(content) :]

    def remove(self, name: str) -> None:
        again(lambda: (self.root / name).unlink())
        del self.expected[name]

    def rename(self, name: str, other: str) -> None:
        again(lambda: os.rename(self.root / name, self.root / other))
        self.expected[other] = self.expected.pop(name)

    def stored(self) -> Tree:
        """What any S3 client sees, past the proxy; what is ours alone left out."""
        found: Tree = {}
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.daemon.bucket):
            for entry in page.get("Contents", []):
                if not entry["Key"].startswith(".vaultairefs/") and not entry["Key"].endswith("/"):
                    answer = self.client.get_object(Bucket=self.daemon.bucket, Key=entry["Key"])
                    found[entry["Key"]] = answer["Body"].read()
        return found

    def shown(self) -> Tree:
        """What programs see."""
        paths = [path for path in self.root.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.root)): path.read_bytes() for path in paths}


def work(volume: Volume, seed: int) -> None:
    """Files small and large, written again, extended, renamed and removed while they are on their way."""
    source = random.Random(seed)
    for number in range(12):
        volume.write(f"small/{number}", source.randbytes(source.randrange(3000)))
    volume.write("large/one", source.randbytes(3 * CHUNK_BYTES + 17))
    volume.write("large/exact", source.randbytes(CHUNK_BYTES))
    for number in range(0, 12, 3):
        volume.write(f"small/{number}", source.randbytes(source.randrange(3000)))
    for number in range(1, 12, 3):
        volume.remove(f"small/{number}")
    volume.rename("small/2", "small/renamed")
    volume.rename("large/exact", "small/exact")
    volume.edit("large/one", CHUNK_BYTES + 5, b"edited")


def drained(server: stores.Server, plan: Plan, *, conflicts: bool = False) -> None:
    """Work on a mount while the plan is carried out; then look at store and mount without it."""
    with workshop() as base, fault_proxy(server.endpoint_url, plan) as endpoint:
        plan.is_on = False
        volume = Volume(base, server, endpoint)
        volume.daemon.mount()
        plan.is_on = True
        try:
            work(volume, 1)
            until_drained(volume, plan)
            assert volume.daemon.status()["store_requests"]["put"] >= 8
            volume.daemon.umount()
            stored = volume.stored()
            kept = {name: content for name, content in stored.items() if ".conflict-" in name}
            assert not kept or conflicts, sorted(kept)
            assert stored.keys() - kept.keys() == volume.expected.keys()
            assert [name for name, content in volume.expected.items() if stored[name] != content] == []
            volume.daemon.forget_state()
            volume.daemon.mount()
            assert volume.shown() == stored
            volume.daemon.umount()
        finally:
            volume.daemon.end()


def until_drained(volume: Volume, plan: Plan) -> None:
    """Flush for a while among faults, then without them; nothing is told any more when all is well."""
    with suppress(AssertionError):
        volume.daemon.cli("flush", "--timeout", "10", str(volume.root))
    plan.is_on = False
    volume.daemon.flush()
    assert volume.daemon.status()["flush_errors"] == []


@pytest.mark.parametrize(("name", "number"), EVERY)
def test_every_nth_request_of_every_operation_may_fail(server: stores.Server, name: str, number: int) -> None:
    plan = every(name, number)
    drained(server, plan, conflicts=name == "wrong etag")
    assert plan.hits


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_the_first_requests_of_every_operation_may_fail_in_a_row(server: stores.Server, name: str) -> None:
    plan = first(name)
    drained(server, plan, conflicts=name == "wrong etag")
    assert plan.hits


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 12))])
def test_anything_may_go_wrong_at_any_time(server: stores.Server, seed: int) -> None:
    drained(server, at_random(seed), conflicts=True)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_every_request_of_one_operation_may_fail_for_a_while(server: stores.Server, name: str, operation: str) -> None:
    plan = Plan(lambda asked, seen: name if asked == operation and seen < IN_A_ROW else None)
    drained(server, plan, conflicts=name == "wrong etag")
