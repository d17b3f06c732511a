"""Removing: whole threads, and what runs left behind."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

from langgraph_pg_snapshot._plans.steps import Atomic, Plan, Stmt
from langgraph_pg_snapshot._plans.store import Store
from langgraph_pg_snapshot.errors import ConcurrentWriteError
from langgraph_pg_snapshot.models import NamespaceKey

# How often a removal looks again for what was made while it was at work.
MAX_ROUNDS = 5
# Between looks at who is still writing, in seconds: half a minute in all. As a rule one is enough.
WRITER_PAUSES = (0.002, 0.008, 0.03, *[0.1] * 10, *[0.5] * 58)


def lock_threads(store: Store, thread_ids: Sequence[str]) -> Plan[set[NamespaceKey]]:
    """Hold writers off threads until the transaction ends; returns the namespaces that are held.

    What later statements of the transaction look at stays so in these namespaces. A thread that has
    no root namespace may get others meanwhile: they are not to be touched.
    """
    rows = yield Stmt(store.queries("lock_threads"), {"thread_ids": list(thread_ids)})
    return {NamespaceKey(*row) for row in rows}


def lock_whole_threads(store: Store, thread_ids: Sequence[str]) -> Plan[set[NamespaceKey]]:
    """The same, and of threads that have a root namespace nobody makes others any more.

    Who makes one holds the root's row. A statement that waits for him does not see what he made, so
    it takes another look, which begins when the root's row is held.
    """
    locked = yield from lock_threads(store, thread_ids)
    while (found := (yield from lock_threads(store, thread_ids))) != locked:
        locked = found
    return locked


def erase_threads(store: Store, thread_ids: Sequence[str]) -> Plan[None]:
    """Remove threads with all their namespaces; those that don't exist are no error."""
    if thread_ids:
        yield Atomic(partial(_erase_threads, store, thread_ids))


def _erase_threads(store: Store, thread_ids: Sequence[str]) -> Plan[None]:
    locked = yield from lock_whole_threads(store, thread_ids)
    yield from erase_locked(store, thread_ids, locked)


def erase_locked(store: Store, thread_ids: Sequence[str], locked: set[NamespaceKey]) -> Plan[None]:
    """The same inside a transaction, of threads whose namespaces are held."""
    yield from _delete(store, thread_ids, locked, is_noted=True)


def discard_thread(store: Store, thread_id: str) -> Plan[None]:
    """Remove a thread of which no run knows, and leave no note of it."""
    yield Atomic(partial(_discard_thread, store, thread_id))


def _discard_thread(store: Store, thread_id: str) -> Plan[None]:
    locked = yield from lock_threads(store, [thread_id])
    yield from _delete(store, [thread_id], locked, is_noted=False)


def _delete(
    store: Store, thread_ids: Sequence[str], locked: set[NamespaceKey], *, is_noted: bool
) -> Plan[None]:
    yield Stmt(
        store.queries("delete_threads"),
        {"thread_ids": list(thread_ids), "is_noted": is_noted, **columns_of(locked)},
    )


def columns_of(locked: Collection[NamespaceKey]) -> dict[str, list[str]]:
    """Namespaces that are held, as statements take them."""
    return {
        "locked_threads": [thread_id for thread_id, _ in locked],
        "locked_namespaces": [namespace for _, namespace in locked],
    }


def delete_for_runs(store: Store, run_ids: Sequence[str]) -> Plan[None]:
    """Remove the checkpoints and pending writes of these runs, in whichever threads they are.

    Raises:
        ConcurrentWriteError: Something of them may be left: a writer that was under way has not
            ended, or what they left was copied time after time.
    """
    if not run_ids:
        return
    # First of all, and for all to see: what a run that is under way puts from now on is not stored.
    yield Stmt(store.queries("note_erased_runs"), {"run_ids": list(run_ids)})
    for _ in range(MAX_ROUNDS):
        # Statements that began before can't see that, nor can we see what they will have stored.
        all_ended = yield from _wait_for_writers(store)
        nothing_left = yield Atomic(partial(_delete_for_runs, store, run_ids))
        if nothing_left and all_ended:
            return
        if not all_ended:
            raise ConcurrentWriteError(
                "what was there of these runs is removed, but a transaction that writes to the "
                "saver's tables has not ended, and may yet store more of them: call it again once "
                "that is over"
            )
    raise ConcurrentWriteError(
        "others kept storing what these runs had left (a copy of a thread does): call it again"
    )


def _wait_for_writers(store: Store) -> Plan[bool]:
    """Wait for transactions that write at this moment; returns whether they all ended in time."""
    names = [store.queries.relations[table] for table in ("threads", "history", "writes")]
    look = Stmt(store.queries("writers_under_way"), {"names": names})
    awaited = {row for (row,) in (yield look)}
    for pause in WRITER_PAUSES:
        if not awaited:
            break
        yield Stmt(store.queries("pause"), {"seconds": pause})
        awaited &= {row for (row,) in (yield look)}
    return not awaited


def _delete_for_runs(store: Store, run_ids: Sequence[str]) -> Plan[bool]:
    """Returns whether nothing was there: what others were making meanwhile needs another look."""
    rows = yield Stmt(store.queries("threads_of_runs"), {"run_ids": list(run_ids)})
    thread_ids = [thread_id for (thread_id,) in rows]
    if not thread_ids:
        return True
    locked = yield from lock_threads(store, thread_ids)
    found = yield Stmt(
        store.queries("checkpoints_of_runs"),
        {"thread_ids": thread_ids, "run_ids": list(run_ids)},
    )
    yield Stmt(
        store.queries("drop_writes_of_runs"),
        {"thread_ids": thread_ids, "run_ids": list(run_ids)},
    )
    held = [row for row in found if row[:2] in locked]
    if held:
        yield Stmt(
            store.queries("note_threads_of_erased_runs"),
            {"thread_ids": thread_ids, "run_ids": list(run_ids), **columns_of(locked)},
        )
        doomed = {
            "thread_ids": [thread_id for thread_id, _, _ in held],
            "namespaces": [namespace for _, namespace, _ in held],
            "checkpoint_ids": [checkpoint_id for _, _, checkpoint_id in held],
        }
        yield Stmt(store.queries("unsay"), doomed)
        yield Stmt(store.queries("drop_checkpoints"), doomed)
    return False


def drop_unreferenced_items(store: Store, key: NamespaceKey) -> Plan[None]:
    """Remove what a checkpoint that was put again does not reference any more."""
    yield Atomic(partial(_drop_unreferenced_items, store, key))


def _drop_unreferenced_items(store: Store, key: NamespaceKey) -> Plan[None]:
    yield from lock_threads(store, [key.thread_id])
    yield Stmt(store.queries("drop_unreferenced_items"), key._asdict())
