"""Storing pending writes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from langgraph.checkpoint.base import WRITES_IDX_MAP

from langgraph_pg_snapshot._plans.fence import check_lease, fence_of
from langgraph_pg_snapshot._plans.held import Awaited, hold
from langgraph_pg_snapshot._plans.steps import Heavy, Plan, Stmt
from langgraph_pg_snapshot._plans.store import Store
from langgraph_pg_snapshot.errors import ConcurrentWriteError, about
from langgraph_pg_snapshot.models import Target

logger = logging.getLogger("langgraph_pg_snapshot")

# Removals come one after the other now and then; that they come at every try has to end somewhere.
MAX_TRIES = 10


def put_writes(
    store: Store,
    target: Target,
    writes: Sequence[tuple[str, Any]],
    task_id: str,
    task_path: str,
    *,
    run_id: str | None = None,
    indices: Sequence[int] | None = None,
    lease: int | None = None,
) -> Plan[None]:
    """Store what a task wrote, in one statement, or two where something was removed meanwhile.

    ``indices`` are given where the writes have theirs already (an import, which is no run at work);
    LangGraph numbers them by place.
    Writes whose checkpoint is not stored wait for it in this process, if they may be late ones of
    a checkpoint that was removed.

    Raises:
        SerializationError: A value can't be stored; nothing was sent.
        LeaseLostError: The thread is not held with the token ``lease`` any more.
    """
    yield Heavy(value for _, value in writes)
    rows: dict[int, tuple[str, Any]] = {}
    for place, (channel, value) in enumerate(writes):
        with about(f"write to channel {channel!r}"):
            columns = store.codec.columns_of(value)
        # A statement can't touch a row twice: of two writes with one fixed index the last holds.
        index = WRITES_IDX_MAP.get(channel, place) if indices is None else indices[place]
        rows[index] = (channel, columns)
    if not rows or target.checkpoint_id is None:
        return
    params = {
        "thread_id": target.key.thread_id,
        "checkpoint_ns": target.key.checkpoint_ns,
        "checkpoint_id": target.checkpoint_id,
        "task_id": task_id,
        "task_path": task_path,
        "run_id": run_id,
        "running": run_id if indices is None else None,
        "lease": lease,
        "indices": list(rows),
        "channels": [channel for channel, _ in rows.values()],
        "values": [columns.json for _, columns in rows.values()],
        "blob_types": [columns.blob_type for _, columns in rows.values()],
        "blobs": [columns.blob for _, columns in rows.values()],
    }
    known = store.known.get(target.key, target.checkpoint_id)
    if known is not None and (
        yield Stmt(store.queries("put_writes", *fence_of(params)), params | {"epoch": known.epoch})
    ):
        return
    attempt = partial(_put_early_writes, store, params)
    if (yield from attempt()):
        if store.held.is_refused(target.key, target.checkpoint_id):
            # Its checkpoint was refused before these came: they are not to stay without it.
            yield Stmt(store.queries("drop_writes_of_refused"), params)
        return
    if store.held.is_refused(target.key, target.checkpoint_id):
        logger.info(
            "writes to checkpoint %r of thread %r (namespace %r) come too late and are not stored",
            *(target.checkpoint_id, *target.key),
        )
        return
    size = sum(len(c.json or "") + len(c.blob or b"") for _, c in rows.values())
    yield from hold(store.held, attempt, Awaited(target.key, target.checkpoint_id), size)


def _put_early_writes(store: Store, params: Mapping[str, Any]) -> Plan[bool]:
    for _ in range(MAX_TRIES):
        [(is_stored, is_settled, is_erased)] = yield Stmt(
            store.queries("put_early_writes", *fence_of(params)), params
        )
        if is_erased:
            logger.info(
                "writes to checkpoint %r of thread %r come too late and are not stored: the run "
                "was erased",
                *(params["checkpoint_id"], params["thread_id"]),
            )
            return True  # they need not wait for anything
        if not is_stored:
            yield from check_lease(store, params)
        if is_stored or is_settled:
            return bool(is_stored)
    raise ConcurrentWriteError
