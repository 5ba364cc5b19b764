"""PostgreSQL runs its cluster on the mount, survives an immediate stop, and its checksums agree."""

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.programs import run

INSTALLATIONS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
SETTINGS = (
    "listen_addresses=''",
    "shared_buffers=16MB",
    "max_connections=20",
    "log_min_messages=warning",
    "checkpoint_timeout=30s",
    "autovacuum=off",
)


class Cluster:
    """A cluster in ``data`` on the mount; its socket and log stay outside."""

    def __init__(self, data: Path, outside: Path) -> None:
        user = pwd.getpwnam("postgres") if "postgres" in {u.pw_name for u in pwd.getpwall()} else pwd.getpwnam("nobody")
        self._as_user = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
        self.data = data
        self.outside = outside
        data.mkdir(mode=0o700)
        os.chown(data, user.pw_uid, user.pw_gid)
        os.chown(outside, user.pw_uid, user.pw_gid)

    def program(self, name: str, *arguments: str) -> str:
        return run(*self._as_user, INSTALLATIONS[-1] / name, *arguments, cwd=self.outside, PGHOST=str(self.outside))

    def start(self) -> None:
        options = " ".join(f"-c {setting}" for setting in (*SETTINGS, f"unix_socket_directories='{self.outside}'"))
        self.program("pg_ctl", "start", "-w", "-D", str(self.data), "-l", str(self.outside / "log"), "-o", options)

    def stop(self, mode: str) -> None:
        self.program("pg_ctl", "stop", "-w", "-D", str(self.data), "-m", mode)

    def query(self, text: str) -> str:
        return self.program("psql", "-X", "-A", "-t", "-U", "owner", "-d", "postgres", "-c", text).strip()


@pytest.fixture
def outside() -> Iterator[Path]:
    """A short path that the server's own user can reach (a socket's path holds 107 bytes)."""
    folder = Path(tempfile.mkdtemp(prefix="vaultairefs-postgres-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def cluster(place: Path, outside: Path) -> Iterator[Cluster]:
    made = Cluster(place / "cluster", outside)
    made.program(
        "initdb", "-D", str(made.data), "-U", "owner", "-A", "trust", "--data-checksums", "--locale=C", "--no-sync"
    )
    made.start()
    yield made
    if (made.data / "postmaster.pid").exists():
        made.stop("immediate")


@pytest.mark.skipif(not INSTALLATIONS, reason="PostgreSQL is not installed: script/bootstrap installs it")
def test_postgresql_keeps_every_transaction_over_an_immediate_stop(cluster: Cluster) -> None:
    cluster.program("pgbench", "-q", "-i", "-s", "1", "-U", "owner", "postgres")
    cluster.program("pgbench", "-n", "-c", "4", "-t", "100", "-U", "owner", "postgres")
    cluster.stop("immediate")
    cluster.start()
    assert cluster.query("select count(*) from pgbench_history") == "400"
    sums = "select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history)"
    assert cluster.query(sums) == "t"
    cluster.stop("fast")
    assert "Bad checksums:  0" in cluster.program("pg_checksums", "--check", "-D", str(cluster.data))
