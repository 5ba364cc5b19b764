"""From the raw numbers of one run: a Markdown table.  Nothing is measured here."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from benchmarks.requests.works import MIB, WORKS

VERBS: Final[dict[str, tuple[str, ...]]] = {
    "PUT": ("put", "part"),
    "copy": ("copy-put", "copy-part"),
    "GET": ("get",),
    "HEAD": ("head",),
    "LIST": ("list",),
    "POST": ("begin", "commit", "delete-many"),
    "DELETE": ("delete", "abort"),
}
MOUNT: Final = "a mount, with the probe of the store"
_OURS: Final = "vaultairefs"


def table(rows: list[dict[str, Any]]) -> str:
    """One line for each piece of work; a peer that was counted, too, has a column."""
    peers = sorted({row["system"] for row in rows} - {_OURS})
    heads = ["work", "all", *VERBS, "MiB up", "MiB down", "limit", *peers, "in the issue"]
    found = {(row["system"], row["work"]): row for row in rows}
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1)]
    limits = {name: (work.limit, work.peers) for name, work in WORKS.items()}
    for name, (limit, peers_then) in {**limits, MOUNT: ("", "")}.items():
        others = [_total(found.get((peer, name))) for peer in peers]
        ours = found.get((_OURS, name))
        if ours is not None or any(others):
            lines.append([name, *_cells(ours), limit, *others, peers_then])
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _cells(row: dict[str, Any] | None) -> Iterator[str]:
    if row is None:
        yield from [""] * (len(VERBS) + 3)
        return
    counts = Counter(row["requests"])
    yield str(counts.total())
    for operations in VERBS.values():
        yield str(sum(counts[operation] for operation in operations) or "")
    for way in ("up", "down"):
        yield f"{row[way] / MIB:.2f}"


def _total(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    return row.get("failure") or str(sum(row["requests"].values()))
