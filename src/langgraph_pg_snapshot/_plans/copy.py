"""Copying a thread, inside the server."""

from __future__ import annotations

from functools import partial

from langgraph_pg_snapshot._plans.known import new_epoch
from langgraph_pg_snapshot._plans.remove import lock_threads
from langgraph_pg_snapshot._plans.retention import latest_checkpoints
from langgraph_pg_snapshot._plans.steps import Atomic, Plan, Stmt
from langgraph_pg_snapshot._plans.store import Store
from langgraph_pg_snapshot.errors import InvalidArgumentError


def copy_thread(store: Store, source: str, target: str, *, head_only: bool) -> Plan[None]:
    """Copy a thread, or the newest checkpoint of each namespace; renews an earlier copy.

    Raises:
        InvalidArgumentError: The target has checkpoints or pending writes that the source has not:
            it is a thread of its own, and nothing was changed.
    """
    if source != target:
        yield Atomic(partial(_copy_thread, store, source, target, head_only=head_only))


def _copy_thread(store: Store, source: str, target: str, *, head_only: bool) -> Plan[None]:
    # First the locks, then the look: nobody adds to either thread between the two.
    locked = yield from lock_threads(store, [source, target])
    if all(thread_id != source for thread_id, _ in locked):
        return
    chosen = sorted((yield from latest_checkpoints(store, source)) if head_only else ())
    copying = {
        "source": source,
        "target": target,
        "head_only": head_only,
        "namespaces": [namespace for namespace, _ in chosen],
        "checkpoint_ids": [checkpoint_id for _, checkpoint_id in chosen],
    }
    [(differs, target_has_its_own)] = yield Stmt(store.queries("compare_threads"), copying)
    if target_has_its_own:
        raise InvalidArgumentError(
            f"thread {target!r} has checkpoints or pending writes that {source!r} has not: copying "
            "would lose them; copy into a thread_id that is not in use, or delete_thread() the "
            "target first"
        )
    if not differs:
        return  # copied before
    namespaces = [namespace for thread_id, namespace in locked if thread_id == target]
    if namespaces:
        yield Stmt(
            store.queries("clear_copy"), {"source": source, "target": target, "locked": namespaces}
        )
    [(is_contested,)] = yield Stmt(store.queries("copy_thread"), copying | {"epoch": new_epoch()})
    [(differs, target_has_its_own)] = yield Stmt(store.queries("compare_threads"), copying)
    # (Without a contest it may differ, too: pending writes of the source come at any time.)
    if target_has_its_own or (is_contested and differs):
        raise InvalidArgumentError(
            f"thread {target!r} was being made by another writer at the same time: nothing was "
            "copied; copy into a thread_id that is not in use"
        )
