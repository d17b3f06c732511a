"""Removing: whole threads, what runs left behind, or all but the newest checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from langgraph_pg_snapshot._plans.steps import Atomic, Plan, Stmt
from langgraph_pg_snapshot._plans.store import Store
from langgraph_pg_snapshot.models import NamespaceKey

# How often a removal looks again for what was made while it was at work.
MAX_ROUNDS = 5


def delete_threads(store: Store, thread_ids: Sequence[str]) -> Plan[None]:
    """Remove threads with all their namespaces; those that don't exist are no error."""
    if thread_ids:
        yield Atomic(partial(delete_threads_locked, store, thread_ids))


def delete_threads_locked(store: Store, thread_ids: Sequence[str]) -> Plan[None]:
    """The same inside a transaction."""
    # Two statements: the second one's snapshot is taken when the locks are held, so it sees all
    # that writers stored before, and no writer can add to a log of which half is gone.
    locked = yield from lock_threads(store, thread_ids)
    yield Stmt(
        store.queries("delete_threads"),
        {
            "thread_ids": list(thread_ids),
            "locked_threads": [thread_id for thread_id, _ in locked],
            "locked_namespaces": [namespace for _, namespace in locked],
        },
    )


def lock_threads(store: Store, thread_ids: Sequence[str]) -> Plan[set[tuple[str, str]]]:
    """Hold writers off threads until the transaction ends; returns the namespaces that are held.

    What a plan then looks at stays so in these namespaces. Others of the same threads may be made
    meanwhile: they are not to be touched.
    """
    rows = yield Stmt(store.queries("lock_threads"), {"thread_ids": list(thread_ids)})
    return {(thread_id, namespace) for thread_id, namespace in rows}


def delete_for_runs(store: Store, run_ids: Sequence[str]) -> Plan[None]:
    """Remove the checkpoints of these runs, in whichever threads they are."""
    for _ in range(MAX_ROUNDS):
        if not run_ids or (yield Atomic(partial(_delete_for_runs, store, run_ids))):
            break


def _delete_for_runs(store: Store, run_ids: Sequence[str]) -> Plan[bool]:
    """Returns whether that was all: a run that goes on may make a namespace meanwhile."""
    rows = yield Stmt(store.queries("threads_of_runs"), {"run_ids": list(run_ids)})
    thread_ids = [thread_id for (thread_id,) in rows]
    if not thread_ids:
        return True
    locked = yield from lock_threads(store, thread_ids)
    found = yield Stmt(
        store.queries("checkpoints_of_runs"),
        {"thread_ids": thread_ids, "run_ids": list(run_ids)},
    )
    held = [row for row in found if row[:2] in locked]
    if held:
        yield Stmt(store.queries("unsay"), _columns_of(held))
    yield from _drop(store, held)
    return len(held) == len(found)


def _drop(store: Store, doomed: Sequence[tuple[str, str, str]]) -> Plan[None]:
    if doomed:
        yield Stmt(store.queries("drop_checkpoints"), _columns_of(doomed))


def _columns_of(doomed: Sequence[tuple[str, str, str]]) -> dict[str, list[str]]:
    return {
        "thread_ids": [thread_id for thread_id, _, _ in doomed],
        "namespaces": [namespace for _, namespace, _ in doomed],
        "checkpoint_ids": [checkpoint_id for _, _, checkpoint_id in doomed],
    }


def drop_unreferenced_items(store: Store, key: NamespaceKey) -> Plan[None]:
    """Remove what a checkpoint that was put again does not reference any more."""
    yield Atomic(partial(_drop_unreferenced_items, store, key))


def _drop_unreferenced_items(store: Store, key: NamespaceKey) -> Plan[None]:
    yield from lock_threads(store, [key.thread_id])
    yield Stmt(store.queries("drop_unreferenced_items"), key._asdict())


def keep_latest(store: Store, thread_ids: Sequence[str]) -> Plan[None]:
    """Keep the newest checkpoint of each namespace, and what it can't be loaded without.

    A thread a transaction, so that a long list holds no writer up for long.
    """
    for thread_id in thread_ids:
        yield Atomic(partial(_keep_latest, store, thread_id))


def _keep_latest(store: Store, thread_id: str) -> Plan[None]:
    locked = yield from lock_threads(store, [thread_id])
    kept = yield from latest_checkpoints(store, thread_id)
    every = yield Stmt(store.queries("checkpoint_ids"), {"thread_id": thread_id})
    yield from _drop(
        store,
        [
            (thread_id, namespace, checkpoint_id)
            for namespace, checkpoint_id in every
            if (thread_id, namespace) in locked and (namespace, checkpoint_id) not in kept
        ],
    )


def latest_checkpoints(store: Store, thread_id: str) -> Plan[set[tuple[str, str]]]:
    """The newest checkpoint of each namespace of a locked thread, and what it can't do without.

    Returns:
        Namespaces and ids.
    """
    heads = yield Stmt(store.queries("namespace_heads"), {"thread_id": thread_id})
    root_head = next((head for namespace, head, *_ in heads if namespace == ""), None)
    kept: set[tuple[str, str]] = set()
    for namespace, head, sends_parent, root, root_is_stored, delta_channels in heads:
        # A call of a subgraph has its task's id after a ":" in the namespace, unlike a subgraph
        # with checkpointer=True, whose state outlives calls. A call goes with the root checkpoint
        # that it started from, once that is stored: runs save in the background, so a call may
        # come first.
        if ":" in namespace and root_is_stored and root != root_head:
            continue
        kept.add((namespace, head))
        if sends_parent is not None:
            kept.add((namespace, sends_parent))
        if delta_channels:
            ancestors = yield Stmt(
                store.queries("delta_ancestors", "which_checkpoint"),
                {
                    "thread_id": thread_id,
                    "checkpoint_ns": namespace,
                    "checkpoint_id": head,
                    "channels": delta_channels,
                },
            )
            kept.update((namespace, ancestor) for (ancestor,) in ancestors)
    return kept
