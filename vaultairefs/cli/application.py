"""The program ``vaultairefs``: its verbs and their arguments.

Each verb's work is in a module of its own, loaded when the verb is called.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from vaultairefs.model.errors import VaultaireError

application = typer.Typer(
    name="vaultairefs",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
events = typer.Typer(help="The record of every operation of a volume.", no_args_is_help=True)
application.add_typer(events, name="events")

VolumeArgument = Annotated[Path, typer.Argument(metavar="DIR", help="A mounted volume, or a state directory.")]


def run() -> None:
    """Parse the command line and do what it says; exits the process."""
    try:
        application()
    except VaultaireError as error:
        print(f"vaultairefs: {error.args[0]}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        print(f"vaultairefs: {error.filename or 'the system'}: {error.strerror or error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"vaultairefs {version('vaultairefs')}")
        raise typer.Exit


@application.callback()
def program(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """A POSIX filesystem over a Vaultaire storage engine."""


@application.command()
def mount(
    spec: Annotated[str, typer.Argument(metavar="SPEC", help="file:///path, s3://bucket[/prefix], s3:// or memory:")],
    directory: Annotated[str, typer.Argument(metavar="DIR", help="Where to mount.")],
    options: Annotated[
        list[str] | None, typer.Option("-o", metavar="K=V,...", help="Mount options, as mount(8) takes them.")
    ] = None,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay in the foreground and log to stderr.")] = False,
    restarted: Annotated[str | None, typer.Option("--restarted", hidden=True)] = None,
) -> None:
    """Mount a volume; returns 0 only when it answers."""
    from vaultairefs.cli.mounting import mount_volume

    mount_volume(spec, directory, options or [], foreground=foreground, restarted=restarted)


@application.command()
def umount(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A mounted volume.")],
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="S", min=0, help="Unmount after S seconds, drained or not.")
    ] = None,
    no_drain: Annotated[
        bool, typer.Option("--no-drain", help="Do not wait for the engine to have everything.")
    ] = False,
) -> None:
    """Drain, unmount, and wait until the daemon has ended.

    What is not in the engine after a timeout stays in the state directory, and the next mount goes on with it.
    """
    from vaultairefs.cli.unmounting import unmount_volume

    unmount_volume(directory, timeout_seconds=timeout, drain=not no_drain)


@application.command()
def status(
    directory: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="A mounted volume; else all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: an object, or without DIR a list.")] = False,
) -> None:
    """Show what a volume holds, owes and did."""
    from vaultairefs.cli.statuses import show_status

    show_status(directory, as_json=as_json)


@application.command()
def flush(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A file, a directory or a whole mount.")],
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="S", min=0, help="Give up after S seconds.")
    ] = None,
) -> None:
    """Wait until the engine has everything at and below PATH."""
    from vaultairefs.cli.flushing import flush_path

    flush_path(path, timeout_seconds=timeout)


@application.command()
def check(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A mounted volume.")],
    deep: Annotated[bool, typer.Option("--deep", help="Also compare local copies with the engine's bytes.")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="Take over what the engine says of clean entries.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare what a volume believes with what the engine holds; exit status 4 when they differ."""
    from vaultairefs.cli.checking import check_volume

    check_volume(directory, deep=deep, repair=repair, as_json=as_json)


@application.command()
def recover(
    directory: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="A mounted volume.")] = None,
    state: Annotated[
        Path | None, typer.Option("--state", metavar="DIR", help="A state directory, mounted or not.")
    ] = None,
    export_to: Annotated[
        Path | None, typer.Option("--export", metavar="TO", help="Copy everything, or what --id says, to a directory.")
    ] = None,
    ids: Annotated[list[str] | None, typer.Option("--id", metavar="ID", help="Only this; may be repeated.")] = None,
    drop: Annotated[
        list[str] | None, typer.Option("--drop", metavar="ID", help="Delete this for good; may be repeated.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List what a crash or a failure left, copy it out, or drop it."""
    from vaultairefs.cli import recovering

    recovering.recover(directory, state, recovering.Wish(ids or [], export_to, drop or [], as_json))


@application.command()
def warm(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A file, a directory or a whole mount.")],
) -> None:
    """Fetch the bytes at and below PATH, as far as the buffer has room."""
    from vaultairefs.cli.caching import warm_path

    warm_path(path)


@application.command()
def evict(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A file, a directory or a whole mount.")],
) -> None:
    """Let go of the local copies at and below PATH that are in the engine."""
    from vaultairefs.cli.caching import evict_path

    evict_path(path)


@application.command()
def doctor(
    spec: Annotated[str | None, typer.Argument(metavar="[SPEC]", help="Also try this store.")] = None,
    options: Annotated[
        list[str] | None, typer.Option("-o", metavar="K=V,...", help="Mount options that say where the store is.")
    ] = None,
) -> None:
    """Check what a mount needs from this machine, and what a store can do."""
    from vaultairefs.cli.doctor import examine

    examine(spec, options or [])


@events.command()
def tail(
    directory: VolumeArgument,
    from_sequence: Annotated[
        int | None, typer.Option("--from", metavar="N", min=0, help="Begin at this sequence; else the last ten.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more until interrupted.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """Print records of the event log."""
    from vaultairefs.cli.event_log import tail_events

    tail_events(directory, from_sequence=from_sequence, follow=follow, as_json=as_json)


@events.command()
def export(
    directory: VolumeArgument,
    export_format: Annotated[str, typer.Option("--format", metavar="jsonl|csv", help="The form of the export.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="Else stdout.")] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="T", help="ISO 8601 (UTC unless it says), seconds since 1970, or 2h ago as 2h."
        ),
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="T", help="As --since; not included.")] = None,
) -> None:
    """Write the event log, or a part of it, as JSON lines or CSV."""
    from vaultairefs.cli.event_log import export_events

    export_events(directory, export_format, output, since=since, until=until)
