"""Becoming a daemon: the ready pipe, the sentence of a failed start, the supervisor.

Each case runs in a process of its own: forking the test runner would fork its threads.
"""

import json
import os
import select
import signal
import subprocess
import sys
import textwrap

PRELUDE = """
import json, os, signal, sys
from vaultairefs.app import daemon
from vaultairefs.model.errors import BadInput
"""


def run(body: str) -> subprocess.CompletedProcess[str]:
    """The script's end; stdout and stderr are read to their end, as mount(8)'s callers do."""
    script = PRELUDE + textwrap.dedent(body)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)


def test_start_returns_when_the_daemon_announces_itself_and_leaves_the_callers_pipes() -> None:
    done = run(
        """
        def live(announce):
            announce()
            print("nobody hears this")
            signal.sigwait({signal.SIGTERM})

        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        r, w = os.pipe()
        def telling(announce):
            os.write(w, json.dumps([os.getpid(), os.getsid(0), os.getcwd()]).encode()); os.close(w)
            live(lambda: (announce(), os.write(w2, json.dumps([os.getsid(0), os.getcwd()]).encode()), os.close(w2)))
        r2, w2 = os.pipe()
        daemon.start(telling)
        before, after = json.loads(os.read(r, 1000)), json.loads(os.read(r2, 1000))
        print(json.dumps({"before": before, "after": after, "sid": os.getsid(0)}))
        os.kill(before[0], signal.SIGTERM)
        """
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    pid, session_before, _ = seen["before"]
    assert session_before == seen["sid"], "setsid before the mount answers deadlocks behind an automount"
    assert seen["after"] == [pid, "/"]


def test_a_start_that_fails_is_the_daemons_own_sentence() -> None:
    done = run(
        """
        def live(announce):
            raise BadInput("no such bucket")
        try:
            daemon.start(live)
        except BadInput as error:
            print(error)
        """
    )
    assert done.stdout == "no such bucket\n"
    assert done.stderr == ""


def test_an_unexpected_failure_is_one_sentence_too() -> None:
    done = run(
        """
        def live(announce):
            raise RuntimeError("a bug")
        try:
            daemon.start(live)
        except BadInput as error:
            print(error)
        """
    )
    assert done.stdout == "unexpected RuntimeError: a bug (mount --foreground shows where)\n"
    assert done.stderr == ""


def test_a_daemon_that_is_killed_at_its_start_does_not_leave_the_caller_waiting() -> None:
    done = run(
        """
        def live(announce):
            os.kill(os.getpid(), signal.SIGKILL)
        for again in (None, ["/bin/false"]):
            try:
                daemon.start(live, again=again)
            except BadInput as error:
                print(error)
        """
    )
    assert done.stdout == "the daemon died during its start\n" * 2


SUPERVISED = """
        import select, time
        r, w = os.pipe()
        def ended(pid):
            poll = select.poll(); poll.register(os.pidfd_open(pid), select.POLLIN)
            return bool(poll.poll(20000))
        def live(announce):
            announce()
            os.write(w, json.dumps([os.getpid(), os.getppid()]).encode())
            signal.pause()
"""


def test_a_killed_daemon_is_started_again_with_the_story_so_far() -> None:
    done = run(
        SUPERVISED
        + """
        again = ["/bin/sh", "-c", 'echo "$@" > /proc/%d/fd/%d; exit 0' % (os.getpid(), w), "name"]
        daemon.start(live, again=again)
        pid, supervisor = json.loads(os.read(r, 100))
        for number in (signal.SIGINT, signal.SIGHUP):
            os.kill(supervisor, number)
        os.kill(pid, signal.SIGKILL)
        print(os.read(r, 100).decode().strip())
        print(ended(supervisor))
        """
    )
    assert done.stdout == "--restarted 1:1:killed by signal 9\nTrue\n", done.stderr


def test_a_start_that_is_refused_for_now_is_tried_again_and_counts_as_no_death() -> None:
    done = run(
        SUPERVISED
        + """
        words = 'echo "$@" > /proc/%d/fd/%d; test "${2%%%%:1:*}" = 2 || exit 75' % (os.getpid(), w)
        again = ["/bin/sh", "-c", words, "name"]
        daemon.start(live, again=again)
        pid, supervisor = json.loads(os.read(r, 100))
        os.kill(pid, signal.SIGKILL)
        print(os.read(r, 100).decode().strip())
        print(os.read(r, 100).decode().strip())
        print(ended(supervisor))
        """
    )
    lines = [f"--restarted {number}:1:killed by signal 9" for number in (1, 2)]
    assert done.stdout.splitlines() == [*lines, "True"], done.stderr


def test_sigterm_goes_on_to_the_daemon_and_ends_the_supervisor_with_it() -> None:
    done = run(
        SUPERVISED
        + """
        daemon.start(live, again=["/bin/sh", "-c", "echo started > /proc/%d/fd/%d" % (os.getpid(), w)])
        pid, supervisor = json.loads(os.read(r, 100))
        os.kill(supervisor, signal.SIGTERM)
        print(ended(supervisor), ended(pid) if os.path.exists(f"/proc/{pid}") else True)
        os.close(w)
        print(os.read(r, 100))
        """
    )
    assert done.stdout == "True True\nb''\n", done.stderr


def test_a_daemon_that_ends_well_takes_its_supervisor_along() -> None:
    done = run(
        """
        import select
        r, w = os.pipe()
        def live(announce):
            announce()
            os.write(w, json.dumps(os.getppid()).encode())
        daemon.start(live, again=["/bin/false"])
        poll = select.poll(); poll.register(os.pidfd_open(json.loads(os.read(r, 100))), select.POLLIN)
        print(bool(poll.poll(20000)))
        """
    )
    assert done.stdout == "True\n", done.stderr


def test_a_daemon_keeps_none_of_its_callers_open_files() -> None:
    reader, writer = os.pipe()
    script = PRELUDE + textwrap.dedent(
        """
        def live(announce):
            print(os.getpid(), flush=True)
            announce()
            signal.pause()
        daemon.start(live)
        """
    )
    with subprocess.Popen([sys.executable, "-c", script], pass_fds=[writer], stdout=subprocess.PIPE) as process:
        os.close(writer)
        assert process.wait(60) == 0
        assert process.stdout is not None
        pid = int(process.stdout.readline())
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    assert poll.poll(10_000), "the pipe's other end is still open"
    assert os.read(reader, 1) == b""
    os.close(reader)
    os.kill(pid, signal.SIGKILL)  # raises when it was not the daemon that let go but its end


def test_nothing_is_cleared_away_where_no_dead_volume_is(tmp_path: os.PathLike[str]) -> None:
    done = run(f"print(daemon.clear_dead_mount({str(tmp_path)!r}), daemon.clear_dead_mount('/'))")
    assert done.stdout == "False False\n"


def test_the_caller_of_a_daemon_loads_neither_trio_nor_pyfuse3_nor_pydantic() -> None:
    done = run(
        "import vaultairefs.cli.mounting; print([m for m in ('trio', 'pyfuse3', 'pydantic') if m in sys.modules])"
    )
    assert done.stdout == "[]\n"
