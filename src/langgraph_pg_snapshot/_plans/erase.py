"""Erasing the threads of which their metadata says something: a user's, a tenant's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from langgraph_pg_snapshot._plans.columns import dump_members
from langgraph_pg_snapshot._plans.directory import matches, metadata_of
from langgraph_pg_snapshot._plans.remove import erase_locked, lock_whole_threads
from langgraph_pg_snapshot._plans.retention import measure
from langgraph_pg_snapshot._plans.steps import Atomic, Plan, Stmt
from langgraph_pg_snapshot._plans.store import Store
from langgraph_pg_snapshot.models import RemovalReport

# How many threads are looked at, and then removed, in one go.
PAGE = 100


def erase(store: Store, wanted: Mapping[str, Any], *, dry_run: bool) -> Plan[RemovalReport]:
    """Erase every thread of which any checkpoint, or all of them together, say this.

    Reads the metadata of every checkpoint: what a thread said long ago is in no index.
    """
    report = RemovalReport(dry_run=dry_run)
    in_sql = not (wanted and store.codec.sealing)
    which = ["which_said"] if wanted and in_sql else ["which_any"]
    params: dict[str, Any] = {"limit": PAGE, "filter": dump_members(store.codec, wanted)}
    while True:
        rows = yield Stmt(store.queries("next_threads", *which), params)
        if not rows:
            return report
        found = [thread_id for (thread_id,) in rows]
        if not in_sql:
            found = yield from _those_that_say(store, wanted, found)
        report += yield from erase_these(store, found, dry_run=dry_run)
        which = [which[0], "which_after_thread"]
        params["after"] = rows[-1][0]


def erase_these(store: Store, thread_ids: Sequence[str], *, dry_run: bool) -> Plan[RemovalReport]:
    """Erase threads by their ids; those that don't exist are no error."""
    report = RemovalReport(dry_run=dry_run)
    for start in range(0, len(thread_ids), PAGE):
        page = thread_ids[start : start + PAGE]
        if dry_run:
            report += yield from measure(store, page, dry_run=True)
        else:
            report += yield Atomic(partial(_erase, store, page))
    return report


def _erase(store: Store, thread_ids: Sequence[str]) -> Plan[RemovalReport]:
    locked = yield from lock_whole_threads(store, thread_ids)
    report = yield from measure(store, thread_ids, dry_run=False)
    yield from erase_locked(store, thread_ids, locked)
    return report


def _those_that_say(
    store: Store, wanted: Mapping[str, Any], thread_ids: Sequence[str]
) -> Plan[list[str]]:
    """The same condition on sealed metadata, which SQL can't see into; a thread at a time."""
    found = []
    for thread_id in thread_ids:
        rows = yield Stmt(store.queries("thread_metadata"), {"thread_id": thread_id})
        together: dict[str, Any] = {}
        for row in rows:  # oldest first
            said = metadata_of(store, *row)
            together |= said
            if matches(said, wanted) or matches(together, wanted):
                found.append(thread_id)
                break
    return found
