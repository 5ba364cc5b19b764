"""Runs inside the booted machine: uses the units as an operator would and prints one JSON object a finding.

``python check.py ENGINE``: the engine directory of all units; the last line leaves dirty data for the poweroff.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

AUTOMOUNT, MOUNT, SERVICE = "mnt-vaultaire.automount", "mnt-vaultaire.mount", "vaultairefs@data.service"
WAIT_SECONDS_MAX = 30


def systemctl(*words: str) -> str:
    return subprocess.run(["systemctl", *words], capture_output=True, text=True).stdout.strip()


def find(name: str, fact: bool, detail: str = "") -> None:
    print(json.dumps({"name": name, "fact": fact, "detail": detail}), flush=True)


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether it comes true; an OSError on the way means not yet."""
    end = time.monotonic() + WAIT_SECONDS_MAX
    while time.monotonic() < end:
        try:
            if condition():
                return True
        except OSError:
            pass
        time.sleep(0.05)
    return False


def filesystem_at(mountpoint: str) -> str:
    """The type of the topmost mount there, without touching it."""
    found = ""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        if fields.split()[4] == mountpoint:
            found = rest.split()[0]
    return found


def daemon_pid(mountpoint: str) -> int:
    text = subprocess.run(["vaultairefs", "status", mountpoint, "--json"], capture_output=True, text=True).stdout
    return int(json.loads(text)["pid"])


def check_automount(engine: Path) -> None:
    place = Path("/mnt/vaultaire")
    systemctl("start", AUTOMOUNT)
    find("nothing is mounted before the first access", filesystem_at(str(place)) == "autofs")
    as_user = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"]
    subprocess.run([*as_user, "sh", "-c", "echo first > /mnt/vaultaire/first"], check=True)
    find("the first access mounts", filesystem_at(str(place)) == "fuse.vaultairefs")
    find("the engine does not have it yet", not (engine / "first").exists())
    find("idle unmounts", eventually(lambda: systemctl("is-active", MOUNT) == "inactive"))
    find("the idle unmount has drained", (engine / "first").read_text() == "first\n")
    find("the next access mounts again", (place / "first").read_text() == "first\n")
    (place / "second").write_text("second")
    systemctl("stop", MOUNT)
    find("stop has drained", (engine / "second").read_text() == "second")
    (place / "third").write_text("third")
    os.kill(daemon_pid(str(place)), signal.SIGKILL)
    find("a killed daemon heals at the next access", eventually(lambda: (place / "third").read_text() == "third"))


def check_umount(engine: Path) -> None:
    (Path("/mnt/vaultaire") / "fourth").write_text("fourth")
    subprocess.run(["umount", "/mnt/vaultaire"], check=True)
    find("umount(8) has drained", (engine / "fourth").read_text() == "fourth")


def check_service(engine: Path) -> None:
    place = Path("/mnt/data")
    systemctl("start", SERVICE)
    find("a started service answers", filesystem_at(str(place)) == "fuse.vaultairefs", systemctl("status", SERVICE))
    (place / "fifth").write_text("fifth")
    os.kill(daemon_pid(str(place)), signal.SIGKILL)
    find("a killed service comes back", eventually(lambda: (place / "fifth").read_text() == "fifth"))
    systemctl("stop", SERVICE)
    find("a stopped service has drained", (engine / "fifth").read_text() == "fifth")
    find("a stopped service has unmounted", filesystem_at(str(place)) == "")
    find("a stopped service ended well", systemctl("show", "-P", "Result", SERVICE) == "success")


def main() -> None:
    engine, service_engine = Path(sys.argv[1]), Path(sys.argv[2])
    try:
        check_automount(engine)
        check_umount(engine)
        check_service(service_engine)
        (Path("/mnt/vaultaire") / "at the end").write_text("written right before the poweroff")
    except BaseException:
        # The machine is gone afterwards: what it has to say goes with the failure.
        subprocess.run(
            ["journalctl", "--boot", "--no-pager", "--output=cat", "--unit=mnt-*", f"--unit={SERVICE}"], stdout=2
        )
        raise


if __name__ == "__main__":
    main()
