"""The ``vaultairefs`` program whose S3 engine is impatient, so that a faulty server costs a test no minutes:
``python s3_launcher.py ARGUMENTS...``; its workers are this file with the word ``worker``."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[2])


def hurry() -> None:
    from vaultairefs.engine import s3_client, s3_http

    s3_client._PAUSE_SECONDS = 0.005  # type: ignore[misc]
    s3_client._PAUSE_SECONDS_MAX = 0.05  # type: ignore[misc]
    s3_http.SILENCE_SECONDS_MAX = 10.0  # type: ignore[misc]


def main() -> None:
    hurry()
    if sys.argv[1:] == ["worker"]:
        from vaultairefs.app import worker

        worker.main()
        return
    from vaultairefs.app import build
    from vaultairefs.cli import main as program

    build.WORKER_COMMAND = (sys.executable, __file__, "worker")  # type: ignore[assignment]
    program()


if __name__ == "__main__":
    main()
