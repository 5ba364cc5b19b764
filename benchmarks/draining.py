"""What bringing small files into a local engine costs the daemon, and what it leaves to programs meanwhile.

    python benchmarks/draining.py [--number N] [--base DIRECTORY]

First N files of 4 KiB are drained with nobody else at work; then N more, while this process makes others and
measures each.  CPU is the daemon's, from /proc.
"""

import argparse
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from operations import COMMAND, Mount, cpu_seconds, create


def drain_alone(mount: Mount, number: int) -> None:
    for n in range(number):
        create(f"{mount.path}/a{n}")
    began, before = time.perf_counter(), sum(cpu_seconds(mount.pid))
    subprocess.run([COMMAND, "flush", mount.path], check=True)
    elapsed, cpu = time.perf_counter() - began, sum(cpu_seconds(mount.pid)) - before
    print(f"drained alone: {number / elapsed:.0f} files/s, {cpu / number * 1e6:.0f} µs of CPU per file")


def drain_beside(mount: Mount, number: int) -> None:
    for n in range(number):
        create(f"{mount.path}/b{n}")
    seconds: list[float] = []
    with subprocess.Popen([COMMAND, "flush", mount.path]) as flushing:
        while flushing.poll() is None and len(seconds) < 2 * number:
            began = time.perf_counter()
            create(f"{mount.path}/c{len(seconds)}")
            seconds.append(time.perf_counter() - began)
        seconds.sort()
    middle, late = seconds[len(seconds) // 2], seconds[len(seconds) * 99 // 100]
    print(
        f"beside a drain: {len(seconds) / sum(seconds):.0f} creations/s, half within {middle * 1e3:.2f} ms, "
        f"99 % within {late * 1e3:.1f} ms, the slowest {seconds[-1] * 1e3:.0f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=2000)
    parser.add_argument("--base", type=Path, help="a directory on the disk to measure")
    chosen = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="vaultairefs-bench-", dir=chosen.base))
    try:
        mount = Mount(base, [])
        with mount.mounted():
            drain_alone(mount, chosen.number)
            drain_beside(mount, chosen.number)
    finally:
        shutil.rmtree(base)
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} processors")


if __name__ == "__main__":
    main()
