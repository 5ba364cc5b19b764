"""What an operator is told of an S3 store: when it cannot be used, and what it was found to do."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import stores
from tests.support.command_line import assert_one_sentence, mount_type, run
from tests.support.daemon import COMMAND, SECONDS_MAX, mounted_daemon, workshop

HELPER = Path(COMMAND[0]).with_name("mount.fuse.vaultairefs")


@pytest.fixture
def base() -> Iterator[Path]:
    with workshop() as folder:
        (folder / "mount").mkdir()
        yield folder


@pytest.fixture(scope="module")
def moto() -> Iterator[stores.Server]:
    with stores.moto() as server:
        yield server


@pytest.fixture(scope="module")
def rclone() -> Iterator[stores.Server]:
    """It checks signatures, which moto does not, and heeds no condition."""
    with stores.rclone() as server:
        yield server


def nobody_there() -> str:
    """The address of a port that nothing listens on."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{chosen.getsockname()[1]}"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("no credentials", ["no credentials", "passwd_file="]),
        ("unknown key", ["does not accept these credentials"]),
        ("wrong secret", ["does not accept these credentials"]),
        ("no such bucket", ["no-such-bucket", "no such bucket"]),
        ("nobody there", ["cannot be reached", "refused"]),
        ("no address", ["endpoint_url=", "http://"]),
        ("unknown host", ["cannot be reached"]),
        ("readable passwd_file", ["passwd_file=", "0600"]),
        ("unknown profile", ["nobody-has-this"]),
    ],
)
def test_a_store_that_cannot_be_used_is_one_sentence_and_leaves_nothing(
    base: Path, rclone: stores.Server, wrong: str, words: list[str]
) -> None:
    bucket = rclone.new_bucket()
    spec, options = f"s3://{bucket}", rclone.mount_options(base)
    passwd_file = base / "passwd-rclone"
    match wrong:
        case "no credentials":
            options = options[:2]
        case "unknown key":
            passwd_file.write_text("stranger:testsecret")
        case "wrong secret":
            passwd_file.write_text("testkey:guess")
        case "no such bucket":
            spec = "s3://no-such-bucket"
        case "nobody there":
            options[0] = f"endpoint_url={nobody_there()}"
        case "no address":
            options[0] = "endpoint_url=localhost"
        case "unknown host":
            options[0] = "endpoint_url=http://nowhere.invalid"
        case "readable passwd_file":
            passwd_file.chmod(0o644)
        case "unknown profile":
            options = [*options[:2], "profile=nobody-has-this"]
    said = ",".join([*options, f"state={base / 'state'}"])
    without = {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(base), "PATH": "/usr/bin:/bin"}
    done = run("mount", spec, base / "mount", "-o", said, env=without)
    assert_one_sentence(done, *words)
    assert mount_type(base / "mount") == ""
    assert not (base / "state").exists()
    if wrong not in ("unknown key", "no such bucket"):  # the helper and the command say the same: two samples do
        return
    helper = subprocess.run(
        [HELPER, spec, base / "mount", "-o", said], env=without, capture_output=True, text=True, timeout=SECONDS_MAX
    )
    assert helper.returncode == 32, helper.stderr
    assert words[0] in helper.stderr
    assert mount_type(base / "mount") == ""


@pytest.mark.parametrize(
    ("name", "conditional", "degraded"),
    [("moto", True, {"copy of one version"}), ("rclone", False, {"put of a new name", "put over a version"})],
)
def test_status_log_and_doctor_say_what_the_store_does(
    base: Path, request: pytest.FixtureRequest, name: str, conditional: bool, degraded: set[str]
) -> None:
    server: stores.Server = request.getfixturevalue(name)
    bucket = server.new_bucket()
    options = server.mount_options(base)
    done = run("doctor", f"s3://{bucket}", "-o", ",".join(options))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"s3://{bucket} at {server.endpoint_url} answers" in done.stdout
    assert "Contents" not in server.client().list_objects_v2(Bucket=bucket)
    with mounted_daemon(base, server=server) as daemon:
        status = daemon.status()
        (told,) = [line for line in daemon.log() if line["event"] == "store_is_degraded"]
    assert status["conditional"] is conditional
    assert degraded <= set(status["degraded"]) == set(told["best_effort"])
    for subject, found in status["capabilities"].items():
        (row,) = [line for line in done.stdout.splitlines() if f" {subject} " in line]
        assert found in row
    assert (status["capabilities"]["put of a new name"] == "protected") is conditional


def test_doctor_leaves_a_store_alone_that_it_may_only_read(base: Path, moto: stores.Server) -> None:
    bucket = moto.new_bucket()
    done = run("doctor", f"s3://{bucket}", "-o", ",".join([*moto.mount_options(base), "ro"]))
    assert done.returncode == 0 and "answers" in done.stdout
    assert "protected" not in done.stdout
