"""The backlog as one value, for checkpoints, fingerprints and tests."""

import msgspec

from vaultairefs.backlog.backlog import Backlog
from vaultairefs.backlog.debts import StoredRef
from vaultairefs.model.changes import StepBegun
from vaultairefs.model.values import EntryKey, Ino


class BacklogSnapshot(msgspec.Struct, array_like=True):
    """``tree`` is the live object: encode before the next change.  Debts are (inode, content, attributes).

    ``removed`` are stored containers without a name: nothing else in a checkpoint says that they are containers.
    ``regroup`` may be dropped by a program that knows no groups.
    """

    tree: dict[Ino, dict[bytes, StoredRef]]
    names: list[tuple[EntryKey, Ino | None]]
    debts: list[tuple[Ino, bool, bool]]
    begun: list[StepBegun]
    removed: list[Ino] = []
    regroup: list[tuple[Ino, str]] = []


def take(log: Backlog) -> BacklogSnapshot:
    """Everything that outlives the daemon."""
    debts = [(ino, owed.content, owed.attributes) for ino, owed in log.owed_inos.items()]
    removed = [ino for ino in log.containers if not log.is_container(ino)]
    return BacklogSnapshot(
        log.tree,
        list(log.owed_names.items()),
        debts,
        list(log.doubts.begun.values()),
        removed,
        [(ino, log.grouped.get(ino, "")) for ino in log.regroup],
    )


def restore(log: Backlog, snapshot: BacklogSnapshot) -> None:
    """Put back what ``take`` saw, into an empty backlog, which takes over the tree; debts count from now."""
    log.load(snapshot.tree)
    log.grouped = {ino: "" for ino, keys in log.refs.items() if len(keys) > 1} | dict(snapshot.regroup)
    log.regroup = {ino for ino, _ in snapshot.regroup}
    log.containers = {ino for ino in log.refs if log.is_container(ino) or ino in log.tree} | set(snapshot.removed)
    for key, ino in snapshot.names:
        log.owed_names[key] = ino
        log.names_since[key] = log.names_first[key] = log.clock()
    for ino, content, attributes in snapshot.debts:
        log.owe(ino, content=content, attributes=attributes)
    for step in snapshot.begun:
        log.doubts.apply(step)


def audit(log: Backlog) -> list[str]:
    """Every broken invariant, in words; an empty list for a sound backlog."""
    problems = []
    for key, ino in log.owed_names.items():
        ref = log.stored(key)
        if ref is not None and ref.ino == ino and not ref.stale:
            problems.append(f"{key}: owed but equal")
        if ref is None and ino is None:
            problems.append(f"{key}: owed but nothing on both sides")
    if not log.owed_names.keys() == log.names_since.keys() == log.names_first.keys():
        problems.append("owed names and their times differ")
    problems += [f"inode {ino} owes but has no name" for ino in log.owed_inos if not log.has_name(ino)]
    problems += [
        f"inode {ino} owes nothing" for ino, owed in log.owed_inos.items() if not owed.content | owed.attributes
    ]
    names = {(key, ref.ino) for c, inside in log.tree.items() for n, ref in inside.items() for key in [EntryKey(c, n)]}
    if names != {(key, ino) for ino, keys in log.refs.items() for key in keys} or not all(log.tree.values()):
        problems.append("tree and refs differ")
    if not log.containers <= log.refs.keys():
        problems.append("containers that are not stored")
    problems += [
        f"container {ino} is taken for an artifact"
        for ino in log.refs
        if log.is_container(ino) ^ (ino in log.containers) and log.has_name(ino)
    ]
    return problems
