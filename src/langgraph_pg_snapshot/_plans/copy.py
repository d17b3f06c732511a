"""Copying a thread, inside the server."""

from __future__ import annotations

from functools import partial

from langgraph_pg_snapshot._plans.known import new_epoch
from langgraph_pg_snapshot._plans.remove import delete_threads_locked, lock_threads
from langgraph_pg_snapshot._plans.steps import Atomic, Plan, Stmt
from langgraph_pg_snapshot._plans.store import Store
from langgraph_pg_snapshot.errors import InvalidArgumentError


def copy_thread(store: Store, source: str, target: str) -> Plan[None]:
    """Copy a thread; doing it again changes nothing.

    Raises:
        InvalidArgumentError: The target has checkpoints that the source has not: it is a thread of
            its own, and nothing was changed.
    """
    yield Atomic(partial(_copy_thread, store, source, target))


def _copy_thread(store: Store, source: str, target: str) -> Plan[None]:
    # First the locks, then the look: nobody adds to either thread between the two.
    yield from lock_threads(store, [source, target])
    names = {"source": source, "target": target}
    [(source_has_more, target_has_more)] = yield Stmt(store.queries("compare_threads"), names)
    if not source_has_more:
        return  # nothing there, or copied before
    if target_has_more:
        raise InvalidArgumentError(
            f"thread {target!r} has checkpoints that {source!r} has not: copying would lose them; "
            "copy into a thread_id that is not in use, or delete_thread() the target first"
        )
    # The target may be an earlier copy that the source has outgrown.
    yield from delete_threads_locked(store, [target])
    yield Stmt(store.queries("copy_thread"), names | {"epoch": new_epoch()})
    [(source_has_more, target_has_more)] = yield Stmt(store.queries("compare_threads"), names)
    if source_has_more or target_has_more:
        raise InvalidArgumentError(
            f"thread {target!r} was being made by another writer at the same time: nothing was "
            "copied; copy into a thread_id that is not in use"
        )
