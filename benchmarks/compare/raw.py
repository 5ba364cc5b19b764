"""The raw limit: the same bytes by clients that are nothing but clients, in the same round."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.compare.store import Store
from benchmarks.compare.workloads import MIB, Inputs, Measures

_BUCKET: Final = "compare-raw"


def large(server: Store, inputs: Inputs, base: Path) -> Measures:
    """boto3's parallel transfer of the large file, both ways."""
    server.empty(_BUCKET)
    path, back = inputs.make_large(), base / "back"
    began = time.perf_counter()
    server.upload(_BUCKET, "large", path)
    uploaded = time.perf_counter()
    server.download(_BUCKET, "large", back)
    downloaded = time.perf_counter()
    back.unlink()
    return {
        "copy in until in the store (MiB): per second": inputs.size / MIB / (uploaded - began),
        "read 1 MiB blocks, cold (MiB): per second": inputs.size / MIB / (downloaded - uploaded),
    }


def small(server: Store, inputs: Inputs, base: Path) -> Measures:
    """s5cmd, where it is on the PATH: as many small files, all at once."""
    if shutil.which("s5cmd") is None:
        return {}
    server.empty(_BUCKET)
    folder = base / "small"
    folder.mkdir(exist_ok=True)
    for number in range(inputs.files):
        (folder / f"f{number}").write_bytes(os.urandom(4096))
    command = ["s5cmd", "--endpoint-url", server.endpoint, "cp", f"{folder}/", f"s3://{_BUCKET}/"]
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **server.environment})
    return {"create 4 KiB until in the store: per second": inputs.files / (time.perf_counter() - began)}


RAW: Final[dict[str, Callable[[Store, Inputs, Path], Measures]]] = {"cold-read": large, "small-files": small}
