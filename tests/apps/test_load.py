"""Many writers and very large files: every byte arrives, and the daemon's memory stays flat."""

import hashlib
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, mounted_daemon, workshop
from tests.support.manifests import digest_of

MEMORY_BYTES_MAX = 300 << 20
WRITERS = 10
AT_ONCE = 64
FILES_EACH = 100
PIECE = 1 << 20


def write_files(folder: Path, seed: int, start: threading.Barrier) -> dict[str, str]:
    """``FILES_EACH`` files of up to 256 KiB, written at the same time as the others'; name -> digest."""
    source = random.Random(seed)
    folder.mkdir()
    digests = {}
    start.wait()
    for number in range(FILES_EACH):
        content = source.randbytes(source.randrange(256 << 10))
        (folder / f"file{number}").write_bytes(content)
        digests[f"file{number}"] = hashlib.sha256(content).hexdigest()
    return digests


def test_ten_writers_of_a_hundred_files_each_lose_nothing(volume: Daemon, place: Path) -> None:
    start = threading.Barrier(WRITERS)
    with ThreadPoolExecutor(WRITERS) as pool:
        tasks = [pool.submit(write_files, place / f"writer{n}", n, start) for n in range(WRITERS)]
    for number, task in enumerate(tasks):
        folder = place / f"writer{number}"
        assert {path.name: digest_of(path) for path in folder.iterdir()} == task.result()
    volume.flush()
    for number, task in enumerate(tasks):
        stored = volume.engine / place.name / f"writer{number}"
        assert {path.name: digest_of(path) for path in stored.iterdir()} == task.result()
    assert volume.memory_peak() < MEMORY_BYTES_MAX


def test_sixty_four_writers_and_readers_at_once_stay_within_the_memory_budget() -> None:
    """Each writes a file in pieces and reads another that only the engine has; the buffer holds a part of all that."""
    size = 4 * PIECE
    with workshop() as base:
        source = random.Random(AT_ONCE)
        (base / "engine").mkdir()
        cold = {f"cold{number}": source.randbytes(size) for number in range(AT_ONCE)}
        for name, content in cold.items():
            (base / "engine" / name).write_bytes(content)
        with mounted_daemon(base, options=["buffer_size=384M", "memory=128M", "flush_delay=0.05"]) as daemon:
            start = threading.Barrier(2 * AT_ONCE)

            def write(number: int) -> str:
                content, digest = random.Random(number), hashlib.sha256()
                start.wait()
                with open(daemon.mountpoint / f"new{number}", "wb", buffering=0) as file:
                    for _ in range(size // PIECE):
                        piece = content.randbytes(PIECE)
                        digest.update(piece)
                        assert file.write(piece) == PIECE
                return digest.hexdigest()

            def read(name: str) -> bytes:
                start.wait()
                return (daemon.mountpoint / name).read_bytes()

            with ThreadPoolExecutor(2 * AT_ONCE) as pool:
                written = [pool.submit(write, number) for number in range(AT_ONCE)]
                seen = {name: pool.submit(read, name) for name in cold}
            assert {name: task.result() for name, task in seen.items()} == cold
            daemon.flush()
            for number, task in enumerate(written):
                assert digest_of(daemon.engine / f"new{number}") == task.result()
            assert daemon.memory_peak() < MEMORY_BYTES_MAX


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(512 << 20, id="512 MiB"),
        pytest.param(5 << 30, id="5 GiB", marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
    ],
)
def test_a_large_file_arrives_whole_in_flat_memory(volume: Daemon, place: Path, size: int) -> None:
    digest = hashlib.sha256()
    pattern = random.Random(size).randbytes(PIECE - 8)
    with open(place / "large", "wb", buffering=0) as file:
        for number in range(size // PIECE):
            piece = number.to_bytes(8, "little") + pattern
            assert file.write(piece) == PIECE
            digest.update(piece)
    assert digest_of(place / "large") == digest.hexdigest()
    volume.flush()
    assert digest_of(volume.engine / place.name / "large") == digest.hexdigest()
    assert volume.memory_peak() < MEMORY_BYTES_MAX
    (place / "large").unlink()
