"""The units in ``systemd/`` under a real systemd: mount on access, drain at every end, heal after kill -9."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.daemon import workshop
from tests.support.programs import run
from tests.systemd.machine import Machine
from tests.tidy.sources import ROOT

BIN = Path(sys.executable).parent
UNITS = ROOT / "systemd"
MOUNT_DROP_IN = "[Mount]\nOptions=rw,nosuid,nodev,_netdev,allow_other,flush_delay=600,state=/srv/state\n"
IDLE_DROP_IN = "[Automount]\nTimeoutIdleSec=2s\n"
SERVICE_SETTINGS = "SPEC=file:///srv/data\nOPTIONS=allow_other,flush_delay=600,state=/srv/data-state\n"


class Outcome(NamedTuple):
    """What the check found, and the engine as the poweroff left it."""

    findings: dict[str, bool]
    engine: Path
    output: str


@pytest.fixture
def machine() -> Iterator[Machine]:
    with workshop() as base:
        run("mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", base)
        try:
            machine = Machine(base)
            yield machine
            machine.close()
        finally:
            run("umount", "--recursive", base)


@pytest.fixture
def outcome(machine: Machine, tmp_path: Path) -> Outcome:
    for folder in ("vaultaire", "state", "data", "data-state"):
        (tmp_path / folder).mkdir()
        machine.bind(tmp_path / folder, f"/srv/{folder}")
    (tmp_path / "vaultaire").chmod(0o777)
    for helper in ("mount.fuse.vaultairefs", "umount.fuse.vaultairefs"):
        machine.link(f"sbin/{helper}", BIN / helper)
    machine.link("usr/local/bin/vaultairefs", BIN / "vaultairefs")
    for unit in UNITS.glob("*.*"):
        if unit.suffix in (".mount", ".automount", ".service"):
            machine.install(f"etc/systemd/system/{unit.name}", unit)
    machine.install("etc/systemd/system/mnt-vaultaire.mount.d/test.conf", MOUNT_DROP_IN)
    machine.install("etc/systemd/system/mnt-vaultaire.automount.d/test.conf", IDLE_DROP_IN)
    machine.install("etc/vaultairefs/data.env", SERVICE_SETTINGS)
    output = tmp_path / "output"
    output.mkdir()
    machine.bind(output, "/srv/output")
    check = Path(__file__).parent / "check.py"
    machine.boot(f"{sys.executable} {check} /srv/vaultaire /srv/data", Path("/srv/output/findings"))
    lines = (output / "findings").read_text().splitlines()
    findings = {line["name"]: line["fact"] for line in map(json.loads, lines)}
    return Outcome(findings, tmp_path / "vaultaire", (output / "findings.err").read_text())


@pytest.mark.skipif(not shutil.which("systemd-nspawn"), reason="systemd-container is not installed")
@pytest.mark.skipif(not os.path.exists("/dev/autofs"), reason="this kernel has no autofs")
def test_systemd_mounts_on_access_and_drains_before_every_end(outcome: Outcome) -> None:
    assert [name for name, fact in outcome.findings.items() if not fact] == [], outcome.output
    assert "a stopped service ended well" in outcome.findings, outcome.output
    last = outcome.engine / "at the end"
    assert last.read_text() == "written right before the poweroff", "the poweroff did not drain"
