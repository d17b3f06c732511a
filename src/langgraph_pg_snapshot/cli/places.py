"""Which checkpoint a command is about: how the one is found that a person means."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from langgraph.checkpoint.base import CheckpointTuple

from langgraph_pg_snapshot._arguments import check_thread_id
from langgraph_pg_snapshot._plans.columns import COUNTERS
from langgraph_pg_snapshot._plans.state import is_state
from langgraph_pg_snapshot.cli.session import Session
from langgraph_pg_snapshot.errors import SnapshotError
from langgraph_pg_snapshot.listings import CheckpointInfo
from langgraph_pg_snapshot.pictures import HistoryStep
from langgraph_pg_snapshot.pictures.readable import bare
from langgraph_pg_snapshot.pictures.words import counted
from langgraph_pg_snapshot.saver import PostgresSnapshotSaver

# How many namespaces are listed for people: every call of a subgraph has its own.
_LISTED = 10


class NotThereError(SnapshotError):
    """There is no such thread, namespace or checkpoint."""


def described(info: CheckpointInfo | HistoryStep, namespace: str) -> dict[str, Any]:
    """What JSON says of a checkpoint."""
    return {
        "checkpoint_ns": namespace,
        "checkpoint_id": info.checkpoint_id,
        "parent_checkpoint_id": info.parent_checkpoint_id,
        "created_at": info.created_at,
        "step": info.step,
        "source": info.source,
    }


def config_of(thread: str, info: CheckpointInfo) -> Any:
    """The config that names it."""
    return {
        "configurable": {
            "thread_id": thread,
            "checkpoint_ns": info.checkpoint_ns,
            "checkpoint_id": info.checkpoint_id,
        }
    }


def find_checkpoint(
    saver: PostgresSnapshotSaver, thread: str, namespace: str, wanted: str
) -> CheckpointInfo:
    """The checkpoint that a person means."""
    limit = 1 if wanted == "newest" else None
    found = list(saver.history(thread, checkpoint_ns=namespace, limit=limit))
    check_exists(found, thread, namespace)
    if wanted == "newest":
        return found[0]
    if wanted == "oldest":
        return found[-1]
    exact = [each for each in found if each.checkpoint_id == wanted]
    alike = exact or [each for each in found if wanted in each.checkpoint_id]
    if len(alike) != 1:
        how_many = counted(len(alike), "checkpoint") if alike else "no checkpoint"
        raise NotThereError(
            f"thread {thread!r} has {how_many} like {wanted!r}: "
            f"'langgraph-pg-snapshot history' lists them"
        )
    return alike[0]


def state_of(found: CheckpointTuple | None) -> tuple[dict[str, Any], list[str]]:
    """The channels of the state that a checkpoint stores, and the names of those it does not.

    LangGraph stores a DeltaChannel now and then; between, only the graph can tell its value.
    """
    if found is None:
        return {}, []
    stored = found.checkpoint["channel_values"]
    counters = found.metadata.get(COUNTERS)
    deltas = set(counters if isinstance(counters, dict) else ())
    known = (deltas & found.checkpoint["channel_versions"].keys()) - stored.keys()
    return (
        {name: bare(stored[name]) for name in sorted(stored) if is_state(name)},
        sorted(filter(is_state, known)),
    )


def namespaces_of(session: Session, thread: str) -> list[str]:
    """A thread's namespaces, the newest first; the root's is "".

    Raises:
        InvalidArgumentError: That can't be a thread's id.
    """
    rows = sorted(session.rows("namespaces_of", thread_ids=[check_thread_id(thread)]))
    rows.sort(key=lambda row: row[2], reverse=True)
    return [row[1] for row in rows]


def find_namespace(session: Session, thread: str, wanted: str) -> tuple[str, list[str]]:
    """The namespace that a person means, and those of subgraphs below it, the newest first.

    Raises:
        NotThereError: There is none, or more than one.
    """
    every = namespaces_of(session, thread)
    check_exists(every, thread, wanted)
    alike = [wanted] if wanted in every else [each for each in every if _begins(each, wanted)]
    if len(alike) != 1:
        named = ", ".join(map(repr, (alike or every)[:_LISTED]))
        how_many = counted(len(alike), "namespace") if alike else "no namespace"
        raise NotThereError(f"thread {thread!r} has {how_many} like {wanted!r}: there is {named}")
    above = f"{alike[0]}|" if alike[0] else ""
    return alike[0], [each for each in every if each and each.startswith(above)]


def _begins(namespace: str, wanted: str) -> bool:
    """Whether each level's name begins with the one that is given: "a|b" is "a:17…|b:4e…"."""
    names, given = namespace.split("|"), wanted.split("|")
    return bool(wanted) and len(names) == len(given) and all(map(str.startswith, names, given))


def told_below(namespaces: Sequence[str]) -> Iterator[str]:
    """Lines that list the namespaces of subgraphs."""
    if namespaces:
        yield f"subgraphs ({len(namespaces)}), each of a --namespace:"
        yield from (f"  {each}" for each in namespaces[:_LISTED])
        if len(namespaces) > _LISTED:
            yield f"  … and {len(namespaces) - _LISTED} older ones, which --json lists"


def check_exists(found: Sequence[object], thread: str, namespace: str) -> None:
    """Complain of a thread that has no checkpoint there.

    Raises:
        NotThereError: There is none.
    """
    if not found:
        place = f" in namespace {namespace!r}" if namespace else ""
        raise NotThereError(f"there is no thread {thread!r}{place}")
