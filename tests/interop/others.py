"""The real programs of others, on one bucket."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.stores import Server


class Others:
    """boto3, s3fs and rclone, in front of one bucket."""

    def __init__(self, server: Server, bucket: str, base: Path) -> None:
        self.server, self.bucket, self.base = server, bucket, base

    @contextmanager
    def s3fs(self) -> Iterator[Path]:
        """The bucket as s3fs mounts it; its end is the unmount."""
        folder, keys = self.base / "s3fs", self.base / "s3fs-keys"
        folder.mkdir()
        keys.touch(mode=0o600)
        keys.write_text(f"{self.server.access_key}:{self.server.secret_key}\n")
        options = f"url={self.server.endpoint_url},use_path_request_style,use_xattr,passwd_file={keys}"
        try:
            command = ["s3fs", self.bucket, str(folder), "-f", "-o", options]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except FileNotFoundError:
            pytest.fail("s3fs is not installed: script/bootstrap dev does that")
        try:
            while not os.path.ismount(folder):
                assert process.poll() is None, "s3fs has ended"
            yield folder
        finally:
            subprocess.run(["umount", str(folder)], check=False)
            process.wait(60)
            folder.rmdir()

    def rclone(self, *arguments: str) -> str:
        """One rclone command; ``{bucket}`` in an argument is the bucket."""
        provider = "Ceph" if self.server.name == "ceph" else "Other"
        remote = f":s3,provider={provider},endpoint='{self.server.endpoint_url}',region=us-east-1,env_auth=true:"
        environment = {
            **os.environ,
            "AWS_ACCESS_KEY_ID": self.server.access_key,
            "AWS_SECRET_ACCESS_KEY": self.server.secret_key,
        }
        words = [argument.replace("{bucket}", remote + self.bucket) for argument in arguments]
        command = [str(Path(sys.executable).with_name("rclone")), "--config", os.devnull, *words]
        return subprocess.run(command, check=True, env=environment, capture_output=True, text=True, timeout=60).stdout
