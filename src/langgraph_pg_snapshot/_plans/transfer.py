"""What copying threads from and to other savers asks of our tables, besides puts and reads."""

from __future__ import annotations

from datetime import datetime

from langgraph.checkpoint.base import PendingWrite

from langgraph_pg_snapshot._plans.read import load_writes
from langgraph_pg_snapshot._plans.steps import Plan, Row, Stmt
from langgraph_pg_snapshot._plans.store import Store
from langgraph_pg_snapshot.models import Target


def page_of_threads(store: Store, after: str | None, limit: int) -> Plan[list[str]]:
    """The ids of threads that follow, in their order."""
    rows = yield Stmt(store.queries("transfer_threads"), {"after": after, "limit": limit})
    return [thread_id for (thread_id,) in rows]


def count_threads(store: Store) -> Plan[int]:
    """How many threads there are."""
    [(threads,)] = yield Stmt(store.queries("transfer_count"), {})
    return int(threads)


def contents(store: Store, thread_id: str) -> Plan[tuple[list[Row], list[Row], list[str]]]:
    """A thread's checkpoints with their parents, what each of its tasks wrote, what was shortened.

    (How much a task wrote, and the namespaces that lost their first checkpoint.)
    """
    params = {"thread_id": thread_id}
    places = yield Stmt(store.queries("transfer_places"), params)
    tasks = yield Stmt(store.queries("transfer_tasks"), params)
    shortened = yield Stmt(store.queries("transfer_shortened"), params)
    return places, tasks, [namespace for (namespace,) in shortened]


def pending_writes(store: Store, target: Target) -> Plan[list[PendingWrite]]:
    """Read a checkpoint's pending writes, in the order of its tuple's."""
    [row] = yield Stmt(store.queries("transfer_writes"), _place_of(target))
    return load_writes(store, *row)


def indices(store: Store, target: Target) -> Plan[list[Row]]:
    """Task, path, number and run of a checkpoint's pending writes, in the order of its tuple's."""
    rows: list[Row] = yield Stmt(store.queries("transfer_indices"), _place_of(target))
    return rows


def _place_of(target: Target) -> dict[str, str | None]:
    return {**target.key._asdict(), "checkpoint_id": target.checkpoint_id}


def unerase(store: Store, thread_id: str) -> Plan[None]:
    """Forget that a thread and runs of it were erased, so that it can come again."""
    yield Stmt(store.queries("transfer_unerase"), {"thread_id": thread_id})


def set_since(store: Store, thread_id: str, created_at: datetime) -> Plan[None]:
    """Set since when a thread has been there."""
    yield Stmt(store.queries("transfer_since"), {"thread_id": thread_id, "created_at": created_at})
